package main

import (
	"os"
	"path/filepath"
	"testing"

	"callgate/supervisor/client"
)

// TestExchangedFolder: a job that may write above its working folder, and exchanges that for a
// link, has nothing collected from where the link leads.
func TestExchangedFolder(t *testing.T) {
	t.Parallel()
	h := running(t, "")
	dir := t.TempDir()
	for _, name := range []string{"work", "secret"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "secret/key"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := shell("echo x >file; mv ../work ../moved && ln -s secret ../work")
	r.Folder, r.Collect = filepath.Join(dir, "work"), []string{"**"}
	r.Policies = []client.Policy{{Name: "p", Text: "callgate: 1\nextends: builtin:base\nfiles:\n  - deny: ../secret\n  - write: ..\n"}}
	j := h.wait(h.submit(r).ID)
	files, err := h.Files(t.Context(), j.ID)
	if err != nil || j.Result.Status != 0 || len(files.Files) != 1 || files.Files[0].Path != "file" {
		t.Errorf("%v: collected: %+v; %+v; %s", err, files, j.Result, h.output(j.ID, client.StderrEvent))
	}
}

// TestCeilingVariables: a job's environment has no say in what the host's ceiling permits,
// and its temporary folder is its own under a ceiling that permits that.
func TestCeilingVariables(t *testing.T) {
	t.Parallel()
	h := running(t, "ceiling: [builtin:ci]\n")
	outside := t.TempDir()
	if err := os.Chmod(outside, 0o777); err != nil {
		t.Fatal(err)
	}
	for policy, script := range map[string]string{
		"builtin:trace-all": "",                        // gives it no folder
		"builtin:ci":        "echo x >$TMPDIR/own && ", // which permits what GOCACHE names, where it is no ceiling
	} {
		r := shell(script + "echo $GOCACHE; echo x >$GOCACHE/a; echo x >" + outside + "/b")
		r.Env = map[string]string{"GOCACHE": outside, "PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": outside, "TMPDIR": outside}
		r.Policies = []client.Policy{{Name: policy}}
		j := h.wait(h.submit(r).ID)
		made, err := os.ReadDir(outside)
		if err != nil || len(made) > 0 || h.output(j.ID, client.StdoutEvent) != outside+"\n" {
			t.Errorf("%s: %v, made %v; %+v; %s", policy, err, made, j.Result, h.output(j.ID, client.StderrEvent))
		}
	}
}
