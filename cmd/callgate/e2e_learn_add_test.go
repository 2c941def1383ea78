package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const toAdd = "callgate: 1\nextends: builtin:base\n"

// TestLearnAdd: a command does under a policy that learned from another one first what it did, nothing
// is denied, and what was learned first is as it was; learning again adds nothing.
func TestLearnAdd(t *testing.T) {
	t.Parallel()
	for name, c := range learnedPrograms {
		for how, flags := range map[string][]string{"from builtin:base": c.flags, "from nothing": {"--bare"}} {
			t.Run(name+" "+how, func(t *testing.T) {
				for _, program := range strings.Fields(c.needs) {
					if _, err := exec.LookPath(program); err != nil {
						lacking(t, program)
					}
				}
				learnsMore(t, flags, "/bin/sh", "-c", c.script)
			})
		}
	}
}

func learnsMore(t *testing.T, flags []string, argv ...string) {
	t.Helper()
	dir, home := openFolder(t), openFolder(t)
	env := []string{"HOME=" + home}
	learnIn(t, dir, env, flags, "/bin/sh", "-c", "echo x >first; exec cat first").want(t, 0, "x\n")
	name := filepath.Join(dir, ".learned.yaml")
	before := strings.Replace(readFile(t, name), "callgate: 1\n", "# by hand\ncallgate: 1\n", 1)
	writeFile(t, name, before)
	add := []string{lookPath(t, "callgate"), "learn", "--add", ".learned.yaml"}
	if len(flags) > 0 && flags[0] == "--lift" {
		add = append(add, flags...)
	}
	clearBut(t, dir, ".learned.yaml")
	first := trial{bare: true, dir: dir, env: env}.run(t, append(append(add, "--"), argv...)...)
	text := readFile(t, name)
	rest := strings.SplitAfter(text, "\n")
	for line := range strings.Lines(before) {
		i := slices.Index(rest, strings.Replace(line, ": []", ":", 1))
		if i < 0 {
			i = slices.Index(rest, line)
		}
		if i < 0 {
			t.Fatalf("%v\nthe line %q of\n%s\nis not in\n%s", first, line, before, text)
		}
		rest = rest[i+1:]
	}
	clearBut(t, dir, ".learned.yaml")
	second, denied := under(t, dir, env, argv...)
	second.want(t, 0, first.stdout)
	for _, line := range denied {
		t.Error(line)
	}
	clearBut(t, dir, ".learned.yaml")
	got := trial{bare: true, dir: dir, env: env}.run(t, append(append(add, "--"), argv...)...)
	if again := readFile(t, name); again != text || !strings.Contains(got.stderr, "nothing is added to .learned.yaml") {
		t.Errorf("%v\nfirst\n%s\nthen\n%s", got, text, again)
	}
}

// TestLearnAddPlanted: what a command puts in the place of the policy that is added to, or of its
// folder, stays as the command left it, nothing else is written, and no file is left.
func TestLearnAddPlanted(t *testing.T) {
	t.Parallel()
	for does, want := range map[string]string{
		"echo mine >in/p.yaml":                                                "changed",
		"rm in/p.yaml":                                                        "changed",
		"rm in/p.yaml; ln -s ../victim in/p.yaml":                             "changed",
		"rm in/p.yaml; ln victim in/p.yaml":                                   "changed",
		"rm in/p.yaml; mkfifo in/p.yaml":                                      "changed",
		"rm in/p.yaml; mkdir in/p.yaml":                                       "changed",
		"mv in was; mkdir in; echo mine >in/p.yaml":                           "changed",
		"mv in was; cp -r was in":                                             "changed",
		"mkdir out; mv in/p.yaml out; rmdir in; ln -s out in":                 "changed",
		"mv in was; ln -s was in":                                             "", // it is the same folder
		"cp in/p.yaml new; mv new in/p.yaml":                                  "", // and the same text
		"cp in/p.yaml new; ln -s ../victim in/a; mv new in/p.yaml; rm victim": "",
	} {
		dir := openFolder(t)
		mkdirOpen(t, filepath.Join(dir, "in"))
		writeFile(t, filepath.Join(dir, "in", "p.yaml"), toAdd)
		writeFile(t, filepath.Join(dir, "victim"), "victim\n")
		argv := []string{"callgate", "learn", "-q", "--add", "in/p.yaml", "--", "sh", "-c", does + "; echo x >x"}
		got := trial{bare: true, dir: dir}.run(t, argv...)
		text, _ := os.ReadFile(filepath.Join(dir, "was", "p.yaml"))
		if !strings.Contains(does, "mkfifo") {
			now, _ := os.ReadFile(filepath.Join(dir, "in", "p.yaml"))
			text = append(text, now...)
		}
		added := strings.Contains(string(text), "Learned from one run")
		switch {
		case want == "" && (got.status != 0 || !added):
			t.Errorf("%s: %v\n%s", does, got, text)
		case want != "" && (got.status != 125 || added || !strings.Contains(got.stderr, "callgate: in/p.yaml was changed meanwhile, and is left as it is now: nothing is added")):
			t.Errorf("%s: %v\n%s", does, got, text)
		}
		if victim, err := os.ReadFile(filepath.Join(dir, "victim")); err == nil && string(victim) != "victim\n" {
			t.Errorf("%s: the victim: %q", does, victim)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*", ".callgate-*")); len(left) > 0 {
			t.Errorf("%s: left: %v", does, left)
		}
	}
}

// TestLearnAddLinked: no link that a command may have made leads --add elsewhere.
func TestLearnAddLinked(t *testing.T) {
	t.Parallel()
	home := openFolder(t)
	dir := filepath.Join(home, "work")
	mkdirOpen(t, dir)
	mkdirOpen(t, filepath.Join(home, "bin"))
	writeFile(t, filepath.Join(home, "bin", "p.yaml"), toAdd)
	must(t, os.Symlink("../bin", filepath.Join(dir, "folder")))
	must(t, os.Symlink("../bin/p.yaml", filepath.Join(dir, "p.yaml")))
	for name, want := range map[string]string{"folder/p.yaml": "callgate: a symbolic link leads folder to " + home, "p.yaml": "callgate: p.yaml is a symbolic link"} {
		got := trial{bare: true, dir: dir}.run(t, "callgate", "learn", "--add", name, "--", "touch", "x")
		if got.status != 125 || !strings.Contains(got.stderr, want) || exists(filepath.Join(dir, "x")) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if text := readFile(t, filepath.Join(home, "bin", "p.yaml")); text != toAdd {
		t.Error(text)
	}
}

// TestAdditionRaced: what comes in the place of a policy while it is written anew is not lost.
func TestAdditionRaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, "p.yaml")
	for i := range 200 {
		writeFile(t, name, toAdd)
		a, err := openAddition(name)
		must(t, err)
		swapped := make(chan error)
		writeFile(t, filepath.Join(dir, "mine"), "mine\n")
		go func() {
			for range i * 20 { // sooner or later
				_, _ = os.Lstat(name)
			}
			swapped <- os.Rename(filepath.Join(dir, "mine"), name)
		}()
		err = a.replace(toAdd + "# more\n")
		must(t, <-swapped)
		must(t, a.folder.Close())
		if text := readFile(t, name); text != "mine\n" {
			t.Fatalf("round %d: %v, %q", i, err, text)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Error(left, err)
	}
}

// TestLearnAddClosed: a policy that whoever runs callgate may not write is refused before anything
// runs, though another could be put in its place.
func TestLearnAddClosed(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	writeFile(t, filepath.Join(dir, "p.yaml"), toAdd)
	must(t, os.Chmod(filepath.Join(dir, "p.yaml"), 0o444))
	argv := []string{"callgate", "learn", "--add", "p.yaml"}
	if os.Getuid() == 0 {
		argv = append(argv, "--user", "nobody")
	}
	got := trial{bare: true, dir: dir}.run(t, append(argv, "touch", "x")...)
	if got.status != 125 || got.stderr != "callgate: write p.yaml: permission denied\n" || exists(filepath.Join(dir, "x")) {
		t.Error(got)
	}
}

// TestLearnAddOwner: a policy stays its owner's, whoever adds to it.
func TestLearnAddOwner(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		skip(t, "nobody but root can give a file away")
	}
	dir := openFolder(t)
	name := filepath.Join(dir, "p.yaml")
	writeFile(t, name, toAdd)
	must(t, os.Chown(name, 65534, 65534))
	must(t, os.Chmod(name, 0o640))
	trial{bare: true, dir: dir}.run(t, "callgate", "learn", "-q", "--add", "p.yaml", "--", "touch", "x").want(t, 0, "")
	st, err := os.Stat(name)
	must(t, err)
	if owner := st.Sys().(*syscall.Stat_t); owner.Uid != 65534 || owner.Gid != 65534 || st.Mode() != 0o640 || !strings.Contains(readFile(t, name), "./x") {
		t.Error(owner.Uid, owner.Gid, st.Mode(), readFile(t, name))
	}
}
