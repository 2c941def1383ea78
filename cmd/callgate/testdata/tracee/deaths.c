/*
 * Deaths at awkward moments: while forking, while in exec, while stopped.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void *exec_pause(void *unused)
{
	static char *again[] = {"/proc/self/exe", "exec-thread", "/proc/self/exe", "pause", NULL};

	execv(again[0], again);
	return unused;
}

static void *spin(void *unused)
{
	for (;;)
		getppid();
	return unused;
}

static void spawn(void *(*start)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, start, NULL))
		die("pthread_create");
}

/*
 * kill-forker ROUNDS: kills a process at the moment it forks. Its children have
 * nobody who would announce them to a tracer, and must go on all the same.
 */
static int run_kill_forker(int argc, char **argv)
{
	int ends[2], gate[2];
	char byte;

	if (argc < 1 || pipe(ends))
		return 99;
	for (long i = 0, n = number(argv[0]); i < n; i++) {
		if (pipe(gate))
			die("pipe: %s", strerror(errno));
		pid_t forker = fork();
		if (forker == 0) {
			close(ends[0]);
			if (write(gate[1], "x", 1) != 1)
				_exit(1);
			for (;;)
				if (fork() == 0)
					_exit(0);
		}
		if (read(gate[0], &byte, 1) != 1)
			die("read");
		usleep(i * 37 % 1500);
		kill(forker, SIGKILL);
		if (waitpid(forker, NULL, 0) != forker)
			die("waitpid");
		close(gate[0]);
		close(gate[1]);
	}
	close(ends[1]);
	say("orphans' pipe: %zd", read(ends[0], &byte, 1)); /* comes when all are gone */
	return 0;
}

/*
 * kill-execer ROUNDS: kills a process of several threads while one of them
 * execs, and stops and continues it meanwhile.
 */
static int run_kill_execer(int argc, char **argv)
{
	long other = 0;

	if (argc < 1)
		return 99;
	for (long i = 0, n = number(argv[0]); i < n; i++) {
		pid_t child = fork();
		if (child == 0) {
			spawn(spin);
			spawn(exec_pause);
			for (;;)
				pause();
		}
		usleep(i * 53 % 3000);
		if (i % 3 == 0)
			kill(child, SIGSTOP);
		if (i % 6 == 0)
			kill(child, SIGCONT);
		kill(child, SIGKILL);
		other += strcmp(reap(child), "signal 9") != 0;
	}
	say("ends other than by the signal: %ld", other);
	return 0;
}

/* worker is a process of busy threads, one of which execs another such process now and then. */
static void worker(void)
{
	spawn(spin);
	spawn(spin);
	if (getpid() % 4 == 0)
		spawn(exec_pause);
	spin(NULL);
}

/* kill-many ROUNDS: eight processes of busy threads, of which one is killed at a time. */
static int run_kill_many(int argc, char **argv)
{
	pid_t workers[8] = {0};
	long other = 0;

	if (argc < 1)
		return 99;
	for (long i = 0, n = number(argv[0]); i < n + 8; i++) {
		pid_t *w = &workers[i * 5 % 8];
		if (*w) {
			kill(*w, SIGKILL);
			other += strcmp(reap(*w), "signal 9") != 0;
			*w = 0;
		}
		if (i < n && (*w = fork()) == 0)
			worker();
		usleep(i * 91 % 2000);
	}
	say("ends other than by the signal: %ld", other);
	return 0;
}

static int run_pause(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (;;)
		pause();
	return 0;
}

const struct command death_commands[] = {
	{"kill-forker", "ROUNDS", run_kill_forker},
	{"kill-execer", "ROUNDS", run_kill_execer},
	{"kill-many", "ROUNDS", run_kill_many},
	{"pause", "", run_pause},
	{NULL, NULL, NULL},
};
