package compile

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
)

// generator writes random policies that are rich in what could go wrong: rules
// on few calls, so that they overlap, with every form of condition, on every
// kind of parameter.
type generator struct {
	*rand.Rand
	names []string
}

func newGenerator(seed uint64) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 11))}
	for s := range abi.Native().All() {
		if len(s.Params) > 0 {
			g.names = append(g.names, s.Name)
		}
	}
	return g
}

// favourites are calls with something special: 64-bit values that i386 passes
// in two registers, shifted and signed values, carried calls, clone.
var favourites = []string{"ioctl", "socket", "clone", "clone3", "mmap", "lseek", "ftruncate", "fadvise64", "fallocate",
	"prctl", "personality", "fcntl", "openat", "pread64", "kill", "fchmod", "setuid", "getpgid", "execve", "shmget", "futex",
	"sendto", "mseal", "newfstatat", "socket", "rename"}

func (g *generator) pick(words ...string) string { return words[g.IntN(len(words))] }

// cousins are calls with a parameter in common. i386 has two numbers for some of
// these, one of which takes a 64-bit value in two registers.
var cousins = []string{"ftruncate truncate", "ftruncate fallocate", "pread64 pwrite64 read", "lseek read write", "fadvise64 readahead"}

// meeting is the text of a policy whose rules say the same to cousins, on few
// values, masked and exact: libseccomp has their numbers share code.
func (g *generator) meeting() string {
	var b strings.Builder
	fmt.Fprintf(&b, "callgate: 1\ndefault: %s\ncompat: {i386: same, x32: same}\nsyscalls:\n", g.pick("deny", "kill", "log", "ask"))
	names := strings.Fields(g.pick(cousins...))
	said := map[string][]string{}
	for range 2 + g.IntN(4) {
		s, _ := abi.Native().ByName(g.pick(names...))
		var parts []string
		for _, i := range g.Perm(len(s.Params))[:1+g.IntN(min(2, len(s.Params)))] {
			name := s.Params[i].Name
			if len(said[name]) == 0 || g.IntN(3) == 0 {
				said[name] = append(said[name], g.few())
			}
			parts = append(parts, name+": "+g.pick(said[name]...))
		}
		fmt.Fprintf(&b, "  - allow: %s\n    args: {%s}\n", s.Name, strings.Join(parts, ", "))
	}
	return b.String()
}

// few is a condition that holds for few of few values.
func (g *generator) few() string {
	mask, n := 1+g.IntN(7), g.IntN(8)
	masked := fmt.Sprintf("{mask: %d, is: %d}", mask, mask&g.IntN(8))
	return g.pick(fmt.Sprint(n), masked, fmt.Sprintf("[%s, %d]", masked, n), fmt.Sprintf("[%s, %d, %d]", masked, n, g.IntN(8)))
}

// policy is one policy's text.
func (g *generator) policy() string {
	if g.IntN(3) == 0 {
		return g.meeting()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "callgate: 1\ndefault: %s\nerrno: %s\n", g.pick("deny", "allow", "kill", "log", "ask", "deny", "allow"), g.pick("EPERM", "EACCES", "ENOSYS"))
	fmt.Fprintf(&b, "compat: {i386: %s, x32: %s}\nsyscalls:\n", g.pick("same", "same", "deny", "kill"), g.pick("same", "same", "deny", "kill"))
	few := []string{g.pick(favourites...), g.pick(favourites...), g.pick(g.names...)}
	for range 1 + g.IntN(10) {
		b.WriteString(g.rule(few))
	}
	return b.String()
}

func (g *generator) rule(few []string) string {
	action := g.pick("allow", "deny", "skip", "kill", "log", "ask", "allow", "deny")
	if g.IntN(6) == 0 {
		return fmt.Sprintf("  - %s: [%q, %s, %s]\n", action, g.pick("@basic-io", "@process", "@network-io", "@file-system"), g.pick(g.names...), g.pick(g.names...))
	}
	name := few[g.IntN(len(few))]
	text := fmt.Sprintf("  - %s: %s\n", action, name)
	switch {
	case (action == "deny" || action == "ask") && g.IntN(2) == 0:
		text += fmt.Sprintf("    errno: %s\n", g.pick("ENOSYS", "EINVAL", "EPERM"))
	case action == "skip" && g.IntN(2) == 0:
		text += fmt.Sprintf("    value: %d\n", []int{0, -4096, 7}[g.IntN(3)])
	}
	if s, ok := abi.Native().ByName(name); ok && g.IntN(5) > 0 {
		text += "    args: {" + g.conditions(s) + "}\n"
	}
	return text
}

// conditions is on one to three parameters of a call.
func (g *generator) conditions(s *abi.Syscall) string {
	var parts []string
	for _, i := range g.Perm(len(s.Params))[:1+g.IntN(min(3, len(s.Params)))] {
		p := &s.Params[i]
		name := p.Name
		if g.IntN(8) == 0 && p.Lo >= 0 {
			name = fmt.Sprintf("arg%d", p.Lo)
			p, _ = s.Param(name)
		}
		parts = append(parts, fmt.Sprintf("%s: %s", name, g.condition(p, 0)))
	}
	return strings.Join(parts, ", ")
}

func (g *generator) condition(p *abi.Param, depth int) string {
	switch n := g.IntN(10); {
	case n < 4:
		return g.number(p)
	case n < 6 && depth < 2:
		return "[" + g.condition(p, 2) + ", " + g.condition(p, 2) + ", " + g.number(p) + "]"
	case n < 7 && depth == 0:
		return "{not: " + g.condition(p, 1) + "}"
	case n < 8:
		return g.span(p)
	}
	mask := g.value(p)
	return fmt.Sprintf("{mask: %#x, is: %#x}", mask, mask&g.value(p))
}

// span is a range, with one end or both.
func (g *generator) span(p *abi.Param) string {
	a, b := g.value(p), g.value(p)
	lo, hi := fmt.Sprint(a), fmt.Sprint(b)
	if p.Signed {
		x, y := signExtend(a, valueWidth(p)), signExtend(b, valueWidth(p))
		lo, hi = fmt.Sprint(min(x, y)), fmt.Sprint(max(x, y))
	} else if b < a {
		lo, hi = hi, lo
	}
	switch g.IntN(3) {
	case 0:
		return "{min: " + lo + "}"
	case 1:
		return "{max: " + hi + "}"
	}
	return "{min: " + lo + ", max: " + hi + "}"
}

// value is a constant of the parameter's width.
func (g *generator) value(p *abi.Param) uint64 {
	if p.Consts != nil && len(p.Consts.List) > 0 && g.IntN(2) == 0 {
		return p.Consts.List[g.IntN(len(p.Consts.List))].Value & lowBits(valueWidth(p))
	}
	// 31 bits where the i386 entry of the same call may have fewer
	return interesting(g.Rand) & lowBits(valueWidth(p))
}

func (g *generator) number(p *abi.Param) string { return fmt.Sprintf("%#x", g.value(p)) }

// set is one to three policies, loaded. Texts that the language refuses (an
// impossible condition, say) are drawn again.
func (g *generator) set(t testing.TB) policy.Set {
	var set policy.Set
	for range []int{1, 1, 1, 2, 2, 3}[g.IntN(6)] {
		set = append(set, g.load(t))
	}
	return set
}

func (g *generator) load(t testing.TB) *policy.Policy {
	for range 200 {
		if p, err := loadText(g.policy()); err == nil {
			return p
		}
	}
	p, err := loadText(g.policy())
	if err != nil {
		t.Fatalf("the language refuses all that the generator writes, last: %v", err)
	}
	return p
}

// holders are those of a set whose sections there may be.
func (g *generator) holders() Holders {
	if g.IntN(2) == 0 {
		return Holders{}
	}
	h := Holders{Files: Holder(g.IntN(3)), Network: Holder(g.IntN(2) * 2), Hides: g.IntN(2) == 0}
	h.Mounts = h.Files == Kernel && g.IntN(2) == 0
	return h
}

// loadText is the policy with this text.
func loadText(text string) (*policy.Policy, error) {
	var l policy.Loader
	return l.Parse("generated.yaml", []byte(text))
}
