package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"callgate/supervisor/client"

	"github.com/spf13/cobra"
)

// topFlags are what `callgate top` is told.
type topFlags struct {
	socket, user string
	every        time.Duration
	once         bool
}

func newTop() *cobra.Command {
	var f topFlags
	cmd := &cobra.Command{
		Use:   "top [flags]",
		Short: "Watch callgated's jobs in the terminal",
		Long: `Show the jobs that run and wait, the busiest first, and the hosts that they are
on, until q or ctrl-C. Where standard output is no terminal, show them once.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.top(cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	flags.DurationVarP(&f.every, "delay", "d", 2*time.Second, "look again after `TIME`")
	flags.BoolVar(&f.once, "once", false, "show them once")
	flags.StringVar(&f.user, "user", "", "only jobs of `USER`")
	daemonFlag(cmd, &f.socket)
	return cmd
}

func (f *topFlags) top(w io.Writer) error {
	v := &topView{client: client.New(f.socket), user: f.user}
	if f.every < 100*time.Millisecond {
		return usagef("--delay %s: at least 100ms", f.every)
	}
	d := openDisplay(os.Stdin, os.Stdout)
	if f.once || d == nil {
		if err := v.look(context.Background()); err != nil {
			return remoteFailure(err)
		}
		_, err := io.WriteString(w, strings.Join(v.lines(0, 0), "\n")+"\n")
		return err
	}
	return remoteFailure(d.run(f.every, v))
}

// topView is what there is to see, and what was seen before: how busy a job is
// shows in the difference.
type topView struct {
	client  *client.Client
	user    string
	version *client.Version
	hosts   *client.Hosts
	jobs    []client.Job
	before  map[string]reading
	busy    map[string]float64 // processors in use, by job
}

type reading struct {
	at      time.Time
	seconds float64
}

// look asks the daemon.
func (v *topView) look(ctx context.Context) (err error) {
	if v.version, err = v.client.Version(ctx); err != nil {
		return err
	}
	if v.hosts, err = v.client.Hosts(ctx); err != nil {
		return err
	}
	v.jobs = nil
	for _, state := range []client.State{client.Running, client.Queued} {
		page, err := v.client.List(ctx, client.Query{State: state, User: v.user, Limit: 1000})
		if err != nil {
			return err
		}
		v.jobs = append(v.jobs, page.Jobs...)
	}
	v.compare(time.Now())
	return nil
}

// compare finds how many processors each job has used since the last look, on
// the first one since it began.
func (v *topView) compare(now time.Time) {
	seen := map[string]reading{}
	v.busy = map[string]float64{}
	for i := range v.jobs {
		job := &v.jobs[i]
		used := job.Usage.UserSeconds + job.Usage.SystemSeconds
		since, ok := v.before[job.ID]
		if !ok {
			since = reading{at: job.Started}
		}
		if spent := now.Sub(since.at).Seconds(); job.State == client.Running && !since.at.IsZero() && spent > 0 {
			v.busy[job.ID] = max(0, used-since.seconds) / spent
		}
		seen[job.ID] = reading{now, used}
	}
	v.before = seen
	slices.SortStableFunc(v.jobs, func(a, b client.Job) int {
		if c := cmp.Compare(rank(a.State), rank(b.State)); c != 0 {
			return c
		}
		if c := cmp.Compare(v.busy[b.ID], v.busy[a.ID]); c != 0 {
			return c
		}
		return a.Submitted.Compare(b.Submitted)
	})
}

// rank has what runs stand above what waits.
func rank(s client.State) int {
	if s == client.Running {
		return 0
	}
	return 1
}

const (
	idWidth   = 26 // as callgated's are
	topHeader = "JOB                        USER       STATE       TIME   CPU    MEM PROCS  DENIED COMMAND"
)

// lines are the table, cut to a screen of that size; 0 cuts nothing.
func (v *topView) lines(width, height int) []string {
	running, slots := 0, 0
	for _, h := range v.hosts.Hosts {
		running, slots = running+h.Running, slots+h.Slots
	}
	lines := []string{fmt.Sprintf("callgated %s on %s: %d of %d slots in use, %d queued", v.version.Version, printable(v.version.Host), running, slots, v.hosts.Queued)}
	if len(v.hosts.Hosts) > 1 {
		for _, h := range v.hosts.Hosts {
			lines = append(lines, fmt.Sprintf("  %-20s %d of %d, seen %s ago", printable(h.Name), h.Running, h.Slots, formatSeconds(time.Since(h.Seen).Seconds())))
		}
	}
	lines = append(lines, "", topHeader)
	for i := range v.jobs {
		if height > 0 && len(lines) == height-1 && i < len(v.jobs)-1 {
			lines = append(lines, fmt.Sprintf("and %d more", len(v.jobs)-i))
			break
		}
		lines = append(lines, v.line(&v.jobs[i]))
	}
	if height > 0 && len(lines) > height {
		lines = lines[:height]
	}
	for i := range lines {
		lines[i] = cutTo(lines[i], width)
	}
	return lines
}

func (v *topView) line(job *client.Job) string {
	u := &job.Usage
	return fmt.Sprintf("%-*s %-10s %-8s %7s %4.0f%% %6s %5d %7d %s", idWidth, cutTo(job.ID, idWidth), cutTo(printable(job.User), 10), job.State,
		formatSeconds(wallSeconds(job)), v.busy[job.ID]*100, formatBytes(u.MemoryBytes), u.Processes, u.Denied+u.Killed, printable(commandLine(job)))
}

// cutTo is a line of at most width characters; 0 is any.
func cutTo(s string, width int) string {
	if r := []rune(s); width > 0 && len(r) > width {
		return string(r[:width])
	}
	return s
}
