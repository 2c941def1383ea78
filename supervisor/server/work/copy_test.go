package work

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func copied(t *testing.T, ctx context.Context, from string, room func() bool) (string, error) {
	t.Helper()
	dir := t.TempDir()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return dir, f.CopyFrom(ctx, from, room, Most{})
}

func always() bool { return true }

// TestCopyHoles: a copy takes no more of the disk than what is copied.
func TestCopyHoles(t *testing.T) {
	from := t.TempDir()
	in, err := os.Create(filepath.Join(from, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Repeat([]byte("data"), 4<<20) // two pieces
	for _, at := range []int64{1 << 30, 3 << 30} {
		if _, err := in.WriteAt(text, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(in.Truncate(5<<30), in.Close()); err != nil {
		t.Fatal(err)
	}
	to, err := copied(t, context.Background(), from, always)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Open(filepath.Join(to, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	st, err := out.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if disk := st.Sys().(*syscall.Stat_t).Blocks * 512; st.Size() != 5<<30 || disk > 64<<20 {
		t.Errorf("%d bytes, %d of them on the disk", st.Size(), disk)
	}
	for _, at := range []int64{1 << 30, 3 << 30} {
		got := make([]byte, len(text))
		if _, err := out.ReadAt(got, at); err != nil || !bytes.Equal(got, text) {
			t.Errorf("at %d is something else (%v)", at, err)
		}
	}
}

// TestCopyEnds: copying ends when the job is killed, and before it fills the disk.
func TestCopyEnds(t *testing.T) {
	from := t.TempDir()
	if err := os.WriteFile(filepath.Join(from, "f"), bytes.Repeat([]byte("x"), 3*copyPiece), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	looks := 0
	_, err := copied(t, ctx, from, func() bool {
		if looks++; looks == 3 {
			cancel(errors.New("it was killed"))
		}
		return true
	})
	if err == nil || !strings.HasSuffix(err.Error(), "it was killed") || looks != 3 {
		t.Errorf("%v after %d looks", err, looks)
	}
	looks = 0
	if _, err := copied(t, context.Background(), from, func() bool { looks++; return looks < 4 }); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Error(err)
	}
}

// TestCopyExchanged: a folder that is exchanged for a link while it is copied shows nothing of
// what the link leads to, no name either.
func TestCopyExchanged(t *testing.T) {
	from, secret := t.TempDir(), t.TempDir()
	for _, name := range []string{filepath.Join(from, "sub"), filepath.Join(secret, "leaked")} {
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(from, "link")
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, link, unix.AT_FDCWD, filepath.Join(from, "sub"), unix.RENAME_EXCHANGE)
			}
		}
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	for range 500 {
		to, _ := copied(t, t.Context(), from, always) // it may fail of what changes
		leaked, err := filepath.Glob(filepath.Join(to, "*/leaked"))
		for _, name := range leaked {
			if st, err := os.Lstat(filepath.Dir(name)); err == nil && st.IsDir() {
				t.Fatalf("%s is in the copy", name)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
