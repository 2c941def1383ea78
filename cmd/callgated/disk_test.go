package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"callgate/supervisor/client"
)

// TestDisk has jobs fill the folders of their own, openly and not, and end for that:
// by a limit of their own, or by the host's, which theirs cannot widen.
func TestDisk(t *testing.T) {
	t.Parallel()
	h := running(t, "slots: 8\nlimits: {disk: 8MiB, inodes: 2000}\n")
	const fill = "head -c 16000000 /dev/zero"
	large := t.TempDir()
	if err := os.WriteFile(filepath.Join(large, "large"), make([]byte, 9<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	open := []client.Policy{{Name: "p.yaml", Text: "callgate: 1\ndefault: allow\nenvironment: {private-tmp: true}\n"}}
	for name, c := range map[string]struct {
		script, limit string
		asks          *client.Limits
		folder        string
	}{
		"a file":           {script: fill + " >f; sleep 100", limit: "disk_bytes"},
		"many":             {script: "i=0; while [ $i -lt 100 ]; do head -c 160000 /dev/zero >$i; i=$((i+1)); done; sleep 100", limit: "disk_bytes"},
		"asks for more":    {script: fill + " >f; sleep 100", limit: "disk_bytes", asks: &client.Limits{DiskBytes: 1 << 40, Inodes: 1 << 40}},
		"asks for less":    {script: "head -c 200000 /dev/zero >f; sleep 100", limit: "disk_bytes", asks: &client.Limits{DiskBytes: 100000}},
		"without a name":   {script: "exec 3>f; rm f; " + fill + " >&3; sleep 100", limit: "disk_bytes"},
		"closed":           {script: "mkdir -p a/b; exec 3>a/b/f; chmod 0 a/b a .; " + fill + " >&3; sleep 100", limit: "disk_bytes"},
		"temporary":        {script: fill + " >$TMPDIR/f; sleep 100", limit: "disk_bytes"},
		"moved away":       {script: `mv $TMPDIR "$TMPDIR.x"; ` + fill + ` >"$TMPDIR.x/f"; mv "$TMPDIR.x" $TMPDIR; sleep 100`, limit: "disk_bytes"},
		"empty files":      {script: "touch $(seq 2500); sleep 100", limit: "inodes"},
		"links":            {script: ": >f; i=0; while [ $i -lt 100 ]; do ln -s $i $i; i=$((i+1)); done; sleep 100", limit: "inodes", asks: &client.Limits{Inodes: 50}},
		"deep":             {script: "mkdir -p $(yes d/ | head -n 1100 | tr -d '\\n'); sleep 100", limit: "disk_bytes"},
		"a copy":           {script: "true", limit: "disk_bytes", folder: large},
		"what is not held": {script: "truncate -s 1G sparse; ln -s " + large + " link; head -c 5000000 /dev/zero >f; ln f g; ln f h; sleep 0.5"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := shell(c.script)
			r.Limits, r.Folder, r.Copy, r.Policies = c.asks, c.folder, c.folder != "", open
			id := h.submit(r).ID
			j := h.wait(id)
			switch {
			case c.limit == "" && j.Result.Status != 0, c.limit != "" && (j.Result.Cause != client.ByLimit || j.Result.Limit != c.limit || j.Result.Status != 137):
				t.Errorf("%+v: %s", j.Result, h.output(id, client.StderrEvent))
			case c.limit != "" && !strings.HasPrefix(j.Result.Message, "the limit on "+strings.TrimSuffix(c.limit, "_bytes")+" was reached"):
				t.Errorf("it says %q", j.Result.Message)
			}
			h.cleared(id)
		})
	}
}
