/*
 * Group-stops and SIGCONT, as a parent inside the sandbox sees them of its
 * children, and what becomes of sleeps that they interrupt.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void wait_change(const char *what, pid_t child)
{
	int status;

	if (waitpid(child, &status, WUNTRACED | WCONTINUED) != child)
		say("%s: waitpid %s", what, show(-errno));
	else if (WIFSTOPPED(status))
		say("%s: stopped by %d", what, WSTOPSIG(status));
	else if (WIFCONTINUED(status))
		say("%s: continued", what);
	else if (WIFSIGNALED(status))
		say("%s: killed by %d", what, WTERMSIG(status));
	else
		say("%s: exit %d", what, WEXITSTATUS(status));
}

/* stop-self: a child stops itself by each stop signal and is continued. */
static int run_stop_self(int argc, char **argv)
{
	static const int signals[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};

	(void)argc;
	(void)argv;
	for (int i = 0; i < 4; i++) {
		int ends[2];
		char byte;
		if (pipe(ends))
			die("pipe");
		pid_t child = fork();
		if (child == 0) {
			close(ends[1]);
			raise(signals[i]);
			_exit(read(ends[0], &byte, 1) == 0 ? 5 + i : 1);
		}
		wait_change("child", child);
		kill(child, SIGCONT);
		wait_change("child", child);
		close(ends[1]); /* not before: an end would hide the SIGCONT */
		wait_change("child", child);
	}
	pid_t child = fork(); /* killed while stopped */
	if (child == 0) {
		raise(SIGSTOP);
		_exit(1);
	}
	wait_change("child", child);
	kill(child, SIGKILL);
	wait_change("child", child);
	return 0;
}

static volatile long *ticks;

static void *tick(void *unused)
{
	(void)unused;
	for (;;) {
		__atomic_add_fetch(ticks, 1, __ATOMIC_SEQ_CST);
		raw(SYS_getppid, 0, 0, 0, 0, 0, 0);
	}
	return NULL;
}

static void tick_in_threads(void)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		if (pthread_create(&thread, NULL, tick, NULL))
			_exit(1);
	tick(NULL);
}

static int advances(void)
{
	long before = *ticks;

	usleep(50000);
	return *ticks != before;
}

static void wait_for_ticks(void)
{
	long before = *ticks;

	while (*ticks < before + 100)
		usleep(1000);
}

/* stop-group: a child with four busy threads stops and goes on as one. */
static int run_stop_group(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	ticks = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = fork();
	if (child == 0)
		tick_in_threads();
	wait_for_ticks();
	for (int i = 0; i < 5; i++) {
		kill(child, SIGSTOP);
		wait_change("group", child);
		say("advances %d", advances());
		kill(child, SIGCONT);
		wait_change("group", child);
		wait_for_ticks();
	}
	kill(child, SIGTERM);
	wait_change("group", child);
	return 0;
}

static long sleep_some(int kind)
{
	struct timespec t = {0, 400 * 1000 * 1000}, left;
	uint32_t word = 0;
	int ends[2];

	switch (kind) {
	case 0:
		return raw(SYS_nanosleep, (long)&t, (long)&left, 0, 0, 0, 0);
	case 1:
		return raw(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&t, (long)&left, 0, 0);
	case 2:
		return raw(SYS_futex, (long)&word, FUTEX_WAIT, 0, (long)&t, 0, 0);
	case 3:
		return raw(SYS_poll, 0, 0, 400, 0, 0, 0);
	}
	if (pipe(ends))
		return -1;
	struct pollfd p = {ends[0], POLLIN, 0};
	return raw(SYS_poll, (long)&p, 1, 400, 0, 0, 0);
}

/* wait_asleep returns when the process sleeps in the kernel, by /proc/PID/stat. */
static void wait_asleep(pid_t pid)
{
	char path[64], text[256];

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	for (int asleep = 0; asleep < 3; usleep(2000)) {
		FILE *f = fopen(path, "r");
		if (!f || !fgets(text, sizeof text, f))
			die("%s", path);
		fclose(f);
		char *end = strrchr(text, ')');
		asleep = end && end[2] == 'S' ? asleep + 1 : 0;
	}
}

/*
 * stop-sleep: sleeps that SIGSTOP and SIGCONT interrupt go on as if nothing had
 * happened (restart_syscall(2)); an exit status is the sleep's errno.
 */
static int run_stop_sleep(int argc, char **argv)
{
	static const char *const names[] = {"nanosleep", "clock_nanosleep", "futex", "poll", "poll of a pipe"};

	(void)argc;
	(void)argv;
	for (int kind = 0; kind < 5; kind++) {
		pid_t child = fork();
		if (child == 0)
			_exit(-sleep_some(kind));
		wait_asleep(child);
		kill(child, SIGSTOP);
		wait_change(names[kind], child);
		kill(child, SIGCONT);
		wait_change(names[kind], child);
		wait_change(names[kind], child);
	}
	return 0;
}

/* stop-many: a thread group stopped and continued while its threads come and go. */
static void *brief(void *unused)
{
	raw(SYS_getppid, 0, 0, 0, 0, 0, 0);
	return unused;
}

static int run_stop_many(int argc, char **argv)
{
	long rounds = argc > 0 ? number(argv[0]) : 100;
	int status, stops = 0, continues = 0;

	ticks = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = fork();
	if (child == 0) {
		pthread_t thread;
		for (;;)
			if (!pthread_create(&thread, NULL, brief, NULL))
				pthread_join(thread, NULL);
	}
	for (long i = 0; i < rounds; i++) {
		kill(child, SIGSTOP);
		if (waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status))
			stops++;
		kill(child, SIGCONT);
		if (waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status))
			continues++;
	}
	say("stops %d, continues %d of %ld", stops, continues, rounds);
	kill(child, SIGKILL);
	wait_change("child", child);
	return 0;
}

/* stop-me: stops itself; its caller continues it. */
static int run_stop_me(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	raise(SIGSTOP);
	say("continued");
	return 4;
}

const struct command stop_commands[] = {
	{"stop-self", "", run_stop_self},
	{"stop-group", "", run_stop_group},
	{"stop-sleep", "", run_stop_sleep},
	{"stop-many", "ROUNDS", run_stop_many},
	{"stop-me", "", run_stop_me},
	{NULL, NULL, NULL},
};
