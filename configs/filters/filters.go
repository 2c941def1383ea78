// Package filters holds the compiled filters of the policies that come with
// callgate, which spare most starts the time of compiling. Nothing trusts them:
// package compile proves them at every start as it proves what it compiles.
//
// ARCH/NAMES[.HOLDERS].bpf is what the filter of a policy answers whose rules on
// calls are those of NAMES (policy.Policy.CallsFrom; "none" where there are none),
// if nobody is told of denials, ARCH/NAMES[.HOLDERS].report.bpf the same if somebody
// is (compile.Options.Report); both with the guards that callgate adds. HOLDERS are
// those of the policy's sections (compile.Holders.String), which the host decides.
// Their form is that of compile.AppendPrograms. To make them anew:
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

// For is the compiled filter for rules on calls from shipped policies alone, named
// builtin:NAME, whose sections these hold; nil if there is none for the machine that
// this was built for, or for these policies, or the sections are seldom held so.
func For(callsFrom []string, holders compile.Holders, report bool) []byte {
	for _, name := range callsFrom {
		if !strings.HasPrefix(name, builtin) {
			return nil
		}
	}
	data, err := files.ReadFile(file(callsFrom, holders, report))
	if err != nil {
		return nil
	}
	return data
}

const builtin = "builtin:"

func file(callsFrom []string, holders compile.Holders, report bool) string {
	name := "none"
	if len(callsFrom) > 0 {
		name = strings.ReplaceAll(strings.Join(callsFrom, "+"), builtin, "")
	}
	if words := holders.String(); words != "" {
		name += "." + strings.ReplaceAll(words, " ", "-")
	}
	if report {
		name += ".report"
	}
	return runtime.GOARCH + "/" + name + ".bpf"
}
