package audit

import "strings"

// entry is an event that waits in a queue: a deep copy in memory of its own,
// which is used again for later events.
type entry struct {
	Event
	call   CallInfo
	exec   ExecInfo
	exit   ExitInfo
	totals Totals
	limit  LimitInfo
	value  int64
	args   []string
	argv   []string
	names  []string
	bytes  int    // size of the event that set copied
	before uint64 // events lost between the entry before this one and this one
}

const (
	argvStrings = 512      // strings of an argv that an event holds
	argvBytes   = 16 << 10 // and their bytes: a queue of execs must stay small
)

// appendCut appends what an event holds of argv; "..." stands for the rest.
func appendCut(dst, argv []string) []string {
	room := argvBytes
	for i, s := range argv {
		if i == argvStrings || len(s) > room {
			return append(dst, strings.Clone(s[:min(len(s), room)])+"...")
		}
		room -= len(s)
		dst = append(dst, s)
	}
	return dst
}

// size is about how many bytes e's text takes, which a tracee can make many.
func size(e *Event) int {
	n := len(e.Exe)
	if e.CallInfo != nil {
		n += len(e.Reason) + len(e.Permit) + len(e.Object)
		for _, a := range e.Args {
			n += len(a)
		}
	}
	if e.ExecInfo != nil {
		for _, a := range e.Argv {
			n += len(a)
		}
		n = min(n, argvBytes)
	}
	return n
}

// set copies e. It allocates only where e's lists are longer than any that the
// entry held before.
func (en *entry) set(e *Event) {
	en.Event = *e
	if e.CallInfo != nil {
		en.call = *e.CallInfo
		en.args = append(en.args[:0], e.Args...)
		if e.Value != nil {
			en.value = *e.Value
		}
	}
	if e.ExecInfo != nil {
		en.exec = *e.ExecInfo
		en.argv = appendCut(en.argv[:0], e.Argv)
		en.names = append(en.names[:0], e.Policies...)
	}
	if e.ExitInfo != nil {
		en.exit = *e.ExitInfo
	}
	if e.LimitInfo != nil {
		en.limit = *e.LimitInfo
	}
	if e.Totals != nil {
		en.totals = *e.Totals
	}
}

// point makes the event point into the entry, after the entry was moved.
func (en *entry) point() {
	if en.CallInfo != nil {
		en.CallInfo = &en.call
		en.call.Args = en.args
		if en.call.Value != nil {
			en.call.Value = &en.value
		}
	}
	if en.ExecInfo != nil {
		en.ExecInfo = &en.exec
		en.exec.Argv, en.exec.Policies = en.argv, en.names
	}
	if en.ExitInfo != nil {
		en.ExitInfo = &en.exit
	}
	if en.LimitInfo != nil {
		en.LimitInfo = &en.limit
	}
	if en.Totals != nil {
		en.Event.Totals = &en.totals
	}
}
