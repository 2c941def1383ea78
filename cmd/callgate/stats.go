package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"callgate/supervisor"
)

// statCalls is how many calls the table has, the costliest first.
const statCalls = 20

// printStats is the table of run --stats: what the command used, then its stops, which
// are what callgate costs, by call.
func printStats(w io.Writer, r *supervisor.Result) {
	t := &r.Totals
	say(w, fmt.Sprintf("%-12s %s", "wall", span(t.WallSeconds)))
	say(w, fmt.Sprintf("%-12s %s", "user", span(t.UserSeconds)))
	say(w, fmt.Sprintf("%-12s %s", "system", span(t.SystemSeconds)))
	say(w, fmt.Sprintf("%-12s %s in the largest process", "memory", mebibytes(t.MaxRSSBytes)))
	if t.MemoryMeasure != "" {
		say(w, fmt.Sprintf("%-12s %s in all at one time (%s)", "", mebibytes(t.PeakMemoryBytes), t.MemoryMeasure))
	}
	say(w, fmt.Sprintf("%-12s %d, %d threads", "processes", t.Processes, t.Threads))
	say(w, fmt.Sprintf("%-12s %s read, %s written", "storage", mebibytes(t.ReadBytes), mebibytes(t.WrittenBytes)))
	if t.OutputBytes > 0 {
		say(w, fmt.Sprintf("%-12s %d bytes", "output", t.OutputBytes))
	}
	say(w, fmt.Sprintf("%-12s %d denied, %d killed, %d logged", "calls", t.Denied, t.Killed, t.Logged))
	if t.Refused > 0 {
		say(w, fmt.Sprintf("%-12s %d processes and threads", "refused", t.Refused))
	}
	say(w, fmt.Sprintf("%-12s %d", "stops", t.Stops))
	printStops(w, t.StopsBy)
}

func printStops(w io.Writer, by map[string]uint64) {
	calls := slices.SortedFunc(maps.Keys(by), func(a, b string) int {
		return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b))
	})
	rest, left := calls[min(len(calls), statCalls):], uint64(0)
	for _, name := range calls[:len(calls)-len(rest)] {
		say(w, fmt.Sprintf("%12d %s", by[name], name))
	}
	for _, name := range rest {
		left += by[name]
	}
	if left > 0 {
		say(w, fmt.Sprintf("%12d of %d other calls", left, len(rest)))
	}
}

func span(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).String()
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1fMiB", float64(n)/(1<<20)) }
