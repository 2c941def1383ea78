package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"callgate/policy"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit statuses of callgate itself; docs/exit-status.md is for people.
const (
	exitFindings   = 1   // check, test, doctor: what they looked for was found
	exitUsage      = 2   // a subcommand other than run was used wrongly, or failed
	exitCallgate   = 125 // run: callgate failed, a bad policy included
	exitCannotExec = 126 // run: the command was found but cannot be executed
	exitNotFound   = 127 // run: the command was not found
)

// failure is an error with the exit status it leads to and, where something
// can be done about it, a hint.
type failure struct {
	status int
	err    error // nil: everything has been said
	hint   string
}

func (f *failure) Error() string {
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// usagef is a mistake in how a command was called.
func usagef(format string, args ...any) *failure {
	return &failure{status: exitUsage, err: fmt.Errorf(format, args...)}
}

// noArguments refuses words after a command that takes none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, and got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// flagError is for flags that do not parse; for run, usage is callgate's own
// failure, since the lower statuses are the command's.
func flagError(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); !cmd.HasParent() && len(words) > 0 { // the flags are those of words[0]
		return noCommand(cmd, words)
	}
	var wrong *pflag.InvalidValueError
	if errors.As(err, &wrong) && flagTakes[wrong.GetFlag().Value.Type()] != "" {
		err = fmt.Errorf("--%s: expected %s, found %q", wrong.GetFlag().Name, flagTakes[wrong.GetFlag().Value.Type()], wrong.GetValue())
	}
	return &failure{status: ownStatus(cmd), err: err, hint: "see " + cmd.CommandPath() + " --help"}
}

// noEmptyFlags refuses flags with an empty value, such as `--user "$NAME"` of a variable that is not
// set: what was asked for would not hold.
func noEmptyFlags(cmd *cobra.Command, _ []string) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && isEmpty(f.Value) {
			name := "--" + f.Name
			if f.Shorthand != "" {
				name = "-" + f.Shorthand + ", " + name
			}
			what, _ := pflag.UnquoteUsage(f)
			err = flagError(cmd, fmt.Errorf("%s: expected %s, found nothing", name, what))
		}
	})
	return err
}

func isEmpty(v pflag.Value) bool {
	if list, ok := v.(pflag.SliceValue); ok {
		words := list.GetSlice()
		return len(words) == 0 || slices.Contains(words, "")
	}
	return v.String() == ""
}

// flagTakes is what flags of a type take, as pflag names the types.
var flagTakes = map[string]string{
	"bool":     "true or false",
	"duration": "a time with its unit, such as 10s, 1m30s or 500ms",
	"int":      "a whole number",
	"intSlice": "a whole number, or several with commas",
	"int64":    "a whole number",
	"uint64":   "a whole number of 0 or more",
}

// ownStatus is the exit status where a command fails of itself.
func ownStatus(cmd *cobra.Command) int {
	if cmd.Name() == "run" || cmd.Name() == "learn" {
		return exitCallgate
	}
	return exitUsage
}

// report tells an error, every line with callgate's name, and gives the exit
// status.
func report(w io.Writer, err error) int {
	f := &failure{status: exitUsage, err: err}
	errors.As(err, &f)
	if f.err != nil {
		for _, line := range linesOf(f.err) {
			say(w, line)
		}
	}
	if f.hint != "" {
		say(w, "hint: "+f.hint)
	}
	return f.status
}

// linesOf are the lines of an error: one for each mistake of a policy and each of
// several errors, printable. A line end anywhere else is in a name that an error has.
func linesOf(err error) []string {
	text := err.Error()
	if why := noFolder(err); why != nil {
		return []string{"the current folder cannot be told, since it is not there any more or may not be looked at (" + printable(why.Error()) + "): cd to another"}
	}
	var mistakes policy.Mistakes
	if errors.As(err, &mistakes) {
		if before, ok := strings.CutSuffix(text, mistakes.Error()); ok {
			return strings.Split(printable(before)+mistakes.Error(), "\n")
		}
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{printable(text)}
	}
	var texts, lines []string
	for _, one := range joined.Unwrap() {
		texts, lines = append(texts, one.Error()), append(lines, linesOf(one)...)
	}
	if strings.Join(texts, "\n") != text { // not of errors.Join
		return []string{printable(text)}
	}
	return lines
}

// noFolder is why os.Getwd failed, nil if it is not that which did.
func noFolder(err error) error {
	var call *os.SyscallError
	var look *os.PathError
	switch {
	case errors.As(err, &call) && call.Syscall == "getwd":
		return call.Err
	case errors.As(err, &look) && look.Op == "stat" && look.Path == ".":
		return look.Err
	}
	return nil
}

// say writes one line of callgate's own, of which what is not printable is escaped. Nothing is done about a stderr that
// is closed: there is nobody left to tell.
func say(w io.Writer, line string) { _, _ = io.WriteString(w, "callgate: "+printable(line)+"\n") }
