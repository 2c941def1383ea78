/*
 * clone3 as callers use it, and as nobody should: the results must be those of
 * an untraced run.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static long clone3(void *args, size_t size)
{
	long pid = raw(SYS_clone3, (long)args, size, 0, 0, 0, 0);

	if (pid == 0)
		_exit(3);
	return pid;
}

/* attempt makes a child that exits with 3, and says what became of it. */
static void attempt(const char *what, struct clone_args args)
{
	long pid = clone3(&args, sizeof args);

	if (pid < 0)
		say("%s: %s", what, show(pid));
	else
		say("%s: %s", what, reap(pid));
}

static void sized(const char *what, size_t size, unsigned char tail)
{
	size_t pages = 3 * 4096;
	unsigned char *block = mmap(NULL, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct clone_args args = {.exit_signal = SIGCHLD};

	memcpy(block, &args, sizeof args);
	if (size > sizeof args)
		block[size - 1] = tail;
	long pid = clone3(block, size);
	say("%s: %s", what, pid < 0 ? show(pid) : reap(pid));
	munmap(block, pages);
}

static void pidfd(void)
{
	int fd = -1;
	siginfo_t info = {0};
	struct clone_args args = {
		.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&fd, .exit_signal = SIGCHLD};
	long pid = clone3(&args, sizeof args);

	if (pid < 0) {
		say("pidfd: %s", show(pid));
		return;
	}
	int r = waitid(P_PIDFD, fd, &info, WEXITED);
	say("pidfd: waitid %d, same child %d, status %d", r, info.si_pid == pid, info.si_status);
	close(fd);
}

static void tids(void)
{
	pid_t parent_tid = 0, child_tid = 0;
	struct clone_args args = {.flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID,
				  .parent_tid = (uintptr_t)&parent_tid,
				  .child_tid = (uintptr_t)&child_tid,
				  .exit_signal = SIGCHLD};
	long pid = raw(SYS_clone3, (long)&args, sizeof args, 0, 0, 0, 0);

	if (pid == 0)
		_exit(child_tid == getpid() ? 4 : 5);
	say("tids: parent's %d, child %s", parent_tid == pid, pid < 0 ? show(pid) : reap(pid));
}

/* vfork_like: CLONE_VM|CLONE_VFORK without a stack of its own, as vfork(2). */
static void vfork_like(void)
{
	static volatile int reached;
	struct clone_args args = {.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};

	args.stack = (uintptr_t)mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	args.stack_size = 65536;
	long pid;
	/* The child's stack is fresh: it may use registers only. */
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "movl $1, (%[flag])\n\t"
			 "mov $6, %%edi\n\t"
			 "mov $60, %%eax\n\t"
			 "syscall\n"
			 "1:"
			 : "=a"(pid)
			 : "a"(SYS_clone3), "D"(&args), "S"(sizeof args), [flag] "r"(&reached)
			 : "rcx", "r11", "memory");
	int seen = reached;
	say("vfork: child ran first %d, %s", seen, pid < 0 ? show(pid) : reap(pid));
}

static void errors(void)
{
	attempt("plain", (struct clone_args){.exit_signal = SIGCHLD});
	attempt("no signal", (struct clone_args){.exit_signal = 0});
	attempt("signal 256", (struct clone_args){.exit_signal = 0x100});
	attempt("signal in flags", (struct clone_args){.flags = SIGCHLD});
	attempt("detached", (struct clone_args){.flags = 0x400000, .exit_signal = SIGCHLD});
	attempt("sighand without vm", (struct clone_args){.flags = CLONE_SIGHAND, .exit_signal = SIGCHLD});
	attempt("thread without sighand", (struct clone_args){.flags = CLONE_THREAD});
	attempt("thread with a signal",
		(struct clone_args){.flags = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, .exit_signal = SIGCHLD});
	attempt("unknown flag", (struct clone_args){.flags = 1ull << 40, .exit_signal = SIGCHLD});
	attempt("stack without size", (struct clone_args){.stack = 0x10000, .exit_signal = SIGCHLD});
	attempt("size without stack", (struct clone_args){.stack_size = 0x10000, .exit_signal = SIGCHLD});
	attempt("pidfd at a hole", (struct clone_args){.flags = CLONE_PIDFD, .pidfd = 8, .exit_signal = SIGCHLD});
	sized("size 0", 0, 0);
	sized("size 8", 8, 0);
	sized("size 63", 63, 0);
	sized("size 64", 64, 0);
	sized("size 80", 80, 0);
	sized("size 88", 88, 0);
	sized("size 96, zero tail", 96, 0);
	sized("size 96, other tail", 96, 1);
	sized("size 4096", 4096, 0);
	sized("size 4097", 4097, 0);
	say("null: %s", show(clone3(NULL, 88)));
	say("hole: %s", show(clone3((void *)8, 64)));
	say("kernel address: %s", show(clone3((void *)0xffffffff81000000, 64)));
	/* the block's end lies in a hole */
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(p + 4096, 4096);
	say("half in a hole: %s", show(clone3(p + 4096 - 32, 64)));
	/* a block that can only be read */
	struct clone_args args = {.exit_signal = SIGCHLD};
	memcpy(p, &args, sizeof args);
	mprotect(p, 4096, PROT_READ);
	long pid = clone3(p, sizeof args);
	say("read-only block: %s", pid < 0 ? show(pid) : reap(pid));
}

static void *thread_start(void *value)
{
	return (char *)value + 1;
}

static int run_exact(int argc, char **argv)
{
	pthread_t thread;
	void *value = NULL;
	pid_t pid;
	char *echo[] = {"true", NULL};

	(void)argc;
	(void)argv;
	errors();
	pidfd();
	tids();
	vfork_like();
	int r = pthread_create(&thread, NULL, thread_start, (void *)41);
	if (!r)
		pthread_join(thread, &value);
	say("pthread_create: %d, %ld", r, (long)value);
	r = posix_spawn(&pid, "/bin/true", NULL, NULL, echo, environ);
	say("posix_spawn: %d, %s", r, r ? "none" : reap(pid));
	r = posix_spawn(&pid, "/nonexistent", NULL, NULL, echo, environ);
	say("posix_spawn of nothing: %s", show(-r));
	int status = system("exit 7");
	say("system: %d", WEXITSTATUS(status));
	return 0;
}

/* clone3-only: what clone3 can do and clone cannot. */
static int run_only(int argc, char **argv)
{
	pid_t tid = 1;

	(void)argc;
	(void)argv;
	attempt("set_tid", (struct clone_args){
				   .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&tid, .set_tid_size = 1});
	attempt("into cgroup", (struct clone_args){.flags = CLONE_INTO_CGROUP, .cgroup = 999, .exit_signal = SIGCHLD});
	attempt("clear signals", (struct clone_args){.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD});
	return 0;
}

const struct command clone_commands[] = {
	{"clone3-exact", "", run_exact},
	{"clone3-only", "", run_only},
	{NULL, NULL, NULL},
};
