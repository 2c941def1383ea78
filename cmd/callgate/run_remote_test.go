package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"callgate/policy"
	"callgate/supervisor/client"

	"golang.org/x/sys/unix"
)

const deniedEvent = `{"time":"2026-03-01T09:30:00Z","sandbox":"a","pid":7,"tid":7,"exe":"/usr/bin/cat","event":"call","abi":"x86_64","entry":"syscall","nr":257,` +
	`"syscall":"openat","args":["AT_FDCWD","\"/x\"","O_RDONLY"],"verdict":"deny","errno":"EPERM","rule":"ci.yaml:4","tier":"traced","permit":"- allow: openat","enforced":true}`

// TestRunRemoteTells what the job wrote and was denied, in order, and ends as it
// did.
func TestRunRemoteTells(t *testing.T) {
	s := newStandIn()
	slices.Reverse(s.jobs) // the ended one is what is submitted
	s.jobs[0].Result.Message = "it was\x1b[2J so"
	quiet := strings.Replace(deniedEvent, `}`, `,"quiet":true}`, 1)
	s.events[jobA] = append([]client.Event{{Offset: 1, Kind: client.AuditEvent, Audit: json.RawMessage(deniedEvent)}, {Offset: 1, Kind: client.AuditEvent, Audit: json.RawMessage(quiet)}}, s.events[jobA]...)
	socket := s.serve(t)
	log := filepath.Join(t.TempDir(), "audit")
	got := callgate(t, socket, "run", "--remote", "--audit", log, "-p", "builtin:ci", "cat", "/x")
	want := "callgate: denied openat(AT_FDCWD, \"/x\", O_RDONLY) = EPERM in cat[7] by ci.yaml:4; permit, above that rule, with: - allow: openat\n"
	if got.status != 3 || got.stdout != "out\n" || strings.Count(got.stderr, want) != 1 || !strings.HasSuffix(got.stderr, "callgate: it was\\x1b[2J so\n") {
		t.Errorf("got %d %q\n%s", got.status, got.stdout, got.stderr)
	}
	if text, err := os.ReadFile(log); err != nil || string(text) != deniedEvent+"\n"+quiet+"\n"+`{"event":"end","status":3}`+"\n" {
		t.Errorf("the audit log is %q, %v", text, err)
	}
	for _, flag := range []string{"--permissive", "--pty", "--umask=22", "--keep-fd=0", "--nice=1", "--private-tmp", "--isolate=net", "--grace=1s", "--stats", "--linger"} {
		name, _, _ := strings.Cut(flag, "=")
		if got := callgate(t, socket, "run", "--remote", flag, "true"); got.status != 125 || got.stderr != "callgate: "+name+" does not go with --remote\n" {
			t.Errorf("%s: %+v", flag, got)
		}
	}
}

// TestRunRemoteGrace: a job that does not end when it is told to is killed, once. What does
// not tell it to end gives it all the time.
func TestRunRemoteGrace(t *testing.T) {
	for _, tt := range []struct {
		signals []unix.Signal
		kills   int
	}{
		{[]unix.Signal{unix.SIGTERM, unix.SIGHUP}, 1}, {[]unix.Signal{unix.SIGQUIT}, 1}, {[]unix.Signal{unix.SIGINT}, 1},
		{[]unix.Signal{unix.SIGUSR1, unix.SIGUSR2, unix.SIGCONT}, 0},
	} {
		s := newStandIn()
		r := &remoteRun{client: client.New(s.serve(t)), id: jobB, grace: 10 * time.Millisecond}
		signals := make(chan os.Signal, len(tt.signals))
		for _, sig := range tt.signals {
			signals <- sig
		}
		close(signals)
		r.passOn(signals)
		time.Sleep(300 * time.Millisecond) // that no more comes
		asked := strings.Join(s.changes(), "\n")
		if sent, kills := strings.Count(asked, "/signal"), strings.Count(asked, "/kill"); sent != len(tt.signals) || kills != tt.kills {
			t.Errorf("%v: %s", tt.signals, asked)
		}
	}
}

// The limits of the command line are the job's.
func TestRunRemoteLimits(t *testing.T) {
	f := limitFlags{}
	f.texts[policy.WallTime], f.texts[policy.Memory], f.texts[policy.Output] = "1m30s", "2MiB", "1KiB"
	got, err := f.job()
	if want := (client.Limits{WallSeconds: 90, MemoryBytes: 2 << 20, OutputBytes: 1 << 10}); err != nil || *got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := (&limitFlags{}).job(); got != nil || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	f.texts[policy.Memory] = "much"
	if _, err := f.job(); err == nil {
		t.Error("\"much\" is no size")
	}
}
