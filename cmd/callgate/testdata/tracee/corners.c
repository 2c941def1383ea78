/*
 * What is hard to trace: stops that meet execs, deaths and births.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* expect counts what is not as it must be. */
static int expect(pid_t child, const char *want)
{
	return strcmp(child_change(child), want) != 0;
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
	say("child: %s", child_change(child));
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
		say("without a leader: %s", child_change(child));
		kill(child, SIGCONT);
		say("without a leader: %s", child_change(child));
	}
	close(told[1]);
	say("without a leader: %s", child_change(child));
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
	{"altstack-stop", "", run_altstack_stop},
	{"exec-stopped", "ROUNDS", run_exec_stopped},
	{"leader-stop", "", run_leader_stop},
	{"fork-stop", "ROUNDS", run_fork_stop},
	{"die-stopped", "ROUNDS", run_die_stopped},
	{NULL, NULL, NULL},
};
