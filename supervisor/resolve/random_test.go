package resolve

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// grow fills the folder top with a random tree of few names, so that random
// names often lead somewhere: folders, files, and links of all kinds.
func grow(t testing.TB, rnd *rand.Rand, top string, entries int) {
	folders, closed := []string{""}, []string{}
	for range entries {
		path := folders[rnd.IntN(len(folders))] + "/" + randomPart(rnd)
		switch k := rnd.IntN(10); {
		case k < 4 && strings.Count(path, "/") < 5:
			if os.Mkdir(top+path, 0o755) == nil {
				folders = append(folders, path)
			}
		case k < 4 && rnd.IntN(3) == 0:
			closed = append(closed, folders[rnd.IntN(len(folders))])
		case k < 5:
			if f, err := os.OpenFile(top+path, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
				f.Close()
			}
		default:
			target := randomName(rnd, "")
			if rnd.IntN(4) == 0 {
				target = top + "/" + target
			}
			os.Symlink(target, top+path)
		}
	}
	for _, folder := range closed { // to all but root
		if folder != "" {
			os.Chmod(top+folder, 0o600)
			t.Cleanup(func() { os.Chmod(top+folder, 0o700) })
		}
	}
}

func randomPart(rnd *rand.Rand) string { return string("abcdef"[rnd.IntN(6)]) }

func randomName(rnd *rand.Rand, top string) string {
	parts := []string{}
	for range 1 + rnd.IntN(6) {
		switch rnd.IntN(12) {
		case 0:
			parts = append(parts, ".")
		case 1, 2:
			parts = append(parts, "..")
		case 3:
			parts = append(parts, "")
		default:
			parts = append(parts, randomPart(rnd))
		}
	}
	name := strings.Join(parts, "/")
	if rnd.IntN(6) == 0 {
		name += "/"
	}
	if top != "" && rnd.IntN(2) == 0 {
		name = top + "/" + name
	}
	return strings.TrimPrefix(name, "/")
}

// Random names on random trees, against the kernel.
func TestRandomNames(t *testing.T) {
	const trees, names = 40, 260
	seed := uint64(os.Getpid())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	ways := resolvers(t)
	outcomes := map[unix.Errno]int{}
	wanted := []unix.Errno{0, unix.ENOENT, unix.ENOTDIR, unix.ELOOP}
	for i := 0; i < trees || i < 10*trees && tame(outcomes, wanted) != nil; i++ {
		top := tree(t)
		grow(t, rnd, top, 60)
		t.Chdir(top)
		for range names {
			name := randomName(rnd, "")
			if rnd.IntN(3) == 0 {
				name = top + "/" + name
			}
			follow := rnd.IntN(2) == 0
			outcomes[native(unix.AT_FDCWD, name, follow).errno]++
			for how, r := range ways {
				if name != "" {
					compare(t, fmt.Sprintf("%s, tree %d", how, i), r, unix.AT_FDCWD, name, follow)
				}
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("outcomes: %v", outcomes)
	must(t, tame(outcomes, wanted))
}

// tame says which outcome came up so seldom that little was shown.
func tame(outcomes map[unix.Errno]int, wanted []unix.Errno) error {
	for _, errno := range wanted {
		if outcomes[errno] < 50 {
			return fmt.Errorf("%w came up %d times only: the trees are too tame", errno, outcomes[errno])
		}
	}
	return nil
}

func FuzzName(f *testing.F) {
	top := tree(f, append(chain(42), "a/", "a/b/", "a/b/c", "l -> a/b", "u -> ../..", "d -> missing", "s -> a/", "r -> /", "o -> o", "p -> /proc/self", "fd -> /dev/fd")...)
	for _, name := range []string{"a/b/c", "l/../b/c", "u/./", "d", "d/", "s/b//", "r/../proc/self/cwd/a", "o", "l1", "l3", "p/exe", "p/cwd/../..", "fd/0", "\xff/\x01", "p/task/../root/"} {
		f.Add(name, true)
		f.Add(name, false)
	}
	ways := resolvers(f)
	f.Fuzz(func(t *testing.T, name string, follow bool) {
		if strings.Contains(name, "\x00") { // no argument of a system call has one
			return
		}
		t.Chdir(top)
		for how, r := range ways {
			res, err := r.Name(me(), unix.AT_FDCWD, name, follow)
			// The numbers that others' files in /proc have come and go.
			got, want := given(res, err), native(unix.AT_FDCWD, name, follow)
			if got.errno != want.errno || got != want && !strings.HasPrefix(res.Path, "/proc/") {
				t.Errorf("%s: %q, follow %v: %v, the kernel says %v", how, name, follow, got, want)
			}
		}
	})
}
