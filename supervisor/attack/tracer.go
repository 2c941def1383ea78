package attack

import (
	"encoding/binary"
	"runtime"

	"golang.org/x/sys/unix"
)

var aroundTheTracer = []Attack{
	{Name: "own-listener", What: "a filter of its own, whose listener answers continue", permitted: wantsGoal, attempt: ownListener},
	{Name: "own-trace", What: "filters of its own that ask for stops, with forged data", Traced: true, permitted: wantsGoal, attempt: ownTrace},
	{Name: "io-uring", What: "a call that a ring makes", permitted: wantsGoal, attempt: ring},
	{Name: "untraced", What: "a child by clone with CLONE_UNTRACED", permitted: wantsGoal, attempt: func(a *attacker) {
		a.inChild(step{name: "clone", nr: unix.SYS_CLONE, args: [6]uintptr{unix.CLONE_UNTRACED | uintptr(unix.SIGCHLD)}}, a.goal())
	}},
	{Name: "untraced-clone3", What: "the same by clone3, whose flags are in memory", permitted: wantsGoal, attempt: func(a *attacker) {
		how := a.mem.words(unix.CLONE_UNTRACED, 0, 0, 0, uintptr(unix.SIGCHLD), 0, 0, 0)
		a.inChild(step{name: "clone3", nr: unix.SYS_CLONE3, args: [6]uintptr{how, 64}}, a.goal())
	}},
	{Name: "daemon", What: "a daemon in a session of its own that stays", Silent: "what is left is killed when the command ends", permitted: func(*Judge) string { return "" }, attempt: daemon},
}

// filter installs a filter for this thread that answers action to the call nr, and
// permits all others.
func (a *attacker) filter(nr uintptr, action uint32, flags uintptr) result {
	const load, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	var code []byte
	for _, i := range []unix.SockFilter{
		{Code: load, K: 0}, // seccomp_data.nr
		{Code: equal, K: uint32(nr), Jf: 1},
		{Code: answer, K: action},
		{Code: answer, K: unix.SECCOMP_RET_ALLOW},
	} {
		code = binary.NativeEndian.AppendUint16(code, i.Code)
		code = append(code, i.Jt, i.Jf)
		code = binary.NativeEndian.AppendUint32(code, i.K)
	}
	program := a.mem.words(uintptr(len(code)/8), a.mem.put(code)) // struct sock_fprog
	_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)          // without it the next call says so
	return bySyscall(unix.SYS_SECCOMP, &[6]uintptr{unix.SECCOMP_SET_MODE_FILTER, flags, program})
}

// Requests of a listener (linux/seccomp.h), and the sizes of what they pass.
const (
	notifRecv, notifSend = 0xc0502100, 0xc0182101
	notifSize, replySize = 80, 24
	replyContinue        = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE
)

// ownListener has another thread answer for this one's calls.
func ownListener(a *attacker) {
	steps := a.goal()
	listener := make(chan uintptr, 1)
	call, reply := a.mem.room(notifSize), a.mem.room(replySize)
	ready := make(chan bool)
	go func() {
		runtime.LockOSThread()
		ready <- true // the thread is there before the filter, which it would inherit
		fd := <-listener
		for {
			clear(a.mem.at(call, notifSize))
			if got := bySyscall(unix.SYS_IOCTL, &[6]uintptr{fd, notifRecv, call}); got.errno != 0 {
				continue
			}
			answer := a.mem.at(reply, replySize)
			clear(answer)
			copy(answer, a.mem.at(call, 8)) // its id
			answer[20] = replyContinue
			bySyscall(unix.SYS_IOCTL, &[6]uintptr{fd, notifSend, reply})
		}
	}()
	<-ready
	got := a.filter(steps[0].nr, unix.SECCOMP_RET_USER_NOTIF, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	if got.errno != 0 {
		a.failed("seccomp", got.errno)
		return
	}
	listener <- got.value
	a.run(bySyscall, steps)
}

// ownTrace tries with data that callgate may take for something else, and last with its
// own.
func ownTrace(a *attacker) {
	for _, data := range []uint16{0, 1, 99, 0xffff, a.Data} {
		steps := a.goal()
		if got := a.filter(steps[0].nr, unix.SECCOMP_RET_TRACE|uint32(data), 0); got.errno != 0 {
			a.failed("seccomp", got.errno)
			return
		}
		if a.run(bySyscall, steps) {
			return
		}
	}
}

// daemon leaves two processes behind, which say so when the attacker is gone: by then
// standard input has something to read.
func daemon(a *attacker) {
	word := "did stay\n"
	steps := []step{
		{name: "setsid", nr: unix.SYS_SETSID, maybe: true},
		{name: "clone", nr: unix.SYS_CLONE, args: [6]uintptr{uintptr(unix.SIGCHLD)}},
		{name: "read", nr: unix.SYS_READ, args: [6]uintptr{0, a.mem.room(1), 1}},
		{name: "write", nr: unix.SYS_WRITE, args: [6]uintptr{1, a.mem.text(word), uintptr(len(word))}},
	}
	seen := a.mem.at(a.mem.room(8*len(steps)), 8*len(steps))
	call := birth(0)
	if _, errno := a.born(&call, steps, seen); errno != 0 {
		a.failed("clone", errno)
	}
}
