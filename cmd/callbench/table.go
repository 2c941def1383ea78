package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// table is a result as plain text: a line a subject, then a line a goal.
func (r *result) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.name, r.title)
	if r.most > 0 {
		fmt.Fprintf(&b, "  at most %d rounds\n", r.most)
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s\tlowest\thighest\tratio\t  \n", "median "+r.unit)
	for _, row := range r.rows {
		if row.err == nil {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t  %s\n", number(median(row.figures)), number(slices.Min(row.figures)),
				number(slices.Max(row.figures)), times(row.ratio), row.name)
		}
	}
	w.Flush()
	for _, row := range r.rows {
		if row.err != nil {
			fmt.Fprintf(&b, "  not measured: %s: %v\n", row.name, row.err)
		}
	}
	for _, o := range r.outcomes {
		fmt.Fprintf(&b, "  %s\n", o.line(r.unit))
	}
	return trimLines(b.String())
}

// line says whether the goal is met.
func (o *outcome) line(unit string) string {
	limit := fmt.Sprintf("%s at most %s %s", o.subject, number(o.most), unit)
	got := number(o.got) + " " + unit
	if o.against != "" {
		limit = fmt.Sprintf("%s at most %sx of %s", o.subject, number(o.most), o.against)
		got = times(o.got)
	}
	switch {
	case o.err != nil:
		return "goal unknown: " + limit
	case o.met:
		return "goal met: " + limit + ": " + got
	}
	return "goal MISSED: " + limit + ": " + got
}

// number has three significant digits, but no fewer than the integer part.
func number(v float64) string {
	digits := 2
	for limit := 10.0; v >= limit && digits > 0; limit *= 10 {
		digits--
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

func times(v float64) string {
	if v == 0 {
		return "-"
	}
	return number(v) + "x"
}

func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

const preface = `# Benchmark

Written by ` + "`make bench`" + ` (cmd/callbench). Subjects are measured in turn, round by round; "ratio" is the median of the
rounds' ratios to the first subject, and so are the goals' figures. Only figures of one run can be compared.
`

// document is docs/bench.md.
func document(place machine, rounds int, results []result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\nRounds: %d.\n", preface, place, rounds)
	for _, r := range results {
		fmt.Fprintf(&b, "\n## %s\n\n```text\n%s```\n", r.name, r.table())
	}
	return b.String()
}
