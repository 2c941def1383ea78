package compile

import (
	"testing"

	"callgate/policy"
	"callgate/policy/abi"
	profiles "callgate/policy/foreign"

	"golang.org/x/sys/unix"
)

// TestForeignRandomExports: the filters of random policies' profiles permit nothing that
// the policies do not, and answer as they do where the export is exact.
func TestForeignRandomExports(t *testing.T) {
	needX86(t)
	g := newGenerator(35)
	exports, exact := 0, 0
	for range 200 {
		p := g.load(t)
		opts := profiles.Options{Arch: abi.X86_64}
		res, err := profiles.Export(p, profiles.OCI, opts, divider)
		approximate := err != nil
		if approximate {
			opts.Approximate = true
			if res, err = profiles.Export(p, profiles.OCI, opts, divider); err != nil {
				continue // default: log with what cannot be kept, for instance
			}
		} else {
			exact++
		}
		exports++
		m := filterOf(t, res.Text)
		for _, arch := range []abi.Arch{abi.X86_64, abi.I386, abi.X32} {
			for s := range arch.All() {
				var b bounds
				if !s.Multiplexer && b.collect(policy.Set{p}.On(arch, s.Nr, nil), &exceptions{}) && hasName(s) {
					answersAs(t, m, p, s, &b, approximate)
				}
			}
		}
		if t.Failed() {
			t.Fatalf("%s\n%s", p, res.Text)
		}
	}
	if exports < 100 || exact < 20 {
		t.Errorf("%d exports, %d of them exact: the test tells little", exports, exact)
	}
}

// answersAs asks a filter and a policy about an entry's calls.
func answersAs(t *testing.T, m machine, p *policy.Policy, s *abi.Syscall, b *bounds, stricter bool) {
	b.each(1000, func(args *[6]uint64) bool {
		for i := range args {
			args[i] &= asRead(s, i)
		}
		d := seccompData(s.Arch.Audit(), s.Nr, args)
		got, _ := m.run(&d, nil)
		if got == unix.SECCOMP_RET_KILL_THREAD {
			got = retKill
		}
		v := p.Decide(abi.Call{Arch: s.Arch, Nr: s.Nr, Args: *args})
		if permits := got == retAllow || got == unix.SECCOMP_RET_LOG; got != profileAnswer(v) && (!stricter || permits) {
			t.Errorf("%v %s%#x: the filter answers %s, the policy %v", s.Arch, s.Name, *args, actionName(got), v)
		}
		return !t.Failed()
	})
}
