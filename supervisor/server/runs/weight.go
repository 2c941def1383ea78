package runs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Weigh notes what an ended attempt's output and files take on the disk, with what is
// kept of those before it, until Remove.
func (h *Host) Weigh(id string, attempt int) error {
	list, err := os.ReadDir(h.path(id, attempt))
	if err != nil {
		return err
	}
	earlier, err := os.ReadDir(h.path(id, 0))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	bytes := int64(0)
	for _, e := range append(list, earlier...) {
		if st, err := e.Info(); err == nil { // else it is gone
			bytes += st.Sys().(*syscall.Stat_t).Blocks * 512 // inode(7)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := os.Lstat(h.path(id, attempt)); err != nil {
		return err // it was removed meanwhile
	}
	h.total += bytes - h.weights[id]
	h.weights[id] = bytes
	return nil
}

// Weight is what Weigh found of a job, in bytes.
func (h *Host) Weight(id string) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.weights[id]
}

// Total is the weight of all jobs.
func (h *Host) Total() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}

func (h *Host) unweigh(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total -= h.weights[id]
	delete(h.weights, id)
}
