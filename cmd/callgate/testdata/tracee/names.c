/*
 * names: a call with a name is tried again and again while something makes the
 * name lead to a denied object and back.
 */
#define _GNU_SOURCE
#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *path;          /* PATH, which can flip */
static char *other, *block; /* OTHER, BLOCK */
static int *count;
static int watcher = -1;
static int in_links;        /* objects are in wk/s */
static int home, from, to; /* wk, and the folders that a mode flips between */
static char top[256];
static volatile uint16_t *letters;

void *shared_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return p;
}

int folder(const char *name, int flags)
{
	int fd = open(name, flags | O_CLOEXEC | O_DIRECTORY);

	if (fd < 0)
		die("%s: %s", name, strerror(errno));
	return fd;
}

static void *forever(void *flip)
{
	for (;;)
		((void (*)(void))flip)();
	return NULL;
}

static pid_t flipper;

void start(int child, void (*flip)(void))
{
	pthread_t thread;

	if (!child) {
		if (pthread_create(&thread, NULL, forever, flip))
			die("pthread_create");
		return;
	}
	flipper = fork();
	if (flipper < 0)
		die("fork");
	if (flipper == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		forever(flip);
	}
}

/* What flips. */

#define WK 0x6b77 /* "wk" */
#define NO 0x6f6e /* "no" */

static void flip_letters(void)
{
	for (int i = 0; i < 64; i++) {
		*letters = WK;
		*letters = NO;
	}
}

/* flip_links: s is a folder that may be written, t a link to the denied one. */
static void flip_links(void) { raw(SYS_renameat2, home, (long)"s", home, (long)"t", 2, 0); }

/* flip_last: f is a file, g a link to the denied one. */
static void flip_last(void) { raw(SYS_renameat2, home, (long)"f", home, (long)"g", 2, 0); }

static void flip_descriptors(void)
{
	raw(SYS_dup2, from, 100, 0, 0, 0, 0);
	raw(SYS_dup2, to, 100, 0, 0, 0, 0);
}

static void flip_folders(void)
{
	raw(SYS_fchdir, from, 0, 0, 0, 0, 0);
	raw(SYS_fchdir, to, 0, 0, 0, 0, 0);
}

/*
 * Modes: how the name begins, and what flips. %d is the flipping child.
 */
static const struct mode {
	const char *name, *prefix;
	int child;
	void (*flip)(void);
} modes[] = {
	{"letters", "TOP/wk/", 0, flip_letters},
	{"letters-shared", "wk/", 1, flip_letters},
	{"links", "TOP/wk/s/", 0, flip_links},
	{"links-process", "wk/s/", 1, flip_links},
	{"last", "TOP/wk/", 0, flip_last},
	{"last-process", "wk/", 1, flip_last},
	{"descriptors", "/proc/self/fd/100/", 0, flip_descriptors},
	{"descriptors-dots", "/proc/self/fd/100/.", 0, flip_descriptors},
	{"descriptors-process", "/proc/%d/fd/100/", 1, flip_descriptors},
	{"folders", "", 0, flip_folders},
	{"folders-link", "/proc/self/cwd/", 0, flip_folders},
	{"folders-process", "/proc/%d/cwd/", 1, flip_folders},
	{"folders-dots", "/proc/%d/cwd/.", 1, flip_folders},
	{0},
};

static void begin(const struct mode *m, const char *object)
{
	char prefix[300];

	path = shared_memory(4096);
	letters = (volatile uint16_t *)shared_memory(4096);
	if (!strncmp(m->prefix, "TOP", 3))
		snprintf(prefix, sizeof prefix, "%s%s", top, m->prefix + 3);
	else
		snprintf(prefix, sizeof prefix, "%s", m->prefix);
	if (m->flip == flip_descriptors)
		flip_descriptors();
	snprintf(path, 4096, "%s%s", prefix, object);
	char *at = strstr(path, "wk/");
	if (at && m->flip == flip_letters)
		letters = (volatile uint16_t *)at;
	start(m->child, m->flip);
	if (strchr(prefix, '%')) {
		char format[300];
		snprintf(format, sizeof format, prefix, flipper);
		snprintf(path, 4096, "%s%s", format, object);
	}
	size_t n = strlen(path);
	if (n > 3 && !strcmp(path + n - 3, "/.d")) /* the folder itself, by its dot */
		path[n - 1] = 0;
}

static void make(const char *name)
{
	long fd = raw(SYS_openat, home, (long)name, O_CREAT | O_WRONLY, 0600, 0, 0);

	if (fd >= 0)
		close(fd);
}

static void tidy_up(enum tidy tidy)
{
	switch (tidy) {
	case NEW:
		if (raw(SYS_unlink, (long)path, 0, 0, 0, 0, 0) == 0 || raw(SYS_rmdir, (long)path, 0, 0, 0, 0, 0) == 0)
			break;
		raw(SYS_unlinkat, home, (long)"new", 0, 0, 0, 0);
		raw(SYS_unlinkat, home, (long)"new", AT_REMOVEDIR, 0, 0, 0);
		break;
	case FILE_BACK:
	case MOVED_BACK:
		make(in_links ? "s/f" : "f");
		break;
	case FOLDER_BACK:
		raw(SYS_mkdirat, home, (long)(in_links ? "s/d" : "d"), 0700, 0, 0, 0);
		break;
	case SOURCE_BACK:
		make("source");
		break;
	case LINK_AWAY:
		raw(SYS_unlinkat, home, (long)"link", 0, 0, 0, 0);
		break;
	case NOTHING:
		break;
	}
}

static long argument_of(long a)
{
	static long now[4];

	switch (a) {
	case PATH:
		return (long)path;
	case OTHER:
		return (long)other;
	case BLOCK:
		return (long)block;
	case COUNT:
		return (long)count;
	case WATCHER:
		return watcher;
	case NOW:
		return (long)now;
	}
	return a;
}

static long make_call(const struct call *c)
{
	long a[6];
	uint32_t narrow[6];

	for (int i = 0; i < 6; i++)
		narrow[i] = a[i] = argument_of(c->args[i]);
	if (c->int80)
		return raw_int80(c->nr, narrow);
	return raw(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static int is_secret(int fd)
{
	char text[8] = "";

	return read(fd, text, 6) == 6 && !memcmp(text, "secret", 6);
}

/* What came of the calls. */
static long got, made, refused;

/*
 * run makes the call in a child, again where it is refused, up to most times. The
 * program says by its status where it is.
 */
static void run(const struct call *c, long most)
{
	static char *const argv[] = {"prog", NULL};
	struct call with = *c;
	int status = 0;

	with.args[c->args[0] == PATH ? 1 : 2] = (long)argv;
	*count = 0;
	pid_t pid = fork(); /* with a path that flips on: it is shared memory */
	if (pid == 0) {
		for (; *count < most; ++*count)
			make_call(&with);
		_exit(1);
	}
	if (pid < 0)
		die("fork");
	while (waitpid(pid, &status, 0) < 0)
		;
	refused += *count;
	if (!WIFEXITED(status))
		refused++;
	else if (WEXITSTATUS(status) != 1)
		made++;
	got += WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

/* attempt makes the call once; 1 if it got what is denied. */
static int attempt(const struct call *c)
{
	if (c->gain == LOOKS)
		*count = 0;
	long r = make_call(c);
	if (r == -EACCES)
		refused++;
	else
		made++;
	switch (c->gain) {
	case READS:
		if (r < 0)
			return 0;
		int leak = is_secret(r);
		close(r);
		return leak;
	case LOOKS:
		if (c->nr == SYS_open && r >= 0)
			close(r);
		return r >= 0 || (c->nr == SYS_name_to_handle_at && r == -EOVERFLOW);
	case GOES:
		if (r < 0)
			return 0;
		r = raw(SYS_getcwd, (long)block, 4096, 0, 0, 0, 0);
		raw(SYS_fchdir, home, 0, 0, 0, 0, 0);
		raw(SYS_chdir, (long)"..", 0, 0, 0, 0, 0);
		return r > 0 && strstr(block, "/no/") != NULL;
	default:
		if (r > 0 && (c->nr == SYS_open || c->nr == SYS_openat2 || c->nr == SYS_creat || c->int80))
			close(r);
		if (r >= 0 || r == -EEXIST)
			tidy_up(c->tidy);
		return 0;
	}
}

static const struct call *call_of(const char *name)
{
	for (const struct call *c = calls; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	die("no call %s", name);
}

static const struct mode *mode_of(const char *name)
{
	for (const struct mode *m = modes; m->name; m++)
		if (!strcmp(m->name, name))
			return m;
	die("no mode %s", name);
}

/* names MODE CALL TRIES: in the world that is the working folder. */
static int run_names(int argc, char **argv)
{
	if (argc < 3)
		return 99;
	const struct mode *m = mode_of(argv[0]);
	const struct call *c = call_of(argv[1]);
	if (!getcwd(top, sizeof top))
		die("getcwd");
	home = folder("wk", O_PATH);
	from = home;
	to = folder("ro", O_PATH);
	block = shared_memory(8192);
	count = (int *)(block + 4096);
	other = shared_memory(4096);
	watcher = inotify_init1(IN_CLOEXEC);
	snprintf(other, 4096, "%s/wk/%s", top, c->other ? c->other : "f2");
	if (c->tidy == SOURCE_BACK)
		make("source");
	in_links = m->flip == flip_links;
	begin(m, c->object);
	for (long left; (left = number(argv[2]) - made - refused) > 0;)
		if (c->gain == RUNS)
			run(c, left);
		else
			got += attempt(c);
	say("got %ld made %ld refused %ld", got, made, refused);
	if (flipper)
		kill(flipper, SIGKILL);
	return 0;
}

/* names-list: the calls, with what each gains, the object, what is to be tidied. */
static int run_list(int argc, char **argv)
{
	static const char *const gains[] = {"", "reads", "looks", "changes", "runs", "goes"};

	(void)argc;
	(void)argv;
	for (const struct call *c = calls; c->name; c++)
		say("%s %s %s %d", c->name, gains[c->gain], c->object, c->tidy);
	return 0;
}

const struct command name_commands[] = {
	{"names", "MODE CALL TRIES", run_names},
	{"names-list", "", run_list},
	{NULL, NULL, NULL},
};
