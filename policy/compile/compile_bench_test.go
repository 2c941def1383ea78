package compile

import (
	"testing"

	"callgate/configs"
	"callgate/policy"
)

// builtin loads a shipped policy anew, as a start of callgate does: what a
// policy works out about its rules at the first question is not yet done.
func builtin(t testing.TB, name string) policy.Set {
	t.Helper()
	l := policy.Loader{Builtin: configs.Builtin}
	p, err := l.Load("builtin:" + name)
	if err != nil {
		t.Fatal(err)
	}
	return policy.Set{p}
}

var shipped = []string{"default", "build", "compute", "trace-all"}

func BenchmarkCompile(b *testing.B) {
	for _, name := range shipped {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				set := builtin(b, name)
				b.StartTimer()
				if _, err := Compile(set, Options{Report: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkProof(b *testing.B) {
	for _, name := range shipped {
		b.Run(name, func(b *testing.B) {
			plan, groups, err := build(builtin(b, name), Options{Report: true})
			if err != nil {
				b.Fatal(err)
			}
			insns := 0
			for _, f := range plan.Filters {
				insns += len(f)
			}
			for b.Loop() {
				if err := prove(plan, groups, probesPerCall, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(insns), "instructions")
			b.ReportMetric(float64(len(plan.Filters)), "filters")
		})
	}
}

// BenchmarkWorkOut is what comes before libseccomp: which arguments get which
// answer.
func BenchmarkWorkOut(b *testing.B) {
	for _, name := range shipped {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				set := builtin(b, name)
				b.StartTimer()
				groupsOf(set, Options{Report: true})
			}
		})
	}
}

// BenchmarkReady is a start with programs that were compiled before.
func BenchmarkReady(b *testing.B) {
	for _, name := range shipped {
		b.Run(name, func(b *testing.B) {
			plan, err := Compile(builtin(b, name), Options{Report: true})
			if err != nil {
				b.Fatal(err)
			}
			for range b.N {
				b.StopTimer()
				set := builtin(b, name)
				b.StartTimer()
				if _, err := Compile(set, Options{Report: true, Ready: plan.Filters}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
