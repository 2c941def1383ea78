package main

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"callgate/policy"
	"callgate/policy/abi"

	"github.com/spf13/cobra"
)

// syscallsFlags are what `callgate syscalls` is told.
type syscallsFlags struct {
	arch    string
	verbose bool
}

func newSyscalls() *cobra.Command {
	var f syscallsFlags
	cmd := &cobra.Command{
		Use:   "syscalls [flags] [GROUP|NAME|NUMBER]...",
		Short: "List the groups of system calls, and what is known of a call",
		Long: `Without arguments: the groups that policies can name. With a group: its calls,
with their number in each ABI. With a call's name or number: its numbers,
groups and parameters, as rules can name and compare them.`,
		Example: `  callgate syscalls @file-system
  callgate syscalls -v socket
  callgate syscalls --abi i386 5`,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return append(groupNames(), abi.Names()...), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.OutOrStdout(), args) },
	}
	cmd.Flags().StringVar(&f.arch, "abi", "", "only this `ABI`: x86_64, i386, x32 or aarch64")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "list the constants of parameters too")
	completeArches(cmd)
	return cmd
}

// completeArches offers the ABIs' names for --abi.
func completeArches(cmd *cobra.Command) {
	// It fails only for a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc("abi", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var names []string
		for _, a := range abi.Arches() {
			names = append(names, a.String())
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
}

func (f *syscallsFlags) run(out io.Writer, args []string) error {
	arches, err := f.arches()
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	if len(args) == 0 {
		listGroups(w, arches)
	}
	for i, arg := range args {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := f.show(w, arches, arg); err != nil {
			return err
		}
	}
	return w.Flush()
}

// arches are the ABIs asked for, all without --abi.
func (f *syscallsFlags) arches() ([]abi.Arch, error) {
	if f.arch == "" {
		return abi.Arches(), nil
	}
	a, ok := abi.ParseArch(f.arch)
	if !ok {
		return nil, usagef("unknown ABI %q: expected x86_64, i386, x32 or aarch64", f.arch)
	}
	return []abi.Arch{a}, nil
}

func (f *syscallsFlags) show(w io.Writer, arches []abi.Arch, arg string) error {
	if strings.HasPrefix(arg, "@") {
		return showGroup(w, arches, arg)
	}
	if nr, err := strconv.ParseUint(arg, 0, 32); err == nil {
		return f.showNumber(w, arches, uint32(nr))
	}
	if !abi.Known(arg) {
		return unknownName("system call", arg, append(abi.Names(), groupNames()...))
	}
	if len(arches) == 1 {
		if _, ok := arches[0].ByName(arg); !ok {
			return usagef("%v has no system call %q", arches[0], arg)
		}
	}
	f.showCall(w, arches, arg)
	return nil
}

// unknownName is for what neither group nor call is called.
func unknownName(what, name string, names []string) error {
	err := usagef("unknown %s %q", what, name)
	if near := policy.Nearest(name, names); near != "" {
		err.hint = "did you mean " + near + "?"
	}
	return err
}

// showNumber says which call a number is in each ABI. x32's numbers may be
// given with or without their bit.
func (f *syscallsFlags) showNumber(w io.Writer, arches []abi.Arch, nr uint32) error {
	found := false
	for _, a := range arches {
		n := nr
		if a == abi.X32 {
			n |= abi.X32Bit
		}
		if s, ok := a.Lookup(n); ok {
			fmt.Fprintf(w, "%-8v %s\n", a, s.Name)
			found = true
		}
	}
	if !found {
		return usagef("no ABI asked for has a system call %d", nr)
	}
	return nil
}

// showCall tells all of a call: its numbers, its groups, and its parameters in
// the first ABI that has it.
func (f *syscallsFlags) showCall(w io.Writer, arches []abi.Arch, name string) {
	fmt.Fprintln(w, name)
	var first *abi.Syscall
	for _, a := range arches {
		s, ok := a.ByName(name)
		if !ok {
			continue
		}
		if first == nil || a == abi.Native() {
			first = s
		}
		fmt.Fprintf(w, "  %-8v %s\n", a, showNr(s))
	}
	if first.Since != (abi.Version{}) {
		fmt.Fprintf(w, "  since    Linux %d.%d\n", first.Since.Major, first.Since.Minor)
	}
	if first.Canonical != name {
		fmt.Fprintf(w, "  rules    those on %s apply to it too\n", first.Canonical)
	}
	if groups := abi.GroupsOf(name); len(groups) > 0 {
		fmt.Fprintf(w, "  groups   %s\n", strings.Join(groups, " "))
	}
	fmt.Fprintf(w, "  parameters (%v)\n", first.Arch)
	for i := range first.Params {
		f.showParam(w, first, i)
	}
}

// showNr is a call's number; x32's has its bit told apart.
func showNr(s *abi.Syscall) string {
	if s.Arch == abi.X32 {
		return fmt.Sprintf("0x%x + %d", abi.X32Bit, s.Nr&^abi.X32Bit)
	}
	return strconv.FormatUint(uint64(s.Nr), 10)
}

func (f *syscallsFlags) showParam(w io.Writer, s *abi.Syscall, i int) {
	p := &s.Params[i]
	names := strings.Join(append([]string{p.Name}, p.Aliases...), ", ")
	fmt.Fprintf(w, "    %-6s %-24s %s\n", registers(p), names, describeParam(p))
	if f.verbose && p.Consts != nil {
		for _, c := range p.Consts.List {
			fmt.Fprintf(w, "            %-28s 0x%x\n", c.Name, c.Value)
		}
	}
}

// registers names what a parameter comes in, as raw conditions name it.
func registers(p *abi.Param) string {
	if p.Hi >= 0 {
		return fmt.Sprintf("arg%d,%d", p.Lo, p.Hi)
	}
	return fmt.Sprintf("arg%d", p.Lo)
}

// describeParam is how a rule's value is compared with the parameter.
func describeParam(p *abi.Param) string {
	if pointer(p.Kind) {
		return "pointer to " + kindName(p.Kind)
	}
	bits := p.Bits
	if p.Hi >= 0 || p.Shift > 0 {
		bits = 64
	}
	text := fmt.Sprintf("%d bits", bits)
	if p.Signed {
		text += ", signed"
	}
	if p.Consts != nil {
		return text + ": " + p.Consts.Name
	}
	if name := kindName(p.Kind); name != "" {
		text += ": " + name
	}
	return text
}

func pointer(k abi.Kind) bool {
	switch k {
	case abi.Pointer, abi.Path, abi.String, abi.Buffer, abi.Sockaddr, abi.Argv, abi.OpenHow, abi.CloneArgs, abi.Timespec, abi.Timespec32:
		return true
	}
	return false
}

// kindName says what a parameter is where its constants do not.
func kindName(k abi.Kind) string {
	names := map[abi.Kind]string{
		abi.FD: "descriptor", abi.DirFD: "descriptor of a folder or AT_FDCWD", abi.Pointer: "memory", abi.Path: "a path",
		abi.String: "text", abi.Buffer: "bytes", abi.Mode: "file mode", abi.Sockaddr: "struct sockaddr",
		abi.Argv: "a list of texts", abi.OpenHow: "struct open_how", abi.CloneArgs: "struct clone_args",
		abi.Timespec: "struct timespec", abi.Signal: "signal", abi.PID: "process or thread", abi.Size: "size",
		abi.Offset: "position in a file", abi.Timespec32: "struct timespec of 32-bit words",
	}
	return names[k]
}
