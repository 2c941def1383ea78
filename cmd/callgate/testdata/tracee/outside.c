/*
 * Reaching for processes that are not the tracee's own: its parent, a victim
 * beside the sandbox, the terminal; and for kernel features that act behind the
 * filter's back.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char memory[16] = "calm";

/* victim: says its pid and an address, waits for standard input's end, tells what is there. */
static int run_victim(int argc, char **argv)
{
	char byte;

	(void)argc;
	(void)argv;
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); /* a Yama of 1 must not hide a gap of ours */
	say("%d %p", getpid(), (void *)memory);
	while (read(0, &byte, 1) > 0)
		;
	say("%s", memory);
	return 0;
}

static void try_ptrace(pid_t pid, char *address)
{
	long r = raw(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0, 0, 0);

	say("seize = %s", show(r));
	if (r < 0) {
		r = raw(SYS_ptrace, PTRACE_ATTACH, pid, 0, 0, 0, 0);
		say("attach = %s", show(r));
		if (r < 0)
			return;
		waitpid(pid, NULL, __WALL);
	} else {
		ptrace(PTRACE_INTERRUPT, pid, 0, 0);
		waitpid(pid, NULL, __WALL);
	}
	say("poke = %s", show(ptrace(PTRACE_POKEDATA, pid, address, 0x6c6976656c6976ul) ? -errno : 0));
	ptrace(PTRACE_DETACH, pid, 0, 0);
}

static void try_memory(pid_t pid, char *address)
{
	char evil[] = "harmed", path[64], text[16];
	struct iovec local = {evil, sizeof evil}, remote = {address, sizeof evil};

	say("process_vm_writev = %s", show(raw(SYS_process_vm_writev, pid, (long)&local, 1, (long)&remote, 1, 0)));
	local.iov_base = text;
	say("process_vm_readv = %s", show(raw(SYS_process_vm_readv, pid, (long)&local, 1, (long)&remote, 1, 0)));
	snprintf(path, sizeof path, "/proc/%d/mem", pid);
	long fd = raw(SYS_openat, AT_FDCWD, (long)path, O_RDWR, 0, 0, 0);
	say("open mem = %s", fd >= 0 ? "opened" : show(fd));
	if (fd >= 0)
		say("write mem = %s", show(raw(SYS_pwrite64, fd, (long)evil, sizeof evil, (long)address, 0, 0)));
}

static void try_files(pid_t pid)
{
	long fd = raw(SYS_pidfd_open, pid, 0, 0, 0, 0, 0);

	say("pidfd_open = %s", fd >= 0 ? "opened" : show(fd));
	long copy = raw(SYS_pidfd_getfd, fd >= 0 ? fd : 0, 0, 0, 0, 0, 0);
	say("pidfd_getfd = %s", copy >= 0 ? "copied" : show(copy));
	say("kcmp = %s", show(raw(SYS_kcmp, getpid(), pid, 0, 0, 0, 0)));
}

static void try_signals(pid_t pid)
{
	siginfo_t info = {0};

	info.si_signo = SIGUSR1;
	info.si_code = SI_QUEUE;
	say("kill = %s", show(raw(SYS_kill, pid, SIGUSR1, 0, 0, 0, 0)));
	say("tkill = %s", show(raw(SYS_tkill, pid, SIGUSR1, 0, 0, 0, 0)));
	say("tgkill = %s", show(raw(SYS_tgkill, pid, pid, SIGUSR1, 0, 0, 0)));
	say("rt_sigqueueinfo = %s", show(raw(SYS_rt_sigqueueinfo, pid, SIGUSR1, (long)&info, 0, 0, 0)));
	long fd = raw(SYS_pidfd_open, pid, 0, 0, 0, 0, 0);
	if (fd >= 0)
		say("pidfd_send_signal = %s", show(raw(SYS_pidfd_send_signal, fd, SIGUSR1, 0, 0, 0, 0)));
}

/* reach WHAT PID ADDRESS: ptrace, memory, files or signals of a process; PID 0 is the parent. */
static int run_reach(int argc, char **argv)
{
	if (argc < 3)
		return 99;
	pid_t pid = number(argv[1]);
	if (!pid)
		pid = getppid();
	char *address = (char *)number(argv[2]);
	if (!strcmp(argv[0], "ptrace"))
		try_ptrace(pid, address);
	else if (!strcmp(argv[0], "memory"))
		try_memory(pid, address);
	else if (!strcmp(argv[0], "files"))
		try_files(pid);
	else
		try_signals(pid);
	return 0;
}

/* reach-sibling PATH: the same against a child inside the sandbox, which then calls mkdir. */
static int run_sibling(int argc, char **argv)
{
	if (argc < 1)
		return 99;
	pid_t child = fork();
	if (child == 0) {
		raise(SIGSTOP);
		say("child's memory: %s", memory);
		say("child's mkdir = %s", show(mkdir_result(argv[0])));
		_exit(0);
	}
	waitpid(child, NULL, WUNTRACED);
	try_ptrace(child, memory);
	try_memory(child, memory);
	kill(child, SIGCONT);
	say("child: %s", reap(child));
	return 0;
}

/* traceme PATH: asks to be traced by its parent, then calls mkdir. */
static int run_traceme(int argc, char **argv)
{
	if (argc < 1)
		return 99;
	say("traceme = %s", show(raw(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0, 0, 0)));
	say("mkdir = %s", show(mkdir_result(argv[0])));
	return 0;
}

/* io-uring: whether a ring can be had. */
static int run_io_uring(int argc, char **argv)
{
	struct io_uring_params p = {0};

	(void)argc;
	(void)argv;
	long fd = raw(SYS_io_uring_setup, 4, (long)&p, 0, 0, 0, 0);
	say("io_uring_setup = %s", fd >= 0 ? "ring" : show(fd));
	uint32_t *low = low_memory(4096);
	uint32_t args[6] = {4, (uint32_t)(uintptr_t)low};
	fd = raw_int80(425, args);
	say("int80 io_uring_setup = %s", fd >= 0 ? "ring" : show(fd));
	return 0;
}

/* type TEXT: pushes text into the terminal on standard input. */
static int run_type(int argc, char **argv)
{
	long r = 0;

	if (argc < 1)
		return 99;
	/* the kernel takes 32 bits of the request: a set high half changes nothing */
	for (char *p = argv[0]; *p && r == 0; p++)
		r = raw(SYS_ioctl, 0, TIOCSTI, (long)p, 0, 0, 0);
	say("TIOCSTI = %s", show(r));
	r = raw(SYS_ioctl, 0, TIOCSTI | 1ul << 32, (long)argv[0], 0, 0, 0);
	say("TIOCSTI with a high half = %s", show(r));
	char *low = low_memory(4096);
	low[0] = argv[0][0];
	uint32_t args[6] = {0, TIOCSTI, (uint32_t)(uintptr_t)low};
	say("int80 TIOCSTI = %s", show(raw_int80(54, args)));
	return 0;
}

/* undumpable PATH: clears the dumpable flag, then makes calls. */
static int run_undumpable(int argc, char **argv)
{
	if (argc < 1)
		return 99;
	say("prctl = %s", show(raw(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0, 0)));
	say("mkdir = %s", show(mkdir_result(argv[0])));
	say("getpid = %s", show(raw(SYS_getpid, 0, 0, 0, 0, 0, 0)));
	uint32_t *block = low_memory(4096);
	block[0] = 1; /* AF_UNIX */
	block[1] = 1; /* SOCK_STREAM */
	uint32_t args[6] = {1, (uint32_t)(uintptr_t)block};
	say("socketcall(socket) = %s", show(raw_int80(102, args)));
	pid_t child = fork();
	if (child == 0)
		_exit(mkdir_result(argv[0]) == 0 ? 1 : 2);
	say("child: %s", child < 0 ? show(-errno) : reap(child));
	return 0;
}

const struct command outside_commands[] = {
	{"victim", "", run_victim},
	{"reach", "ptrace|memory|files|signals PID ADDRESS", run_reach},
	{"reach-sibling", "PATH", run_sibling},
	{"traceme", "PATH", run_traceme},
	{"io-uring", "", run_io_uring},
	{"type", "TEXT", run_type},
	{"undumpable", "PATH", run_undumpable},
	{NULL, NULL, NULL},
};
