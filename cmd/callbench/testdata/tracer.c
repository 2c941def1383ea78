/* tracer [-held] [-exits] COMMAND [ARG...]: the least that a tracer does for a
 * call that it allows: wait, ask which call it is, read the path, let it go on.
 * Every openat of COMMAND stops; what COMMAND starts is followed too.
 *
 * -held keeps tracer and tracee on one CPU, where a stop is cheapest; -exits has
 * every openat stop at its end too, which is all that it does there. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/ptrace.h> /* after sys/ptrace.h, whose names it would break */
#include <linux/seccomp.h>

static int exits;

static void fail(const char *what)
{
	perror(what);
	exit(125);
}

static void hold(void)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof one, &one))
		fail("sched_setaffinity");
}

static void trace_openat(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof code / sizeof *code, code };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter))
		fail("seccomp");
}

/* start gives the tracee, seized before it executes COMMAND. */
static pid_t start(char **command)
{
	int go[2];
	if (pipe(go))
		fail("pipe");
	pid_t tracee = fork();
	if (tracee < 0)
		fail("fork");
	if (tracee == 0) {
		char byte;
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(125);
		close(go[0]);
		trace_openat();
		execvp(command[0], command);
		fail(command[0]);
	}
	if (ptrace(PTRACE_SEIZE, tracee, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD |
		   PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE))
		fail("PTRACE_SEIZE");
	if (write(go[1], "", 1) != 1)
		fail("write");
	close(go[0]);
	close(go[1]);
	return tracee;
}

/* read_path copies up to 256 bytes, within the page where the path begins. */
static void read_path(pid_t tid, unsigned long address)
{
	static char path[256];
	unsigned long in_page = 4096 - address % 4096;
	size_t n = in_page < sizeof path ? in_page : sizeof path;
	struct iovec local = { path, n }, remote = { (void *)address, n };
	if (process_vm_readv(tid, &local, 1, &remote, 1, 0) < 0)
		fail("process_vm_readv");
}

/* on_stop deals with a stop and lets the tracee go on. */
static void on_stop(pid_t tid, int status)
{
	struct ptrace_syscall_info info;
	int event = status >> 16;
	if (event != PTRACE_EVENT_SECCOMP) {
		int sig = WSTOPSIG(status);
		ptrace(PTRACE_CONT, tid, 0, event || sig == (SIGTRAP | 0x80) ? 0 : sig);
		return;
	}
	if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) < 0)
		fail("PTRACE_GET_SYSCALL_INFO");
	if (info.op == PTRACE_SYSCALL_INFO_SECCOMP && info.seccomp.nr == SYS_openat)
		read_path(tid, info.seccomp.args[1]);
	ptrace(exits ? PTRACE_SYSCALL : PTRACE_CONT, tid, 0, 0);
}

int main(int argc, char **argv)
{
	for (; argc > 1 && argv[1][0] == '-'; argv++, argc--) {
		if (strcmp(argv[1], "-held") == 0)
			hold();
		else if (strcmp(argv[1], "-exits") == 0)
			exits = 1;
		else
			break;
	}
	if (argc < 2) {
		fprintf(stderr, "usage: tracer [-held] [-exits] COMMAND [ARG...]\n");
		return 2;
	}
	pid_t first = start(argv + 1);
	int result = 125;
	for (;;) {
		int status;
		pid_t tid = wait4(-1, &status, __WALL | __WNOTHREAD, NULL);
		if (tid < 0) {
			if (errno == EINTR)
				continue;
			return result;
		}
		if (WIFSTOPPED(status))
			on_stop(tid, status);
		else if (tid == first)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
}
