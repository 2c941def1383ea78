/*
 * What a program finds when it starts: all that a caller passes on, by exec and
 * by fork, and that must be as it is without callgate.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void descriptors(void)
{
	int fds[1024], n = 0;
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;

	if (!dir)
		die("/proc/self/fd: %s", strerror(errno));
	while ((e = readdir(dir)) && n < 1024)
		if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(dir))
			fds[n++] = atoi(e->d_name);
	closedir(dir);
	qsort(fds, n, sizeof *fds, by_number);
	for (int i = 0; i < n; i++) {
		char path[64], target[4096] = "";
		snprintf(path, sizeof path, "/proc/self/fd/%d", fds[i]);
		if (readlink(path, target, sizeof target - 1) < 0)
			continue;
		char *colon = strchr(target, ':'); /* pipe:[123] differs from run to run */
		if (colon && colon[1] == '[')
			*colon = 0;
		struct stat st;
		fstat(fds[i], &st);
		say("fd %d: %s, type %o, flags %s", fds[i], target, st.st_mode >> 12,
		    show(raw(SYS_fcntl, fds[i], 3, 0, 0, 0, 0)));
	}
}

static int starts(const char *line, const char *const *prefixes)
{
	for (; *prefixes; prefixes++)
		if (!strncmp(line, *prefixes, strlen(*prefixes)))
			return 1;
	return 0;
}

/* status says what /proc/self/status has that nobody but callgate may change. */
static void status(void)
{
	static const char *const kept[] = {"Name:",   "Umask:",  "State:",  "Uid:",	  "Gid:",    "Groups:",
					   "NStgid:", "Threads:", "SigPnd:", "ShdPnd:",	  "SigBlk:", "SigIgn:",
					   "SigCgt:", "CapInh:", "CapPrm:", "CapEff:",	  "CapBnd:", "CapAmb:",
					   "Mems_allowed:", "THP_enabled:", "CoreDumping:", NULL};
	char line[1024];
	FILE *f = fopen("/proc/self/status", "r");

	if (!f)
		die("/proc/self/status");
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, "NStgid:", 7) && starts(line, kept))
			say("%s", line);
	}
	fclose(f);
}

static void file_line(const char *path)
{
	char text[256] = "";
	FILE *f = fopen(path, "r");

	if (!f || !fgets(text, sizeof text, f))
		text[0] = 0;
	if (f)
		fclose(f);
	text[strcspn(text, "\n")] = 0;
	say("%s: %s", path, text);
}

static void limits(void)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit r;
		if (!getrlimit(i, &r))
			say("limit %d: %lld %lld", i, (long long)r.rlim_cur, (long long)r.rlim_max);
	}
}

static void dispositions(void)
{
	for (int sig = 1; sig < 65; sig++) {
		struct sigaction sa;
		if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL)
			say("signal %d: %s", sig, sa.sa_handler == SIG_IGN ? "ignored" : "caught");
	}
}

static void affinity_of(const char *what, int tid)
{
	uint64_t mask[128] = {0};
	long r = raw(SYS_sched_getaffinity, tid, sizeof mask, (long)mask, 0, 0, 0);

	say("%s: %s, %llx", what, show(r), (unsigned long long)mask[0]);
}

/* state: the whole of it. */
static int run_state(int argc, char **argv)
{
	char text[4096] = "";
	struct itimerval timer;
	int signal = -1;
	stack_t stack;

	for (int i = 0; i < argc; i++)
		say("argument %d: %s", i, argv[i]);
	descriptors(); /* first: what follows opens files */
	for (char **e = environ; *e; e++)
		say("environment: %s", *e);
	say("folder: %s", getcwd(text, sizeof text));
	say("group leader %d, session leader %d", getpgrp() == getpid(), getsid(0) == getpid());
	say("children: %s", show(waitpid(-1, NULL, WNOHANG) < 0 ? -errno : 0));
	say("nice %d, policy %d", getpriority(PRIO_PROCESS, 0), sched_getscheduler(0));
	say("personality %#x", personality(0xffffffff));
	prctl(PR_GET_PDEATHSIG, &signal);
	say("death signal %d, dumpable %d, keep caps %d, subreaper %s", signal, prctl(PR_GET_DUMPABLE),
	    prctl(PR_GET_KEEPCAPS), prctl(PR_GET_CHILD_SUBREAPER, &signal) || signal ? "yes" : "no");
	say("timer slack %d, thp disabled %d, securebits %#x", prctl(PR_GET_TIMERSLACK), prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0),
	    prctl(PR_GET_SECUREBITS));
	for (int i = 0; i < 3; i++) {
		int r = getitimer(i, &timer);
		say("timer %d: %d, %ld", i, r, (long)timer.it_value.tv_sec);
	}
	sigaltstack(NULL, &stack);
	say("alternative stack: %s", stack.ss_flags & SS_DISABLE ? "none" : "there");
	say("secure %lu", getauxval(AT_SECURE));
	affinity_of("processors", 0);
	status();
	dispositions();
	limits();
	file_line("/proc/self/oom_score_adj");
	file_line("/proc/self/coredump_filter");
	file_line("/proc/self/cgroup");
	file_line("/proc/self/loginuid");
	return 0;
}

static volatile int hot_tid, done;

static void *call_often(void *unused)
{
	hot_tid = raw(SYS_gettid, 0, 0, 0, 0, 0, 0);
	while (!done)
		raw(SYS_getppid, 0, 0, 0, 0, 0, 0);
	return unused;
}

/*
 * affinity: the processors that a task may use, asked in every way, while it
 * makes calls as fast as it can; and a change of them, which must hold.
 */
static int run_affinity(int argc, char **argv)
{
	pthread_t thread;
	uint32_t *mask = low_memory(4096);
	uint64_t one = 1;

	(void)argc;
	(void)argv;
	for (int i = 0; i < 1000; i++)
		raw(SYS_getppid, 0, 0, 0, 0, 0, 0);
	affinity_of("own", 0);
	for (int i = 0; i < 1000; i++)
		raw(SYS_getppid, 0, 0, 0, 0, 0, 0);
	uint32_t args[6] = {0, 1024, (uint32_t)(uintptr_t)mask};
	say("int80: %s, %x", show(raw_int80(242, args)), mask[0]);
	if (pthread_create(&thread, NULL, call_often, NULL))
		die("pthread_create");
	usleep(20000);
	for (int i = 0; i < 5; i++) {
		affinity_of("the other's", hot_tid);
		usleep(20000);
	}
	pid_t child = fork();
	if (child == 0) {
		affinity_of("a child's", 0);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	say("set: %s", show(raw(SYS_sched_setaffinity, hot_tid, sizeof one, (long)&one, 0, 0, 0)));
	usleep(200000);
	affinity_of("the other's", hot_tid);
	say("set own: %s", show(raw(SYS_sched_setaffinity, 0, sizeof one, (long)&one, 0, 0, 0)));
	for (int i = 0; i < 1000; i++)
		raw(SYS_getppid, 0, 0, 0, 0, 0, 0);
	affinity_of("own", 0);
	done = 1;
	pthread_join(thread, NULL);
	return 0;
}

/* relatives: numbers that a test compares with its own. */
static int run_relatives(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	say("pid %d parent %d group %d session %d", getpid(), getppid(), getpgrp(), getsid(0));
	return 0;
}

/* close-all PATH: closes every descriptor, then goes on calling. */
static int run_close_all(int argc, char **argv)
{
	if (argc < 1)
		return 99;
	raw(SYS_close_range, 0, ~0u, 0, 0, 0, 0);
	long r = mkdir_result(argv[0]);
	pid_t child = fork();
	if (child == 0)
		_exit(3);
	int status;
	waitpid(child, &status, 0);
	return r == 0 ? 10 : WEXITSTATUS(status);
}

const struct command state_commands[] = {
	{"state", "ARG...", run_state},
	{"affinity", "", run_affinity},
	{"relatives", "", run_relatives},
	{"close-all", "PATH", run_close_all},
	{NULL, NULL, NULL},
};
