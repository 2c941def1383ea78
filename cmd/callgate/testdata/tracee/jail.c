/* Names under a root of the program's own, in the folder wk. */
#define _GNU_SOURCE
#include "names.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * jail-proc: a link in a /proc of its own making stands where its descriptor of
 * a pipe is to be opened anew.
 */
static int run_jail_proc(int argc, char **argv)
{
	char name[64], text[8] = "";
	int p[2];

	(void)argc;
	(void)argv;
	if (pipe(p))
		die("pipe");
	int links = folder("/proc/self/fd", O_PATH);
	mkdir("wk/proc", 0700);
	mkdir("wk/proc/self", 0700);
	mkdir("wk/proc/self/fd", 0700);
	snprintf(name, sizeof name, "wk/proc/self/fd/%d", p[0]);
	if (symlink("/secret", name))
		die("symlink");
	say("chroot = %s", show(chroot("wk") ? -1 : 0));
	snprintf(name, sizeof name, "%d", p[0]);
	if (write(p[1], "a pipe", 6) != 6)
		die("write");
	int fd = openat(links, name, O_RDONLY);
	if (fd >= 0 && read(fd, text, 6) < 0)
		die("read");
	say("read %s", text);
	return 0;
}

static int out, in;

static void flip_roots(void)
{
	raw(SYS_fchdir, in, 0, 0, 0, 0, 0);
	raw(SYS_chroot, (long)".", 0, 0, 0, 0, 0);
	raw(SYS_fchdir, out, 0, 0, 0, 0, 0);
	raw(SYS_chroot, (long)".", 0, 0, 0, 0, 0);
}

/* jail-race TRIES: a thread changes the root that /f is beneath, and back. */
static int run_jail_race(int argc, char **argv)
{
	long got = 0;

	if (argc < 1)
		return 99;
	out = folder("/", O_PATH);
	in = folder("wk", O_PATH);
	start(0, flip_roots);
	for (long i = number(argv[0]); i > 0; i--) {
		char text[8] = "";
		int fd = open("/secret", O_RDONLY);
		if (fd < 0)
			continue;
		got += read(fd, text, 6) == 6 && !strcmp(text, "secret");
		close(fd);
	}
	say("got %ld", got);
	return 0;
}

const struct command jail_commands[] = {
	{"jail-proc", "", run_jail_proc},
	{"jail-race", "TRIES", run_jail_race},
	{NULL, NULL, NULL},
};
