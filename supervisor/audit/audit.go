// Package audit is what callgate tells of a run: the events, and where they
// go. A sink that nobody reads from never blocks the trace loop, and none loses
// an event in silence: what could not be written is counted and told at the end.
//
// docs/audit.md is the schema of the log that NewJSON writes.
package audit

import "time"

// SchemaVersion is the version of the event schema (docs/audit.md).
const SchemaVersion = 1

// Event is one line of the audit log. Fields that an event kind does not have
// are left out.
type Event struct {
	Time    time.Time `json:"time"`
	Sandbox string    `json:"sandbox"`
	PID     int       `json:"pid,omitempty"` // thread group, as callgate sees it
	TID     int       `json:"tid,omitempty"`
	Exe     string    `json:"exe,omitempty"`
	Kind    Kind      `json:"event"`

	*CallInfo  `json:",omitempty"` // call
	*ExecInfo  `json:",omitempty"` // start, exec
	*ExitInfo  `json:",omitempty"` // exit, end
	*LimitInfo `json:",omitempty"` // limit
	*Totals    `json:",omitempty"` // end
}

// Kind is what an event tells.
type Kind string

const (
	Start Kind = "start" // the sandbox: its command, policies and host
	Exec  Kind = "exec"  // a process became another program
	Call  Kind = "call"  // a call was denied, skipped, killed, asked about or logged
	Exit  Kind = "exit"  // a process ended
	Limit Kind = "limit" // a limit was reached
	End   Kind = "end"   // the sandbox, with its totals
	Lost  Kind = "lost"  // written by a sink: events before this one are missing
)

// CallInfo is a decided call.
type CallInfo struct {
	ABI      string   `json:"abi"`               // x86_64, i386, x32, aarch64
	Entry    string   `json:"entry"`             // syscall, int80
	Code     string   `json:"code,omitempty"`    // i386: "64-bit" or "32-bit", the code that made the call
	Nr       int64    `json:"nr"`                // as the kernel had it: of the carrier where Of is set, X32Bit included
	Syscall  string   `json:"syscall"`           // what the number stands for; "" if the table has no such number
	Misread  string   `json:"misread,omitempty"` // i386 from 64-bit code: what nr is in the x86_64 table
	Args     []string `json:"args"`              // decoded, as strace writes them
	Section  string   `json:"section,omitempty"` // files, exec, network: the section that decided, if it is not syscalls
	Object   string   `json:"object,omitempty"`  // what it decided on: a canonical path, an address
	Of       string   `json:"of,omitempty"`      // the multiplexer or block call that carried it: socketcall, ipc, clone3 ...
	Verdict  string   `json:"verdict"`           // allow, log, ask, skip, deny, kill
	Errno    string   `json:"errno,omitempty"`
	Value    *int64   `json:"value,omitempty"`  // of a skip
	Rule     string   `json:"rule"`             // policy:line, or "default", "unknown", "compat", "foreign"
	Policy   string   `json:"policy,omitempty"` // the policy whose word it was
	Tier     string   `json:"tier"`             // traced, filter
	Reason   string   `json:"reason,omitempty"`
	Permit   string   `json:"permit,omitempty"` // the least rule that would permit it
	Answer   string   `json:"answer,omitempty"` // to the question of an ask rule: yes, no, nobody (none could be asked)
	Enforced bool     `json:"enforced"`         // false under --permissive
	Quiet    bool     `json:"quiet,omitempty"`  // its rule has people not be told
}

// ExecInfo is a program that a process became.
type ExecInfo struct {
	Argv     []string `json:"argv"`
	Policies []string `json:"policies,omitempty"` // start only
	Version  int      `json:"schema,omitempty"`   // start only
}

// ExitInfo is how a process, or at the end the command, ended.
type ExitInfo struct {
	Status int    `json:"status"`           // exit status, 128+N for a signal
	Signal string `json:"signal,omitempty"` // SIGKILL, ...
}

// LimitInfo is a limit that was reached. Times are in seconds, sizes in bytes.
type LimitInfo struct {
	Limit string  `json:"limit"` // as a policy has it: wall-time, memory, ...
	Most  float64 `json:"most"`
	Used  float64 `json:"used"`
	By    string  `json:"by"`  // whose limit it is: policy:line, or a flag
	End   string  `json:"end"` // SIGTERM or SIGKILL of the sandbox; EAGAIN, SIGXFSZ: what one call gets
}

// Totals are the sandbox's figures.
type Totals struct {
	WallSeconds   float64 `json:"wall_seconds"`
	UserSeconds   float64 `json:"user_seconds"`
	SystemSeconds float64 `json:"system_seconds"`
	MaxRSSBytes   int64   `json:"max_rss_bytes"` // of the largest process
	// Of all processes at one time, where a limit on memory has it measured, and how: "cgroup v2",
	// "cgroup v1" or "sampled".
	PeakMemoryBytes int64  `json:"peak_memory_bytes,omitempty"`
	MemoryMeasure   string `json:"memory_measure,omitempty"`
	ReadBytes       int64  `json:"read_bytes"`             // from storage
	WrittenBytes    int64  `json:"written_bytes"`          // to storage
	OutputBytes     int64  `json:"output_bytes,omitempty"` // where output has a limit
	Processes       int    `json:"processes"`
	Threads         int    `json:"threads"`
	Stops           uint64 `json:"stops"`
	Denied          uint64 `json:"denied"`
	Logged          uint64 `json:"logged"`
	Asked           uint64 `json:"asked,omitempty"` // questions
	Killed          uint64 `json:"killed"`
	Refused         uint64 `json:"refused_births,omitempty"` // tasks that a limit on processes kept from being made
	// StopsBy counts the stops by call; not changed after it was put in an event.
	StopsBy map[string]uint64 `json:"stops_by_call,omitempty"`
	// Lost is filled in by the sink: the events that its own log lacks so far.
	Lost uint64 `json:"lost_events"`
}

// Sink takes events. Put is called from the trace loop: it must not block for
// long, whatever happens to what the sink writes to, and it must not keep the
// event after it returns unless it copies it.
type Sink interface {
	Put(*Event)
	// Close writes what is left and says how many events were lost and why.
	Close() (lost uint64, err error)
}
