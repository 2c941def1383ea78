package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/policy/foreign"

	"github.com/spf13/cobra"
)

// convertFlags are what `callgate convert` is told.
type convertFlags struct {
	from, to, output, only, kernel string
	caps                           []string
	approximate                    bool
}

func newConvert() *cobra.Command {
	var f convertFlags
	cmd := &cobra.Command{
		Use:   "convert [flags] FILE",
		Short: "Convert policies of other tools, and to them",
		Long: `Read an OCI seccomp profile (Docker's and podman's too), a policy of minijail or
the SystemCall lines of a systemd unit, and write a policy that means the same;
or write a policy's rules on system calls for the first or the last of these.
FILE may be - or, as a policy, builtin:NAME. What has no exact counterpart is
told as an error; --approximate denies more instead, never less, and says where.

The exit status is 1 where the policy is wrong or cannot be converted.`,
		Example: `  callgate convert -o docker.yaml seccomp.json
  callgate convert --to oci --only syscalls .callgate.yaml`,
		Args:              oneFile,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "the `FORMAT` of FILE, where it does not show:\n"+formatList())
	flags.StringVar(&f.to, "to", "", "the `FORMAT` to write: callgate; of a policy oci, systemd")
	flags.StringVarP(&f.output, "output", "o", "", "write to `FILE`, not to standard output")
	flags.BoolVar(&f.approximate, "approximate", false, "deny more where there is no counterpart")
	flags.StringVar(&f.only, "only", "", "convert `syscalls` alone, and leave the rest open")
	flags.StringSliceVar(&f.caps, "caps", nil, "take a profile for a process with `CAP_X,...`")
	flags.StringVar(&f.kernel, "kernel", "", "take a profile for a kernel of this `VERSION`")
	for _, name := range []string{"from", "to"} {
		// It fails only for a flag that is not there.
		_ = cmd.RegisterFlagCompletionFunc(name, completeFormats)
	}
	return cmd
}

func completeFormats(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return formatNames(), cobra.ShellCompDirectiveNoFileComp
}

func oneFile(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return &failure{status: exitUsage, err: errors.New("no file named"), hint: "callgate convert FILE"}
	case 1:
		return nil
	}
	return usagef("one file is meant, and there is %q too", args[1])
}

func formatNames() (names []string) {
	for _, f := range foreign.Formats() {
		names = append(names, string(f))
	}
	return names
}

func formatList() string { return strings.Join(formatNames(), ", ") }

func (f *convertFlags) run(in io.Reader, out, told io.Writer, file string) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	text, from, err := f.source(in, file)
	if err != nil {
		return err
	}
	name := file
	if file == "-" {
		name = "standard input"
	}
	var res *foreign.Result
	switch to := foreign.Format(cmp.Or(f.to, f.usual(from))); {
	case from == foreign.Callgate && (to == foreign.OCI || to == foreign.Systemd):
		res, err = f.export(file, name, text, to, opts)
	case from != foreign.Callgate && to == foreign.Callgate:
		res, err = foreign.Convert(name, text, from, opts)
	default:
		return usagef("there is no conversion from %s to %s", from, to)
	}
	var mistakes policy.Mistakes
	if errors.As(err, &mistakes) {
		return &failure{status: exitFindings, err: err}
	}
	if err != nil {
		return err
	}
	for _, n := range res.Notes {
		say(told, n.String())
	}
	return f.write(out, file, res.Text)
}

func (f *convertFlags) options() (foreign.Options, error) {
	opts := foreign.Options{Approximate: f.approximate, OnlySyscalls: f.only != "", ReadFile: policy.ReadFile}
	for _, name := range []string{f.from, f.to} {
		if name != "" && !slices.Contains(formatNames(), name) {
			err := usagef("unknown format %q", name)
			err.hint = "expected " + formatList()
			return opts, err
		}
	}
	if f.only != "" && f.only != "syscalls" {
		return opts, usagef("--only: expected syscalls, found %q", f.only)
	}
	for _, word := range f.caps {
		c, err := capability(word)
		if err != nil {
			return opts, err
		}
		opts.Caps = append(opts.Caps, c)
	}
	if f.kernel != "" {
		n, err := fmt.Sscanf(f.kernel, "%d.%d", &opts.Kernel.Major, &opts.Kernel.Minor)
		if n != 2 || err != nil || opts.Kernel == (abi.Version{}) {
			return opts, usagef("--kernel: expected a version such as 6.1, found %q", f.kernel)
		}
	}
	return opts, nil
}

// capability is one of --caps as profiles name it.
func capability(word string) (string, error) {
	name := strings.ToUpper(strings.TrimSpace(word))
	if !strings.HasPrefix(name, "CAP_") {
		name = "CAP_" + name
	}
	prctl, _ := abi.X86_64.ByName("prctl") // PR_CAPBSET_READ takes them
	known := slices.DeleteFunc(prctl.Params[1].Consts.Names(), func(c string) bool { return !strings.HasPrefix(c, "CAP_") })
	if slices.Contains(known, name) {
		return name, nil
	}
	err := usagef("--caps: there is no capability %q", word)
	if near := policy.Nearest(name, known); near != "" {
		err.hint = "did you mean " + near + "?"
	}
	return "", err
}

// usual is the format to write where none is named.
func (f *convertFlags) usual(from foreign.Format) string {
	if from == foreign.Callgate {
		return string(foreign.OCI)
	}
	return string(foreign.Callgate)
}

// source reads the file and tells its format.
func (f *convertFlags) source(in io.Reader, file string) (text []byte, from foreign.Format, err error) {
	from = foreign.Format(f.from)
	if strings.HasPrefix(file, "builtin:") {
		return nil, foreign.Callgate, nil
	}
	if file == "-" {
		text, err = io.ReadAll(io.LimitReader(in, 1<<20+1))
	} else {
		text, err = policy.ReadFile(file)
	}
	if err != nil {
		return nil, from, err
	}
	if from == "" {
		var ok bool
		if from, ok = foreign.Detect(file, text); !ok {
			err := usagef("%s: it does not show which format this is", printable(file))
			err.hint = "name it with --from: " + formatList()
			return nil, from, err
		}
	}
	return text, from, nil
}

func (f *convertFlags) export(file, name string, text []byte, to foreign.Format, opts foreign.Options) (*foreign.Result, error) {
	var p *policy.Policy
	var err error
	if file == "-" {
		p, err = loader().Parse(name, text)
	} else {
		p, err = loader().Load(file)
	}
	if err != nil {
		return nil, err
	}
	return foreign.Export(p, to, opts, foreign.Divider{Pieces: compile.Pieces, Clash: compile.Clash, Misread: compile.Misread})
}

// write puts the result where it is to go, but not over what it was made of.
func (f *convertFlags) write(out io.Writer, file string, text []byte) error {
	if f.output == "" || f.output == "-" {
		_, err := out.Write(text)
		return err
	}
	if a, err := os.Stat(file); err == nil {
		if b, err := os.Stat(f.output); err == nil && os.SameFile(a, b) {
			return usagef("%s would be written over itself", printable(file))
		}
	}
	if st, err := os.Lstat(f.output); err == nil && !st.Mode().IsRegular() { // a pipe, a link
		if _, err := unplanted(f.output); err != nil {
			return err
		}
		return os.WriteFile(f.output, text, 0o644)
	}
	return publish(f.output, string(text), true) // half a policy may permit more
}
