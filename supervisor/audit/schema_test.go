package audit

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

const documentation = "../../docs/audit.md"

// examples are the events whose lines docs/audit.md shows, in its order.
func examples() []*Event {
	at := func(ms int) time.Time { return time.Date(2026, 3, 1, 9, 30, 0, ms*1e6, time.UTC) }
	event := func(ms int, kind Kind, pid, tid int, exe string) *Event {
		return &Event{Time: at(ms), Sandbox: "make-4711", PID: pid, TID: tid, Exe: exe, Kind: kind}
	}
	start := event(0, Start, 4712, 4712, "/usr/bin/make")
	start.ExecInfo = &ExecInfo{Argv: []string{"make", "test"}, Policies: []string{"ci.yaml"}, Version: SchemaVersion}
	exec := event(12, Exec, 4713, 4713, "/usr/bin/curl")
	exec.ExecInfo = &ExecInfo{Argv: []string{"curl", "-s", "https://example.org/"}}
	call := event(25, Call, 4713, 4714, "/usr/bin/curl")
	call.CallInfo = &CallInfo{ABI: "x86_64", Entry: "syscall", Nr: 41, Syscall: "socket", Args: []string{"AF_INET", "SOCK_STREAM|SOCK_CLOEXEC", "IPPROTO_TCP"},
		Verdict: "deny", Errno: "EPERM", Rule: "ci.yaml:14", Policy: "ci.yaml", Tier: "traced", Reason: "no network in CI",
		Permit: "- {allow: socket, args: {domain: AF_INET}}", Enforced: true}
	compat := event(31, Call, 4720, 4720, "/tmp/a.out")
	compat.CallInfo = &CallInfo{ABI: "i386", Entry: "int80", Code: "64-bit", Nr: 102, Syscall: "connect", Misread: "getuid",
		Args: []string{"3", `{sa_family=AF_INET, sin_port=443, sin_addr="192.0.2.1"}`, "16"}, Of: "socketcall",
		Verdict: "kill", Rule: "default", Policy: "ci.yaml", Tier: "traced", Permit: "- allow: connect", Enforced: true}
	value := int64(0)
	skip := event(33, Call, 4721, 4721, "/usr/bin/tar")
	skip.CallInfo = &CallInfo{ABI: "x86_64", Entry: "syscall", Nr: 92, Syscall: "chown", Args: []string{`"out/a"`, "0", "0"},
		Verdict: "skip", Value: &value, Rule: "ci.yaml:20", Policy: "ci.yaml", Tier: "traced", Permit: "- allow: chown", Enforced: true}
	exit := event(40, Exit, 4713, 4713, "/usr/bin/curl")
	exit.ExitInfo = &ExitInfo{Status: 7}
	killed := event(41, Exit, 4720, 4720, "/tmp/a.out")
	killed.ExitInfo = &ExitInfo{Status: 159, Signal: "SIGSYS"}
	limit := event(50, Limit, 4712, 4712, "")
	limit.LimitInfo = &LimitInfo{Limit: "wall-time", Most: 10, Used: 10.002, By: "ci.yaml:4", End: "SIGTERM, and SIGKILL after 2s"}
	end := event(60, End, 0, 0, "")
	end.ExitInfo = &ExitInfo{Status: 2}
	end.Totals = &Totals{WallSeconds: 1.5, UserSeconds: 0.75, SystemSeconds: 0.25, MaxRSSBytes: 52428800, WrittenBytes: 4096,
		Processes: 9, Threads: 12, Stops: 34, Denied: 2, Logged: 0, Killed: 1, StopsBy: map[string]uint64{"execve": 9, "openat": 25}}
	return []*Event{start, exec, call, compat, skip, exit, killed, limit, end}
}

func TestDocumentedExamples(t *testing.T) {
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, `    {"time":`) {
			shown = append(shown, strings.TrimSpace(line))
		}
	}
	var out bytes.Buffer
	s := NewJSON(&out, JSONOptions{})
	for _, e := range examples() {
		s.Put(e)
	}
	s.Close()
	enc := NewJSON(&bytes.Buffer{}, JSONOptions{}).(*queue).out.enc
	out.Write(enc.gap(nil, &Event{Time: examples()[8].Time, Sandbox: "make-4711"}, 3))
	written := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i := range max(len(shown), len(written)) {
		if i >= len(shown) || i >= len(written) || shown[i] != written[i] {
			t.Errorf("example %d differs; the sink writes\n%s", i, strings.Join(written[min(i, len(written)):], "\n"))
			break
		}
	}
}

// TestEveryFieldIsDocumented looks for each field's name in the schema's tables.
func TestEveryFieldIsDocumented(t *testing.T) {
	text, err := os.ReadFile(documentation)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{Event{}, CallInfo{}, ExecInfo{}, ExitInfo{}, Totals{}, lostLine{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" && !strings.Contains(string(text), "| `"+name+"` |") {
				t.Errorf("%T: %s is not documented", v, name)
			}
		}
	}
}
