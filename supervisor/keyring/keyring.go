// Package keyring gives what a process starts a session keyring of its own.
//
// A session keyring (session-keyring(7)) is passed on to children, whoever they become:
// keys of root's session would be every command's that root starts as another user, to
// search, read and use.
//
// # Limits
//
// A user's own keyrings (user-keyring(7)) go by its uid: all processes of the user's have
// them.
package keyring

import (
	"os"

	"golang.org/x/sys/unix"
)

// Own gives the calling thread, and so what it starts, a new session keyring. The thread is
// to be locked to its goroutine: credentials are each thread's own (credentials(7)).
//
// The error is EDQUOT where the thread's user has as many keys as it may (keyrings(7)).
func Own() error {
	err := join()
	if err == nil || refused(err) {
		return nil
	}
	return os.NewSyscallError("keyctl KEYCTL_JOIN_SESSION_KEYRING", err)
}

func join() error {
	_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	return err
}

// refused says that err is the answer to every call about keys: the kernel knows none
// (ENOSYS), or a container's filter forbids them all, which is then the command's too. What
// is asked for makes no sense, so that the kernel itself has other answers.
func refused(err error) bool {
	_, keyctl := unix.KeyctlInt(-1, 0, 0, 0, 0)
	_, add := unix.AddKey("", "", nil, 0)
	_, request := unix.RequestKey("", "", "", 0)
	return keyctl == err && add == err && request == err
}
