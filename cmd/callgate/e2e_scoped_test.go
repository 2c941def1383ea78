package main

import (
	"regexp"
	"strings"
	"testing"
)

// TestScoped: openat2 with RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_XDEV and
// RESOLVE_NO_MAGICLINKS opens, makes and refuses what it does bare, but for what
// is forbidden.
func TestScoped(t *testing.T) {
	const policy = "callgate: 1\ndefault: allow\nfiles:\n  - deny: \"**/forbidden\"\n"
	for _, threads := range []string{"alone", "threads"} {
		dir := openFolder(t)
		trial{bare: true, dir: dir}.run(t, tracee(t), "scoped", "make").want(t, 0, "")
		bare := trial{bare: true, dir: dir}.run(t, tracee(t), "scoped", threads)
		traced := trial{policy: policy, quiet: true, dir: dir}.run(t, tracee(t), "scoped", threads)
		checkScoped(t, threads, bare, traced, scopedAlike)
	}
}

// TestScopedIsolated: so it does where names begin at another root than callgate's
// own, in which nothing of the names is there.
func TestScopedIsolated(t *testing.T) {
	needNamespaces(t)
	const policy = openPolicy + "files: [deny: \"**/forbidden\", write: /tmp, write: /dev/null, read: /, deny: /]\n"
	for _, what := range []string{"mount", "mount,pid"} {
		free := isolated(t, what, openPolicy, "", tracee(t), "scoped", "fresh")
		judged := isolated(t, what, policy, "", tracee(t), "scoped", "fresh")
		checkScoped(t, what, free, judged, func(free, judged string) bool {
			return scopedAlike(free, judged) || unwritable.MatchString(free) && strings.HasSuffix(judged, ": -EACCES") ||
				what != "mount" && throughLink.MatchString(free) && strings.HasSuffix(judged, ": -ENOSYS")
		})
	}
}

var (
	// unwritable is what is said of what no rule lets be written.
	unwritable = regexp.MustCompile(`: -(EROFS|EISDIR|EEXIST)$|^/proc/version, 2, 101:`)
	// throughLink is said of links that lead nowhere, or to a proc of the sandbox's own.
	throughLink = regexp.MustCompile(`^(magic|root-d/g), 2, `)
)

func checkScoped(t *testing.T, what string, bare, traced outcome, alike func(bare, traced string) bool) {
	t.Helper()
	want, got := strings.Split(bare.stdout, "\n"), strings.Split(traced.stdout, "\n")
	if len(want) != len(got) || len(want) < 1000 || traced.status != 0 {
		t.Fatalf("%d lines, bare %d: %v", len(got), len(want), traced)
	}
	for i := range want {
		if !alike(want[i], got[i]) {
			t.Errorf("%s: bare   %s\ntraced %s", what, want[i], got[i])
		}
	}
	if strings.Contains(traced.stdout, "secret") || !strings.Contains(bare.stdout, "secret") {
		t.Errorf("%s: the forbidden file was read", what)
	}
}

// scopedAlike says whether a line may be what it is, if it is that bare.
func scopedAlike(bare, traced string) bool {
	name, _, _ := strings.Cut(bare, ",")
	switch {
	case strings.Contains(bare, "/forbidden \""): // it was opened
		return strings.HasSuffix(traced, ": -EACCES")
	case strings.Contains(name, "forbidden") && strings.HasSuffix(traced, ": -EACCES"):
		return true
	case strings.HasPrefix(name, "/proc/self") && strings.HasSuffix(traced, ": -ENOSYS"):
		return true
	case strings.Contains(bare, ", 1, ") && strings.HasSuffix(bare, ": -ELOOP"): // RESOLVE_NO_XDEV: perhaps of proc
		return strings.HasSuffix(traced, ": -ENOSYS") || traced == bare
	}
	return traced == bare
}
