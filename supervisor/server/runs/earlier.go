package runs

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"callgate/supervisor/server/handover"
)

// earlier is where an attempt's journal is kept after the next has begun.
func (h *Host) earlier(id string, attempt int) string {
	return filepath.Join(h.path(id, 0), "journal."+strconv.Itoa(attempt))
}

// supersede is Remove before an attempt: of those before it, whose newest journals may
// be kept, and of one of its number that did not begin. It looks at no other job's.
func (h *Host) supersede(spec *handover.Spec, attempt int) error {
	if err := h.forget(spec.ID); err != nil {
		return err
	}
	defer h.unweigh(spec.ID)
	if h.Earlier {
		if err := h.keep(spec.ID, attempt, mostKept(spec)); err != nil {
			return err
		}
	}
	for n := 1; n <= attempt; n++ {
		if err := h.removeFolder(h.path(spec.ID, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// mostKept is how many bytes of journals are kept: records have heads, which no
// limit counts.
func mostKept(spec *handover.Spec) int64 {
	if spec.OutputBytes == 0 {
		return math.MaxInt64
	}
	return 2 * (spec.OutputBytes + spec.AuditBytes)
}

// keep moves the journals of attempts before this one to where they are kept. A
// daemon that is killed in between finds them all again.
func (h *Host) keep(id string, attempt int, most int64) error {
	for n := attempt - 1; n > 0; n-- {
		journal, kept := filepath.Join(h.path(id, n), "journal"), h.earlier(id, n)
		st, err := os.Stat(journal)
		if err == nil {
			err = errors.Join(present(os.Mkdir(h.path(id, 0), 0o700)), os.Rename(journal, kept))
		} else {
			st, err = os.Stat(kept)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if most -= st.Size(); most < 0 {
			if err := os.Remove(kept); err != nil {
				return err
			}
		}
	}
	return nil
}

// present takes it for success that what is to be made is there.
func present(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
