package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"callgate/policy"
	"callgate/supervisor/verdict"

	"github.com/spf13/cobra"
)

func newTest() *cobra.Command {
	verbose := false
	cmd := &cobra.Command{
		Use:   "test [flags] [POLICY...]",
		Short: "Run policies' own tests",
		Long: `Try the calls that a policy names under tests, and print each that gets another
verdict than the one it expects. Nothing is run: calls are decided as explain
does it, under all that the policy extends and the guards that a run adds.
Relative names in them begin at the policy's folder, ~ and $NAME stand for what
they do in patterns, and files are looked at as they are here and now. Without
POLICY it is the .callgate.yaml that run would find.

The exit status is 0 if all tests passed, 1 if one failed, 2 if a policy has a
mistake.`,
		Example: `  callgate test ci.yaml
  callgate test -v builtin:default`,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := namedOrFound(cmd, args)
			if err != nil {
				return err
			}
			return runTests(cmd.OutOrStdout(), names, verbose)
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print the tests that passed, too")
	return cmd
}

// namedOrFound are the policies to check or test. The built-in one that run falls back on is
// not among them: a test that tests something else than was meant is worse than none.
func namedOrFound(cmd *cobra.Command, names []string) ([]string, error) {
	if len(names) > 0 {
		return names, nil
	}
	file, err := policy.Find(".")
	if err != nil {
		return nil, err
	}
	if file == "" {
		return nil, &failure{status: exitUsage, err: errors.New("no policy named, and there is no " + policy.FileName + " here or above"), hint: cmd.CommandPath() + " POLICY"}
	}
	return []string{relative(file)}, nil
}

// runTests goes through all policies, whatever is wrong with one.
func runTests(out io.Writer, names []string, verbose bool) error {
	w := bufio.NewWriter(out)
	status := 0
	for _, name := range names {
		failed, err := testOne(w, name, verbose)
		if err := w.Flush(); err != nil {
			return err
		}
		switch {
		case err != nil:
			report(os.Stderr, err)
			status = exitUsage
		case failed > 0:
			status = max(status, exitFindings)
		}
	}
	if status != 0 {
		return &failure{status: status}
	}
	return nil
}

// testOne runs one policy's tests, and prints what came out.
func testOne(w io.Writer, name string, verbose bool) (failed int, err error) {
	results, err := verdict.Tests(loader(), name, os.Environ())
	if err != nil {
		return 0, err
	}
	for i := range results {
		if r := &results[i]; !r.Passed {
			failed++
			fmt.Fprintln(w, printable(failedTest(r)))
		} else if verbose {
			fmt.Fprintln(w, printable(fmt.Sprintf("%v: ok: %s: %s", r.Test.Pos, r.Test.Text, answerWords(&r.Answer))))
		}
	}
	switch {
	case len(results) == 0:
		fmt.Fprintf(w, "%s: it has no tests\n", printable(name))
	case failed == 0:
		fmt.Fprintf(w, "%s: %s passed\n", printable(name), count(len(results), "test"))
	default:
		fmt.Fprintf(w, "%s: %d of %s failed\n", printable(name), failed, count(len(results), "test"))
	}
	return failed, nil
}

// failedTest says what was expected, and what decides instead.
func failedTest(r *verdict.Result) string {
	found := ", and that is not known: " + r.Answer.Unknown
	if r.Answer.Unknown == "" {
		found = ", found " + answerWords(&r.Answer)
	}
	text := fmt.Sprintf("%v: %s: expected %s%s", r.Test.Pos, r.Test.Text, r.Test.Expected(), found)
	if r.Test.Reason != "" {
		text += "; " + r.Test.Reason
	}
	return text
}

// answerWords is what becomes of a call, and what decides that: where it is permitted, all
// that could have kept it from being so.
//
// Precondition: the answer is known.
func answerWords(a *verdict.Answer) string {
	by := []string{because(&a.Finding)}
	if !a.Verdict.Action.Restricts() {
		by = permitting(a)
	}
	return verdictWords(a.Verdict) + ", by " + strings.Join(by, ", and by ")
}

// permitting are the rules, and what stands for one, that agree on a call.
func permitting(a *verdict.Answer) (by []string) {
	for _, f := range append([]verdict.Finding{a.Number}, a.Named...) {
		v := &f.Verdict
		none := v.Policy == nil || policy.IsGuard(v.Policy.Name) || f.What == "" && v.Policy.Open
		if v.Action == a.Verdict.Action && !none {
			by = append(by, because(&f))
		}
	}
	if by == nil {
		return []string{because(&a.Finding)}
	}
	return by
}

// because is what decides, a long rule cut short, and on what of that which the call names.
func because(f *verdict.Finding) string {
	const limit = 60
	by := sourceOf(f)
	if rule := f.Verdict.Rule; rule != nil {
		if text := []rune(rule.Text()); len(text) > limit {
			by = rule.Pos.String() + ": " + string(text[:limit]) + "…"
		}
	}
	if f.What == "" {
		return by
	}
	return by + " (" + f.What + ")"
}
