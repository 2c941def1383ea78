package runs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"callgate/supervisor/scratch"
	"callgate/supervisor/server/handover"
)

// emptyTime is how long a working folder may take to be emptied in one go.
const emptyTime = 20 * time.Second

// removeFolder removes a run's folder. What is in its working folder the job's
// user removes: it may have put there what is another's, which root could remove.
// Clear may be removing some of it meanwhile.
func (h *Host) removeFolder(folder string) error {
	if err := h.removeWork(folder); err != nil {
		return err
	}
	list, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := os.Remove(filepath.Join(folder, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Remove(folder)
}

// removeWork removes a run's working folder, if there is one.
func (h *Host) removeWork(folder string) error {
	work := filepath.Join(folder, "work")
	err := os.Remove(work)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		if err = h.empty(work); err == nil {
			err = os.Remove(work)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the job's working folder: %w", err)
	}
	return nil
}

// Clear removes what the command of an attempt that is over leaves, and nobody asks
// for: its working folder, its input, and the temporary folder of one whose
// supervisor could not see to that. as is who it was.
func (h *Host) Clear(id string, attempt int, as *handover.Identity) error {
	folder := h.path(id, attempt)
	err := h.removeWork(folder)
	if gone := os.Remove(filepath.Join(folder, "stdin")); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	if st, failed := os.Stat(filepath.Join(folder, "result")); failed == nil && st.Size() == 0 {
		err = errors.Join(err, h.sweep(as))
	}
	return err
}

// Cleared says whether an attempt's folder has nothing that Clear would remove.
func (h *Host) Cleared(id string, attempt int) bool {
	_, err := os.Lstat(filepath.Join(h.path(id, attempt), "work"))
	return errors.Is(err, fs.ErrNotExist)
}

func (h *Host) sweep(as *handover.Identity) error {
	if os.Geteuid() != 0 || as.UID == 0 {
		return scratch.Sweep(handover.TempDir)
	}
	return h.have(&handover.Spec{As: as, Sweep: true})
}

// empty empties a folder as its owner.
func (h *Host) empty(folder string) error {
	st, err := os.Lstat(folder)
	if err != nil {
		return err
	}
	owner := st.Sys().(*syscall.Stat_t)
	if os.Geteuid() != 0 || owner.Uid == 0 {
		return scratch.Empty(folder)
	}
	return h.have(&handover.Spec{As: &handover.Identity{UID: owner.Uid, GID: owner.Gid}, Empty: folder})
}

// have has a process of the user's do what spec says.
func (h *Host) have(spec *handover.Spec) error {
	hand, theirs, err := handover.NewHand()
	if err != nil {
		return err
	}
	defer hand.Close()
	end := os.NewFile(uintptr(theirs), "hand")
	defer end.Close()
	ctx, cancel := context.WithTimeout(context.Background(), emptyTime) // its user may stop it
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, h.program, "supervise")
	cmd.Dir, cmd.Env, cmd.ExtraFiles, cmd.Stderr = "/", []string{}, []*os.File{end}, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err = hand.Give(spec); err == nil {
		err = cmd.Run()
	}
	if err != nil {
		return fmt.Errorf("%w: %.2000s", err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
