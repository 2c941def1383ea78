package audit

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func denied(c CallInfo) *Event {
	if c.Verdict == "" {
		c.Verdict, c.Errno = "deny", "EPERM"
	}
	if c.Rule == "" {
		c.Rule, c.Policy = "ci.yaml:14", "ci.yaml"
	}
	if c.ABI == "" {
		c.ABI, c.Entry = "x86_64", "syscall"
	}
	return &Event{Time: clock, Sandbox: "s", PID: 123, TID: 123, Exe: "/usr/bin/cat", Kind: Call, CallInfo: &c}
}

func shown(t *testing.T, opt TerminalOptions, events ...*Event) string {
	t.Helper()
	var out bytes.Buffer
	s := NewTerminal(&out, opt)
	for _, e := range events {
		s.Put(e)
	}
	if lost, err := s.Close(); lost != 0 || err != nil {
		t.Fatalf("lost %d, %v", lost, err)
	}
	return out.String()
}

func TestTerminalLines(t *testing.T) {
	value := int64(-3)
	for _, c := range []struct {
		call CallInfo
		want string
	}{
		{CallInfo{Syscall: "openat", Args: []string{"AT_FDCWD", `"/etc/shadow"`, "O_RDONLY"}, Reason: "secrets", Permit: "- allow: openat", Enforced: true},
			`denied openat(AT_FDCWD, "/etc/shadow", O_RDONLY) = EPERM in cat[123] by ci.yaml:14: secrets; permit, above that rule, with: - allow: openat`},
		{CallInfo{Syscall: "socket", Args: []string{"AF_INET", "SOCK_STREAM", "0"}, Rule: "default", Policy: "ci.yaml", Permit: "- {allow: socket, args: {domain: AF_INET}}", Enforced: true},
			`denied socket(AF_INET, SOCK_STREAM, 0) = EPERM in cat[123] by ci.yaml (default); permit with: - {allow: socket, args: {domain: AF_INET}}`},
		{CallInfo{Syscall: "ptrace", Verdict: "kill", Args: []string{}, Enforced: true}, `killed ptrace() in cat[123] by ci.yaml:14`},
		{CallInfo{Syscall: "chown", Verdict: "skip", Value: &value, Args: []string{`"x"`, "0", "0"}, Enforced: true}, `skipped chown("x", 0, 0) = -3 in cat[123] by ci.yaml:14`},
		{CallInfo{Syscall: "mount"}, `would deny mount() = EPERM in cat[123] by ci.yaml:14`},
		{CallInfo{Syscall: "mount", Verdict: "kill"}, `would kill mount() in cat[123] by ci.yaml:14`},
		{CallInfo{Syscall: "mount", Verdict: "skip", Value: new(int64)}, `would skip mount() = 0 in cat[123] by ci.yaml:14`},
		{CallInfo{ABI: "i386", Entry: "int80", Code: "64-bit", Nr: 5, Syscall: "open", Misread: "fstat", Args: []string{`"/etc/passwd"`, "O_RDONLY"}, Verdict: "kill", Rule: "compat", Policy: "ci.yaml", Permit: "compat: {i386: same}", Enforced: true},
			`killed int80 open("/etc/passwd", O_RDONLY) (nr 5, which is fstat in the x86_64 table) in cat[123] by ci.yaml (compat); permit with: compat: {i386: same}`},
		{CallInfo{ABI: "i386", Entry: "int80", Code: "32-bit", Nr: 102, Syscall: "connect", Of: "socketcall", Args: []string{"3"}, Enforced: true},
			`denied i386 connect(3) through socketcall = EPERM in cat[123] by ci.yaml:14`},
		{CallInfo{Nr: 9999, Verdict: "deny", Errno: "ENOSYS", Args: []string{"0x0"}, Rule: "unknown", Policy: "ci.yaml", Permit: "no rule can name call number 9999", Enforced: true},
			`denied syscall 9999(0x0) = ENOSYS in cat[123] by ci.yaml (unknown); no rule can name call number 9999`},
		{CallInfo{Syscall: "open", Args: []string{"\x1b]0;owned\a", "\u202e", "\xff\n"}, Enforced: true},
			`denied open(\x1b]0;owned\a, \u202e, \xff\n) = EPERM in cat[123] by ci.yaml:14`},
	} {
		if got := shown(t, TerminalOptions{}, denied(c.call)); got != "callgate: "+c.want+"\n" {
			t.Errorf("got  %swant callgate: %s", got, c.want)
		}
	}
}

func TestTerminalCutsLongArguments(t *testing.T) {
	e := denied(CallInfo{Syscall: "open", Args: []string{"\"" + strings.Repeat("é", 3000) + "\""}})
	if got := shown(t, TerminalOptions{}, e); len(got) > 400 || !strings.Contains(got, "éé...) = EPERM") {
		t.Error(got)
	}
}

// TestQuestion: what is asked about is shown whole, and a program's name cannot pass for more.
func TestQuestion(t *testing.T) {
	long := "/" + strings.Repeat("x", argBytes) + "/secret"
	e := denied(CallInfo{Syscall: "open", Args: []string{strconv.Quote(long)}, Object: long})
	e.Exe = `/bin/cat[1] asks for open("README") by ci.yaml:14`
	want := `"cat[1] asks for open(\"README\") by ci.yaml:14"[123] asks for open("` + long[:argBytes-1] + `...) on ` + long + " by ci.yaml:14"
	if got := Question(e); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTerminalTasks(t *testing.T) {
	e := denied(CallInfo{Syscall: "x", Enforced: true})
	e.TID, e.Exe = 125, "/tmp/a\x1b[31m"
	if got, want := shown(t, TerminalOptions{}, e), `in a\x1b[31m[123/125] by`; !strings.Contains(got, want) {
		t.Errorf("%s lacks %s", got, want)
	}
	e.Exe = ""
	if got := shown(t, TerminalOptions{}, e); !strings.Contains(got, "in ?[123/125]") {
		t.Error(got)
	}
}

func TestTerminalTellsOnlyWhatConcernsPeople(t *testing.T) {
	logged := denied(CallInfo{Syscall: "mount", Verdict: "log"})
	got := shown(t, TerminalOptions{}, exited(1), logged, &Event{Kind: Exec, ExecInfo: &ExecInfo{}}, &Event{Kind: Start},
		&Event{Kind: Call}, denied(CallInfo{Syscall: "socket", Verdict: "deny", Enforced: true, Quiet: true}), &Event{Kind: End})
	if got != "" {
		t.Error(got)
	}
	if got := shown(t, TerminalOptions{Quiet: true}, denied(CallInfo{Syscall: "x"})); got != "" {
		t.Error(got)
	}
}

func TestTerminalCountsRepeats(t *testing.T) {
	var events []*Event
	for n := range 44 {
		e := denied(CallInfo{Syscall: "socket", Args: []string{"AF_INET", fmt.Sprint(n), "0x1"}, Enforced: true})
		e.PID, e.TID = n, n
		events = append(events, e)
	}
	events = append(events, denied(CallInfo{Syscall: "socket", Args: []string{"AF_INET6"}, Enforced: true}), &Event{Time: clock, Kind: End})
	got := shown(t, TerminalOptions{}, events...)
	lines := strings.Split(strings.TrimSpace(got), "\n")
	want := "callgate: denied socket(AF_INET, ...) in cat by ci.yaml:14, 41 more times"
	if len(lines) != 5 || lines[4] != want {
		t.Errorf("%d lines:\n%s\nwant at the end %s", len(lines), got, want)
	}
}

func TestTerminalTellsRepeatsNowAndThen(t *testing.T) {
	var events []*Event
	for n := range 30 {
		e := denied(CallInfo{Syscall: "x", Enforced: true})
		e.Time = clock.Add(time.Duration(n) * time.Second)
		events = append(events, e)
	}
	got := shown(t, TerminalOptions{}, events...)
	if strings.Count(got, ", 10 more times") != 2 || !strings.HasSuffix(got, ", 7 more times\n") {
		t.Error(got)
	}
}

func TestTerminalBoundsKinds(t *testing.T) {
	var out bytes.Buffer
	s := NewTerminal(&out, TerminalOptions{})
	for n := range shapesMax + 50 {
		s.Put(denied(CallInfo{Syscall: fmt.Sprint("call", n), Enforced: true}))
	}
	s.Close()
	if !strings.HasSuffix(out.String(), "callgate: and 50 calls of other kinds\n") {
		t.Error(out.String()[out.Len()-200:])
	}
}

func TestTerminalPermissive(t *testing.T) {
	got := shown(t, TerminalOptions{Permissive: true}, denied(CallInfo{Syscall: "x"}), &Event{Kind: End})
	if !strings.HasSuffix(got, "callgate: permissive: 1 calls went on that the policy does not permit\n") {
		t.Error(got)
	}
}

func TestTerminalMarksLosses(t *testing.T) {
	v := &valve{room: -1, block: make(chan struct{})}
	s := NewTerminal(v, TerminalOptions{})
	for n := range queueMax + 2000 {
		s.Put(denied(CallInfo{Syscall: fmt.Sprint("call", n), Args: []string{strings.Repeat("x", 100)}, Enforced: true}))
	}
	close(v.block)
	lost, _ := s.Close()
	var told uint64 // in all gaps: the writer may take some between two losses
	for _, gap := range regexp.MustCompile(`(?m)^callgate: (\d+) reports were lost here$`).FindAllStringSubmatch(v.out.String(), -1) {
		n, _ := strconv.ParseUint(gap[1], 10, 64)
		told += n
	}
	if lost == 0 || told != lost {
		t.Errorf("%d were lost, and %d told of in %q", lost, told, v.out.String())
	}
}

func TestShape(t *testing.T) {
	got := strings.Join(shape([]string{"AT_FDCWD", `"/x"`, "3", "O_RDONLY", `{sa_family=AF_INET, sin_port=1}`, "NULL", ""}), ", ")
	if want := "AT_FDCWD, ..., O_RDONLY, {sa_family=AF_INET}, ..."; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzDenial: whatever tracee and policy write, a denial is one printable line.
func FuzzDenial(f *testing.F) {
	f.Add("open", "\x1b[2J", "/bin/\u202ex", "no\nway", "- allow: open")
	f.Fuzz(func(t *testing.T, call, arg, exe, reason, permit string) {
		e := denied(CallInfo{Syscall: call, Args: []string{arg}, Reason: reason, Permit: permit})
		e.Exe = exe
		line := string(appendLine(nil, appendDenial(nil, e)))
		if !strings.HasPrefix(line, prefix) || !strings.HasSuffix(line, "\n") || !utf8.ValidString(line) {
			t.Fatalf("%q", line)
		}
		for _, r := range line[:len(line)-1] {
			if !strconv.IsPrint(r) {
				t.Fatalf("%q holds %U", line, r)
			}
		}
	})
}
