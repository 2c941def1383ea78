/*
 * Calls that wait, and what becomes of them where a signal interrupts.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *child_change(int child)
{
	static char text[64];
	int status;

	if (waitpid(child, &status, WUNTRACED | WCONTINUED) != child)
		snprintf(text, sizeof text, "waitpid %s", show(-errno));
	else if (WIFSTOPPED(status))
		snprintf(text, sizeof text, "stopped by %d", WSTOPSIG(status));
	else if (WIFCONTINUED(status))
		snprintf(text, sizeof text, "continued");
	else if (WIFSIGNALED(status))
		snprintf(text, sizeof text, "killed by %d", WTERMSIG(status));
	else
		snprintf(text, sizeof text, "exit %d", WEXITSTATUS(status));
	return text;
}

static void nothing(int sig)
{
	(void)sig;
}

static int no_bytes[2], semaphores, messages;

enum { WAITS = 14, FOR_EVER = 100000 };

/* wait_in makes one call that waits, for so many ms where it can say so. */
static long wait_in(int kind, long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000 * 1000}, end;
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};
	struct pollfd p = {no_bytes[0], POLLIN, 0};
	struct sembuf take = {0, -1, 0};
	struct epoll_event event;
	uint32_t word = 0;
	uint64_t none = 0;
	fd_set set;
	char text[64];

	FD_ZERO(&set);
	FD_SET(no_bytes[0], &set);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += t.tv_sec;
	end.tv_nsec += t.tv_nsec;
	if (end.tv_nsec >= 1000 * 1000 * 1000) {
		end.tv_sec++;
		end.tv_nsec -= 1000 * 1000 * 1000;
	}
	switch (kind) {
	case 0: return raw(SYS_nanosleep, (long)&t, 0, 0, 0, 0, 0);
	case 1: return raw(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&t, 0, 0, 0);
	case 2: return raw(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, (long)&end, 0, 0, 0);
	case 3: return raw(SYS_poll, (long)&p, 1, ms, 0, 0, 0);
	case 4: return raw(SYS_ppoll, (long)&p, 1, (long)&t, (long)&none, 8, 0);
	case 5: return raw(SYS_select, no_bytes[0] + 1, (long)&set, 0, 0, (long)&tv, 0);
	case 6: return raw(SYS_epoll_wait, epoll_create1(0), (long)&event, 1, ms, 0, 0);
	case 7: return raw(SYS_futex, (long)&word, FUTEX_WAIT, 0, (long)&t, 0, 0);
	case 8: return raw(SYS_futex, (long)&word, FUTEX_WAIT_BITSET, 0, (long)&end, 0, -1);
	case 9: return raw(SYS_semtimedop, semaphores, (long)&take, 1, (long)&t, 0, 0);
	case 10: return raw(SYS_rt_sigtimedwait, (long)&none, 0, (long)&t, 8, 0, 0);
	case 11: return raw(SYS_read, no_bytes[0], (long)text, 1, 0, 0, 0);
	case 12: return raw(SYS_msgrcv, messages, (long)text, 8, 0, 0, 0);
	}
	return raw(SYS_pause, 0, 0, 0, 0, 0, 0);
}

static const char *const waits[WAITS] = {"nanosleep", "clock_nanosleep", "clock_nanosleep until", "poll", "ppoll", "select",
	"epoll_wait", "futex", "futex until", "semtimedop", "sigtimedwait", "read", "msgrcv", "pause"};

static void prepare_waits(void)
{
	if (pipe(no_bytes) || (semaphores = semget(IPC_PRIVATE, 1, 0600)) < 0 || (messages = msgget(IPC_PRIVATE, 0600)) < 0)
		die("pipe, semget, msgget: %s", strerror(errno));
}

static void forget_waits(void)
{
	semctl(semaphores, 0, IPC_RMID);
	msgctl(messages, IPC_RMID, NULL);
}

void await_sleep(pid_t pid)
{
	char path[64], text[256];

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	for (int asleep = 0; asleep < 3; usleep(1500)) {
		FILE *f = fopen(path, "r");
		if (!f || !fgets(text, sizeof text, f))
			die("%s", path);
		fclose(f);
		char *end = strrchr(text, ')');
		asleep = end && end[2] == 'S' ? asleep + 1 : end && end[2] == 'Z' ? 3 : 0;
	}
}

/* await_end waits for a child's end, so many ms at most. */
static void await_end(pid_t child, int ms)
{
	siginfo_t end = {0};

	for (; ms > 0 && !waitid(P_PID, child, &end, WEXITED | WNOWAIT | WNOHANG) && !end.si_pid; ms--)
		usleep(1000);
}

/* waits: each call that waits, interrupted by a caught signal, with SA_RESTART
 * (R) and without. A handler's end restarts some of them; those that would wait
 * for ever are killed then. */
static int run_waits(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	prepare_waits();
	for (int kind = 0; kind < WAITS; kind++)
		for (int flags = 0; flags < 2; flags++) {
			pid_t child = fork();
			if (child == 0) {
				struct sigaction sa = {.sa_handler = nothing, .sa_flags = flags ? SA_RESTART : 0};
				sigaction(SIGUSR1, &sa, NULL);
				_exit(-wait_in(kind, FOR_EVER));
			}
			await_sleep(child);
			kill(child, SIGUSR1);
			if (flags && kind >= 11) {
				await_end(child, kind == 11 ? 20 : 10000); /* the others end */
				kill(child, SIGKILL);
			}
			say("%s%s: %s", waits[kind], flags ? " R" : "", child_change(child));
		}
	forget_waits();
	return 0;
}

/* ends_early says whether a call ends with EINTR when its task is continued
 * (signal(7), "Interruption of system calls and library functions by stop
 * signals"). */
static int ends_early(int kind)
{
	return kind == 6 || kind == 9 || kind == 10;
}

/* stop_twice stops and continues a child that waits. It can have waited enough
 * meanwhile: then the last change is its end. */
static const char *stop_twice(pid_t child)
{
	for (int i = 0; i < 2; i++) {
		kill(child, SIGSTOP);
		const char *seen = child_change(child);
		if (strcmp(seen, "stopped by 19"))
			return seen;
		kill(child, SIGCONT);
		seen = child_change(child);
		if (strcmp(seen, "continued"))
			return seen;
	}
	return NULL;
}

/* waits-stopped: the same calls stopped and continued, twice each. */
static int run_waits_stopped(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	prepare_waits();
	for (int kind = 0; kind < WAITS; kind++) {
		pid_t child = fork();
		if (child == 0)
			_exit(-wait_in(kind, ends_early(kind) ? FOR_EVER : 100));
		await_sleep(child);
		const char *end = stop_twice(child);
		if (!end && kind >= 11)
			kill(child, SIGKILL);
		while (!end || !strcmp(end, "continued") || !strncmp(end, "stopped", 7))
			end = child_change(child);
		say("%s: %s", waits[kind], end);
	}
	forget_waits();
	return 0;
}

const struct command wait_commands[] = {
	{"waits", "", run_waits},
	{"waits-stopped", "", run_waits_stopped},
	{NULL, NULL, NULL},
};
