package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpToDate fails where the checked-in tables are not what the generator
// writes: go generate ./policy/abi.
func TestUpToDate(t *testing.T) {
	files, err := generate(".")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		have, err := os.ReadFile(filepath.Join("..", name))
		if err != nil || !bytes.Equal(have, text) {
			t.Errorf("%s is out of date (%v): run go generate ./policy/abi", name, err)
		}
	}
}

func TestBadPrototypes(t *testing.T) {
	for text, want := range map[string]string{
		"read(fd fd":              "not a prototype",
		"read(fd nothing)":        "no such type",
		"read(fd)":                "not a parameter",
		"read(fd fd, buf=fd ptr)": "fd twice",
		"read = write":            "no canonical call",
		"[mips]":                  "no such ABI",
		"[all]\nread()\nread()":   "there already",
		"[all]\nread() = read":    "no canonical call",
	} {
		if !strings.Contains(text, "[") {
			text = "[all]\n" + text
		}
		path := filepath.Join(t.TempDir(), "params.txt")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readPrototypes(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestRegistersRunOut(t *testing.T) {
	p := &prototype{}
	for range 4 {
		p.params = append(p.params, declaredParam{[]string{"offset"}, "loff", ""})
	}
	if _, err := newEntry(i386, 1, p, "call", nil); err == nil {
		t.Error("four 64-bit values fit in six registers")
	}
	if _, err := newEntry(x86_64, 1, p, "call", nil); err != nil {
		t.Error(err)
	}
}

func TestDeriveX32(t *testing.T) {
	if _, err := deriveX32(map[string]int{"read": 0}); err == nil {
		t.Error("a table without the 64-bit-only calls is taken")
	}
}
