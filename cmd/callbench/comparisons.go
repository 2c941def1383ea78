package main

// How often the loop goes round: long enough for a round to be far above the
// clock and a start, short enough for many rounds.
const (
	untracedTimes = "200000"
	tracedTimes   = "20000"
	parallelTimes = "1000"
	startTimes    = "20"
)

// comparisons is all that there is to measure; a new one is a function below.
func comparisons(t *tools) []comparison {
	all := []comparison{filtered(t), landlocked(t), traced(t), pinned(t), rules(t), tasks(t), parallel(t)}
	return append(append(all, programs(t)...), startup(t), jobs(t, 1), jobs(t, 4), memory(t))
}

// filtered is the loop where the filter alone decides.
func filtered(t *tools) comparison {
	loop := []string{t.file("loop"), untracedTimes}
	return comparison{
		name:  "loop",
		title: "openat and close of /dev/null, allowed by the filter",
		unit:  "us",
		subjects: []subject{
			{"bare", prints(1e-3, loop...)},
			{"callgate", prints(1e-3, t.run(t.file("loop.yaml"), loop)...)},
			{"C, a filter of one instruction", prints(1e-3, join([]string{t.file("filter")}, loop)...)},
			{"bubblewrap", prints(1e-3, t.bubblewrap(loop)...)},
		},
		goals: []goal{{"callgate", "bare", 1.05}},
	}
}

// traced is the loop where every openat stops for a tracer, which allows it.
func traced(t *tools) comparison {
	const held = "C tracer, held on the tracee's CPU"
	loop := []string{t.file("loop"), tracedTimes}
	strace := []string{"strace", "--seccomp-bpf", "-f", "-e", "trace=openat", "-o", "/dev/null"}
	return comparison{
		name:  "traced",
		title: "openat and close of /dev/null, every openat traced and allowed",
		unit:  "us",
		subjects: []subject{
			{held, prints(1e-3, join([]string{t.file("tracer"), "-held"}, loop)...)},
			{"C tracer, placed by the scheduler", prints(1e-3, join([]string{t.file("tracer")}, loop)...)},
			{"callgate", prints(1e-3, t.run(t.file("traced.yaml"), loop)...)},
			{"strace --seccomp-bpf", prints(1e-3, join(strace, loop)...)},
			{"bare", prints(1e-3, loop...)},
		},
		goals: []goal{{"callgate", held, 1.15}, {"callgate", "strace --seccomp-bpf", 1}},
	}
}

// landlocked is the loop under rules on files that Landlock holds alone.
func landlocked(t *tools) comparison {
	const minimal = "C sandboxer, the same Landlock rules"
	loop := []string{t.file("loop"), untracedTimes}
	sandboxer := []string{t.file("sandboxer"), "r:/usr", "r:/etc", "r:" + t.dir, "w:/dev/null", "--"}
	return comparison{
		name:  "landlock",
		title: "openat and close of /dev/null, allowed by rules on files that Landlock holds",
		unit:  "us",
		subjects: []subject{
			{minimal, prints(1e-3, join(sandboxer, loop)...)},
			{"callgate", prints(1e-3, t.run(t.file("landlock.yaml"), loop)...)},
			{"bare", prints(1e-3, loop...)},
		},
		goals: []goal{{"callgate", minimal, 1.05}},
	}
}

// pinned is the loop where every openat is decided by rules on files at one stop,
// made with a name that nobody can change, and stops again at its end.
func pinned(t *tools) comparison {
	const held = "C tracer with two stops, held on the tracee's CPU"
	loop := []string{t.file("loop"), tracedTimes}
	return comparison{
		name:  "pinned",
		title: "openat and close of /dev/null, every openat traced, pinned and allowed",
		unit:  "us",
		subjects: []subject{
			{held, prints(1e-3, join([]string{t.file("tracer"), "-held", "-exits"}, loop)...)},
			{"callgate", prints(1e-3, t.run(t.file("pinned.yaml"), loop)...)},
			{"bare", prints(1e-3, loop...)},
		},
		goals: []goal{{"callgate", held, 1.3}},
	}
}

// rules is the pinned loop under few rules and under many.
func rules(t *tools) comparison {
	loop := []string{t.file("loop"), tracedTimes}
	under := func(n int) func() (float64, error) {
		return t.after(func() error { return t.writeRules(n) }, prints(1e-3, t.run(t.file(rulesFile(n)), loop)...))
	}
	return comparison{
		name:     "rules",
		title:    "openat and close of /dev/null, traced and pinned, by the number of rules on files",
		unit:     "us",
		subjects: []subject{{"10 rules", under(10)}, {"10,000 rules", under(10000)}},
		goals:    []goal{{"10,000 rules", "10 rules", 1.05}},
	}
}

// tasks is the traced loop of one task, alone and among many that wait. A tracer
// that waits for whichever task stops has the kernel look at all of them.
func tasks(t *tools) comparison {
	loop := func(idle string) []string { return []string{t.file("loop"), tracedTimes, "1", "0", idle} }
	held := []string{t.file("tracer"), "-held"}
	return comparison{
		name:  "tasks",
		title: "openat and close of /dev/null, every openat traced, by the number of tasks",
		unit:  "us",
		subjects: []subject{
			{"1 task", prints(1e-3, t.run(t.file("traced.yaml"), loop("0"))...)},
			{"1,000 tasks", prints(1e-3, t.run(t.file("traced.yaml"), loop("999"))...)},
			{"C tracer, held on the tracee's CPU, 1 task", prints(1e-3, join(held, loop("0"))...)},
			{"C tracer, held on the tracee's CPU, 1,000 tasks", prints(1e-3, join(held, loop("999"))...)},
		},
		goals: []goal{{"1,000 tasks", "1 task", 1.05}},
	}
}

// parallel is two tasks that compute between their calls: bringing tracer and
// tracee to one CPU must not cost them theirs.
func parallel(t *tools) comparison {
	const scheduler = "C tracer, placed by the scheduler"
	loop := []string{t.file("loop"), parallelTimes, "2", "300"}
	return comparison{
		name:  "parallel",
		title: "two tasks, 300 us of computing after each openat, every openat traced and allowed",
		unit:  "us",
		subjects: []subject{
			{scheduler, prints(1e-3, join([]string{t.file("tracer")}, loop)...)},
			{"C tracer, held on the tracees' CPU", prints(1e-3, join([]string{t.file("tracer"), "-held"}, loop)...)},
			{"callgate", prints(1e-3, t.run(t.file("traced.yaml"), loop)...)},
			{"bare", prints(1e-3, loop...)},
		},
		goals: []goal{{"callgate", scheduler, 1.15}},
	}
}

// startup is /bin/true from its start to its end.
func startup(t *tools) comparison {
	program := []string{"/bin/true"}
	// -T static: the filter is installed before the execve, without a preloaded library.
	minijail := []string{"minijail0", "-T", "static", "-n", "-S", t.file("minijail.policy"), "--"}
	return comparison{
		name:  "startup",
		title: "/bin/true, from start to end",
		unit:  "ms",
		subjects: []subject{
			{"bare", t.spawns(program)},
			{"callgate, builtin:default", t.spawns(t.run("builtin:default", program))},
			{"callgate, bubblewrap's rules", t.spawns(t.run(t.file("jail.yaml"), program))},
			{"callgate, builtin:trace-all", t.spawns(t.run("builtin:trace-all", program))},
			{"callgate, rules on calls of one's own", t.spawns(t.run(t.file("numbers.yaml"), program))},
			{"bubblewrap --unshare-all", t.spawns(t.bubblewrap(program))},
			{"minijail0", t.spawns(join(minijail, program))},
		},
		goals: []goal{
			{"callgate, bubblewrap's rules", "bubblewrap --unshare-all", 1},
			{"callgate, builtin:default", "bubblewrap --unshare-all", 1},
			{"callgate, builtin:default", "minijail0", 1},
		},
	}
}

// memory is what the supervisor takes, the command not counted.
func memory(t *tools) comparison {
	work := []string{"/bin/sh", "-c", `"$1" "$2"; cat`, "sh", t.file("loop"), tracedTimes}
	return comparison{
		name:  "memory",
		title: "peak resident memory of the supervisor",
		unit:  "MiB",
		subjects: []subject{
			{"callgate, builtin:trace-all", peakMemory(t.run("builtin:trace-all", work)...)},
			{"callgate, builtin:default", peakMemory(t.run("builtin:default", work)...)},
		},
		goals: []goal{{"callgate, builtin:trace-all", "", 20}, {"callgate, builtin:default", "", 20}},
	}
}

// run is words under callgate and a policy.
func (t *tools) run(policy string, words []string) []string {
	return join([]string{t.callgate, "run", "--quiet", "-p", policy, "--"}, words)
}

// bubblewrap is words in namespaces of their own. The tools are bound last: they may
// be below /dev/shm, which the new /dev hides.
func (t *tools) bubblewrap(words []string) []string {
	return join([]string{"bwrap", "--unshare-all", "--ro-bind", "/", "/", "--dev", "/dev", "--ro-bind", t.dir, t.dir}, words)
}

// spawns measures a start in ms.
func (t *tools) spawns(words []string) func() (float64, error) {
	measure := prints(1e-6, join([]string{t.file("spawn"), startTimes}, words)...)
	return func() (float64, error) {
		if _, err := command(words); err != nil {
			return 0, err
		}
		return measure()
	}
}

func join(words, more []string) []string {
	return append(words[:len(words):len(words)], more...)
}
