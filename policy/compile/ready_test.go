package compile

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

func readyOf(t *testing.T, set policy.Set, opts Options) []Program {
	t.Helper()
	plan, err := Compile(set, opts)
	if err != nil {
		t.Fatal(err)
	}
	ready, err := ReadPrograms(AppendPrograms(nil, plan.Filters))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(ready, plan.Filters, slices.Equal[Program]) {
		t.Fatal("the programs are not read as they were written")
	}
	return ready
}

func TestReadyProgramsAreUsed(t *testing.T) {
	for _, name := range shipped {
		for _, report := range []bool{true, false} {
			set := builtin(t, name)
			opts := Options{Report: report}
			opts.Ready = readyOf(t, set, opts)
			plan, err := Compile(set, opts)
			if err != nil {
				t.Fatal(err)
			}
			if !plan.Took(opts.Ready) {
				t.Errorf("%s, report=%v: they are not used", name, report)
			}
		}
	}
}

// TestWrongReadyProgramsAreNotUsed changes one return of the first program
// after the other: the plan must be right all the same. In the other programs
// some returns do not matter, those for archs that the first one kills. A stop more is right
// where rules have conditions.
func TestWrongReadyProgramsAreNotUsed(t *testing.T) {
	var l policy.Loader
	plain, err := l.Parse("plain", []byte("callgate: 1\ndefault: deny\nsyscalls: [{allow: [read, write]}, {deny: ioctl, errno: EACCES}, {kill: swapon}]"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		set     policy.Set
		answers []uint32
	}{
		{builtin(t, "default"), []uint32{retAllow, retKill}},
		{policy.Set{plain}, []uint32{retAllow, retKill, retTrace}},
	} {
		good := readyOf(t, c.set, Options{})
		for at, in := range good[0] {
			if in.Code != unix.BPF_RET|unix.BPF_K {
				continue
			}
			for _, answer := range c.answers {
				if answer == in.K {
					continue
				}
				bad := slices.Clone(good)
				bad[0] = slices.Clone(good[0])
				bad[0][at].K = answer
				plan, err := Compile(c.set, Options{Ready: bad})
				if err != nil {
					t.Fatal(err)
				}
				if plan.Took(bad) {
					t.Errorf("used though instruction %d returns %s, not %s", at, actionName(answer), actionName(in.K))
				}
				if !slices.EqualFunc(plan.Filters, good, slices.Equal[Program]) {
					t.Errorf("instruction %d: the plan is not the one compiled anew", at)
				}
			}
		}
	}
}

func TestReadyProgramsOfOthersAreNotUsed(t *testing.T) {
	set := builtin(t, "default")
	for what, ready := range map[string][]Program{
		"another policy's":           readyOf(t, builtin(t, "compute"), Options{}),
		"those of another report":    readyOf(t, set, Options{Report: true}),
		"an empty program":           {nil},
		"one that allows everything": {{ret(retAllow)}},
		"one that looks whence a call comes": append([]Program{{
			load(wordArch), unless(unix.BPF_JEQ, abi.AuditX86_64, 5), load(wordNr), unless(unix.BPF_JEQ, unix.SYS_IOCTL, 3),
			load(wordArch + 1), unless(unix.BPF_JEQ, 1, 1), ret(retKill), ret(retAllow),
		}}, readyOf(t, set, Options{})...),
		"one that ends nowhere":                           {{load(wordArch)}},
		"all but the last":                                readyOf(t, set, Options{})[1:],
		"two of them, of which each may forbid the other": slices.Repeat(readyOf(t, set, Options{}), 2),
		"more than the kernel takes, with what it adds":   slices.Concat(readyOf(t, set, Options{}), slices.Repeat([]Program{{ret(retAllow)}}, 6000)),
	} {
		plan, err := Compile(set, Options{Ready: ready})
		if err != nil {
			t.Fatal(err)
		}
		if plan.Took(ready) {
			t.Errorf("%s is used", what)
		}
	}
}

// TestReadyProgramsBesideTheTables: one that picks a number that no table has, in a way that
// its comparisons do not show, is not used.
func TestReadyProgramsBesideTheTables(t *testing.T) {
	for _, text := range []string{
		"default: deny\nsyscalls: [{allow: [read, write]}]",
		"default: deny\ncompat: {i386: same, x32: same}\nsyscalls: [{allow: [read, write]}]",
		"default: deny\ncompat: {i386: kill, x32: kill}\nsyscalls: [{allow: ioctl, args: {request: 7}}]",
	} {
		var l policy.Loader
		p, err := l.Parse("own", []byte("callgate: 1\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		good := readyOf(t, policy.Set{p}, Options{})
		for _, c := range []struct{ audit, nr uint32 }{
			{abi.AuditX86_64, 1000}, {abi.AuditX86_64, abi.X32Bit + 7000}, {abi.AuditX86_64, 1<<31 + 1}, {abi.AuditI386, 9000}, {unix.AUDIT_ARCH_ARM, 5},
		} {
			const other = 0x55aa55aa
			bad := slices.Clone(good)
			bad[0] = slices.Concat(Program{
				load(wordArch), unless(unix.BPF_JEQ, c.audit, 4), load(wordNr), {Code: unix.BPF_ALU | unix.BPF_XOR | unix.BPF_K, K: other},
				unless(unix.BPF_JEQ, c.nr^other, 1), ret(retAllow),
			}, good[0])
			plan, err := Compile(policy.Set{p}, Options{Ready: bad})
			if err != nil {
				t.Fatal(err)
			}
			if d := seccompData(c.audit, c.nr, &[6]uint64{}); plan.Took(bad) || strongest(plan.machines, &d) == retAllow {
				t.Errorf("%q: number %#x of audit arch %#x is allowed", text, c.nr, c.audit)
			}
		}
	}
}

// TestReadyProgramsAreProvenSoon: one that is right, but made to take long to prove, is left
// for one that is compiled.
func TestReadyProgramsAreProvenSoon(t *testing.T) {
	var l policy.Loader
	p, err := l.Parse("own", []byte("callgate: 1\ndefault: allow\nsyscalls: [{deny: [ioctl, fcntl, tgkill, lseek, dup3, setsockopt, getsockopt, clone], args: {arg1: [7, 9, 11], arg2: {min: 100, max: 10000}}}]"))
	if err != nil {
		t.Fatal(err)
	}
	set := slices.Concat(policy.Set{p}, builtin(t, "guard-names"), builtin(t, "guard"))
	opts := Options{Report: true, Holders: Holders{Files: Supervisor, Network: Supervisor, Exec: true}}
	good := readyOf(t, set, opts)[0]
	const word, other = wordLast, wordLast - 1
	and := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: k}
	}
	traced := func(k uint32) Program { return Program{unless(unix.BPF_JEQ, k, 1), ret(retTrace)} }
	var values, all, pairs, forks Program
	for v := range uint32(1500) {
		values = append(values, traced(v)...)
	}
	for v := range uint32(1 << 8) { // all values of 8 bits: nothing is left, which is not seen at once
		all = append(all, traced(v)...)
	}
	for bit := 30; bit >= 0; bit-- { // each bit tells the next
		pairs = append(append(pairs, load(word), and(3<<bit)), traced(1<<bit)...)
	}
	for bit := range 13 { // twice as many ways
		forks = append(forks, load(other), and(1<<bit), unless(unix.BPF_JEQ, 0, 0))
	}
	for name, slow := range map[string]Program{
		"many values":     slices.Concat(Program{load(word)}, values, forks, Program{ret(retTrace)}),
		"nothing is left": slices.Concat(Program{load(word), and(1<<8 - 1)}, all, forks, Program{ret(retKill)}),
		"bits in a row":   slices.Concat(pairs, Program{load(word)}, values[:2000], forks, Program{load(word), and(1)}, traced(1), Program{ret(retTrace)}),
	} {
		ready := Program{load(wordArch), when(unix.BPF_JEQ, abi.AuditX86_64, 1), jump(0), load(wordNr)}
		e := expectation{opts: opts}
		for s := range abi.X86_64.All() {
			if e.take(set, abi.X86_64, s.Nr, s, false); e.divides() {
				ready = append(ready, unless(unix.BPF_JEQ, s.Nr, 1), jump(0))
			}
		}
		slowly := len(ready) + 1
		for at, in := range ready { // the numbers with conditions there
			if in == jump(0) {
				ready[at] = jump(slowly - at - 1)
			}
		}
		ready[2] = jump(slowly + len(slow) - 3)
		ready = slices.Concat(ready, Program{jump(len(slow))}, slow, good)
		opts.Ready = []Program{ready}
		start := time.Now()
		plan, err := Compile(set, opts)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > time.Second || plan.Took(opts.Ready) {
			t.Errorf("%s: proven in %v, used: %t", name, took, plan.Took(opts.Ready))
		}
	}
}

func TestReadPrograms(t *testing.T) {
	whole := AppendPrograms(nil, []Program{{load(wordNr), ret(retAllow)}, {ret(retKill)}})
	for n := range whole {
		cut := whole[:n]
		got, err := ReadPrograms(cut)
		if err == nil && !bytes.Equal(AppendPrograms(nil, got), cut) {
			t.Errorf("%d bytes of %d are read as %v", n, len(whole), got)
		}
		if n > 0 && n < 18 && err == nil {
			t.Errorf("%d bytes of the first program are enough", n)
		}
	}
	if got, err := ReadPrograms(whole); err != nil || len(got) != 2 || len(got[0]) != 2 || got[1][0] != ret(retKill) {
		t.Errorf("got %v, error %v", got, err)
	}
}

// TestProvenPrograms: the programs of a plan before are used for what they were proven for,
// and for nothing else.
func TestProvenPrograms(t *testing.T) {
	rules := builtin(t, "default")
	files := func(text string) policy.Set {
		var l policy.Loader
		p, err := l.Parse("files", []byte("callgate: 1\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return append(slices.Clip(rules), p)
	}
	set := files("default: allow\nfiles: [{read: /usr}]")
	before, err := Compile(set, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		set  policy.Set
		opts Options
		used bool
	}{
		"the same":      {set, Options{}, true},
		"other files":   {files("default: allow\nfiles: [{deny: /etc}]"), Options{}, true},
		"other ABIs":    {files("default: allow\ncompat: {i386: same}\nfiles: [{read: /usr}]"), Options{}, false},
		"other rules":   {files("default: deny\nsyscalls: [{allow: read}]"), Options{}, false},
		"loaded anew":   {append(builtin(t, "default"), set[len(set)-1]), Options{}, false},
		"told":          {set, Options{Report: true}, false},
		"tasks counted": {set, Options{Births: true}, false},
		"other holders": {set, Options{Holders: Holders{Files: Supervisor}}, false},
	} {
		want, err := Compile(c.set, c.opts)
		if err != nil {
			t.Fatal(err)
		}
		c.opts.Before = before
		plan, err := Compile(c.set, c.opts)
		if err != nil {
			t.Fatal(err)
		}
		if plan.Took(before.Filters) != c.used {
			t.Errorf("%s: the programs before are used: %t", name, !c.used)
		}
		if !slices.EqualFunc(plan.Filters, want.Filters, slices.Equal[Program]) || !slices.Equal(plan.inexact, want.inexact) {
			t.Errorf("%s: the plan is another than without the one before", name)
		}
	}
}

// TestReusable: what is said to be taken again is taken, and most is.
func TestReusable(t *testing.T) {
	const sets = 60
	g := newGenerator(12)
	reusable := 0
	for range sets {
		set, opts := g.set(t), Options{Report: g.IntN(2) == 0, Births: g.IntN(2) == 0, Holders: g.holders()}
		plan, err := Compile(set, opts)
		if err != nil {
			t.Fatal(err)
		}
		opts.Ready = plan.Filters
		again, err := Compile(set, opts)
		if err != nil {
			t.Fatal(err)
		}
		switch taken := again.Took(opts.Ready); {
		case plan.Reusable() && !taken:
			t.Errorf("is not taken again:\n%s", texts(set))
		case taken:
			reusable++
		}
	}
	if reusable < sets*9/10 {
		t.Errorf("%d of %d are taken again", reusable, sets)
	}
}
