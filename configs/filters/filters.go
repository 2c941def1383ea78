// Package filters holds the compiled filters of the policies that come with
// callgate, which spare most starts the time of compiling. Nothing trusts them:
// package compile proves them at every start as it proves what it compiles.
//
// ARCH/NAME[.HOLDERS].bpf is what the filter of builtin:NAME answers where nobody
// is told of denials, ARCH/NAME[.HOLDERS].report.bpf the same where somebody is
// (compile.Options.Report); both with the guards that callgate adds. HOLDERS are
// those of the policy's sections (compile.Holders.String), which the host
// decides. Their form is that of compile.AppendPrograms. To make them anew:
//
//	go test ./configs/filters -update
package filters

import (
	"embed"
	"runtime"
	"strings"

	"callgate/policy/compile"
)

//go:embed amd64
var files embed.FS

// For is the compiled filter of a shipped policy, named builtin:NAME, whose
// sections these hold; nil if there is none for the machine that this was built
// for, or no such policy, or its sections are seldom held so.
func For(name string, holders compile.Holders, report bool) []byte {
	data, err := files.ReadFile(file(name, holders, report))
	if err != nil {
		return nil
	}
	return data
}

func file(name string, holders compile.Holders, report bool) string {
	name = strings.TrimPrefix(name, "builtin:")
	if words := holders.String(); words != "" {
		name += "." + strings.ReplaceAll(words, " ", "-")
	}
	if report {
		name += ".report"
	}
	return runtime.GOARCH + "/" + name + ".bpf"
}
