package main

import "testing"

// corners are tracee's commands for what ptrace(2) makes hard, by what is hard
// about each.
var corners = map[string]string{
	"a group-stop, and SIGCONT":                         "stop-group",
	"a stop by each signal, and death in it":            "stop-self",
	"stops while threads come and go":                   "stop-many 60",
	"a stop as soon as a task is born":                  "fork-stop 60",
	"death before, in and after a stop":                 "die-stopped 60",
	"exec of a thread that is not the leader":           "exec-thread /bin/echo from a thread",
	"the same while it is stopped":                      "exec-stopped 40",
	"the leader's exit":                                 "leader-exits PATH",
	"a stop without a leader":                           "leader-stop",
	"vfork that executes":                               "vfork-exec /bin/echo child",
	"vfork that does not":                               "vfork-exit",
	"an alternative stack":                              "altstack",
	"a stop on an alternative stack":                    "altstack-stop",
	"calls that wait, interrupted and restarted":        "waits",
	"calls that wait, stopped (ERESTART_RESTARTBLOCK)":  "waits-stopped",
	"reads, polls and sleeps that a handler interrupts": "restart",
	"what a signal says, to whom":                       "siginfo",
	"processes that are killed while they fork":         "kill-forker 100",
	"processes that are killed while they execute":      "kill-execer 100",
}

// cornerPolicies stop every call, and rewrite those that name files: those stop
// twice, and have other registers in between.
var cornerPolicies = map[string]string{
	"stopped": traceAll,
	"pinned":  "callgate: 1\ndefault: allow\nfiles: [{deny: /no/such/place}]\n",
}

// TestCorners runs each corner bare and traced: not one line may differ.
func TestCorners(t *testing.T) {
	tracee(t)
	for name, policy := range cornerPolicies {
		for what, line := range corners {
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				bareDir, dir := openFolder(t), openFolder(t)
				command := traceeCommand(line)
				bare := trial{bare: true, dir: bareDir}.run(t, command(t, bareDir)...)
				traced := trial{policy: policy, quiet: true, dir: dir}.run(t, command(t, dir)...)
				compare(t, bare, traced, bareDir, dir)
			})
		}
	}
}
