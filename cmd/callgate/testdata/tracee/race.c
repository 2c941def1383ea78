/*
 * Races: a thread changes what a call points to while the call is decided.
 * Each tries TRIES times and counts what it got.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile uint32_t *narrow_target;
static volatile uint64_t *wide_target;
static uint64_t one, other;

static void *flip(void *unused)
{
	(void)unused;
	for (;;) {
		if (narrow_target) {
			*narrow_target = one;
			*narrow_target = other;
		}
		if (wide_target) {
			*wide_target = one;
			*wide_target = other;
		}
	}
	return NULL;
}

static void start_flipping(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, flip, NULL))
		die("pthread_create");
}

/*
 * race-socketcall WANTED ALLOWED TRIES: i386's socketcall(SYS_SOCKET) with a
 * block whose address family flips.
 */
static int run_socketcall(int argc, char **argv)
{
	long got_one = 0, got_other = 0, refused = 0;

	if (argc < 3)
		return 99;
	uint32_t *block = low_memory(4096);
	one = number(argv[0]);
	other = number(argv[1]);
	block[0] = other;
	block[1] = SOCK_STREAM;
	narrow_target = &block[0];
	start_flipping();
	for (long i = number(argv[2]); i > 0; i--) {
		uint32_t args[6] = {1, (uint32_t)(uintptr_t)block};
		int fd = raw_int80(102, args);
		if (fd < 0) {
			refused++;
			continue;
		}
		int domain = -1;
		socklen_t size = sizeof domain;
		getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size);
		if ((uint64_t)domain == one)
			got_one++;
		else
			got_other++;
		close(fd);
	}
	say("wanted %ld allowed %ld refused %ld", got_one, got_other, refused);
	return 0;
}

/* outside says whether the caller escaped: another user namespace, or no tracer. */
static int outside(const char *home)
{
	char line[256], here[64] = "";
	int escaped = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof line, f))
		escaped |= !strcmp(line, "TracerPid:\t0\n");
	if (f)
		fclose(f);
	if (readlink("/proc/self/ns/user", here, sizeof here - 1) > 0)
		escaped |= strcmp(here, home) != 0;
	return escaped;
}

/*
 * race-clone3 FLAGS TRIES: clone3 whose clone_args.flags flip between FLAGS and
 * 0. A child that came to be says by its exit status whether it is outside.
 */
static int run_clone3(int argc, char **argv)
{
	static struct clone_args args;
	char home[64] = "";
	long escaped = 0, inside = 0, refused = 0;

	if (argc < 2)
		return 99;
	if (readlink("/proc/self/ns/user", home, sizeof home - 1) < 0)
		die("/proc/self/ns/user");
	args.exit_signal = SIGCHLD;
	one = number(argv[0]);
	other = 0;
	wide_target = (volatile uint64_t *)&args.flags;
	start_flipping();
	for (long i = number(argv[1]); i > 0; i--) {
		long pid = raw(SYS_clone3, (long)&args, 64, 0, 0, 0, 0);
		if (pid == 0)
			_exit(outside(home) ? 7 : 0);
		if (pid < 0) {
			refused++;
			continue;
		}
		int status = 0;
		while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
			;
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
			inside++;
		else
			escaped++;
	}
	say("escaped %ld inside %ld refused %ld", escaped, inside, refused);
	return 0;
}

const struct command race_commands[] = {
	{"race-socketcall", "WANTED ALLOWED TRIES", run_socketcall},
	{"race-clone3", "FLAGS TRIES", run_clone3},
	{NULL, NULL, NULL},
};
