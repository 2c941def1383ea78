package foreign

import (
	"maps"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
)

// OCI profiles: opencontainers/runtime-spec, config-linux.md, "Seccomp"; Docker's and
// containers/common's keys archMap, includes, excludes, name, comment, errno and
// defaultErrno (moby/profiles, seccomp/seccomp.go; containers/common, pkg/seccomp). What
// the keys mean to a kernel is what runc makes of them (libcontainer/seccomp), by
// libseccomp: a rule without conditions outdoes those with some on the same call, of
// several without the first counts, and a rule with the default's action is none.
var (
	profileKeys = []string{"defaultAction", "defaultErrnoRet", "defaultErrno", "architectures", "archMap", "flags", "listenerPath", "listenerMetadata", "syscalls", "comment"}
	entryKeys   = []string{"name", "names", "action", "errnoRet", "errno", "args", "comment", "includes", "excludes"}
	argKeys     = []string{"index", "value", "valueTwo", "op"}
	filterKeys  = []string{"caps", "arches", "minKernel"}
	archMapKeys = []string{"architecture", "subArchitectures"}
	flagNames   = []string{"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}
	operators   = []string{"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"}
	actionNames = []string{"SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY"}
	// archNames are libseccomp's. Those with an ABI of callgate's have it in ociArches.
	archNames = []string{"SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64", "SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB"}
)

var ociArches = map[abi.Arch]string{abi.X86_64: "SCMP_ARCH_X86_64", abi.I386: "SCMP_ARCH_X86", abi.X32: "SCMP_ARCH_X32", abi.AArch64: "SCMP_ARCH_AARCH64"}

// oci reads a profile.
func (r *reader) oci() *filter {
	r.places = placesOf(r.text)
	root, err := parseJSON(r.text)
	if err != nil {
		at := int64(0)
		if e, ok := err.(*jsonError); ok {
			at = e.offset
		}
		line, col := r.places.of(r.text, at)
		r.fail(policy.Position{File: r.name, Line: line, Col: col}, "", "%v", err)
		return nil
	}
	if whole := r.profileOf(root); whole != nil {
		return r.profile(whole)
	}
	return nil
}

// profileOf finds linux.seccomp in a runtime's config.json; a profile is itself.
func (r *reader) profileOf(root *value) *value {
	if root.kind != '{' || root.get("ociVersion") == nil && root.get("linux") == nil {
		return root
	}
	linux := root.get("linux")
	if linux == nil || linux.kind != '{' || linux.get("seccomp") == nil {
		r.bad(root, "", "the runtime's config has no linux.seccomp")
		return nil
	}
	r.note(r.at(root), "only linux.seccomp is converted, and nothing else of the runtime's config")
	return linux.get("seccomp")
}

func (r *reader) profile(v *value) *filter {
	m := r.object(v, profileKeys)
	f := &filter{calls: map[string]*treatment{}}
	if c := r.word(m["comment"], nil); c != "" {
		f.description = oneLine(c)
	}
	if m["defaultAction"] == nil {
		if v.kind == '{' {
			r.bad(v, "expected one such as SCMP_ACT_ERRNO", "defaultAction is missing")
		}
		return nil
	}
	f.rest = r.answer(m["defaultAction"], m["defaultErrnoRet"], m["defaultErrno"])
	if f.rest.action == policy.Skip {
		r.stricter(r.at(m["defaultAction"]), "a default that returns 0 without executing the call", "the default denies with EPERM")
		f.rest = answer{action: policy.Deny, errno: 1}
	}
	f.compat = r.architectures(m)
	for _, flag := range r.list(m["flags"]) {
		r.word(flag, flagNames)
	}
	r.word(m["listenerPath"], nil)
	r.word(m["listenerMetadata"], nil)
	for _, entry := range r.list(m["syscalls"]) {
		r.entry(f, entry)
	}
	for _, name := range slices.Sorted(maps.Keys(f.calls)) {
		r.settle(f.calls[name])
	}
	return f
}

// architectures says which ABIs the profile decides by name. libseccomp kills what comes
// by any other, and always adds the kernel's own.
func (r *reader) architectures(m map[string]*value) policy.Compat {
	var list []string
	for _, v := range r.list(m["architectures"]) {
		list = append(list, r.word(v, archNames))
	}
	if m["archMap"] != nil && len(list) > 0 {
		r.bad(m["archMap"], "leave one of them out", "both architectures and archMap")
	}
	for _, v := range r.list(m["archMap"]) {
		one := r.object(v, archMapKeys)
		subs := r.list(one["subArchitectures"])
		mine := r.word(one["architecture"], archNames) == ociArches[r.opts.Arch]
		for _, sub := range subs {
			if word := r.word(sub, archNames); mine {
				list = append(list, word)
			}
		}
	}
	if slices.Contains(list, "SCMP_ARCH_ARM") && r.opts.Arch == abi.AArch64 {
		r.note(policy.Position{File: r.name}, "calls of 32-bit ARM end the process, since callgate has no table of them")
	}
	c := policy.Compat{I386: policy.CompatKill, X32: policy.CompatKill}
	if slices.Contains(list, ociArches[abi.I386]) {
		c.I386 = policy.CompatSame
	}
	if slices.Contains(list, ociArches[abi.X32]) {
		c.X32 = policy.CompatSame
	}
	return c
}

// answer reads an action with its errno, in either form.
func (r *reader) answer(action, ret, name *value) answer {
	errno, given := uint64(1), ret != nil || name != nil // EPERM
	if ret != nil {
		errno = r.uint(ret, 4095)
	}
	if name != nil {
		e, ok := policy.ParseErrno(r.word(name, nil))
		if !ok && name.kind == '"' {
			r.bad(name, "", "unknown errno %s", quote(name.text))
		}
		if ok && ret != nil && uint64(e) != errno {
			r.bad(name, "leave one of them out", "%s is not errno %d", quote(name.text), errno)
		}
		errno = uint64(e)
	}
	word := r.word(action, actionNames)
	takes := word == "SCMP_ACT_ERRNO" || word == "SCMP_ACT_TRACE"
	if given && word != "" && !takes {
		r.bad(action, "leave it out", "%s takes no errno", word)
	}
	switch word {
	case "SCMP_ACT_ALLOW":
		return answer{action: policy.Allow}
	case "SCMP_ACT_LOG":
		return answer{action: policy.Log}
	case "SCMP_ACT_ERRNO":
		if errno == 0 {
			return answer{action: policy.Skip}
		}
		return answer{action: policy.Deny, errno: uint16(errno)}
	case "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY":
		r.stricter(r.at(action), word+" has another program decide", "the call fails with ENOSYS")
		return answer{action: policy.Deny, errno: 38}
	case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD":
		r.note(policy.Position{File: r.name}, "%s ends a thread, callgate's kill the process", word)
	case "SCMP_ACT_TRAP":
		r.stricter(r.at(action), "SCMP_ACT_TRAP sends a signal that a program may catch", "the process is killed")
	}
	return answer{action: policy.Kill}
}

// entry reads one of syscalls.
func (r *reader) entry(f *filter, v *value) {
	m := r.object(v, entryKeys)
	names := r.list(m["names"])
	if m["name"] != nil {
		if len(names) > 0 {
			r.bad(m["name"], "leave one of them out", "both name and names")
		}
		names = append(names, m["name"])
	}
	if len(names) == 0 && v.kind == '{' {
		r.bad(v, "", "the entry names no system call")
	}
	applies := r.applies(m["includes"], m["excludes"])
	if m["action"] == nil {
		if v.kind == '{' {
			r.bad(v, "", "the entry has no action")
		}
		return
	}
	given := r.answerIf(applies, m)
	clauses := r.args(m["args"], given)
	comment := r.word(m["comment"], nil)
	for _, n := range names {
		name := r.word(n, nil)
		if name == "" || !isName(name) {
			if n.kind == '"' {
				r.bad(n, "", "%s is no name of a system call", quote(n.text))
			}
			continue
		}
		if applies && given != f.rest {
			t := f.treat(name, r.at(n))
			t.comment = appendComment(t.comment, comment)
			for _, c := range clauses {
				c.pos = r.at(n)
				t.clauses = append(t.clauses, c)
			}
		}
	}
}

// answerIf reads the action of an entry that may not apply: then nothing is asked of it
// but that it is an action.
func (r *reader) answerIf(applies bool, m map[string]*value) answer {
	if !applies {
		r.word(m["action"], actionNames)
		return answer{}
	}
	return r.answer(m["action"], m["errnoRet"], m["errno"])
}

func appendComment(a, b string) string {
	if b = oneLine(b); b == "" || strings.Contains(a, b) || len(a) > 1000 {
		return a
	}
	if a == "" {
		return b
	}
	return a + "; " + b
}

// treat is the treatment of a name, a new one for its first mention.
func (f *filter) treat(name string, pos policy.Position) *treatment {
	t := f.calls[name]
	if t == nil {
		t = &treatment{rest: f.rest, pos: pos}
		f.calls[name] = t
	}
	return t
}

// isName says whether a text may be a call's name; numbers are none to an OCI runtime.
func isName(s string) bool {
	return len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" && s != ""
}

// args reads an entry's conditions, as clauses of which any may hold: one, in which all
// must, unless several are on one argument. Then runc and crun make a rule of each
// (matchCall in runc's libcontainer/seccomp/seccomp_linux.go).
func (r *reader) args(v *value, a answer) []clause {
	items := r.list(v)
	if len(items) > 6 {
		r.bad(v, "", "%d conditions; a call has six arguments", len(items))
		return nil
	}
	var conds []cond
	var used [6]int
	for _, item := range items {
		c, ok := r.arg(item)
		if ok {
			used[c.reg]++
			conds = append(conds, c)
		}
	}
	if slices.Max(used[:]) < 2 {
		return []clause{{conds: conds, answer: a}}
	}
	var list []clause
	for _, c := range conds {
		list = append(list, clause{conds: []cond{c}, answer: a})
	}
	return list
}

func (r *reader) arg(v *value) (cond, bool) {
	before := len(r.mistakes)
	m := r.object(v, argKeys)
	for _, key := range []string{"index", "value", "op"} {
		if m[key] == nil && v.kind == '{' {
			r.bad(v, "", "the condition has no %s", key)
		}
	}
	const most = ^uint64(0)
	c := cond{reg: int(r.uint(m["index"], 5)), a: r.uint(m["value"], most)}
	two := r.uint(m["valueTwo"], most)
	switch r.word(m["op"], operators) {
	case "SCMP_CMP_NE":
		c.op = notEqual
	case "SCMP_CMP_LT":
		c.op = less
	case "SCMP_CMP_LE":
		c.op = lessEqual
	case "SCMP_CMP_EQ":
		c.op = equal
	case "SCMP_CMP_GE":
		c.op = greaterEqual
	case "SCMP_CMP_GT":
		c.op = greater
	case "SCMP_CMP_MASKED_EQ":
		// value is the mask; libseccomp drops bits of valueTwo beyond it
		// (_db_node_mask_fixup in its src/db.c).
		c.op, c.b = masked, two&c.a
	}
	return c, len(r.mistakes) == before && v.kind == '{'
}

// maxClauses bounds the rules with conditions on one call.
const maxClauses = 200

// settle makes one meaning of the rules on one name.
func (r *reader) settle(t *treatment) {
	for _, c := range t.clauses {
		if len(c.conds) == 0 { // the first; it outdoes all others
			t.clauses, t.rest = nil, c.answer
			return
		}
	}
	if len(t.clauses) > maxClauses {
		r.fail(t.pos, "", "more than %d rules on one system call", maxClauses)
		return
	}
	for i := range t.clauses {
		for j := range i {
			c, d := &t.clauses[j], &t.clauses[i]
			if c.answer != d.answer && c.overlap(d) {
				r.stricter(d.pos, "two rules with different actions may hold for the same arguments; libseccomp does not say which counts", "the stricter one")
			}
		}
	}
	slices.SortStableFunc(t.clauses, func(c, d clause) int { return int(d.answer.action) - int(c.answer.action) })
}
