package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/host"

	"golang.org/x/sys/unix"
)

var (
	equalSeed  = flag.Uint64("equal-seed", 1, "the first seed of TestEqual; 0: by the clock, for finding more")
	equalCases = flag.Int("equal-cases", 5000, "how many cases TestEqual has, as each of the two users that tests run as")
)

// batchSize is how many cases are made under one policy.
const batchSize = 100

// TestEqual makes calls on files, bare and under callgate, each on a tree of its
// own: what the rules permit is as it is bare, and what they forbid fails and
// changes nothing.
func TestEqual(t *testing.T) {
	t.Parallel()
	seed := *equalSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	if seed == 1 && os.Geteuid() != 0 { // others than root's
		seed += uint64(*equalCases / batchSize)
	}
	t.Logf("-equal-seed=%d", seed)
	held := 0
	for done := 0; done < *equalCases && !t.Failed(); seed++ {
		b := newBatch(t, seed)
		if b.byKernel {
			held += len(b.cases)
		}
		b.run()
		done += len(b.cases)
		os.RemoveAll(filepath.Dir(b.under))
	}
	t.Logf("%d cases under Landlock alone", held)
	if *equalCases >= 1000 && held == 0 {
		t.Error("Landlock held no policy")
	}
}

// TestEqualCalls: no call that names a file is forgotten.
func TestEqualCalls(t *testing.T) {
	made := map[string]bool{}
	for _, c := range readEqualCalls() {
		made[c.entry.Name] = true
	}
	for entry := range abi.X86_64.All() {
		if len(policy.UsesOf(entry)) > 0 && !made[entry.Name] && unequalCalls[entry.Name] == "" {
			t.Errorf("%s is not tried", entry.Name)
		}
	}
}

// TestEqualRows are calls that once differed.
func TestEqualRows(t *testing.T) {
	const policy = "callgate: 1\ndefault: allow\nfiles:\n  - deny: /etc/shadow\n"
	dir := openFolder(t)
	writeFile(t, filepath.Join(dir, "file"), "")
	for _, err := range []error{os.Symlink("file", filepath.Join(dir, "link")), os.Symlink(".", filepath.Join(dir, "here"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	up := "../" + filepath.Base(dir)
	for _, line := range []string{
		"native 2 s:file/ 0x41 0600",                                     // O_CREAT of a name with a slash: EISDIR
		"native 85 s:" + up + "/file/. 0600",                             // ENOTDIR
		"native 85 s:missing/ 0600",                                      // whatever is there
		"native 85 s:here/../missing/ 0600",                              // even nothing
		"native 2 s:" + up + "/file/. 0 0",                               // no file is a folder
		"native 437 -100 s:here/../" + up[3:] + "/file w:0,0,0,0,4,0 24", // RESOLVE_NO_SYMLINKS refuses links though the name has ".."
		"native 437 -100 s:link w:0,0,0,0,4,0 24",
	} {
		argv := append([]string{tracee(t)}, strings.Fields(line)...)
		want := trial{bare: true, dir: dir}.run(t, argv...)
		trial{policy: policy, flags: []string{"--quiet"}, dir: dir}.run(t, argv...).want(t, want.status, want.stdout)
	}
}

// batch is cases under one policy, on trees of one shape.
type batch struct {
	t           *testing.T
	seed        uint64
	r           *rand.Rand
	shape       *shape
	bare, under string // folders with a tree for each case
	policy      string
	exact       bool // made to be held by Landlock
	threads     bool
	quiet       bool
	cases       []*eqCase
	rules       *policy.Sections
	byKernel    bool // Landlock alone holds them
}

func newBatch(t *testing.T, seed uint64) *batch {
	r := rand.New(rand.NewPCG(seed, 0))
	dir := fastFolder(t)
	b := &batch{t: t, seed: seed, r: r, shape: newShape(r), bare: dir + "/b", under: dir + "/u",
		exact: r.IntN(3) == 0, threads: r.IntN(4) == 0, quiet: r.IntN(3) > 0}
	b.grow()
	b.writePolicy()
	b.bind(dir)
	m := &maker{r: r, shape: b.shape, calls: readEqualCalls(), threads: b.threads}
	for tries := 0; len(b.cases) < batchSize && tries < 20*batchSize; tries++ { // rules may leave nothing to try
		c := m.next(b.tree(b.under, len(b.cases)), &m.calls[r.IntN(len(m.calls))])
		if b.prepares(c) {
			b.cases = append(b.cases, c)
		}
	}
	return b
}

// fastFolder is a folder in memory where there is such: TestEqual makes hundreds
// of thousands of files.
func fastFolder(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "callgate-test")
	if err != nil {
		dir = openFolder(t)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (b *batch) tree(in string, i int) string { return in + "/c" + strconv.Itoa(i) }

func (b *batch) grow() {
	for _, in := range []string{b.bare, b.under} {
		if err := os.Mkdir(in, 0o755); err != nil {
			b.t.Fatal(err)
		}
		for i := range batchSize {
			b.shape.grow(b.t, b.tree(in, i))
		}
	}
}

// prepares says whether the rules let the case have its folder and descriptors.
func (b *batch) prepares(c *eqCase) bool {
	ok := b.rules.File(c.cwd, policy.Look).Action.Permits()
	for i, path := range c.held {
		access := policy.Look
		if c.modes[i]&unix.O_PATH == 0 {
			access = policy.Read
		}
		ok = ok && b.rules.File(path, access).Action.Permits()
	}
	return ok
}

// writePolicy makes up rules. Literal ones that only permit are Landlock's.
func (b *batch) writePolicy() {
	var text strings.Builder
	byDefault := "deny"
	if !b.exact && b.r.IntN(3) == 0 {
		byDefault = "allow"
	}
	fmt.Fprintf(&text, "callgate: 1\ndefault: %s\nfiles:\n", byDefault)
	fmt.Fprintf(&text, "  - read: %q\n", filepath.Dir(equalProgram(b.t)))
	for range 2 + b.r.IntN(6) {
		text.WriteString(b.rule())
	}
	b.policy = text.String()
}

func (b *batch) rule() string {
	verb := []string{"read", "write"}[b.r.IntN(2)]
	if !b.exact {
		verb = []string{"read", "write", "write", "deny", "deny", "log"}[b.r.IntN(6)]
	}
	var patterns []string
	for range 1 + b.r.IntN(3) {
		patterns = append(patterns, b.pattern()...)
	}
	text := fmt.Sprintf("  - %s: [%s]\n", verb, strings.Join(patterns, ", "))
	if verb == "deny" && b.r.IntN(2) == 0 {
		text += "    errno: " + []string{"ENOENT", "EPERM", "EROFS", "ENOSPC"}[b.r.IntN(4)] + "\n"
	}
	return text
}

// pattern is one pattern for all trees, or one for each.
func (b *batch) pattern() (patterns []string) {
	n := b.literal()
	if !b.exact && b.r.IntN(2) == 0 {
		return []string{strconv.Quote(b.glob(n.path))}
	}
	for i := range batchSize {
		patterns = append(patterns, strconv.Quote(filepath.Join(b.tree(b.under, i), n.path)))
	}
	return patterns
}

func (b *batch) glob(path string) string {
	base := filepath.Base(path)
	if path == "" {
		return b.under + "/*"
	}
	switch b.r.IntN(4) {
	case 0:
		return b.under + "/*/**/" + base
	case 1:
		return b.under + "/c*/" + filepath.Dir(path) + "/*"
	case 2:
		return b.under + "/c*/**/?" + base[1:]
	}
	return "**/" + base
}

// literal is a node that a pattern can name: YAML has no other bytes than UTF-8,
// and brackets are a glob's.
func (b *batch) literal() node {
	for range 100 {
		n := b.shape.nodes[b.r.IntN(len(b.shape.nodes))]
		if (!utf8.ValidString(n.path) || strings.ContainsAny(n.path, "\t(")) || b.exact && (n.kind == aLink || n.path == "") || n.path == "" && b.r.IntN(3) > 0 {
			continue
		}
		return n
	}
	return b.shape.nodes[0]
}

// bind puts the rules to their place, as run does.
func (b *batch) bind(dir string) {
	name := filepath.Join(dir, "policy.yaml")
	writeFile(b.t, name, b.policy)
	set, err := loadOrFind(loader(), []string{name}, nil, "", 0, true)
	if err != nil {
		b.t.Fatalf("%v\n%s", err, shorten(b.policy))
	}
	opts, err := host.Bind(set, dir, nil, nil, equalProgram(b.t))
	if err != nil {
		b.t.Fatal(err)
	}
	b.rules, b.byKernel = opts.Sections, opts.Holders.Files == compile.Kernel
}

func equalProgram(t *testing.T) string { return compiled(t, "equal") }

// run makes the batch's cases both ways.
func (b *batch) run() {
	want := make([]expected, len(b.cases))
	for i, c := range b.cases {
		want[i] = c.judge(b.rules)
	}
	before := snapshot(b.tree(b.under, 0))
	if len(b.cases) == 0 {
		return
	}
	bare := b.outcomes(trial{bare: true}, b.bare)
	tr := trial{policy: b.policy}
	if b.quiet {
		tr.flags = []string{"--quiet"}
	}
	under := b.outcomes(tr, b.under)
	for i, c := range b.cases {
		bareAfter, after := snapshot(b.tree(b.bare, i)), snapshot(b.tree(b.under, i))
		wrong := want[i].differs(bare[i], under[i])
		switch denied := under[i] != bare[i]; {
		case wrong != "":
		case denied && after != before, want[i].must && after != before && bareAfter == before:
			wrong = firstDifference("a denied call changed it", before, after)
		case !denied && after != bareAfter:
			wrong = firstDifference("its tree", bareAfter, after)
		default:
			continue
		}
		b.t.Errorf("-equal-seed=%d -equal-cases=%d, case %d (Landlock %v, threads %v, quiet %v): %s\n%v\nbare %q, under callgate %q; rules %+v",
			b.seed, batchSize, i, b.byKernel, b.threads, b.quiet, wrong, c, bare[i], under[i], want[i])
	}
	if b.t.Failed() {
		b.t.Logf("%s\n%s", shorten(b.policy), before)
	}
}

// shorten leaves one tree's patterns.
func shorten(policy string) string {
	var words []string
	for word := range strings.SplitSeq(policy, ", ") {
		if !strings.Contains(word, "/u/c") || strings.Contains(word, "/u/c0") || strings.Contains(word, "]") || strings.Contains(word, "*") {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ")
}

// outcomes are what the C program prints of each case.
func (b *batch) outcomes(tr trial, in string) []string {
	var input strings.Builder
	for i, c := range b.cases {
		input.WriteString(c.line(b.tree(in, i)))
	}
	tr.stdin = input.String()
	argv := []string{equalProgram(b.t), in}
	if b.threads {
		argv = append(argv, "thread")
	}
	got := tr.run(b.t, argv...)
	lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
	if got.status != 0 || len(lines) != len(b.cases) {
		b.t.Fatalf("-equal-seed=%d: %d lines: %v", b.seed, len(lines), got)
	}
	return lines
}

// differs says how an outcome is not what it may be, "" if it is.
func (e *expected) differs(bare, under string) string {
	errno := failed(under)
	switch {
	case strings.HasPrefix(bare, "not"), strings.HasPrefix(under, "not"):
		return "it could not be prepared"
	case errno != 0 && slices.Contains(e.refusals, errno), errno != 0 && slices.Contains(e.denials, errno):
		return ""
	case under == bare && e.must && failed(bare) == 0:
		return "it should have been denied"
	case under == bare:
		return ""
	case errno != 0 && errno == e.errno && slices.Contains(e.others, failed(bare)):
		return "" // of two things wrong, the other
	case e.scoped && (errno == unix.EXDEV || errno == unix.ELOOP) && slices.Contains(e.others, failed(bare)):
		return ""
	case errno == unix.ENOENT && e.gone && failed(bare) != 0:
		return ""
	case e.must:
		return "it was denied otherwise"
	}
	return "it is not as bare"
}

// failed is the errno that a case ended with.
func failed(outcome string) unix.Errno {
	first, _, _ := strings.Cut(outcome, " ")
	n, err := strconv.Atoi(first)
	if err != nil || n >= 0 {
		return 0
	}
	return unix.Errno(-n)
}
