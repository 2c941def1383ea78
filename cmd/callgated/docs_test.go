package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"callgate/supervisor/server/config"

	"golang.org/x/sys/unix"
)

// TestManPage has the man page know every flag.
func TestManPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/man/callgated.8")
	if err != nil {
		t.Fatal(err)
	}
	var help bytes.Buffer
	if err := run([]string{"--help"}, &help, os.Stderr); err != nil {
		t.Fatal(err)
	}
	plain := strings.ReplaceAll(string(page), `\-`, "-")
	for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(help.String(), -1) {
		if !strings.Contains(plain, flag) {
			t.Errorf("docs/man/callgated.8 does not know %s", flag)
		}
	}
}

// TestConfigKeys has docs/daemon.md show every key of the config, and only such.
func TestConfigKeys(t *testing.T) {
	text, err := os.ReadFile("../../docs/daemon.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range config.Keys() {
		if !strings.Contains(string(text), key+":") {
			t.Errorf("docs/daemon.md does not show the key %s", key)
		}
	}
	_, shown, _ := strings.Cut(string(text), "    callgated: 1 ")
	shown, _, _ = strings.Cut(shown, "\n\n")
	if _, err := config.Parse("/etc/callgated/config.yaml", []byte("callgated: 1 "+strings.ReplaceAll(shown, "\n    ", "\n"))); err != nil {
		t.Error(err)
	}
}

// TestCheck: what cannot start does not pass --check, nor a reload, and all of it is told.
func TestCheck(t *testing.T) {
	h := running(t, "")
	program, err := callgate()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(h.dir, "c.yaml")
	check := func() string {
		err := run([]string{"--check", "--config", file}, io.Discard, io.Discard)
		if err == nil {
			return ""
		}
		return strings.ReplaceAll(err.Error(), file, "c.yaml")
	}
	if said := check(); said != "" {
		t.Errorf("of a good config: %s", said)
	}
	site := filepath.Join(h.dir, "site.yaml")
	if err := os.WriteFile(site, []byte("callgate: 1\nfiles:\n  - read: /\n  - deny: $DATA\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.configure("supervisor: " + program + "\npolicies: {site: site.yaml}\nceiling: [site]\noperators: {groups: [nogroupknown]}\n")
	for _, want := range []string{`c.yaml:8:22: this host knows no group "nogroupknown"`, site + ":4:11: in a ceiling $DATA is not set, so that this deny rule cannot be held; "} {
		if said := check(); !strings.Contains(said, want) {
			t.Error(said)
		}
	}
	h.signal(unix.SIGHUP)
	h.until("the refusal of a ceiling", func() bool { return strings.Contains(h.log.String(), "in a ceiling $DATA is not set") })
	h.configure("supervisor: " + program + "\noperators: {groups: [nogroupknown]}\n")
	h.signal(unix.SIGHUP)
	h.until("a group that is not known", func() bool { return strings.Contains(h.log.String(), "this host knows no group") })
	h.kill()
	h.start()
	h.until("the same at the start", func() bool { return strings.Count(h.log.String(), "this host knows no group") == 2 })
	h.configure("supervisor: /nope\nmetrics: nohost\ntraces: ftp://x\nnats: [foo]\nslots: many\n")
	want := `c.yaml:5:13: the supervisor: stat /nope: no such file or directory
c.yaml:6:10: expected an address and a port, found "nohost"; write for example 127.0.0.1:9464
c.yaml:7:9: expected a collector's URL, found "ftp://x"; write for example http://collector:4318
c.yaml:8:8: expected a server's URL, found "foo"; write for example nats://10.0.0.1:4222
c.yaml:9:8: expected a whole number, found "many"`
	if said := check(); said != want {
		t.Error(said)
	}
	h.signal(unix.SIGHUP)
	h.until("the refusal", func() bool { return strings.Contains(h.log.String(), "not read again") })
}
