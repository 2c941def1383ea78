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
func (h *Host) removeFolder(folder string) error {
	work := filepath.Join(folder, "work")
	if err := h.empty(work); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("empty the job's working folder: %w", err)
	}
	list, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := os.Remove(filepath.Join(folder, e.Name())); err != nil {
			return err
		}
	}
	return os.Remove(folder)
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
	l := &layout{}
	defer l.close()
	err = l.spec(&handover.Spec{Version: handover.Version, As: &handover.Identity{UID: owner.Uid, GID: owner.Gid}, Empty: folder})
	if err != nil {
		return err
	}
	spec := os.NewFile(uintptr(l.fds[0]), "spec")
	l.fds = nil
	defer spec.Close()
	ctx, cancel := context.WithTimeout(context.Background(), emptyTime) // its user may stop it
	defer cancel()
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, h.program, "supervise")
	cmd.Dir, cmd.Env, cmd.ExtraFiles, cmd.Stderr = "/", []string{}, []*os.File{spec}, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %.2000s", err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}
