/*
 * Attacks by descriptors: a thread exchanges the one that a call acts on for
 * one of a file that may only be read; and attacks that need no race.
 */
#define _GNU_SOURCE
#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT 100
static int fine, kept;

static void exchange(void)
{
	raw(SYS_dup2, fine, AT, 0, 0, 0, 0);
	raw(SYS_dup2, kept, AT, 0, 0, 0, 0);
}

static const char link_name[] = "/proc/self/fd/100";

static long now[4];

/* Calls on descriptor 100, or on the file that its link leads to. */
static const struct held {
	const char *name;
	long nr, args[6];
} held[] = {
	{"fchmod", SYS_fchmod, {AT, 0604}},
	{"fchown", SYS_fchown, {AT, -1, -1}},
	{"fsetxattr", SYS_fsetxattr, {AT, (long)"user.y", (long)"y", 1, 0}},
	{"fremovexattr", SYS_fremovexattr, {AT, (long)"user.x"}},
	{"utimensat", SYS_utimensat, {AT, 0, (long)now, 0}},
	{"futimesat", SYS_futimesat, {AT, 0, (long)now}},
	{"fchownat", SYS_fchownat, {AT, (long)"", -1, -1, AT_EMPTY_PATH}},
	{"fchmodat2", 452, {AT, (long)"", 0604, AT_EMPTY_PATH}},
	{"linkat", SYS_linkat, {AT, (long)"", AT_FDCWD, (long)"wk/link", AT_EMPTY_PATH}},
	{"open-link", SYS_open, {(long)link_name, O_WRONLY | O_TRUNC}},
	{"open-link-append", SYS_open, {(long)link_name, O_WRONLY | O_APPEND}},
	{"truncate-link", SYS_truncate, {(long)link_name, 1}},
	{"chmod-link", SYS_chmod, {(long)link_name, 0604}},
	{"linkat-link", SYS_linkat, {AT_FDCWD, (long)link_name, AT_FDCWD, (long)"wk/link", AT_SYMLINK_FOLLOW}},
	{0},
};

/* held CALL TRIES */
static int run_held(int argc, char **argv)
{
	const struct held *h = held;

	if (argc < 2)
		return 99;
	fine = open("wk/f", O_RDONLY);
	kept = open("ro/f", O_RDONLY);
	while (h->name && strcmp(h->name, argv[0]))
		h++;
	if (!h->name || fine < 0 || kept < 0)
		die("held: no such call, or no files");
	exchange();
	start(0, exchange);
	long made = 0, refused = 0;
	for (long i = number(argv[1]); i > 0; i--) {
		const long *a = h->args;
		long r = raw(h->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		if (r == -EACCES || r == -EPERM)
			refused++;
		else
			made++;
		if (r >= 0 && h->nr == SYS_open) {
			raw(SYS_write, r, (long)"harm", 4, 0, 0, 0);
			close(r);
		}
		if (r >= 0 && h->nr == SYS_linkat)
			unlink("wk/link");
	}
	say("got 0 made %ld refused %ld", made, refused);
	return 0;
}

static int run_held_list(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (const struct held *h = held; h->name; h++)
		say("%s", h->name);
	return 0;
}

static int status_of(pid_t pid)
{
	int status = 0;

	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static char *const where[] = {"prog", NULL};

/* held-exec NAME TRIES: fexecve, or execve of the link, in a child with a thread that exchanges the program. */
static int run_held_exec(int argc, char **argv)
{
	long got = 0, made = 0, refused = 0;

	if (argc < 2)
		return 99;
	fine = open("wk/prog", O_RDONLY);
	kept = open("ro/prog", O_RDONLY);
	for (long i = number(argv[1]); i > 0; i--) {
		pid_t pid = fork();
		if (pid == 0) {
			exchange();
			start(0, exchange);
			for (int n = 0; n < 50; n++)
				if (strcmp(argv[0], "link"))
					raw(SYS_execveat, AT, (long)"", (long)where, 0, AT_EMPTY_PATH, 0);
				else
					raw(SYS_execve, (long)link_name, (long)where, 0, 0, 0, 0);
			_exit(1);
		}
		int status = status_of(pid);
		got += status == 7;
		made += status == 0;
		refused += status != 0 && status != 7;
	}
	say("got %ld made %ld refused %ld", got, made, refused);
	return 0;
}

static void answer(const char *what, long r) { say("%s = %s", what, r >= 0 ? "done" : show(r == -1 ? -errno : r)); }

/* files: what goes around names without a race. */
static int run_files(int argc, char **argv)
{
	char text[64] = "", name[64];
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "ro/socket"};

	(void)argc;
	(void)argv;
	answer("link from ro", link("ro/f", "wk/link"));
	answer("link from no", link("no/f", "wk/link"));
	answer("rename from ro", rename("ro/f", "wk/moved"));
	answer("rename into ro", rename("wk/x", "ro/moved"));
	answer("rename over no", rename("wk/x", "no/f"));
	answer("exchange of folders", renameat2(AT_FDCWD, "wk", AT_FDCWD, "no", 2));
	answer("rename of the world", rename(".", "../gone"));
	answer("move no away", rename("no", "wk/no"));
	int fd = open("ro/f", O_PATH);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	answer("reopen an O_PATH for writing", open(name, O_WRONLY | O_TRUNC));
	answer("truncate by it", truncate(name, 0));
	answer("linkat by it", linkat(AT_FDCWD, name, AT_FDCWD, "wk/link", AT_SYMLINK_FOLLOW));
	answer("linkat with AT_EMPTY_PATH", linkat(fd, "", AT_FDCWD, "wk/link", AT_EMPTY_PATH));
	char *here = getcwd(NULL, 0), full[600];
	static const char *const by[] = {"/proc/self/root", "/proc/thread-self/root", 0};
	for (int i = 0; by[i]; i++) {
		snprintf(full, sizeof full, "%s%s/no/f", by[i], here);
		answer("read by a root link", open(full, O_RDONLY));
	}
	answer("read by cwd", open("/proc/self/cwd/no/f", O_RDONLY));
	symlink("../no", "wk/way");
	answer("read by a link", open("wk/way/f", O_RDONLY));
	answer("read with dots", open("wk/../wk/./way/../no/f", O_RDONLY));
	answer("O_PATH", open("no/f", O_PATH));
	answer("chdir", chdir("no"));
	answer("bind in ro", bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&address, sizeof address));
	answer("O_TMPFILE in ro", open("ro", O_TMPFILE | O_RDWR, 0600));
	fd = open("wk", O_TMPFILE | O_RDWR, 0600);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	answer("linkat of a O_TMPFILE into ro", fd < 0 ? -EACCES : linkat(AT_FDCWD, name, AT_FDCWD, "ro/new", AT_SYMLINK_FOLLOW));
	answer("device", mknod("wk/device", S_IFBLK | 0600, makedev(254, 0)));
	static char handle[256];
	int mount = 0;
	*(unsigned *)handle = 128;
	syscall(SYS_name_to_handle_at, AT_FDCWD, "ro/f", handle, &mount, 0);
	answer("open_by_handle_at", syscall(SYS_open_by_handle_at, open(".", O_RDONLY), handle, O_RDWR));
	int flags = 0x10;
	answer("ioctl FS_IOC_SETFLAGS", raw(SYS_ioctl, open("ro/f", O_RDONLY), 0x40086602, (long)&flags, 0, 0, 0));
	int generation = 7;
	answer("ioctl EXT4_IOC_SETVERSION_OLD", raw(SYS_ioctl, open("ro/f", O_RDONLY), 0x40086604, (long)&generation, 0, 0, 0));
	long made = raw(SYS_ioctl, open(".", O_RDONLY), 0x50009401, (long)text, 0, 0, 0);
	answer("ioctl BTRFS_IOC_SNAP_CREATE", made == -EOPNOTSUPP ? made : 0); /* elsewhere: ENOTTY */
	answer("fanotify_init", raw(SYS_fanotify_init, 0, O_RDONLY, 0, 0, 0, 0));
	answer("init_module", raw(SYS_init_module, (long)text, 0, (long)"", 0, 0, 0));
	answer("ioperm", raw(SYS_ioperm, 0x80, 1, 1, 0, 0, 0));
	answer("mount", raw(SYS_mount, (long)"no", (long)"wk/d", 0, 4096, 0, 0));
	answer("unshare", raw(SYS_unshare, 0x10000000, 0, 0, 0, 0, 0));
	answer("execve of ro/prog", execve("ro/prog", where, NULL));
	int status = 0;
	fd = open("wk/script", O_CREAT | O_WRONLY | O_TRUNC, 0755);
	snprintf(full, sizeof full, "#!%s/ro/prog\n", here);
	if (write(fd, full, strlen(full)) < 0)
		die("wk/script");
	close(fd);
	if ((status = fork()) == 0) {
		char *const script[] = {"script", NULL};
		_exit(execve("wk/script", script, NULL) ? 1 : 0);
	}
	say("script of a denied interpreter: %d", status_of(status));
	fd = open("no/f", O_RDONLY);
	answer("read", fd >= 0 ? read(fd, text, 6) : -errno);
	return 0;
}

/* memfd PROGRAM: executes a copy in memory, and says with which status it ended. */
static int run_memfd(int argc, char **argv)
{
	static char *const args[] = {"copy", NULL};
	static char text[65536];
	int status = 0;

	if (argc < 1)
		return 99;
	int from = open(argv[0], O_RDONLY), to = memfd_create("copy", MFD_CLOEXEC);
	for (long n; (n = read(from, text, sizeof text)) > 0;)
		if (write(to, text, n) != n)
			die("memfd");
	pid_t pid = fork();
	if (pid == 0) {
		long r = raw(SYS_execveat, to, (long)"", (long)args, (long)environ, AT_EMPTY_PATH, 0);
		say("%s", show(r));
		_exit(1);
	}
	if ((status = status_of(pid)) != 1)
		say("%d", status);
	return 0;
}

const struct command held_commands[] = {
	{"memfd", "PROGRAM", run_memfd},
	{"held", "CALL TRIES", run_held},
	{"held-list", "", run_held_list},
	{"held-exec", "link|empty TRIES", run_held_exec},
	{"files", "", run_files},
	{NULL, NULL, NULL},
};
