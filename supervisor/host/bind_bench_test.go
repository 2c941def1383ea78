package host

import (
	"os"
	"testing"

	"callgate/configs"
	"callgate/configs/trees"
	"callgate/policy"
)

// BenchmarkBind is what the sections of the shipped policies add to a start.
func BenchmarkBind(b *testing.B) {
	l := &policy.Loader{Builtin: configs.Builtin, Trees: trees.Files}
	for _, name := range []string{"builtin:compute", "builtin:ci", "builtin:default", "builtin:build"} {
		set, err := l.LoadAll(name)
		if err == nil {
			set, err = l.Guard(set)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Bind(set, "", os.Environ(), os.Environ(), "/bin/true"); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/load", func(b *testing.B) {
			for b.Loop() {
				set, _ := l.LoadAll(name)
				l.Guard(set)
			}
		})
	}
}
