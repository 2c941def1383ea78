package main

import (
	"fmt"
	"io"
	"time"

	"callgate/policy"
	"callgate/supervisor/client"
	"callgate/supervisor/host"

	"github.com/spf13/pflag"
)

// limitFlags are the limits of the command line, which only narrow the policies'.
type limitFlags struct {
	texts [len(policy.Limits{})]string // by policy.Resource
	grace time.Duration
}

// graceDefault is how long a command may take to end when told to.
const graceDefault = 10 * time.Second

func (f *limitFlags) flags(flags *pflag.FlagSet) {
	usage := map[policy.Resource]string{
		policy.WallTime:  "end the command after `TIME`, such as 1m30s",
		policy.CPUTime:   "end it when all its tasks have used `TIME`",
		policy.Memory:    "kill it when all its processes hold `SIZE`, such as 512MiB",
		policy.Processes: "let it have `N` processes and threads at one time",
		policy.OpenFiles: "let each process have `N` descriptors",
		policy.FileSize:  "let no file that it writes exceed `SIZE`",
		policy.Output:    "kill it when it has written `SIZE` to its output",
		policy.Disk:      "kill it when its private TMPDIR holds `SIZE`",
		policy.Inodes:    "kill it when that has `N` files and folders",
	}
	for _, r := range policy.Resources() {
		flags.StringVar(&f.texts[r], r.String(), "", usage[r])
	}
	flags.DurationVar(&f.grace, "grace", graceDefault, "how long it may take to end when told to, `TIME`")
}

// narrow has the flags' limits hold as if the first policy had them.
func (f *limitFlags) narrow(set policy.Set) error {
	asked, err := f.asked()
	if err != nil {
		return err
	}
	if f.grace < 0 {
		return fmt.Errorf("--grace %v: expected a time of 0 or more", f.grace)
	}
	set[0].Limits = set[0].Limits.Narrow(asked)
	return nil
}

// asked are the limits that flags set.
func (f *limitFlags) asked() (asked policy.Limits, err error) {
	for _, r := range policy.Resources() {
		if f.texts[r] == "" {
			continue
		}
		if asked[r], err = policy.ParseLimit(r, f.texts[r], "--"+r.String()); err != nil {
			return asked, err
		}
	}
	return asked, nil
}

// job are the same for a job; nil: there are none.
func (f *limitFlags) job() (*client.Limits, error) {
	asked, err := f.asked()
	if err != nil || !asked.Any() {
		return nil, err
	}
	limits := new(client.Limits)
	for _, r := range policy.Resources() {
		if asked.Has(r) {
			setLimit(limits, r, asked[r].Most)
		}
	}
	return limits, nil
}

// printLimits says of each limit how it is held here.
func printLimits(w io.Writer, l *policy.Limits) {
	for _, r := range policy.Resources() {
		if l.Has(r) {
			fmt.Fprintf(w, "  %-17s %s: %s\n", r, r.Text(l[r].Most), host.Hold(r))
		}
	}
}
