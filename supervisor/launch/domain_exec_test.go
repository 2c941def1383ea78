package launch

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"callgate/policy"
	"callgate/policy/compile"

	"golang.org/x/sys/unix"
)

// runs says whether a program can be started here: y, n, or what else happened.
// All its descriptors are null, which no rule permits to open.
func runs(path string, null *os.File) string {
	err := (&exec.Cmd{Path: path, Args: []string{path}, Stdin: null, Stdout: null, Stderr: null}).Run()
	switch {
	case err == nil:
		return "y"
	case errors.Is(err, unix.EACCES):
		return "n"
	}
	return err.Error()
}

// TestExec: in the folder bin are a program and two scripts, one of whose
// interpreters is there as well.
func TestExec(t *testing.T) {
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(shell)
	if err != nil {
		t.Fatal(err)
	}
	loaders := Executed(shell)[1:]
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, uid := range users() {
		dir := openFolder(t, uid)
		in := func(name string) string { return filepath.Join(dir, name) }
		plant(t, dir, uid, "bin/", "w/")
		for name, text := range map[string]string{
			"bin/sh":     string(program),
			"bin/script": "#!" + in("bin/sh") + "\n",
			"bin/other":  "#!" + in("w/sh") + "\n",
			"w/sh":       string(program),
		} {
			if err := os.WriteFile(in(name), []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		readAll := permit(policy.Read, "/")
		writeHere := permit(policy.Write, in("w"))
		for _, c := range []struct {
			name                    string
			files, exec             []policy.BoundRule
			loaders, start          []string
			sh, script, other, made string
		}{
			{name: "files alone", files: []policy.BoundRule{readAll, writeHere}, sh: "y", script: "y", other: "y", made: "y"},
			{name: "exec of bin", files: []policy.BoundRule{readAll, writeHere}, exec: []policy.BoundRule{permit(policy.Write, in("bin"))},
				loaders: loaders, sh: "y", script: "y", other: "n", made: "n"},
			{name: "no loader", files: []policy.BoundRule{readAll, writeHere}, exec: []policy.BoundRule{permit(policy.Write, in("bin"))},
				sh: "n", script: "n", other: "n", made: "n"},
			{name: "a script and not its interpreter", files: []policy.BoundRule{readAll, writeHere}, exec: []policy.BoundRule{permit(policy.Write, in("bin/script"))},
				loaders: loaders, sh: "n", script: "n", other: "n", made: "n"},
			{name: "what is written can be executed", files: []policy.BoundRule{readAll, writeHere}, exec: []policy.BoundRule{permit(policy.Write, in("w/new"), in("bin/sh"))},
				loaders: loaders, sh: "y", script: "n", other: "n", made: "y"},
			{name: "exec of what cannot be read", files: []policy.BoundRule{writeHere, permit(policy.Read, "/usr", "/lib", "/etc")}, exec: []policy.BoundRule{permit(policy.Write, "/")},
				loaders: loaders, sh: "n", script: "n", other: "n", made: "y"},
			{name: "the command", files: []policy.BoundRule{permit(policy.Read, "/usr", "/lib", "/etc")}, exec: []policy.BoundRule{permit(policy.Write, "/usr/none")},
				loaders: loaders, start: Executed(in("bin/script")), sh: "y", script: "y", other: "n", made: "n"},
		} {
			host := hostOf(t)
			host.Loaders, host.Start = c.loaders, c.start
			b := compile.Bound{Files: denyElse(c.files)}
			if c.exec != nil {
				b.Exec = denyElse(c.exec)
			}
			l := compile.Confine(b, host)
			confined(t, uid, dir, &l.Ruleset, func() {
				for path, want := range map[string]string{in("bin/sh"): c.sh, in("bin/script"): c.script, in("bin/other"): c.other, in("w/sh"): c.made} {
					if got := runs(path, null); got != want {
						t.Errorf("%s, user %d: %s: %s, want %s\n%+v", c.name, uid, path, got, want, l.Ruleset.Paths)
					}
				}
			})
		}
	}
}

// TestMovesStayPossible: a file may be moved to where programs are, though
// Landlock lets none be moved to where it gets the right to be executed.
func TestMovesStayPossible(t *testing.T) {
	for _, uid := range users() {
		dir := openFolder(t, uid)
		plant(t, dir, uid, "tmp/", "tmp/f", "tmp/g", "bin/")
		l := compile.Confine(compile.Bound{
			Files: denyElse([]policy.BoundRule{permit(policy.Write, dir+"/tmp", dir+"/bin")}),
			Exec:  denyElse([]policy.BoundRule{permit(policy.Write, dir+"/bin", "/usr")}),
		}, hostOf(t))
		confined(t, uid, dir, &l.Ruleset, func() {
			for _, c := range []try{renamed("tmp/f", "bin/f", 0), link("tmp/g", "bin/g")} {
				if got := c.verdict(); got != "y" {
					t.Errorf("user %d: %s: %s", uid, c.name, got)
				}
			}
		})
	}
}
