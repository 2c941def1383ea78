package ptrace

import (
	"io"
	"unsafe"

	"golang.org/x/sys/unix"
)

// remoteIovec is struct iovec with an address of the tracee's, which is none of
// ours and must not look like a pointer.
type remoteIovec struct {
	base uintptr
	size uintptr
}

// memory is a tracee's.
type memory struct {
	tracer *Tracer
	tid    int
}

// Memory is tid's memory, read with process_vm_readv(2). Offsets are addresses.
// It is as writable to the tracee's other threads as ever: what a verdict rests
// on must be copied once and used from the copy.
// It is good until the next call of Memory.
func (t *Tracer) Memory(tid int) io.ReaderAt {
	t.reader = memory{t, tid}
	return &t.reader
}

// ReadAt reads from address off. It returns fewer bytes, with the error, where
// the range runs into a hole; unix.EPERM says that the tracee keeps its memory
// to itself (PR_SET_DUMPABLE in prctl(2)).
func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if off < 0 {
		return 0, unix.EFAULT
	}
	return m.tracer.copy(unix.SYS_PROCESS_VM_READV, m.tid, uint64(off), p)
}

// Store writes into tid's memory what tid could write there itself: it is whole
// or unix.EFAULT, where its pages are not mapped or not writable
// (process_vm_writev(2)).
func (t *Tracer) Store(tid int, addr uint64, p []byte) error {
	_, err := t.copy(unix.SYS_PROCESS_VM_WRITEV, tid, addr, p)
	return err
}

func (t *Tracer) copy(call uintptr, tid int, addr uint64, p []byte) (int, error) {
	t.local.Base = &p[0]
	t.local.SetLen(len(p))
	t.remote = remoteIovec{uintptr(addr), uintptr(len(p))}
	n, _, errno := unix.RawSyscall6(call, uintptr(tid),
		uintptr(unsafe.Pointer(&t.local)), 1, uintptr(unsafe.Pointer(&t.remote)), 1, 0)
	t.local.Base = nil
	if errno != 0 {
		return 0, errno
	}
	if int(n) < len(p) {
		return int(n), unix.EFAULT
	}
	return int(n), nil
}
