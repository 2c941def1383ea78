/*
 * Attacks by a process that shares its descriptors or its working folder with
 * another one, where callgate could miss that it does. In a folder with a/f, which
 * may be opened, and b/f, which may not.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { AT = 100 };

static int permitted, denied;

static int folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

/* got says whether f in a folder is the secret. */
static int got(int dir)
{
	char text[8] = "";
	long fd = raw(SYS_openat, dir, (long)"f", O_RDWR, 0, 0, 0);

	if (fd < 0)
		return 0;
	long n = read(fd, text, 6);
	close(fd);
	return n == 6 && !memcmp(text, "secret", 6);
}

/* sharing NR FLAGS TRIES: a child by call NR, which exchanges descriptor 100, or its
 * working folder, while this process opens what is there. */
static int run_sharing(int argc, char **argv)
{
	long secrets = 0;

	if (argc < 3)
		return 99;
	permitted = folder("a");
	denied = folder("b");
	dup2(permitted, AT);
	fchdir(permitted);
	long flags = number(argv[1]);
	long child = raw(number(argv[0]), flags | SIGCHLD, 0, 0, 0, 0, 0);
	while (child == 0)
		if (flags & CLONE_FILES) {
			raw(SYS_dup2, permitted, AT, 0, 0, 0, 0);
			raw(SYS_dup2, denied, AT, 0, 0, 0, 0);
		} else {
			raw(SYS_fchdir, permitted, 0, 0, 0, 0, 0);
			raw(SYS_fchdir, denied, 0, 0, 0, 0, 0);
		}
	if (child < 0)
		die("clone: %s", show(child));
	for (long i = number(argv[2]); i > 0; i--)
		secrets += got(flags & CLONE_FILES ? AT : AT_FDCWD);
	kill(child, SIGKILL);
	say("got %ld", secrets);
	return 0;
}

static long microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static volatile int go;
static long delay;

/* A thread's child exchanges the working folder for a while; the thread dies of its
 * process's execve about when it makes it. */
static void *bear(void *unused)
{
	(void)unused;
	while (!go)
		;
	for (long end = microseconds() + delay; microseconds() < end;)
		;
	if (raw(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0, 0) == 0) {
		for (long end = microseconds() + 30000; microseconds() < end;) {
			raw(SYS_fchdir, permitted, 0, 0, 0, 0, 0);
			raw(SYS_fchdir, denied, 0, 0, 0, 0, 0);
		}
		raw(SYS_exit_group, 0, 0, 0, 0, 0, 0);
	}
	for (;;)
		pause();
	return NULL;
}

/* sharing-look: in a/, opens f for a while; exits 7 if it was the secret. */
static int run_look(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (long end = microseconds() + 20000; microseconds() < end;)
		if (got(AT_FDCWD))
			return 7;
	return 0;
}

/* sharing-exec TRIES */
static int run_exec(int argc, char **argv)
{
	static char *const look[] = {"tracee", "sharing-look", NULL};
	long secrets = 0;

	if (argc < 1)
		return 99;
	for (long i = number(argv[0]); i > 0; i--) {
		int status = 0;
		delay = i * 7 % 300;
		pid_t pid = fork();
		if (pid == 0) {
			pthread_t thread;
			permitted = folder("a");
			denied = folder("b");
			fchdir(permitted);
			pthread_create(&thread, NULL, bear, NULL);
			usleep(300);
			go = 1;
			execv("/proc/self/exe", look);
			_exit(1);
		}
		while (waitpid(pid, &status, 0) < 0)
			;
		secrets += WIFEXITED(status) && WEXITSTATUS(status) == 7;
	}
	say("got %ld", secrets);
	return 0;
}

const struct command sharing_commands[] = {
	{"sharing", "NR FLAGS TRIES", run_sharing},
	{"sharing-look", "", run_look},
	{"sharing-exec", "TRIES", run_exec},
	{NULL, NULL, NULL},
};
