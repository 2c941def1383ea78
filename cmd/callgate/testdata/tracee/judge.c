/*
 * What a judge of other people's programs meets: each takes all that it can get.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int run_burn(int argc, char **argv)
{
	volatile unsigned long n = 0;

	(void)argv;
	for (long i = 1, more = argc > 0 ? number(argv[0]) : 1; i < more; i++)
		if (fork() == 0)
			break;
	for (;;)
		n++;
	return 0;
}

/* burn-apart: each of many short lives burns a little, and none is waited for. */
static int run_burn_apart(int argc, char **argv)
{
	(void)argc, (void)argv;
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		pid_t child = fork();
		if (child == 0) {
			for (volatile unsigned long n = 0; n < 20000000; n++)
				;
			_exit(0);
		}
		waitpid(child, NULL, 0); /* ECHILD, once it is dead */
	}
}

static int run_hog(int argc, char **argv)
{
	size_t size = 1UL << 20;

	(void)argc, (void)argv;
	for (;;) {
		char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			die("mmap: %s", strerror(errno));
		memset(p, 1, size);
	}
}

/* hog-many: as hog, in four processes. */
static int run_hog_many(int argc, char **argv)
{
	if (fork() == 0)
		fork();
	else
		fork();
	return run_hog(argc, argv);
}

static int run_map(int argc, char **argv)
{
	if (argc < 1)
		return 99;
	void *p = mmap(NULL, (size_t)number(argv[0]), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	say("%s", p == MAP_FAILED ? strerror(errno) : "mapped");
	return 0;
}

/* birth makes a process by the call of that name. */
static pid_t birth(const char *how)
{
	if (strcmp(how, "fork") == 0)
		return raw(SYS_fork, 0, 0, 0, 0, 0, 0);
	if (strcmp(how, "clone") == 0)
		return raw(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
	if (strcmp(how, "clone-untraced") == 0)
		return raw(SYS_clone, SIGCHLD | CLONE_UNTRACED, 0, 0, 0, 0, 0);
	if (strcmp(how, "int80") == 0)
		return raw_int80(2, (const uint32_t[6]){0});
	if (strcmp(how, "clone3") == 0) {
		struct clone_args args = {.exit_signal = SIGCHLD};
		return raw(SYS_clone3, (long)&args, sizeof args, 0, 0, 0, 0);
	}
	die("%s is no birth", how);
}

/* bear HOW: makes processes until that fails, and says how many there are then. */
static int run_bear(int argc, char **argv)
{
	long n = 1;

	if (argc < 1)
		return 99;
	for (;; n++) {
		pid_t child = birth(argv[0]);
		if (child < 0)
			break;
		if (child == 0) {
			pause();
			_exit(0);
		}
	}
	say("%ld %s", n, show(birth(argv[0])));
	return 0;
}

/* zombies: as bear, with children that end at once and that nobody waits for. */
static int run_zombies(int argc, char **argv)
{
	long n = 1;

	(void)argc, (void)argv;
	for (;; n++) {
		pid_t child = fork();
		if (child < 0)
			break;
		if (child == 0)
			_exit(0);
		siginfo_t info;
		waitid(P_PID, child, &info, WEXITED | WNOWAIT);
	}
	say("%ld %s", n, strerror(errno));
	while (wait(NULL) > 0)
		;
	say("%s", fork() < 0 ? strerror(errno) : "forks again");
	return 0;
}

static int run_fork_bomb(int argc, char **argv)
{
	(void)argc, (void)argv;
	for (;;)
		if (fork() < 0)
			usleep(1000);
	return 0;
}

static void *stay(void *unused)
{
	pause();
	return unused;
}

static int run_thread_bomb(int argc, char **argv)
{
	pthread_t thread;
	pthread_attr_t small;
	long n = 1;
	int rc;

	(void)argc, (void)argv;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	while ((rc = pthread_create(&thread, &small, stay, NULL)) == 0)
		n++;
	say("%ld %s", n, strerror(rc));
	return 0;
}

static int put(int fd, long bytes)
{
	static char block[65536];

	memset(block, 'x', sizeof block);
	while (bytes > 0) {
		ssize_t n = write(fd, block, bytes < (long)sizeof block ? bytes : (long)sizeof block);
		if (n < 0) {
			say("%s", strerror(errno));
			return 1;
		}
		bytes -= n;
	}
	return 0;
}

static int run_flood(int argc, char **argv) { return argc < 2 ? 99 : put(number(argv[0]), number(argv[1])); }

/* big-file FILE BYTES [careful]: writes a file; careful ignores SIGXFSZ. */
static int run_big_file(int argc, char **argv)
{
	if (argc < 2)
		return 99;
	if (argc > 2)
		signal(SIGXFSZ, SIG_IGN);
	int fd = open(argv[0], O_WRONLY | O_CREAT, 0600);
	if (fd < 0)
		die("open: %s", strerror(errno));
	return put(fd, number(argv[1]));
}

static int run_leak(int argc, char **argv)
{
	int fd;

	(void)argc, (void)argv;
	while ((fd = dup(1)) >= 0 && fd < 100000)
		;
	say("%s", fd < 0 ? strerror(errno) : "no end");
	return 0;
}

/* deaf SIGNAL...: ignores signals, and waits for ever. */
static int run_deaf(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		signal(number(argv[i]), SIG_IGN);
	say("ready");
	for (;;)
		pause();
	return 0;
}

/* halt: stops, again and again, whoever wakes it. */
static int run_halt(int argc, char **argv)
{
	(void)argc, (void)argv;
	for (;;)
		raise(SIGSTOP);
	return 0;
}

const struct command judge_commands[] = {
	{"burn", "[PROCESSES]", run_burn},
	{"burn-apart", "", run_burn_apart},
	{"hog", "", run_hog},
	{"hog-many", "", run_hog_many},
	{"map", "BYTES", run_map},
	{"bear", "fork|clone|clone-untraced|clone3|int80", run_bear},
	{"zombies", "", run_zombies},
	{"fork-bomb", "", run_fork_bomb},
	{"thread-bomb", "", run_thread_bomb},
	{"flood", "DESCRIPTOR BYTES", run_flood},
	{"big-file", "FILE BYTES [careful]", run_big_file},
	{"leak", "", run_leak},
	{"halt", "", run_halt},
	{"deaf", "SIGNAL...", run_deaf},
	{NULL, NULL, NULL},
};
