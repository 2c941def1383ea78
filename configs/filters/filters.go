// Package filters has filters that were compiled before, which spare most starts the time of
// compiling: those of the policies that come with callgate, and a cache of others. Nothing
// trusts them: package compile proves them at every start as it proves what it compiles.
//
// ARCH/NAMES[.room][.HOLDERS].bpf is what the filter of a policy answers whose rules on
// calls are those of NAMES (policy.Policy.CallsFrom; "none" where there are none),
// if nobody is told of denials, ARCH/NAMES[.room][.HOLDERS].report.bpf the same if somebody
// is (compile.Options.Report); both with the guards that callgate adds, "room" with
// that of isolated sandboxes. HOLDERS are
// those of the policy's sections (compile.Holders.String), which the host decides.
// Their form is that of compile.AppendPrograms. To make them anew:
//
//	go test ./configs/filters -update
package filters

import (
	"embed"
	"runtime"
	"strings"

	"callgate/policy"
	"callgate/policy/compile"
)

//go:embed amd64
var files embed.FS

// For is the compiled filter for one policy and its guards (policy.Loader.Guard), whose
// rules on calls are from shipped policies alone; nil if there is none for the machine that
// this was built for, or for such a set, or its sections are seldom held so.
func For(set policy.Set, opts *compile.Options) []compile.Program {
	if opts.Births {
		return nil
	}
	for _, p := range set[1:] {
		if !policy.IsGuard(p.Name) {
			return nil
		}
	}
	for _, name := range set[0].CallsFrom {
		if !strings.HasPrefix(name, builtin) {
			return nil
		}
	}
	data, err := files.ReadFile(file(set, opts.Holders, opts.Report))
	if err != nil {
		return nil
	}
	programs, err := compile.ReadPrograms(data)
	if err != nil {
		return nil
	}
	return programs
}

const builtin = "builtin:"

func file(set policy.Set, holders compile.Holders, report bool) string {
	name := "none"
	if from := set[0].CallsFrom; len(from) > 0 {
		name = strings.ReplaceAll(strings.Join(from, "+"), builtin, "")
	}
	if set.Isolation() != 0 {
		name += ".room"
	}
	if words := holders.String(); words != "" {
		name += "." + strings.ReplaceAll(words, " ", "-")
	}
	if report {
		name += ".report"
	}
	return runtime.GOARCH + "/" + name + ".bpf"
}
