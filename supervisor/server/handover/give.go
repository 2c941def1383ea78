package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Hand is the daemon's end of the socket by which a supervisor gets its jobs.
type Hand struct{ fd int }

// NewHand makes the socket. The supervisor's end is its HandFD; the caller closes
// both.
func NewHand() (ours *Hand, theirs int, err error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, -1, os.NewSyscallError("socketpair", err)
	}
	return &Hand{ends[0]}, ends[1], nil
}

// Give gives the supervisor a job, and the descriptors that one has which is to be run. The
// error is EPIPE in unix(7) where the supervisor is gone; one that is stopped is not waited
// for.
func (h *Hand) Give(spec *Spec, files ...int) error {
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("job", unix.MFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	job := os.NewFile(uintptr(fd), "job")
	defer job.Close()
	if _, err := job.Write(text); err != nil {
		return err
	}
	if _, err := job.Seek(0, io.SeekStart); err != nil {
		return err
	}
	rights := unix.UnixRights(append([]int{fd}, files...)...)
	err = unix.Sendmsg(h.fd, []byte{Version}, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	return os.NewSyscallError("sendmsg", err)
}

// Close closes the daemon's end. The supervisor ends, once its job is over if it has one.
func (h *Hand) Close() { _ = unix.Close(h.fd) }

// ErrNone says that no job comes any more.
var ErrNone = errors.New("no job comes")

// Await has a supervisor wait for a job, and gives what came with it. One that is to be run
// comes with all of its descriptors.
func Await() (spec *Spec, files []int, err error) {
	version, oob := make([]byte, 1), make([]byte, unix.CmsgSpace((1+mostFiles)*4))
	var n, rights int
	err = unix.EINTR
	for err == unix.EINTR {
		n, rights, _, _, err = unix.Recvmsg(HandFD, version, oob, unix.MSG_CMSG_CLOEXEC)
	}
	switch {
	case err != nil:
		return nil, nil, os.NewSyscallError("recvmsg", err)
	case n == 0:
		return nil, nil, ErrNone
	}
	files, err = received(oob[:rights])
	if err != nil {
		return nil, nil, err
	}
	if version[0] != Version {
		return nil, nil, fmt.Errorf("callgated is of another version: its job has form %d, not %d", version[0], Version)
	}
	text := os.NewFile(uintptr(files[0]), "job")
	spec = new(Spec)
	err = json.NewDecoder(text).Decode(spec)
	_ = text.Close() // it was only read
	files = files[1:]
	if err == nil && !spec.Tidies() && len(files) <= StdinFile {
		err = fmt.Errorf("the job came with %d descriptors", len(files))
	}
	return spec, files, err
}

// received are the descriptors of a message, that of the job's description first.
func received(oob []byte) (files []int, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		files = append(files, fds...)
	}
	if len(files) == 0 {
		return nil, errors.New("the job came without its description")
	}
	return files, nil
}
