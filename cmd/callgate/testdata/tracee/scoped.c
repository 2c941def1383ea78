/*
 * openat2 with the flags by which a name may not lead everywhere.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void make(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	if (fd < 0 && errno == EACCES)
		return; /* it is forbidden */
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die("%s: %s", path, strerror(errno));
	close(fd);
}

static void make_world(void)
{
	static const char *const links[][2] = {
		{"d/g", "top/in"},     {"../out", "top/up"},	    {"/f", "top/root"},	      {"/d", "top/root-d"},
		{"d/new", "top/dang"}, {"/d/new2", "top/root-dang"}, {"../new", "top/up-dang"}, {"loop", "top/loop"},
		{"d/../f", "top/back"}, {"/proc/self/fd/0", "top/magic"}, {"../forbidden", "top/to-forbidden"},
		{"/forbidden", "top/root-forbidden"}, {"/tmp/scoped/top/f", "top/far"}, {"/tmp/scoped/top/d/new", "top/far-dang"},
		{"/tmp/scoped/top/forbidden", "top/far-forbidden"},
	};

	if (mkdir("top", 0700) || mkdir("top/d", 0700))
		die("mkdir: %s", strerror(errno));
	make("out", "outside");
	make("forbidden", "secret");
	make("top/f", "f");
	make("top/d/g", "g");
	make("top/forbidden", "secret");
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		if (symlink(links[i][0], links[i][1]))
			die("symlink: %s", strerror(errno));
}

static const char *const names[] = {"f", "/f", "d/g", "d/../f", "../out", "d/../../out", "..", ".", "/", "/..", "in", "up", "root", "root-d",
	"root-d/g", "dang", "root-dang", "up-dang", "loop", "back", "magic", "missing", "missing/x", "/missing", "f/", "f/x", "d/", "in/",
	"to-forbidden", "root-forbidden", "forbidden", "/forbidden", "d/../forbidden", "/proc/version", "/dev/null",
	"far", "far-dang", "far-forbidden", "../top/far", "/tmp/scoped/top/f", "/tmp/scoped/top/d/new", "/tmp/scoped/top/far", "/tmp/scoped/top/up",
	"/tmp/scoped/top/forbidden", "/tmp/scoped/top/far-dang", "/tmp/../f", "/proc/self/status"};

static const unsigned long long scopes[] = {RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS,
	RESOLVE_BENEATH | RESOLVE_NO_XDEV, RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH | RESOLVE_IN_ROOT};

static const unsigned long long flags[] = {O_RDONLY, O_CREAT | O_WRONLY, O_CREAT | O_EXCL | O_RDWR, O_PATH | O_NOFOLLOW, O_RDONLY | O_DIRECTORY};

/* one opens one name and says what came of it. A file that it made is removed. */
static void one(int top, const char *name, unsigned long long resolve, unsigned long long open_flags)
{
	struct open_how how = {.flags = open_flags | O_CLOEXEC, .mode = open_flags & O_CREAT ? 0600 : 0, .resolve = resolve};
	char link[64], path[4096] = "", text[16] = "";
	long fd = raw(SYS_openat2, top, (long)name, (long)&how, sizeof how, 0, 0);
	ssize_t n = 0;

	if (fd < 0) {
		say("%s, %llx, %llo: %s", name, resolve, open_flags, show(fd));
		return;
	}
	snprintf(link, sizeof link, "/proc/self/fd/%ld", fd);
	if (readlink(link, path, sizeof path - 1) < 0)
		die("readlink");
	if ((n = read(fd, text, sizeof text - 1)) < 0)
		n = 0;
	if (!strncmp(path, "/proc/", 6)) /* what it is called and says varies */
		strcpy(path, "/proc"), n = 0;
	say("%s, %llx, %llo: %s \"%.*s\"", name, resolve, open_flags, path, (int)n, text);
	struct stat st;
	if (open_flags & O_CREAT && !fstat(fd, &st) && st.st_size == 0 && S_ISREG(st.st_mode))
		unlink(path);
	close(fd);
}

static void *wait_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* scoped make|alone|threads|fresh: make what the names are of, or try every name
 * with every flag, by a process with one thread or with two, or by one that makes it
 * in a /tmp of its own. */
static int run_scoped(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 1)
		return 99;
	if (!strcmp(argv[0], "make")) {
		make_world();
		return 0;
	}
	if (!strcmp(argv[0], "fresh")) {
		if (mkdir("/tmp/scoped", 0700) || chdir("/tmp/scoped"))
			die("mkdir: %s", strerror(errno));
		make_world();
	}
	if (!strcmp(argv[0], "threads") && pthread_create(&thread, NULL, wait_for_ever, NULL))
		die("pthread_create");
	int top = open("top", O_RDONLY | O_DIRECTORY);
	for (size_t s = 0; s < sizeof scopes / sizeof *scopes; s++)
		for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
			for (size_t n = 0; n < sizeof names / sizeof *names; n++)
				one(top, names[n], scopes[s], flags[f]);
	return 0;
}

const struct command scoped_commands[] = {
	{"scoped", "make|alone|threads|fresh", run_scoped},
	{NULL, NULL, NULL},
};
