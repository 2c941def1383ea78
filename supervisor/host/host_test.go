package host

import (
	"bytes"
	"debug/elf"
	"os"
	"runtime"
	"testing"

	"callgate/policy/abi"
)

func TestProbe(t *testing.T) {
	r := Probe()
	seen := map[string]bool{}
	for _, f := range r {
		t.Logf("%-26s %-7s %s", f.Name, f.Status, f.Detail)
		if f.Name == "" || f.Use == "" || seen[f.Name] {
			t.Errorf("a feature without name or use, or one told twice: %+v", f)
		}
		if f.Status != Yes && f.Detail == "" {
			t.Errorf("%s: %s, and no word why", f.Name, f.Status)
		}
		seen[f.Name] = true
	}
	// These tests run where callgate runs.
	if missing := r.Missing(); len(missing) > 0 {
		t.Errorf("missing: %+v", missing)
	}
}

func TestMissing(t *testing.T) {
	r := Report{
		{Name: "a", Status: Yes, Required: true},
		{Name: "b", Status: No},
		{Name: "c", Status: Unknown, Required: true},
	}
	if m := r.Missing(); len(m) != 1 || m[0].Name != "c" {
		t.Errorf("missing %+v, want c alone", m)
	}
}

func TestLandlockDetail(t *testing.T) {
	for version, want := range map[int]string{
		7: "ABI 7",
		6: "ABI 6",
		4: "ABI 4; before 6 (Linux 6.12) signals and abstract sockets are held by stops alone",
		1: "ABI 1; before 2 (Linux 5.19) no file can be moved or linked to another folder; before 3 (Linux 6.2) rules on files cost stops; " +
			"before 4 (Linux 6.7) TCP ports are held by stops alone; before 6 (Linux 6.12) signals and abstract sockets are held by stops alone",
	} {
		if got := landlockDetail(version); got != want {
			t.Errorf("ABI %d: %s", version, got)
		}
	}
}

func TestImages(t *testing.T) {
	for name, image := range map[string][]byte{"elf64": elf64(exitAMD64), "elf32": elf32(exitInt80)} {
		f, err := elf.NewFile(bytes.NewReader(image))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := f.Progs[0]
		if p.Type != elf.PT_LOAD || p.Filesz != uint64(len(image)) || f.Entry <= p.Vaddr || f.Entry >= p.Vaddr+p.Filesz {
			t.Errorf("%s: entry %#x, segment %+v, %d bytes", name, f.Entry, p.ProgHeader, len(image))
		}
	}
}

func TestExecuteTellsFailure(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		return
	}
	for name, code := range map[string][]byte{
		"another status": {0xb8, 60, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x0f, 0x05},
		"a signal":       {0x0f, 0x0b}, // ud2
	} {
		if err := execute(elf64(code), &os.ProcAttr{}); err == nil {
			t.Errorf("%s passed for yes", name)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for release, want := range map[string]abi.Version{
		"6.18.44-generic": {Major: 6, Minor: 18},
		"5.4":             {Major: 5, Minor: 4},
		"5.10-rc1":        {Major: 5, Minor: 10},
		"six":             {},
		"6":               {},
		"":                {},
	} {
		if got := parseVersion(release); got != want {
			t.Errorf("parseVersion(%q) = %v, want %v", release, got, want)
		}
	}
}
