#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct command *const tables[] = {
	entry_commands,	 race_commands, filter_commands,  clone_commands, task_commands,
	death_commands, signal_commands, stop_commands, outside_commands, state_commands,
	review_commands, name_commands, area_commands, held_commands, jail_commands, net_commands, corner_commands, wait_commands,
	pinned_commands, scoped_commands, judge_commands, sharing_commands,
};

#define TABLES (sizeof tables / sizeof *tables)

long raw(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

const char *show(long result)
{
	static _Thread_local char text[32];

	if (result < 0 && result > -4096) {
		const char *name = strerrorname_np(-result);
		if (name)
			snprintf(text, sizeof text, "-%s", name);
		else
			snprintf(text, sizeof text, "-errno %ld", -result);
	} else if (result == getpid()) {
		return "pid";
	} else if (result < 0 || result >= 0x10000) {
		return "address";
	} else {
		snprintf(text, sizeof text, "%ld", result);
	}
	return text;
}

void say(const char *format, ...)
{
	char line[4096];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(line, sizeof line - 1, format, args);
	va_end(args);
	if (n > (int)sizeof line - 2)
		n = sizeof line - 2;
	line[n] = '\n';
	if (write(1, line, n + 1) != n + 1)
		_exit(98);
}

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "tracee: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	_exit(99);
}

void *low_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (p == MAP_FAILED)
		die("mmap MAP_32BIT: %s", strerror(errno));
	return p;
}

long number(const char *text)
{
	char *end;
	long n = (long)strtoull(text, &end, 0);

	if (end == text || *end)
		die("%s is not a number", text);
	return n;
}

long mkdir_result(const char *path)
{
	return raw(SYS_mkdir, (long)path, 0700, 0, 0, 0, 0);
}

const char *reap(int pid)
{
	static _Thread_local char text[32];
	int status;

	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return strerrorname_np(errno);
	if (WIFSIGNALED(status))
		snprintf(text, sizeof text, "signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof text, "exit %d", WEXITSTATUS(status));
	return text;
}

static void usage(void)
{
	for (size_t i = 0; i < TABLES; i++)
		for (const struct command *c = tables[i]; c->name; c++)
			fprintf(stderr, "tracee %s %s\n", c->name, c->usage);
}

int main(int argc, char **argv)
{
	if (argc >= 2)
		for (size_t i = 0; i < TABLES; i++)
			for (const struct command *c = tables[i]; c->name; c++)
				if (!strcmp(c->name, argv[1]))
					return c->run(argc - 2, argv + 2);
	usage();
	return 99;
}
