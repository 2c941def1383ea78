/* equal ROOT [thread]: makes the calls that its input has, a line each, and
 * prints what came of them. ROOT is left out of the paths that it prints; with
 * "thread" a second thread sits by.
 *
 * A line is words: the working folder; how many descriptors to open, and for each
 * its flags and its path, the first becoming number 100 (99 is an inotify's); what to show; the call's
 * number; its arguments:
 *
 *	iN    the number N
 *	sHEX  a pointer to these bytes and a NUL
 *	b     a pointer to a buffer of zeros
 *
 * Folders and paths are in hex too. What to show: "fd" of the descriptor that the
 * call returns; "stat", "statx", "text" of the buffer; "cwd"; "run" makes the call
 * in a child and shows its wait status, "root" too and shows what its / is; "-". */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST = 100, MOST = 4, ROOM = 4096 };

static const char *root;
static int base;
static char buffer[ROOM];
static char texts[8][ROOM * 3];

static void die(const char *what)
{
	fprintf(stderr, "equal: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static char *word(void)
{
	char *w = strtok(NULL, " \n");
	if (!w)
		die("a line is too short");
	return w;
}

/* unhex writes the bytes of hex and a NUL. */
static char *unhex(const char *hex, char *to)
{
	size_t n = strlen(hex) / 2;
	for (size_t i = 0; i < n; i++) {
		unsigned byte;
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			die(hex);
		to[i] = byte;
	}
	to[n] = 0;
	return to;
}

/* say_text prints what reads the same wherever ROOT is. */
static void say_text(const char *text)
{
	size_t n = strlen(root);
	if (strncmp(text, root, n) == 0) {
		printf("ROOT");
		text += n;
	}
	for (; *text; text++)
		if (*text > ' ' && *text < 127)
			putchar(*text);
		else
			printf("\\x%02x", (unsigned char)*text);
}

/* Files are told apart by their times, all long ago but for what is new. */
static void say_file(unsigned mode, long long mtime, long long size, unsigned links)
{
	printf("mode %o", mode);
	if (mtime < 1000000000)
		printf(" of %lld", mtime);
	if (S_ISREG(mode))
		printf(" size %lld", size);
	if (!S_ISDIR(mode))
		printf(" links %u", links);
}

static void say_stat(const struct stat *st)
{
	say_file(st->st_mode, st->st_mtime, st->st_size, st->st_nlink);
}

static void say_fd(int fd)
{
	struct stat st;
	if (fstat(fd, &st))
		die("fstat");
	say_stat(&st);
	printf(" flags %o %d", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
	close(fd);
}

static void say_cwd(void)
{
	char text[ROOM];
	if (syscall(SYS_getcwd, text, sizeof text) < 0)
		die("getcwd");
	say_text(text);
}

static long argument(int i)
{
	char *w = word();
	if (*w == 'i')
		return strtol(w + 1, NULL, 0);
	if (*w == 's')
		return (long)unhex(w + 1, texts[i]);
	if (*w == 'b')
		return (long)buffer;
	die(w);
	return 0;
}

static long call(long nr, long *a)
{
	long result = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	return result < 0 ? -errno : result;
}

/* in_child makes a call that would change this process for good. */
static void in_child(long nr, long *a, int shows_root)
{
	fflush(stdout);
	int status;
	pid_t child = fork();
	if (child == 0) {
		long result = call(nr, a);
		printf("%ld ", result);
		if (shows_root && result == 0) {
			struct stat st;
			if (fstatat(AT_FDCWD, "/", &st, 0))
				printf("no root: %d", errno);
			else
				say_stat(&st);
		}
		fflush(stdout);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		die("fork");
	if (status)
		printf("0 status %x", status);
}

static void show(const char *what, long result)
{
	const struct statx *x = (struct statx *)buffer;

	printf("%ld ", result < 0 || !strcmp(what, "-") || !strcmp(what, "text") ? result : 0);
	if (result < 0)
		return;
	if (!strcmp(what, "fd"))
		say_fd(result);
	else if (!strcmp(what, "stat"))
		say_stat((struct stat *)buffer);
	else if (!strcmp(what, "statx"))
		say_file(x->stx_mode, x->stx_mtime.tv_sec, x->stx_size, x->stx_nlink);
	else if (!strcmp(what, "text"))
		say_text(buffer);
	else if (!strcmp(what, "cwd"))
		say_cwd();
}

/* prepare gives the case its working folder and descriptors; 0, or -errno. */
static int prepare(int n)
{
	char path[ROOM * 3];
	for (int i = 0; i < n; i++) {
		int flags = strtol(word(), NULL, 8);
		int fd = open(unhex(word(), path), flags);
		if (fd < 0)
			return -errno;
		if (dup2(fd, FIRST + i) < 0)
			die("dup2");
		close(fd);
	}
	return 0;
}

static int enter(const char *hex)
{
	char path[ROOM * 3];
	int fd = open(unhex(hex, path), O_PATH | O_DIRECTORY);
	if (fd < 0)
		return -errno;
	if (fchdir(fd))
		die("fchdir");
	close(fd);
	return 0;
}

static void one(char *line)
{
	char *cwd = strtok(line, " \n");
	int n = atoi(word());
	int failed = prepare(n);
	if (!failed)
		failed = enter(cwd);
	if (failed) {
		printf("not prepared: %d\n", failed);
		return;
	}
	char *what = word();
	long nr = strtol(word(), NULL, 0), a[6] = {0};
	memset(buffer, 0, sizeof buffer);
	for (int i = 0; i < 6; i++)
		a[i] = argument(i);
	if (!strcmp(what, "run") || !strcmp(what, "root"))
		in_child(nr, a, !strcmp(what, "root"));
	else
		show(what, call(nr, a));
	putchar('\n');
	for (int i = 0; i < n; i++)
		close(FIRST + i);
	if (fchdir(base))
		die("fchdir");
}

static void *sit(void *unused)
{
	for (;;)
		pause();
	return unused;
}

int main(int argc, char **argv)
{
	static char line[1 << 17];
	pthread_t thread;

	if (argc < 2)
		die("usage: equal ROOT [thread]");
	root = argv[1];
	umask(022);
	base = open("/", O_PATH | O_DIRECTORY);
	if (base < 0 || dup2(inotify_init1(IN_NONBLOCK), FIRST - 1) < 0)
		die("/");
	if (argc > 2 && pthread_create(&thread, NULL, sit, NULL))
		die("pthread_create");
	while (fgets(line, sizeof line, stdin))
		one(line);
	fflush(stdout);
	_exit(ferror(stdin) ? 99 : 0);
}
