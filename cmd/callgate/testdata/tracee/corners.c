/*
 * What is hard to trace: stops that meet execs, deaths and births, and calls
 * that a signal interrupts.
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
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* change says what waitpid reports of a child next. */
static const char *change(pid_t child)
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

/* expect counts what is not as it must be. */
static int expect(pid_t child, const char *want)
{
	return strcmp(change(child), want) != 0;
}

static volatile int shared_word;

/* vfork-exit: a vfork child that executes nothing shares memory until it ends. */
static int run_vfork_exit(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (volatile int i = 0; i < 3; i++) {
		pid_t pid = vfork();
		if (pid == 0) {
			shared_word += 11;
			if (i == 1)
				kill(getpid(), SIGKILL);
			_exit(20 + i);
		}
		say("vfork child: %s, its word %d", reap(pid), shared_word);
	}
	return 0;
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
				usleep(20000);
				kill(child, SIGKILL);
			}
			say("%s%s: %s", waits[kind], flags ? " R" : "", change(child));
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
		const char *seen = change(child);
		if (strcmp(seen, "stopped by 19"))
			return seen;
		kill(child, SIGCONT);
		seen = change(child);
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
			end = change(child);
		say("%s: %s", waits[kind], end);
	}
	forget_waits();
	return 0;
}

static char *alternative;

static void on_alternative(int sig)
{
	stack_t now;
	char here;

	raise(SIGSTOP); /* and goes on here */
	sigaltstack(NULL, &now);
	say("signal %d, on the alternative stack %d, flags %d", sig, &here >= alternative && &here < alternative + 65536,
	    now.ss_flags);
}

/* altstack-stop: a handler on an alternative stack is stopped and goes on. */
static int run_altstack_stop(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	pid_t child = fork();
	if (child == 0) {
		struct sigaction sa = {.sa_handler = on_alternative, .sa_flags = SA_ONSTACK};
		alternative = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		stack_t stack = {.ss_sp = alternative, .ss_size = 65536};
		sigaltstack(&stack, NULL);
		sigaction(SIGUSR1, &sa, NULL);
		raise(SIGUSR1);
		_exit(6);
	}
	say("child: %s", change(child));
	kill(child, SIGCONT);
	say("child: %s", reap(child)); /* its own line comes first */
	return 0;
}

static void *spin(void *unused)
{
	for (;;)
		raw(SYS_getppid, 0, 0, 0, 0, 0, 0);
	return unused;
}

static void *exec_true(void *unused)
{
	char *argv[] = {"true", NULL};

	execv("/bin/true", argv);
	_exit(98);
	return unused;
}

static void spawn(void *(*start)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, start, NULL))
		_exit(97);
}

/* exec-stopped ROUNDS: a stop that meets an exec of a thread that is not the
 * leader, with other threads running. */
static int run_exec_stopped(int argc, char **argv)
{
	long rounds = argc > 0 ? number(argv[0]) : 50, wrong = 0;

	for (long i = 0; i < rounds; i++) {
		int status;
		pid_t child = fork();
		if (child == 0) {
			spawn(spin);
			spawn(exec_true);
			spin(NULL);
		}
		usleep(i % 40 * 25);
		kill(child, SIGSTOP);
		pid_t got = waitpid(child, &status, WUNTRACED);
		if (got == child && WIFSTOPPED(status)) {
			kill(child, SIGCONT);
			got = waitpid(child, &status, 0);
		}
		wrong += got != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	}
	say("%ld of %ld execs wrong", wrong, rounds);
	return 0;
}

static int told[2];

static void *after_leader(void *unused)
{
	char byte;

	while (read(told[0], &byte, 1) == 1)
		;
	exit(8);
	return unused;
}

/* leader-stop: a process whose leader is dead is stopped and continued. */
static int run_leader_stop(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	if (pipe(told))
		die("pipe");
	pid_t child = fork();
	if (child == 0) {
		close(told[1]);
		spawn(after_leader);
		raw(SYS_exit, 0, 0, 0, 0, 0, 0);
	}
	close(told[0]);
	for (int i = 0; i < 3; i++) {
		usleep(5000);
		kill(child, SIGSTOP);
		say("without a leader: %s", change(child));
		kill(child, SIGCONT);
		say("without a leader: %s", change(child));
	}
	close(told[1]);
	say("without a leader: %s", change(child));
	return 0;
}

/* fork-stop ROUNDS: children that are stopped as soon as they are born, or in the
 * middle of a vfork's exec. */
static int run_fork_stop(int argc, char **argv)
{
	long rounds = argc > 0 ? number(argv[0]) : 100, wrong = 0;

	for (long i = 0; i < rounds; i++) {
		pid_t child = fork();
		if (child == 0) {
			raw(SYS_getppid, 0, 0, 0, 0, 0, 0);
			for (;;)
				pause();
		}
		kill(child, SIGSTOP);
		wrong += expect(child, "stopped by 19");
		kill(child, SIGCONT);
		wrong += expect(child, "continued");
		kill(child, SIGTERM);
		wrong += expect(child, "killed by 15");
	}
	say("%ld of %ld births wrong", wrong, rounds);
	return 0;
}

/* die-stopped ROUNDS: processes with threads that are killed while they are
 * stopped, while they stop, and while they go on. */
static int run_die_stopped(int argc, char **argv)
{
	long rounds = argc > 0 ? number(argv[0]) : 100, wrong = 0;

	for (long i = 0; i < rounds; i++) {
		int status;
		pid_t child = fork();
		if (child == 0) {
			spawn(spin);
			spawn(spin);
			spin(NULL);
		}
		usleep(i % 10 * 30);
		kill(child, SIGSTOP);
		if (i % 3 > 0)
			wrong += expect(child, "stopped by 19");
		if (i % 3 > 1)
			kill(child, SIGCONT);
		kill(child, SIGKILL);
		pid_t got;
		do
			got = waitpid(child, &status, 0);
		while (got == child && !WIFSIGNALED(status) && !WIFEXITED(status));
		wrong += got != child || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL;
	}
	say("%ld of %ld deaths wrong", wrong, rounds);
	return 0;
}

const struct command corner_commands[] = {
	{"vfork-exit", "", run_vfork_exit},
	{"waits", "", run_waits},
	{"waits-stopped", "", run_waits_stopped},
	{"altstack-stop", "", run_altstack_stop},
	{"exec-stopped", "ROUNDS", run_exec_stopped},
	{"leader-stop", "", run_leader_stop},
	{"fork-stop", "ROUNDS", run_fork_stop},
	{"die-stopped", "ROUNDS", run_die_stopped},
	{NULL, NULL, NULL},
};
