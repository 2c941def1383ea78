package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mkdirOpen makes a folder in which every user may write, whatever the umask.
func mkdirOpen(t *testing.T, name string) {
	t.Helper()
	must(t, os.Mkdir(name, 0o777))
	must(t, os.Chmod(name, 0o777))
}

// TestLinkedFolder: a working folder that a link leads to, and a policy's, are what they are.
func TestLinkedFolder(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	mkdirOpen(t, filepath.Join(dir, "real"))
	must(t, os.Symlink("real", filepath.Join(dir, "link")))
	link := filepath.Join(dir, "link")
	writeFile(t, filepath.Join(link, "p.yaml"), "callgate: 1\nextends: builtin:base\nfiles: [{write: .}]\n")
	for _, policy := range []string{"builtin:ci", "builtin:default"} {
		got := trial{policy: policy, dir: link, env: []string{"PWD=" + link}}.run(t, "sh", "-c", "echo x >f && cat f && pwd")
		got.want(t, 0, "x\n"+link+"\n")
		if got.stderr != "" {
			t.Error(got)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
	defer cancel()
	cmd := exec.CommandContext(ctx, "callgate", "run", "-q", "-p", link+"/p.yaml", "--", "sh", "-c", "echo x >h && cat h")
	cmd.Dir = link
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "x\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// TestPlantedLink: a link that a command has made, where a rule names what was not there,
// does not lead the rule anywhere when it runs again.
func TestPlantedLink(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	must(t, os.Mkdir(filepath.Join(dir, "secret"), 0o777))
	writeFile(t, filepath.Join(dir, "secret/f"), "secret")
	policy := strings.ReplaceAll("callgate: 1\ndefault: allow\nfiles:\n  - write: [DIR/build, /dev/null, /dev/tty]\n  - deny: DIR/secret\n  - read: /\n  - deny: \"**\"\n", "DIR", dir)
	for _, link := range []string{"ln -s secret build", "mkdir build; ln -s ../secret build/sub; ln -s build/sub build/f"} {
		must(t, os.RemoveAll(filepath.Join(dir, "build")))
		trial{policy: policy, dir: dir}.run(t, "sh", "-c", link).want(t, 0, "")
		got := trial{policy: policy, dir: dir}.run(t, "sh", "-c", "echo x >build/f; cat build/sub/f build/f/f")
		if text, err := os.ReadFile(filepath.Join(dir, "secret/f")); err != nil || string(text) != "secret" || strings.Contains(got.stdout, "secret") {
			t.Errorf("after %s: %q, %v: %v", link, text, err, got)
		}
		if strings.HasPrefix(link, "ln") && !strings.Contains(got.stderr, "policy.yaml:4:13: a symbolic link leads \""+dir+"/build\" to \""+dir+"/secret\", and is not followed") {
			t.Error(got)
		}
	}
}

// TestPlantedLog: a link that a command has made in the place of a log leads callgate
// nowhere when it runs again; one from elsewhere does, and so does one to what the command may
// write anyway.
func TestPlantedLog(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	mkdirOpen(t, filepath.Join(dir, "work"))
	must(t, os.Mkdir(filepath.Join(dir, "home"), 0o777))
	must(t, os.Symlink("home/log", filepath.Join(dir, "log")))
	policy := "callgate: 1\ndefault: allow\nfiles:\n  - write: [DIR/work, /dev]\n  - read: /\n  - deny: \"**\"\n"
	run := func(log string) outcome {
		return trial{policy: strings.ReplaceAll(policy, "DIR", dir), dir: filepath.Join(dir, "work"), quiet: true, flags: []string{"--audit", log}}.run(t, "true")
	}
	must(t, os.Symlink("../home/profile", filepath.Join(dir, "work/file")))
	must(t, os.Symlink("../home", filepath.Join(dir, "work/folder")))
	for _, log := range []string{"file", "folder/profile", "folder/../home/profile"} {
		target := filepath.Join(dir, "home/profile")
		run(log).fails(t, "audit: a symbolic link leads "+log+" to "+target+", and is not followed")
		if fileExists(target) {
			t.Errorf("%s: %s was made", log, target)
		}
	}
	must(t, os.Symlink("inside", filepath.Join(dir, "work/own")))
	for log, file := range map[string]string{"own": "work/inside", "../log": "home/log", "plain": "work/plain"} {
		run(log).want(t, 0, "")
		if text, err := os.ReadFile(filepath.Join(dir, file)); err != nil || len(text) == 0 {
			t.Errorf("%s: %q, %v", log, text, err)
		}
	}
}

// TestPlantedRemoteLog: the same of a run that the daemon does, whose rules the client does not
// know: no link in the job's folder leads the log out of it.
func TestPlantedRemoteLog(t *testing.T) {
	t.Parallel()
	socket := startDaemon(t)
	dir := openFolder(t)
	mkdirOpen(t, filepath.Join(dir, "work"))
	must(t, os.Symlink("../profile", filepath.Join(dir, "work/out")))
	must(t, os.Symlink("inside", filepath.Join(dir, "work/own")))
	must(t, os.Symlink("log", filepath.Join(dir, "link")))
	run := func(log string) outcome {
		return trial{bare: true, dir: filepath.Join(dir, "work")}.run(t, "callgate", "run", "--remote", "--socket", socket, "-q", "-p", "builtin:ci", "--audit", log, "true")
	}
	run("out").fails(t, "audit: a symbolic link leads out to "+filepath.Join(dir, "profile")+", and is not followed")
	if fileExists(filepath.Join(dir, "profile")) {
		t.Error("what the link leads to was made")
	}
	for log, file := range map[string]string{"own": "work/inside", "../link": "log", "plain": "work/plain"} {
		run(log).want(t, 0, "")
		if text, err := os.ReadFile(filepath.Join(dir, file)); err != nil || len(text) == 0 {
			t.Errorf("%s: %q, %v", log, text, err)
		}
	}
}

// TestPlantedNames: no name on the command line stands for what is outside of the folder because of
// a link in it, which a command may have made there when it ran before.
func TestPlantedNames(t *testing.T) {
	t.Parallel()
	home := openFolder(t)
	dir := filepath.Join(home, "work")
	for _, folder := range []string{dir, filepath.Join(home, "bin"), filepath.Join(dir, "real")} {
		mkdirOpen(t, folder)
	}
	writeFile(t, filepath.Join(home, "profile"), "secret")
	writeFile(t, filepath.Join(dir, "plain"), `{"defaultAction": "SCMP_ACT_ALLOW"}`)
	for link, to := range map[string]string{"file": "../profile", "folder": "../bin", "inside": "real", "own": "plain"} {
		must(t, os.Symlink(to, filepath.Join(dir, link)))
	}
	s := newStandIn()
	s.files = map[string]string{"tool": "tool"}
	socket := s.serve(t)
	for _, tt := range []struct {
		words  string
		status int
		link   string // which is refused; "": none
	}{
		{"run -q -p builtin:ci -C folder -- true", 125, "folder"},
		{"run -q -p builtin:ci -C inside -- true", 0, ""},
		{"run --remote -q -p builtin:ci -C folder -- true", 125, "folder"},
		{"submit --clear-env -C folder --copy true", 2, "folder"},
		{"submit --clear-env -C inside --copy true", 0, ""},
		{"submit --clear-env --empty --file x=file true", 2, "file"},
		{"submit --clear-env --empty --file x=own true", 0, ""},
		{"submit --clear-env --empty --stdin file true", 2, "file"},
		{"submit --clear-env --empty --stdin folder/../profile true", 2, "folder/../profile"},
		{"submit --clear-env --empty --stdin /dev/stdin true", 0, ""},
		{"files -o folder " + jobA, 2, "folder"},
		{"files -o inside " + jobA, 0, ""},
		{"convert -o file plain", 2, "file"},
		{"convert -o folder/p.yaml plain", 2, "folder"},
		{"convert -o inside/p.yaml plain", 0, ""},
		{"learn -q -o folder/p.yaml -- true", 125, "folder"},
		{"learn -q -o made/p.yaml -- sh -c 'rmdir made; ln -s ../bin made'", 125, "made"},
		{"learn -q -o inside/q.yaml -- true", 0, ""},
	} {
		if strings.Contains(tt.words, "made/") {
			mkdirOpen(t, filepath.Join(dir, "made"))
		}
		got := trial{bare: true, dir: dir, env: []string{"CALLGATE_SOCKET=" + socket}}.run(t, "sh", "-c", "callgate "+tt.words)
		if got.status != tt.status || strings.Contains(got.stderr, "callgate: a symbolic link leads "+tt.link+" to "+home) != (tt.link != "") {
			t.Errorf("%s: %v", tt.words, got)
		}
	}
	got := trial{bare: true, dir: dir}.run(t, "sh", "-c", "mkdir gone; cd gone; rmdir ../gone; callgate run -q -p builtin:ci -C "+home+"/bin -- /bin/pwd")
	got.want(t, 0, home+"/bin\n") // from a folder that is not there any more
	if text, err := os.ReadFile(filepath.Join(home, "profile")); err != nil || string(text) != "secret" {
		t.Errorf("the profile: %q, %v", text, err)
	}
	if left, err := os.ReadDir(filepath.Join(home, "bin")); err != nil || len(left) > 0 {
		t.Errorf("in the folder outside: %v, %v", left, err)
	}
	for _, change := range s.changes() {
		if strings.Contains(change, "secret") || strings.Contains(change, home+"/bin") {
			t.Errorf("the daemon was asked for %s", change)
		}
	}
}

// TestPlantedFilter: a filter in the user's cache that allows what the policy does not is
// not used, and does not stay.
func TestPlantedFilter(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	cache := filepath.Join(dir, "cache")
	must(t, os.Mkdir(cache, 0o777))
	denied := func() string {
		t.Helper()
		got := trial{policy: "callgate: 1\ndefault: allow\nsyscalls:\n  - deny: [mkdir, mkdirat]\n    args: {mode: 0o701}\n", quiet: true, dir: dir, env: []string{"XDG_CACHE_HOME=" + cache}}.
			run(t, "sh", "-c", "umask 0; mkdir -m 701 no; mkdir yes; rmdir yes")
		if got.status != 0 || !strings.Contains(got.stderr, "Operation not permitted") || fileExists(filepath.Join(dir, "no")) {
			t.Errorf("got %v", got)
		}
		files, err := filepath.Glob(filepath.Join(cache, "callgate/*.bpf"))
		must(t, err)
		if len(files) != 1 {
			t.Fatalf("kept are %q", files)
		}
		return files[0]
	}
	kept := denied()
	good, err := os.ReadFile(kept)
	must(t, err)
	writeFile(t, kept, "\x01\x00\x06\x00\x00\x00\x00\x00\xff\x7f") // one instruction: allow
	denied()
	if now, err := os.ReadFile(kept); err != nil || !bytes.Equal(now, good) {
		t.Errorf("%v: what was planted stayed", err)
	}
}

// TestPlantedPolicy: what the next run without -p would find is not for a command to
// write, under the shipped policies that are for what nobody vouches for.
func TestPlantedPolicy(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"builtin:default", "builtin:build"} {
		tr := trial{policy: policy, dir: openFolder(t)}
		for _, plant := range []string{"echo x >.callgate.yaml", "echo x >x; mv x .callgate.yaml", "ln -s x .callgate.yaml", "mkdir -p sub; cd sub; echo x >x; ln x .callgate.yaml"} {
			got := tr.run(t, "sh", "-c", plant+"; test ! -e .callgate.yaml -a ! -L .callgate.yaml")
			if got.status != 0 {
				t.Errorf("%s: %s: %v", policy, plant, got)
			}
		}
		writeFile(t, filepath.Join(tr.dir, ".callgate.yaml"), "text")
		tr.run(t, "sh", "-c", "cat .callgate.yaml; rm -f .callgate.yaml; mv .callgate.yaml y; test -e .callgate.yaml").want(t, 0, "text")
	}
}

// TestChangedPolicy: where a policy lets the command write what the next run is under, that
// is told.
func TestChangedPolicy(t *testing.T) {
	t.Parallel()
	const extends = "callgate: 1\nextends: [./base.yaml, builtin:ci]\n"
	for _, tt := range []struct{ policy, does, told string }{
		{"builtin:ci", "echo x >.callgate.yaml", ".callgate.yaml was made during this run: the next one that names no policy is under it; look at it first"},
		{"builtin:ci", "mkdir sub && echo x >sub/.callgate.yaml", ""},
		{"builtin:ci", "cat base.yaml", ""},
		{extends, "echo >>base.yaml", "base.yaml was changed during this run: the next one may be under what it says now; look at it first"},
		{extends, "rm base.yaml", "base.yaml was changed during this run"},
		{extends, "rm base.yaml; mkfifo base.yaml", "base.yaml was changed during this run"},
		{"/dev/stdin", "echo x >file", ""},
		{"", "echo >>.callgate.yaml", ".callgate.yaml was changed during this run"},
		{"", "cat .callgate.yaml base.yaml", ""},
	} {
		dir := openFolder(t)
		writeFile(t, filepath.Join(dir, "base.yaml"), "callgate: 1\n")
		argv := []string{"run", "-p", tt.policy}
		switch tt.policy {
		case "":
			writeFile(t, filepath.Join(dir, ".callgate.yaml"), extends)
			argv = argv[:1]
		case extends:
			writeFile(t, filepath.Join(dir, "p.yaml"), extends)
			argv[2] = "p.yaml"
		}
		tr := trial{bare: true, dir: dir, stdin: "callgate: 1\n"}
		got := tr.run(t, append(append([]string{"callgate"}, argv...), "--", "sh", "-c", tt.does)...)
		if got.status != 0 || tt.told == "" && strings.Contains(got.stderr, "during this run") || !strings.Contains(got.stderr, tt.told) {
			t.Errorf("%s: want %q\ngot %v", tt.does, tt.told, got)
		}
	}
}

// TestHiddenPolicy: where the end of the repository comes between a run and the policy above it
// that it is under, that is told.
func TestHiddenPolicy(t *testing.T) {
	t.Parallel()
	for does, told := range map[string]string{
		"mkdir .git":                       "../.callgate.yaml is not found any more, since a .git was made or removed during this run: the next one that names no policy is under builtin:default\n",
		"rmdir ../.git":                    "../.callgate.yaml is not found any more, since",
		"mkdir .git; rm ../.callgate.yaml": "../.callgate.yaml was changed during this run",
		"mkdir .gitignore":                 "",
	} {
		dir := openFolder(t)
		writeFile(t, filepath.Join(dir, ".callgate.yaml"), "callgate: 1\nsyscalls: [{deny: syslog}]\ndefault: allow\n")
		for _, name := range []string{".git", "sub"} {
			must(t, os.Mkdir(filepath.Join(dir, name), 0o777))
		}
		got := trial{bare: true, dir: filepath.Join(dir, "sub")}.run(t, "callgate", "run", "--", "sh", "-c", does)
		if got.status != 0 || strings.Contains(got.stderr, "during this run") != (told != "") || !strings.Contains(got.stderr, told) {
			t.Errorf("%s: want %q\ngot %v", does, told, got)
		}
	}
}

// TestFoundElse: what stands in the place of a policy that is not asked for is neither waited
// for nor taken for changed.
func TestFoundElse(t *testing.T) {
	t.Parallel()
	for _, make := range []string{"mkfifo .callgate.yaml", "mkdir .callgate.yaml", "ln -s none .callgate.yaml", ": >.callgate.yaml"} {
		dir := openFolder(t)
		trial{bare: true, dir: dir}.run(t, "sh", "-c", make).want(t, 0, "")
		got := trial{bare: true, dir: dir}.run(t, "callgate", "run", "-p", "builtin:ci", "--", "true")
		if got.status != 0 || got.stderr != "" {
			t.Errorf("%s: %v", make, got)
		}
	}
}

// TestPlantedByMove: a folder is not moved to where what may be in it may not be written.
func TestPlantedByMove(t *testing.T) {
	t.Parallel()
	dir := openFolder(t)
	policy := strings.ReplaceAll("callgate: 1\ndefault: deny\nfiles:\n  - read: DIR/repo/hooks\n  - deny: DIR/repo/hooks\n  - write: [DIR, /dev/null, /dev/tty]\n  - read: /\n", "DIR", dir)
	const rename = "perl -e 'rename shift, shift or die $!' "
	trial{policy: policy, dir: dir}.run(t, "sh", "-c", "mkdir -p new/hooks sub/new; echo x >new/hooks/f; "+
		rename+"new repo; mkdir repo; "+rename+"new repo; "+rename+"sub/new moved; test -d moved -a ! -e repo/hooks").want(t, 0, "")
	got := trial{policy: policy, dir: dir}.run(t, "sh", "-c", "rmdir repo; mv new repo; test ! -e repo/hooks")
	if got.status != 0 || !strings.Contains(got.stderr, "EXDEV") {
		t.Error(got)
	}
}

// TestNarrowedByVariables: a repository's policy beside one's own can only narrow that, whatever
// variables it sets or drops that are in the other's rules.
func TestNarrowedByVariables(t *testing.T) {
	t.Parallel()
	home := openFolder(t)
	for _, name := range []string{"work", "cache"} {
		mkdirOpen(t, filepath.Join(home, name))
	}
	for _, environment := range []string{"set: {GOCACHE: HOME, XDG_CACHE_HOME: HOME, CCACHE_DIR: HOME, TMPDIR: HOME}", "keep: []", "set: {GOCACHE: HOME}, keep: []"} {
		writeFile(t, filepath.Join(home, "work/.callgate.yaml"), "callgate: 1\ndefault: allow\nenvironment: {"+strings.ReplaceAll(environment, "HOME", home)+"}\n")
		got := trial{bare: true, dir: filepath.Join(home, "work"), env: []string{"GOCACHE=" + home + "/cache"}}.
			run(t, "callgate", "run", "-q", "-p", "builtin:ci", "-p", ".callgate.yaml", "--", "/bin/sh", "-c", "echo x >../profile; echo x >../cache/x && echo y >y")
		if got.status != 0 || fileExists(filepath.Join(home, "profile")) {
			t.Errorf("%s: %v", environment, got)
		}
	}
}
