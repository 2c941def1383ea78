package client

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Request is a job to be.
type Request struct {
	// Argv is the command and its arguments. A name without a slash is looked up
	// in PATH of Env.
	Argv []string `json:"argv"`
	// Env is the environment, all of it but for what policies set; without PATH,
	// HOME or USER those are the host's and the user's.
	Env map[string]string `json:"env,omitempty"`
	// Policies must all permit a call, and the host's ceiling too. None: the
	// daemon's default policy.
	Policies []Policy `json:"policies,omitempty"`
	Limits   *Limits  `json:"limits,omitempty"`
	// Folder is the working folder, absolute, on the host that is asked, which
	// then also runs the job. "": an empty one of the job's own.
	Folder string `json:"folder,omitempty"`
	// Copy has the job work in a copy of Folder, which is removed in the end.
	Copy bool `json:"copy,omitempty"`
	// Files are put into the job's own folder or copy before it starts.
	Files []File `json:"files,omitempty"`
	// Collect are the files to keep in the end: paths in the working folder, in
	// which * and ** stand for what they do in policies.
	Collect []string `json:"collect,omitempty"`
	Stdin   *Stdin   `json:"stdin,omitempty"`
	// Labels are to find the job by; a host must have those of Requires to run it.
	Labels   map[string]string `json:"labels,omitempty"`
	Requires map[string]string `json:"requires,omitempty"`
	// Retries is how often it may be run again after its host was lost in the
	// middle of it. A command that fails is not run again.
	Retries int `json:"retries,omitempty"`
	// User is whom to run it as, by name or number; root's to say. "": who asks.
	User string `json:"user,omitempty"`
}

// check finds what JSON would silently carry as something else: bytes that are
// no UTF-8.
func (r *Request) check() error {
	for i, word := range r.Argv {
		if !utf8.ValidString(word) {
			return fmt.Errorf("argv[%d] is not UTF-8, and JSON cannot carry it", i)
		}
	}
	for name, value := range r.Env {
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return fmt.Errorf("the variable %q is not UTF-8, and JSON cannot carry it", name)
		}
	}
	if !utf8.ValidString(r.Folder) {
		return fmt.Errorf("the folder %q is not UTF-8, and JSON cannot carry it", r.Folder)
	}
	return nil
}

// Policy is one by name, builtin:NAME or of the daemon's config, or by text.
type Policy struct {
	// Name, where there is a Text, is what rules are called by, and whose folder
	// relative paths begin at, itself relative to the working folder.
	Name string `json:"name"`
	Text string `json:"text,omitempty"` // YAML
	// Files are the texts of policies that Text extends, by path: what `extends`
	// says, joined to the folder of the file that says it, as Name has that. No
	// other file is read.
	Files map[string]string `json:"files,omitempty"`
}

// Limits are what a whole job may use. Zero: what the host says.
type Limits struct {
	WallSeconds float64 `json:"wall_seconds,omitempty"`
	CPUSeconds  float64 `json:"cpu_seconds,omitempty"`
	MemoryBytes int64   `json:"memory_bytes,omitempty"`
	Processes   int     `json:"processes,omitempty"`
	OpenFiles   int     `json:"open_files,omitempty"`
	FileBytes   int64   `json:"file_bytes,omitempty"`   // the size of a file that it writes
	OutputBytes int64   `json:"output_bytes,omitempty"` // standard output and error together
	DiskBytes   int64   `json:"disk_bytes,omitempty"`   // what the folders of its own hold: the working folder that it was made, and its private temporary one
	Inodes      int64   `json:"inodes,omitempty"`       // files and folders in those
}

// Content is bytes: Text where they are UTF-8, else Base64 (RFC 4648, padded).
// NewContent and Bytes are the two ways across.
type Content struct {
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty"` // the bytes themselves: encoding/json codes them
}

// NewContent codes bytes as what they are.
func NewContent(b []byte) Content {
	if utf8.Valid(b) {
		return Content{Text: string(b)}
	}
	return Content{Base64: b}
}

// Bytes are what is coded.
func (c Content) Bytes() []byte {
	if len(c.Base64) > 0 {
		return c.Base64
	}
	return []byte(c.Text)
}

// File is a file to put into the working folder.
type File struct {
	Path string `json:"path"` // relative, within the working folder
	Content
	Executable bool `json:"executable,omitempty"`
}

// Stdin is a job's standard input.
type Stdin struct {
	Content
	// Open says that more comes, by Client.Write. Such a job runs on the host
	// that is asked.
	Open bool `json:"open,omitempty"`
}

// State is where a job is in its life.
type State string

const (
	Queued  State = "queued"
	Running State = "running"
	Ended   State = "ended"
)

// Job is a job as it is.
type Job struct {
	ID        string            `json:"id"`
	User      string            `json:"user"`           // whose it is and as whom it runs; a number where it has no name
	Host      string            `json:"host,omitempty"` // where it runs or ran
	State     State             `json:"state"`
	Argv      []string          `json:"argv"`
	Policies  []string          `json:"policies"` // their names, without the host's ceiling
	Limits    *Limits           `json:"limits,omitempty"`
	Folder    string            `json:"folder,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Requires  map[string]string `json:"requires,omitempty"`
	Submitted time.Time         `json:"submitted"`
	Started   time.Time         `json:"started,omitzero"` // of the last attempt
	Ended     time.Time         `json:"ended,omitzero"`
	Attempt   int               `json:"attempt"`           // which run this is, from 1; 0 before the first
	Earlier   []Attempt         `json:"earlier,omitempty"` // those before that were lost
	Retries   int               `json:"retries"`

	StdoutBytes  int64 `json:"stdout_bytes"` // stored of the last attempt
	StderrBytes  int64 `json:"stderr_bytes"`
	DroppedBytes int64 `json:"dropped_bytes,omitempty"` // output over the limit, which was not stored

	Usage  Usage   `json:"usage"`
	Result *Result `json:"result,omitempty"` // of an ended job
}

// Attempt is one that was lost, after which the job was run again.
type Attempt struct {
	Attempt int       `json:"attempt"` // from 1
	Host    string    `json:"host"`
	Started time.Time `json:"started"`
	Lost    time.Time `json:"lost"`    // when that was known
	Message string    `json:"message"` // why, in words
}

// Usage is what a job has used: a running one as last looked at, an ended one
// in all. The names are those of the audit log.
type Usage struct {
	WallSeconds   float64 `json:"wall_seconds"`
	UserSeconds   float64 `json:"user_seconds"`
	SystemSeconds float64 `json:"system_seconds"`
	MemoryBytes   int64   `json:"memory_bytes"`  // held now, by all its processes; 0 where it has ended
	MaxRSSBytes   int64   `json:"max_rss_bytes"` // the largest resident set of a single process
	Processes     int     `json:"processes"`     // that there are now, or were in all once it has ended
	Threads       int     `json:"threads"`
	Stops         uint64  `json:"stops"` // calls that were sent to the supervisor
	Denied        uint64  `json:"denied"`
	Logged        uint64  `json:"logged"`
	Killed        uint64  `json:"killed"`
}

// Cause is why a job ended.
type Cause string

const (
	ByExit    Cause = "exit"   // the command exited
	BySignal  Cause = "signal" // one ended it, a policy's kill (SIGSYS) included
	ByLimit   Cause = "limit"  // one was reached
	ByKill    Cause = "killed" // by Client.Kill, queued or running
	ByFailure Cause = "failed" // it was not started, or callgate failed
	ByLoss    Cause = "lost"   // its host went away: whether it came to its end is not known
)

// Result is how an ended job ended.
type Result struct {
	Cause Cause `json:"cause"`
	// Status is as `callgate run` exits: the command's; 128+N after signal N; 124
	// a time limit; 125 callgate failed, or the job was lost or killed before it
	// ran; 126 cannot be executed; 127 not found.
	Status  int    `json:"status"`
	Signal  string `json:"signal,omitempty"` // SIGKILL, ...
	Limit   string `json:"limit,omitempty"`  // wall_seconds, ...: Limits' names
	Message string `json:"message,omitempty"`
}

// Page is a part of a list.
type Page struct {
	Jobs []Job  `json:"jobs"`
	Next string `json:"next,omitempty"` // "": this is the last
}

// Signal is one to send.
type Signal struct {
	Signal string `json:"signal"`       // SIGTERM, ...
	To     Target `json:"to,omitempty"` // "": ToCommand
}

// Target is who of a job gets a signal.
type Target string

const (
	ToCommand Target = "command" // the command's process
	ToGroup   Target = "group"   // its whole process group, as a terminal does
)

// Written is how much of an open standard input has arrived.
type Written struct {
	Offset int64 `json:"offset"` // bytes that were sent by Client.Write, of the whole job
}

// EventKind is what an event tells.
type EventKind string

const (
	StateEvent  EventKind = "state"  // the job is in another state: Job
	StdoutEvent EventKind = "stdout" // it wrote something: Content
	StderrEvent EventKind = "stderr"
	AuditEvent  EventKind = "audit" // a line of the audit log: Audit
	LostEvent   EventKind = "lost"  // something is missing here: Lost
)

// Event is something that a job said or did.
type Event struct {
	Offset  uint64    `json:"offset"` // grows from event to event, not by one; from 1
	Time    time.Time `json:"time"`
	Attempt int       `json:"attempt"`
	Kind    EventKind `json:"kind"`
	Content
	Audit json.RawMessage `json:"audit,omitempty"` // an audit.Event (docs/audit.md)
	Job   *Job            `json:"job,omitempty"`
	Lost  *Lost           `json:"lost,omitempty"`
}

// Lost is what is missing, over a limit or a quota.
type Lost struct {
	Kind  EventKind `json:"kind"`  // stdout, stderr, audit
	Count int64     `json:"count"` // bytes, or lines of audit
}

// Files are what was collected of an ended job, by path.
type Files struct {
	Files []Collected `json:"files"`
}

// Collected is one file that was kept.
type Collected struct {
	Path       string `json:"path"` // in the working folder
	SizeBytes  int64  `json:"size_bytes"`
	Executable bool   `json:"executable"`
	Missing    string `json:"missing,omitempty"` // why its bytes were not kept
}

// Hosts are those that share the queue.
type Hosts struct {
	Hosts  []Host `json:"hosts"`
	Queued int    `json:"queued"` // jobs that wait, everybody's
}

// Host is one that runs jobs.
type Host struct {
	Name    string            `json:"name"`
	Labels  map[string]string `json:"labels,omitempty"`
	Slots   int               `json:"slots"`   // jobs that it runs at once
	Running int               `json:"running"` // jobs that it runs now, everybody's
	Seen    time.Time         `json:"seen"`    // when it was last heard of
}

// Release is the version of callgate and callgated, which are released together.
const Release = "0.1.0"

// Version is what answers at a socket.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	API     string `json:"api"`  // "1"
	Host    string `json:"host"` // that answers
}
