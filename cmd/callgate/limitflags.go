package main

import (
	"fmt"
	"io"
	"time"

	"callgate/policy"
	"callgate/supervisor/host"

	"github.com/spf13/pflag"
)

// limitFlags are the limits of the command line, which only narrow the policies'.
type limitFlags struct {
	texts [7]string // by policy.Resource
	grace time.Duration
}

func (f *limitFlags) flags(flags *pflag.FlagSet) {
	usage := map[policy.Resource]string{
		policy.WallTime:  "end the command after `TIME`, such as 1m30s",
		policy.CPUTime:   "end it when all its tasks have used `TIME`",
		policy.Memory:    "kill it when all its processes hold `SIZE`, such as 512MiB",
		policy.Processes: "let it have `N` processes and threads at one time",
		policy.OpenFiles: "let each process have `N` descriptors",
		policy.FileSize:  "let no file that it writes exceed `SIZE`",
		policy.Output:    "kill it when it has written `SIZE` to its output",
	}
	for _, r := range policy.Resources() {
		flags.StringVar(&f.texts[r], r.String(), "", usage[r])
	}
	flags.DurationVar(&f.grace, "grace", 10*time.Second, "how long it may take to end when told to, `TIME`")
}

// narrow has the flags' limits hold as if the first policy had them.
func (f *limitFlags) narrow(set policy.Set) error {
	var asked policy.Limits
	for _, r := range policy.Resources() {
		if f.texts[r] == "" {
			continue
		}
		limit, err := policy.ParseLimit(r, f.texts[r], "--"+r.String())
		if err != nil {
			return err
		}
		asked[r] = limit
	}
	if f.grace < 0 {
		return fmt.Errorf("--grace %v: expected a time of 0 or more", f.grace)
	}
	set[0].Limits = set[0].Limits.Narrow(asked)
	return nil
}

// printLimits says of each limit how it is held here.
func printLimits(w io.Writer, l *policy.Limits) {
	for _, r := range policy.Resources() {
		if l.Has(r) {
			fmt.Fprintf(w, "  %-17s %s: %s\n", r, r.Text(l[r].Most), host.Hold(r))
		}
	}
}
