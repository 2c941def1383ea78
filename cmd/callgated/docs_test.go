package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"callgate/supervisor/server/config"
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
