// Callbench measures what callgate costs, side by side with the least that
// could do the job and with other tools, against the goals of docs/bench.md.
//
// A comparison (comparisons.go) is a few subjects measured in turn, A B C A B C,
// so that whatever else the machine does falls on all alike; what counts is the
// median of the rounds' ratios (statistics.go). The programs that are measured
// are in testdata and built with the machine's C compiler (tools.go).
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := bench(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "callbench:", err)
			os.Exit(1)
		}
	}
}

// bench does what args ask for. A goal that is missed is a result, not an
// error; a subject that fails is one, once everything else is measured.
func bench(args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("callbench", flag.ContinueOnError)
	flags.SetOutput(progress)
	callgate := flags.String("callgate", "bin/callgate", "the callgate to measure")
	judge := flags.String("go-judge", "", "the go-judge to measure (default the one beside callgate, or in PATH)")
	rounds := flags.Int("runs", 11, "how many rounds; each measures every subject once")
	only := flags.String("only", "", "names of the comparisons to make, separated by commas (default all)")
	file := flags.String("o", "", "also write the results to this `file`, as Markdown")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 || flags.NArg() > 0 {
		return errors.New("usage: callbench [-callgate FILE] [-go-judge FILE] [-runs N] [-only NAME,...] [-o FILE]")
	}
	t, err := newTools(*callgate)
	if err != nil {
		return err
	}
	defer t.remove()
	t.judge = *judge
	chosen, err := choose(comparisons(t), *only)
	if err != nil {
		return err
	}

	place := thisMachine()
	fmt.Fprintln(out, place)
	var results []result
	for _, c := range chosen {
		fmt.Fprintf(progress, "callbench: %s, %d rounds\n", c.name, *rounds)
		r := measure(c, *rounds)
		fmt.Fprintf(out, "\n%s", r.table())
		results = append(results, r)
	}
	if *file != "" {
		if err := os.WriteFile(*file, []byte(document(place, *rounds, results)), 0o644); err != nil {
			return err
		}
	}
	return failures(results)
}

// choose picks the comparisons that only names.
func choose(all []comparison, only string) ([]comparison, error) {
	if only == "" {
		return all, nil
	}
	var chosen []comparison
	for _, name := range strings.Split(only, ",") {
		i := slices.IndexFunc(all, func(c comparison) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no comparison %q; there are %s", name, names(all))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func names(all []comparison) string {
	var list []string
	for _, c := range all {
		list = append(list, c.name)
	}
	return strings.Join(list, ", ")
}

func failures(results []result) error {
	var failed []error
	for _, r := range results {
		for _, row := range r.rows {
			if row.err != nil && !errors.As(row.err, new(absent)) {
				failed = append(failed, fmt.Errorf("%s: %s: %w", r.name, row.name, row.err))
			}
		}
	}
	return errors.Join(failed...)
}
