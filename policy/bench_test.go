package policy_test

import (
	"testing"

	"callgate/configs"
	"callgate/policy"
	"callgate/policy/abi"
)

// BenchmarkLoad is what a run pays for its policy: read, checked, and ready to
// decide for all ABIs of the machine.
func BenchmarkLoad(b *testing.B) {
	loader := &policy.Loader{Builtin: configs.Builtin}
	for _, name := range []string{"builtin:default", "builtin:build", "builtin:guard"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p, err := loader.Load(name)
				if err != nil {
					b.Fatal(err)
				}
				for _, a := range []abi.Arch{abi.X86_64, abi.I386, abi.X32} {
					p.Clauses(a, 0)
				}
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	loader := &policy.Loader{Builtin: configs.Builtin}
	set, err := loader.LoadAll("builtin:default", "builtin:guard")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"read", "clone", "mount"} {
		s, _ := abi.X86_64.ByName(name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set.Decide(abi.Call{Arch: abi.X86_64, Nr: s.Nr})
			}
		})
	}
}
