package attack

import (
	"os"

	"golang.org/x/sys/unix"
)

// What the calls of this file give is of no use by itself; that they succeed where the
// policy denies them is what counts.
var byCalls = []Attack{
	{Name: "pinned-memory", What: "the memory that verdicts rest on, by each call that maps, unmaps or writes", permitted: wantsArea, attempt: pinnedMemory},
	{Name: "user-namespace", What: "a user namespace of its own, in which it would be root", permitted: wantsBirth(unix.CLONE_NEWUSER), attempt: func(a *attacker) {
		if a.inChild(birth(unix.CLONE_NEWUSER), []step{{name: "getuid", nr: unix.SYS_GETUID}}) {
			a.did("clone with CLONE_NEWUSER")
		}
	}},
	{Name: "mount", What: "a mount over the decoy's folder, in mounts of its own", permitted: wantsCall("mount"), attempt: mount},
	{Name: "setns", What: "a namespace of the process outside", permitted: wantsCall("setns", 0, unix.CLONE_NEWUTS), attempt: func(a *attacker) {
		if pidfd := bySyscall(unix.SYS_PIDFD_OPEN, &[6]uintptr{uintptr(a.PID)}); pidfd.errno == 0 {
			a.calls([]step{{name: "setns", nr: unix.SYS_SETNS, args: [6]uintptr{pidfd.value, unix.CLONE_NEWUTS}}})
		}
		if fd, ok := a.open(a.process("ns/uts"), unix.O_RDONLY); ok {
			a.calls([]step{{name: "setns", nr: unix.SYS_SETNS, args: [6]uintptr{uintptr(fd), unix.CLONE_NEWUTS}}})
		}
	}},
	{Name: "bpf", What: "a map of the kernel's (bpf)", permitted: wantsCall("bpf"), attempt: func(a *attacker) {
		const array, one = 2, 1 // BPF_MAP_TYPE_ARRAY; its key is of 4 bytes
		how := a.mem.words(array|4<<32, 4|one<<32, 0, 0, 0, 0, 0, 0, 0)
		a.calls([]step{{name: "bpf", nr: unix.SYS_BPF, args: [6]uintptr{unix.BPF_MAP_CREATE, how, 72}}})
	}},
	{Name: "userfaultfd", What: "serving its own page faults (userfaultfd)", permitted: wantsCall("userfaultfd", userOnly), attempt: func(a *attacker) {
		a.calls([]step{{name: "userfaultfd", nr: unix.SYS_USERFAULTFD, args: [6]uintptr{userOnly | unix.O_CLOEXEC}}})
	}},
	{Name: "perf", What: "the kernel's counters (perf_event_open)", permitted: wantsCall("perf_event_open"), attempt: func(a *attacker) {
		const software, taskClock = 1, 1
		how := a.mem.words(software|112<<32, taskClock, 0, 0, 0, 1<<5|1<<6, 0, 0, 0, 0, 0, 0, 0, 0) // exclude_kernel, exclude_hv
		a.calls([]step{{name: "perf_event_open", nr: unix.SYS_PERF_EVENT_OPEN, args: [6]uintptr{how, 0, ^uintptr(0), ^uintptr(0)}}})
	}},
	{Name: "keys", What: "the caller's keys (keyctl)", permitted: wantsCall("keyctl"), attempt: func(a *attacker) {
		session := ^uintptr(2) // KEY_SPEC_SESSION_KEYRING
		a.calls([]step{{name: "keyctl", nr: unix.SYS_KEYCTL, args: [6]uintptr{unix.KEYCTL_GET_KEYRING_ID, session}}})
	}},
}

// userOnly is UFFD_USER_MODE_ONLY, with which every user may have it.
const userOnly = 1

func birth(flags uintptr) step {
	return step{name: "clone", nr: unix.SYS_CLONE, args: [6]uintptr{flags | uintptr(unix.SIGCHLD)}}
}

// mount mounts in a child with mounts of its own, from which nothing spreads; and then,
// for nobody would trust the first denial alone, where it is, for a moment.
func mount(a *attacker) {
	tmpfs, on, root := a.mem.text("tmpfs"), a.mem.text(a.Folder), a.mem.text("/")
	apart := step{name: "mount", nr: unix.SYS_MOUNT, args: [6]uintptr{0, root, 0, unix.MS_REC | unix.MS_PRIVATE}}
	over := step{name: "mount", nr: unix.SYS_MOUNT, args: [6]uintptr{tmpfs, on, tmpfs}}
	flags := uintptr(unix.CLONE_NEWNS)
	if os.Geteuid() != 0 {
		flags |= unix.CLONE_NEWUSER
	}
	if a.inChild(birth(flags), []step{apart, over}) {
		a.did("mount")
		return
	}
	if a.Alone {
		return // not over what others see
	}
	if got := bySyscall(over.nr, &over.args); got.errno != 0 {
		a.failed("mount", got.errno)
		return
	}
	a.did("mount")
	bySyscall(unix.SYS_UMOUNT2, &[6]uintptr{on, unix.MNT_DETACH})
}

// The area that builtin:guard-names keeps.
const areaBase, areaPage = 0x10000, 4096

// pinnedMemory succeeds if any call does.
func pinnedMemory(a *attacker) {
	const readWrite = unix.PROT_READ | unix.PROT_WRITE
	const fixed = unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_FIXED
	text := a.mem.text(changedText)
	if fd, err := unix.Open("/proc/self/mem", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		a.failed("openat", err)
	} else {
		a.calls([]step{{name: "pwrite64", nr: unix.SYS_PWRITE64, args: [6]uintptr{uintptr(fd), text, 4, areaBase}}})
	}
	list := []step{
		{name: "mprotect", nr: unix.SYS_MPROTECT, args: [6]uintptr{areaBase, areaPage, readWrite}},
		{name: "pkey_mprotect", nr: unix.SYS_PKEY_MPROTECT, args: [6]uintptr{areaBase, areaPage, readWrite, ^uintptr(0)}},
		{name: "madvise", nr: unix.SYS_MADVISE, args: [6]uintptr{areaBase, areaPage, unix.MADV_DONTNEED}},
		{name: "mremap", nr: unix.SYS_MREMAP, args: [6]uintptr{areaBase, areaPage, 2 * areaPage, unix.MREMAP_MAYMOVE}},
		{name: "process_vm_writev", nr: unix.SYS_PROCESS_VM_WRITEV, args: [6]uintptr{uintptr(os.Getpid()), a.mem.words(text, 4), 1, a.mem.words(areaBase, 4), 1}},
		{name: "munmap", nr: unix.SYS_MUNMAP, args: [6]uintptr{areaBase, areaPage}},
		{name: "mmap", nr: unix.SYS_MMAP, args: [6]uintptr{areaBase, areaPage, readWrite, fixed, ^uintptr(0)}},
	}
	a.calls(list)
}
