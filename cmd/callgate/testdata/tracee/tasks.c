/*
 * Tasks that come, go and try to leave: untraced children, daemons, exec from
 * any thread, leaders that die first, and many of all.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * untraced VIA PATH: a child born with CLONE_UNTRACED makes PATH, says so, and
 * stays when its parent ends.
 */
static int run_untraced(int argc, char **argv)
{
	long pid;
	sigset_t set;

	if (argc < 2)
		return 99;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (!strcmp(argv[0], "clone3")) {
		uint64_t args[11] = {CLONE_UNTRACED, 0, 0, 0, SIGCHLD};
		pid = raw(SYS_clone3, (long)args, sizeof args, 0, 0, 0, 0);
	} else if (!strcmp(argv[0], "int80")) {
		uint32_t args[6] = {CLONE_UNTRACED | SIGCHLD};
		pid = raw_int80(120, args);
	} else {
		pid = raw(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0, 0);
	}
	if (pid < 0) {
		say("clone = %s", show(pid));
		return 0;
	}
	if (pid == 0) {
		say("child's mkdir = %s", show(mkdir_result(argv[1])));
		kill(getppid(), SIGUSR1);
		for (;;)
			pause();
	}
	struct timespec limit = {30, 0};
	int sig = sigtimedwait(&set, NULL, &limit);
	say("parent ends%s", sig < 0 ? " without a word from its child" : "");
	return 0;
}

/* daemon PATH: a double-forked daemon in a session of its own makes PATH and stays. */
static int run_daemon(int argc, char **argv)
{
	int ends[2];
	char byte;

	if (argc < 1 || pipe(ends))
		return 99;
	if (fork() == 0) {
		setsid();
		if (fork())
			_exit(0);
		long r = mkdir_result(argv[0]);
		say("daemon's mkdir = %s, new session %d", show(r), getsid(0) != getpid());
		for (int fd = 0; fd < 3; fd++)
			close(fd);
		if (write(ends[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	if (read(ends[0], &byte, 1) != 1)
		die("no daemon");
	say("parent ends");
	return 5;
}

/* vfork-exec PROGRAM ARG...: exec from a vfork child; the parent waits for it. */
static int run_vfork_exec(int argc, char **argv)
{
	if (argc < 1)
		return 99;
	pid_t pid = vfork();
	if (pid == 0) {
		execv(argv[0], argv);
		_exit(99);
	}
	say("vfork child: %s", reap(pid));
	return 0;
}

static char **exec_argv;

static void *exec_now(void *unused)
{
	(void)unused;
	execv(exec_argv[0], exec_argv);
	die("execv: %s", strerror(errno));
}

static void *spin(void *unused)
{
	(void)unused;
	for (;;)
		getppid();
	return NULL;
}

static void spawn(void *(*start)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, start, NULL))
		die("pthread_create");
}

/* exec-thread PROGRAM ARG...: exec from a thread that is not the leader, others running. */
static int run_exec_thread(int argc, char **argv)
{
	if (argc < 1)
		return 99;
	exec_argv = argv;
	spawn(spin);
	spawn(spin);
	spawn(exec_now);
	for (;;)
		getppid();
}

static void *after_leader(void *path)
{
	char stat[64];

	snprintf(stat, sizeof stat, "/proc/self/task/%d/stat", getpid());
	for (;;) { /* until the leader is a zombie */
		char text[256] = "";
		int fd = open(stat, O_RDONLY);
		if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
			break;
		close(fd);
		char *end = strrchr(text, ')');
		if (end && end[2] == 'Z')
			break;
		sched_yield();
	}
	say("after the leader: mkdir = %s", show(mkdir_result(path)));
	exit(3);
}

/* leader-exits PATH: the leader ends by pthread_exit, another thread works on. */
static int run_leader_exits(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 1 || pthread_create(&thread, NULL, after_leader, argv[0]))
		return 99;
	/* not pthread_exit: nothing of the library's may end the process */
	raw(SYS_exit, 0, 0, 0, 0, 0, 0);
	return 99;
}

static pthread_barrier_t all_here;
static long calls_each;

static void *call_much(void *bad)
{
	long *wrong = bad;
	pid_t self = getpid();

	pthread_barrier_wait(&all_here);
	for (long i = 0; i < calls_each; i++) {
		*wrong += raw(SYS_getpid, 0, 0, 0, 0, 0, 0) != self;
		*wrong += raw(SYS_openat, AT_FDCWD, 8, O_RDONLY, 0, 0, 0) != -EFAULT;
		*wrong += raw(SYS_dup, -1, 0, 0, 0, 0, 0) != -EBADF;
	}
	return NULL;
}

/* threads N CALLS: N threads make their calls at once and check every answer. */
static int run_threads(int argc, char **argv)
{
	static pthread_t threads[1024];
	static long wrong[1024];
	long sum = 0;

	if (argc < 2)
		return 99;
	int n = number(argv[0]);
	if (n > 1024)
		return 99;
	calls_each = number(argv[1]);
	pthread_barrier_init(&all_here, NULL, n);
	for (int i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, call_much, &wrong[i]))
			die("pthread_create %d: %s", i, strerror(errno));
	for (int i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		sum += wrong[i];
	}
	say("%d threads, %ld wrong answers", n, sum);
	return 0;
}

/* processes N: N short processes, up to 16 at a time; every status must come back. */
static int run_processes(int argc, char **argv)
{
	long wrong = 0, alive = 0, status_sum = 0, expected = 0;
	int status;

	if (argc < 1)
		return 99;
	long n = number(argv[0]);
	for (long i = 0; i < n || alive > 0;) {
		if (i < n && alive < 16) {
			pid_t pid = fork();
			if (pid == 0)
				_exit(i & 0x7f);
			if (pid < 0)
				die("fork: %s", strerror(errno));
			expected += i & 0x7f;
			alive++;
			i++;
			continue;
		}
		if (wait(&status) < 0)
			die("wait: %s", strerror(errno));
		alive--;
		wrong += !WIFEXITED(status);
		status_sum += WEXITSTATUS(status);
	}
	say("%ld processes, %ld wrong, statuses %s", n, wrong, status_sum == expected ? "as given" : "lost");
	return 0;
}

/* bomb N: processes that fork until there are N, and replace each that dies. */
static int run_bomb(int argc, char **argv)
{
	if (argc < 1)
		return 99;
	long limit = number(argv[0]);
	volatile long *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*count = 1;
	say("bomb");
	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			__atomic_sub_fetch(count, 1, __ATOMIC_SEQ_CST);
		if (__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST) > limit) {
			if (__atomic_sub_fetch(count, 1, __ATOMIC_SEQ_CST) == limit)
				say("full");
			usleep(20000);
			if (getppid() != 1 && rand() % 8 == 0)
				_exit(0);
			continue;
		}
		if (fork() < 0)
			__atomic_sub_fetch(count, 1, __ATOMIC_SEQ_CST);
	}
}

/* orphans: children that outlive their parent and are waited for by nobody. */
static int run_orphans(int argc, char **argv)
{
	int ends[2];
	char byte;

	(void)argc;
	(void)argv;
	if (pipe(ends))
		return 99;
	for (int i = 0; i < 20; i++)
		if (fork() == 0) {
			if (fork() == 0) {
				usleep(1000 * (i % 5));
				_exit(i);
			}
			_exit(0);
		}
	for (int i = 0; i < 20; i++)
		if (wait(NULL) < 0)
			die("wait: %s", strerror(errno));
	close(ends[1]);
	say("orphans' pipe: %zd", read(ends[0], &byte, 1)); /* comes when all are gone */
	return 0;
}

/* limits: a process that lowers its own limits and then lives with them. */
static int run_limits(int argc, char **argv)
{
	struct rlimit files = {3, 3}, processes = {1, 1}, stack = {1 << 20, 1 << 20};

	(void)argc;
	(void)argv;
	say("setrlimit = %s", show(raw(SYS_setrlimit, RLIMIT_STACK, (long)&stack, 0, 0, 0, 0)));
	say("setrlimit = %s", show(raw(SYS_setrlimit, RLIMIT_NOFILE, (long)&files, 0, 0, 0, 0)));
	say("open = %s", show(raw(SYS_open, (long)"/", O_RDONLY, 0, 0, 0, 0)));
	say("setrlimit = %s", show(raw(SYS_setrlimit, RLIMIT_NPROC, (long)&processes, 0, 0, 0, 0)));
	say("mkdir = %s", show(mkdir_result("/proc/nothing")));
	return 0;
}

const struct command task_commands[] = {
	{"untraced", "clone|clone3|int80 PATH", run_untraced},
	{"daemon", "PATH", run_daemon},
	{"vfork-exec", "PROGRAM ARG...", run_vfork_exec},
	{"exec-thread", "PROGRAM ARG...", run_exec_thread},
	{"leader-exits", "PATH", run_leader_exits},
	{"threads", "N CALLS", run_threads},
	{"processes", "N", run_processes},
	{"bomb", "N", run_bomb},
	{"orphans", "", run_orphans},
	{"limits", "", run_limits},
	{NULL, NULL, NULL},
};
