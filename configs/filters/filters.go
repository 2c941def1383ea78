// Package filters holds the compiled filters of the policies that come with
// callgate, which spare most starts the time of compiling. Nothing trusts them:
// package compile proves them at every start as it proves what it compiles.
//
// ARCH/NAME.bpf is what the filter of builtin:NAME answers where nobody is told
// of denials, ARCH/NAME.report.bpf the same where somebody is
// (compile.Options.Report); both with builtin:guard if the policy restricts
// anything. Their form is that of compile.AppendPrograms. To make them anew:
//
//	go test ./configs/filters -update
package filters

import (
	"embed"
	"runtime"
	"strings"
)

//go:embed amd64
var files embed.FS

// For is the compiled filter of a shipped policy, named builtin:NAME; nil if
// there is none for the machine that this was built for, or no such policy.
func For(name string, report bool) []byte {
	data, err := files.ReadFile(file(name, report))
	if err != nil {
		return nil
	}
	return data
}

func file(name string, report bool) string {
	name = strings.TrimPrefix(name, "builtin:")
	if report {
		name += ".report"
	}
	return runtime.GOARCH + "/" + name + ".bpf"
}
