package abi

// groups are the groups, by name. Membership follows systemd's SystemCallFilter
// sets (src/shared/seccomp-util.c, v252, systemd.exec(5)); newer calls stand
// where they belong by what they do. A member is a call, whose variants of
// other ABIs (Canonical) are members too, or another group.
var groups = []Group{
	{Name: "@aio", Help: "asynchronous input and output, io_uring included", members: `
		io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit
		io_uring_enter io_uring_register io_uring_setup`},
	{Name: "@basic-io", Help: "reading and writing open files, closing and duplicating descriptors", members: `
		close close_range dup dup2 dup3 lseek pread64 preadv preadv2 pwrite64
		pwritev pwritev2 read readv write writev`},
	{Name: "@chown", Help: "changing the owner of files", members: `
		chown fchown fchownat lchown`},
	{Name: "@clock", Help: "setting the system's clock", members: `
		adjtimex clock_adjtime clock_settime settimeofday stime`},
	{Name: "@cpu-emulation", Help: "running code of other modes of the processor", members: `
		modify_ldt vm86 vm86old`},
	{Name: "@debug", Help: "debugging, tracing and measuring other processes", members: `
		lookup_dcookie perf_event_open pidfd_getfd ptrace`},
	{Name: "@default", Help: "what nearly every program needs: starting, ending, memory, time, its own identity", members: `
		arch_prctl brk clock_getres clock_gettime clock_nanosleep execve exit
		exit_group futex futex_requeue futex_wait futex_waitv futex_wake
		get_robust_list get_thread_area getegid geteuid getgid getgroups getpgid
		getpgrp getpid getppid getrandom getresgid getresuid getrlimit getsid
		gettid gettimeofday getuid map_shadow_stack membarrier mmap mprotect mseal
		munmap nanosleep pause prlimit64 restart_syscall rseq rseq_slice_yield
		rt_sigreturn sched_getaffinity sched_yield set_robust_list
		set_thread_area set_tid_address time uprobe uretprobe`},
	{Name: "@file-system", Help: "opening, naming, creating, changing and removing files", members: `
		access chdir chmod close creat faccessat faccessat2 fallocate fchdir
		fchmod fchmodat fchmodat2 fcntl fgetxattr file_getattr file_setattr
		flistxattr fremovexattr fsetxattr fstat fstatfs ftruncate futimesat getcwd
		getdents getdents64 getxattr getxattrat inotify_add_watch inotify_init
		inotify_init1 inotify_rm_watch lgetxattr link linkat listxattr listxattrat
		llistxattr lremovexattr lsetxattr lstat mkdir mkdirat mknod mknodat
		newfstatat open openat openat2 readlink readlinkat removexattr
		removexattrat rename renameat renameat2 rmdir setxattr setxattrat stat
		statfs statx symlink symlinkat truncate unlink unlinkat utime utimensat
		utimes`},
	{Name: "@io-event", Help: "waiting for input and output", members: `
		epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait
		epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 poll ppoll
		pselect6 select`},
	{Name: "@ipc", Help: "pipes, System V and POSIX queues, shared memory, other processes' memory", members: `
		memfd_create memfd_secret mq_getsetattr mq_notify mq_open mq_timedreceive
		mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2
		process_madvise process_vm_readv process_vm_writev semctl semget semop
		semtimedop shmat shmctl shmdt shmget`},
	{Name: "@keyring", Help: "the kernel's keyrings", members: `
		add_key keyctl request_key`},
	{Name: "@known", Help: "every call that callgate knows", members: known},
	{Name: "@memlock", Help: "locking memory", members: `
		mlock mlock2 mlockall munlock munlockall`},
	{Name: "@module", Help: "loading and unloading kernel modules", members: `
		delete_module finit_module init_module`},
	{Name: "@mount", Help: "mounting and unmounting, and changing the root folder", members: `
		chroot fsconfig fsmount fsopen fspick mount mount_setattr move_mount
		open_tree open_tree_attr pivot_root umount2`},
	{Name: "@network-io", Help: "sockets of every family, Unix sockets included", members: `
		accept accept4 bind connect getpeername getsockname getsockopt listen
		recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto setsockopt shutdown
		socket socketpair`},
	{Name: "@obsolete", Help: "rare, obsolete and unimplemented calls", members: `
		_sysctl afs_syscall bdflush break create_module ftime get_kernel_syms
		getpmsg gtty idle lock mpx prof profil putpmsg query_module security
		sgetmask ssetmask stime stty sysfs tuxcall ulimit uselib ustat vserver`},
	{Name: "@pkey", Help: "memory protection keys", members: `
		pkey_alloc pkey_free pkey_mprotect`},
	{Name: "@privileged", Help: "what needs capabilities of the superuser", members: `
		@chown @clock @module @raw-io @reboot @swap
		_sysctl acct bpf capset chroot fanotify_init fanotify_mark nfsservctl
		open_by_handle_at pivot_root quotactl quotactl_fd setdomainname setfsuid
		setgroups sethostname setresuid setreuid setuid vhangup`},
	{Name: "@process", Help: "starting, waiting for and signalling processes, namespaces", members: `
		capget clone clone3 execveat fork getrusage kill listns pidfd_open
		pidfd_send_signal prctl process_mrelease rt_sigqueueinfo
		rt_tgsigqueueinfo setns tgkill times tkill unshare vfork wait4 waitid`},
	{Name: "@raw-io", Help: "the processor's input and output ports", members: `
		ioperm iopl`},
	{Name: "@reboot", Help: "restarting the machine, or another kernel on it", members: `
		kexec_file_load kexec_load reboot`},
	{Name: "@resources", Help: "changing limits, priorities and memory placement", members: `
		ioprio_set mbind migrate_pages move_pages nice sched_setaffinity
		sched_setattr sched_setparam sched_setscheduler set_mempolicy
		set_mempolicy_home_node setpriority setrlimit`},
	{Name: "@sandbox", Help: "a program restricting itself further", members: `
		landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp`},
	{Name: "@setuid", Help: "changing user and group identities", members: `
		setgid setgroups setregid setresgid setresuid setreuid setuid`},
	{Name: "@signal", Help: "a process's own handling of signals", members: `
		rt_sigaction rt_sigpending rt_sigprocmask rt_sigsuspend rt_sigtimedwait
		sigaltstack signalfd signalfd4`},
	{Name: "@swap", Help: "swap space", members: `
		swapoff swapon`},
	{Name: "@sync", Help: "writing files and memory through to storage", members: `
		fdatasync fsync msync sync sync_file_range syncfs`},
	{Name: "@system-service", Help: "a sensible choice for an ordinary service: most groups that need no privilege", members: `
		@aio @basic-io @chown @default @file-system @io-event @ipc @keyring
		@memlock @network-io @process @resources @setuid @signal @sync @timer
		cachestat capget capset copy_file_range fadvise64 flock get_mempolicy
		getcpu getpriority ioctl ioprio_get kcmp listmount lsm_get_self_attr
		lsm_list_modules lsm_set_self_attr madvise mremap name_to_handle_at
		personality readahead remap_file_pages sched_get_priority_max
		sched_get_priority_min sched_getattr sched_getparam sched_getscheduler
		sched_rr_get_interval sendfile setfsgid setfsuid setpgid setsid splice
		statmount sysinfo tee umask uname userfaultfd vmsplice`},
	{Name: "@timer", Help: "timers", members: `
		alarm getitimer setitimer timer_create timer_delete timer_getoverrun
		timer_gettime timer_settime timerfd_create timerfd_gettime
		timerfd_settime times`},
}
