package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Real programs, as people run them in sandboxes, on files that are made for
// them.

// programRounds is enough for a median; a round of go build takes seconds.
const programRounds = 5

// program is one of them: words is what is measured, in the folder dir; before
// each, undo puts back what it changed. once makes its files.
type program struct {
	name, title string
	words       []string
	dir         string
	once, undo  func() error
}

func programs(t *tools) []comparison {
	var all []comparison
	for _, p := range []program{gitClone(t), goBuild(t), tarBoth(t), findAll(t)} {
		all = append(all, p.compare(t))
	}
	return all
}

// compare measures a program bare, where nothing stops, where only changes of
// metadata do, and where every openat does.
func (p program) compare(t *tools) comparison {
	const (
		bare   = "bare"
		tracer = "C tracer, placed by the scheduler"
		alone  = "C sandboxer, the same Landlock rules"
		number = "callgate, rules on numbers: no stops"
		exact  = "callgate, rules on files: Landlock, metadata and links at stops"
		mounts = "callgate, rules on files: Landlock and mounts, links at stops"
		traced = "callgate, every openat traced"
	)
	return comparison{
		name:  p.name,
		title: p.title,
		unit:  "ms",
		most:  programRounds,
		subjects: []subject{
			{bare, p.timed(t, p.words)},
			{number, p.timed(t, t.run(t.file("numbers.yaml"), p.words))},
			{alone, p.timed(t, join(t.landlockAlone(), p.words))},
			{exact, p.timed(t, t.run(t.file("programs.yaml"), p.words))},
			{mounts, p.timed(t, t.run(t.file("mounts.yaml"), p.words))},
			{tracer, p.timed(t, join([]string{t.file("tracer")}, p.words))},
			{traced, p.timed(t, t.run(t.file("traced.yaml"), p.words))},
			{"callgate, names traced and pinned", p.timed(t, t.run(t.file("pinned.yaml"), p.words))},
		},
		goals: []goal{{number, bare, 1.1}, {exact, bare, 1.1}, {mounts, bare, 1.1}, {traced, tracer, 1.15}},
	}
}

// landlockAlone puts the rules of programs.yaml in force, and nothing else.
func (t *tools) landlockAlone() []string {
	words := []string{t.file("sandboxer"), "r:/usr", "r:/etc", "w:" + t.dir, "w:/dev/null"}
	if root := os.Getenv("GOROOT"); root != "" {
		words = append(words, "r:"+root)
	}
	return append(words, "--")
}

// timed measures words from start to end in ms.
func (p program) timed(t *tools, words []string) func() (float64, error) {
	return func() (float64, error) {
		if _, err := command(p.words); err != nil {
			return 0, err
		}
		if err := t.once(p.name, p.once); err != nil {
			return 0, err
		}
		if err := p.undo(); err != nil {
			return 0, err
		}
		cmd := t.inFolder(p.dir, words)
		began := time.Now()
		said, err := cmd.CombinedOutput()
		took := time.Since(began)
		if err != nil {
			return 0, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(said)))
		}
		return took.Seconds() * 1e3, nil
	}
}

// inFolder is a command whose home and caches are the benchmark's own.
func (t *tools) inFolder(dir string, words []string) *exec.Cmd {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+t.dir, "GOCACHE="+t.file("gocache"), "GOTMPDIR="+t.dir, "TMPDIR="+t.dir,
		"GOFLAGS=-mod=mod", "GOENV=off", "GOTOOLCHAIN=local", "GOTELEMETRY=off", "GIT_CONFIG_NOSYSTEM=1")
	return cmd
}

// once does something at its first use.
func (t *tools) once(name string, do func() error) error {
	if t.done[name] {
		return nil
	}
	if t.done == nil {
		t.done = map[string]bool{}
	}
	t.done[name] = true
	return do()
}

// after measures once something else is done, which is done but once.
func (t *tools) after(do func() error, measure func() (float64, error)) func() (float64, error) {
	done := false
	return func() (float64, error) {
		if !done {
			if err := do(); err != nil {
				return 0, err
			}
			done = true
		}
		return measure()
	}
}

func rulesFile(n int) string { return "rules-" + strconv.Itoa(n) + ".yaml" }

// writeRules writes a policy of n rules on files, none of which is about what the
// loop opens.
func (t *tools) writeRules(n int) error {
	var b strings.Builder
	b.WriteString("callgate: 1\ndefault: allow\nfiles:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - deny: /dev/none-%d/file-%d\n", i%100, i)
	}
	return os.WriteFile(t.file(rulesFile(n)), []byte(b.String()), 0o644)
}

func nothing() error { return nil }

// gitClone clones a repository of 1,000 files.
func gitClone(t *tools) program {
	origin, clone := t.file("origin"), t.file("clone")
	return program{
		name:  "clone",
		title: "git clone of a local repository with 1,000 files",
		words: []string{"git", "clone", "--quiet", "--no-hardlinks", origin, clone},
		dir:   t.dir,
		once: func() error {
			if err := makeTree(origin, 20, 50); err != nil {
				return err
			}
			return t.do(origin, "git init -q", "git add .", "git -c user.name=x -c user.email=x commit -q -m files")
		},
		undo: func() error { return os.RemoveAll(clone) },
	}
}

// goBuild builds a module of 20 packages, each changed before every build; the
// standard library is built beforehand.
func goBuild(t *tools) program {
	dir := t.file("module")
	times := 0
	return program{
		name:  "build",
		title: "go build of a module with 20 changed packages",
		words: []string{"go", "build", "-o", t.file("built"), "."},
		dir:   dir,
		once: func() error {
			if err := makeModule(dir, "begin"); err != nil {
				return err
			}
			return t.do(dir, "go build -o /dev/null .")
		},
		undo: func() error {
			times++
			return makeModule(dir, strconv.Itoa(times))
		},
	}
}

// makeModule writes the module, with a word in each package.
func makeModule(dir, word string) error {
	var imports, uses strings.Builder
	for i := range 20 {
		fmt.Fprintf(&imports, "\t\"m/p%d\"\n", i)
		fmt.Fprintf(&uses, "\tfmt.Println(p%d.Word())\n", i)
		text := fmt.Sprintf("package p%d\n\nimport \"strings\"\n\nfunc Word() string { return strings.ToUpper(%q) }\n", i, word)
		if err := writeIn(filepath.Join(dir, fmt.Sprintf("p%d", i), "p.go"), text); err != nil {
			return err
		}
	}
	text := "package main\n\nimport (\n\t\"fmt\"\n" + imports.String() + ")\n\nfunc main() {\n" + uses.String() + "}\n"
	if err := writeIn(filepath.Join(dir, "main.go"), text); err != nil {
		return err
	}
	return writeIn(filepath.Join(dir, "go.mod"), "module m\n\ngo 1.21\n")
}

// tarBoth packs a tree of 5,000 files and unpacks it again.
func tarBoth(t *tools) program {
	tree, out := t.file("tree"), t.file("unpacked")
	return program{
		name:  "tar",
		title: "tar: 5,000 files packed, and unpacked again",
		words: []string{"sh", "-c", `tar -cf "$1.tar" "$0" && tar -xf "$1.tar" -C "$1"`, "tree", out},
		dir:   t.dir,
		once:  func() error { return makeTree(tree, 50, 100) },
		undo: func() error {
			if err := os.RemoveAll(out); err != nil {
				return err
			}
			return os.Mkdir(out, 0o755)
		},
	}
}

// findAll looks at every file of a tree of 50,000.
func findAll(t *tools) program {
	forest := t.file("forest")
	return program{
		name:  "find",
		title: "find among 50,000 files in 1,000 folders, by size",
		words: []string{"find", forest, "-size", "+1000"},
		dir:   t.dir,
		once:  func() error { return makeTree(forest, 1000, 50) },
		undo:  nothing,
	}
}

// makeTree makes folders with files in them.
func makeTree(root string, folders, files int) error {
	for i := range folders {
		for j := range files {
			name := filepath.Join(root, fmt.Sprintf("folder-%d", i), fmt.Sprintf("file-%d", j))
			if err := writeIn(name, strings.Repeat(name+"\n", 10)); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeIn writes a file, and makes its folder first.
func writeIn(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o644)
}

// do runs commands in a folder.
func (t *tools) do(dir string, lines ...string) error {
	for _, line := range lines {
		if said, err := t.inFolder(dir, strings.Fields(line)).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", line, err, said)
		}
	}
	return nil
}
