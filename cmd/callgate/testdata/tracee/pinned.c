/*
 * Calls that name files, and so are made with other registers than the program's
 * under rules on files, and what meets them: signals, stops, death. They wait in
 * the open of a fifo that nobody writes to, in the working folder.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* The arguments of a call, in registers: what it leaves in them is what it got. */
struct arguments {
	long at[6];
};

static const int native_registers[6] = {REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9};
static const int int80_registers[5] = {REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI};

static long native(long nr, struct arguments *a)
{
	long result, rdi = a->at[0], rsi = a->at[1], rdx = a->at[2];
	register long r10 __asm__("r10") = a->at[3];
	register long r8 __asm__("r8") = a->at[4];
	register long r9 __asm__("r9") = a->at[5];

	__asm__ volatile("syscall"
			 : "=a"(result), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10), "+r"(r8), "+r"(r9)
			 : "0"(nr)
			 : "rcx", "r11", "memory");
	*a = (struct arguments){{rdi, rsi, rdx, r10, r8, r9}};
	return result;
}

static long by_int80(long nr, struct arguments *a)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result), "+b"(a->at[0]), "+c"(a->at[1]), "+d"(a->at[2]), "+S"(a->at[3]), "+D"(a->at[4])
			 : "0"(nr)
			 : "r8", "r9", "r10", "r11", "memory");
	return (int)result;
}

struct way {
	const char *name;
	long (*call)(long nr, struct arguments *a);
	long openat;
	const int *registers;
	int count;
};

static const struct way ways[] = {
	{"syscall", native, SYS_openat, native_registers, 6},
	{"int80", by_int80, 295, int80_registers, 5},
};

static const struct way *way;
static struct arguments given;
static char *name; /* below 4 GiB */
static volatile int handled, handler_saw_own;
static volatile long handler_rax;

/* open_fifo waits until somebody writes to the fifo. */
static long open_fifo(struct arguments *left)
{
	given = *left = (struct arguments){{AT_FDCWD & 0xffffffff, (long)name, O_RDONLY | O_CLOEXEC, 0x5a5a, 0x6b6b6b, 0x7c7c7c}};
	return way->call(way->openat, left);
}

static const char *opened(long result)
{
	if (result >= 0)
		close(result);
	return result >= 0 ? "opened" : show(result);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	handled++;
	handler_rax = uc->uc_mcontext.gregs[REG_RAX];
	handler_saw_own = 1;
	for (int i = 0; i < way->count; i++)
		if (uc->uc_mcontext.gregs[way->registers[i]] != given.at[i])
			handler_saw_own = 0;
	close(open("/dev/null", O_RDONLY)); /* a call of that kind within one */
}

static void catch_with(void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	sigaction(SIGUSR1, &sa, NULL);
}

/* poke starts a process that sends the parent signals while it waits, and then,
 * unless that ends the call, writes to the fifo. */
static pid_t poke(const int *signals, int ends)
{
	pid_t parent = getpid(), child = fork();

	if (child)
		return child;
	for (; *signals; signals++) {
		if (*signals != SIGCONT)
			await_sleep(parent);
		kill(parent, *signals);
		usleep(3000);
	}
	if (!ends) {
		await_sleep(parent);
		close(open(name, O_WRONLY));
	}
	_exit(0);
}

static void meet(const char *what, int flags, const int *signals, int ends)
{
	struct arguments left;

	handled = handler_rax = 0;
	handler_saw_own = -1;
	catch_with(on_signal, flags);
	pid_t child = poke(signals, ends);
	long result = open_fifo(&left);
	int kept = !memcmp(&left, &given, way->count * sizeof *left.at);
	say("%s, %s: %s, registers kept %d; %d handled, which saw them %d and rax %ld", way->name, what, opened(result),
	    kept, handled, handler_saw_own, handler_rax);
	reap(child);
}

static void prepare(const char *file)
{
	name = low_memory(PATH_MAX);
	strcpy(name, file);
	way = ways;
	if (mkfifo("fifo", 0600))
		die("mkfifo: %s", strerror(errno));
}

/* pinned-signals: what becomes of the call, its registers and the handler's. */
static int run_signals(int argc, char **argv)
{
	static const int once[] = {SIGUSR1, 0}, twice[] = {SIGUSR1, SIGUSR1, 0}, stop[] = {SIGSTOP, SIGCONT, 0},
			 ignored[] = {SIGWINCH, SIGURG, 0}, none[] = {0};

	(void)argc;
	(void)argv;
	prepare("fifo");
	for (way = ways; way < ways + sizeof ways / sizeof *ways; way++) {
		meet("nothing", 0, none, 0);
		meet("a handler", 0, once, 1);
		meet("a handler with SA_RESTART", SA_RESTART, twice, 0);
		meet("signals that nobody handles", 0, ignored, 0);
		meet("a stop", 0, stop, 0);
	}
	return 0;
}

static const char *forbidden;
static const char *change;

/* on_change has the call that is about to be restarted be about another file. */
static void on_change(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	if (!strcmp(change, "memory"))
		strcpy(name, forbidden);
	else if (!strcmp(change, "register"))
		uc->uc_mcontext.gregs[REG_RSI] = (long)forbidden;
	else if (!strcmp(change, "call")) {
		uc->uc_mcontext.gregs[REG_RAX] = SYS_open;
		uc->uc_mcontext.gregs[REG_RDI] = (long)forbidden;
		uc->uc_mcontext.gregs[REG_RSI] = O_RDONLY;
	}
}

/* pinned-judged memory|register|call FILE: a handler makes the open that waits, and
 * is restarted, one of FILE. */
static int run_judged(int argc, char **argv)
{
	static const int once[] = {SIGUSR1, 0};
	struct arguments left;

	if (argc < 2)
		return 99;
	prepare("fifo");
	change = argv[0];
	forbidden = argv[1];
	catch_with(on_change, SA_RESTART);
	pid_t child = poke(once, 1);
	say("%s: %s", change, opened(open_fifo(&left)));
	reap(child);
	return 0;
}

static sigjmp_buf back;

static void on_jump(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	siglongjmp(back, 1);
}

/* lengthen makes name the longest that leads to file. */
static void lengthen(const char *file)
{
	char here[PATH_MAX];
	size_t n, end = PATH_MAX - 1 - strlen(file);

	if (!getcwd(here, sizeof here))
		die("getcwd: %s", strerror(errno));
	n = sprintf(name, "%s/", here);
	for (; n + 2 <= end; n += 2)
		memcpy(name + n, "./", 2);
	strcpy(name + n, file);
}

static void *open_waiting(void *unused)
{
	struct arguments left;

	open_fifo(&left);
	return unused;
}

/* die_waiting is a process that ends in one of three ways while a call waits. */
static void die_waiting(int how)
{
	pthread_t thread;

	if (how == 0) {
		open_waiting(NULL);
		_exit(1); /* not reached */
	}
	if (pthread_create(&thread, NULL, open_waiting, NULL))
		die("pthread_create");
	usleep(5000);
	if (how == 1)
		_exit(0);
	execl("/proc/self/exe", "tracee", "exit", "0", NULL);
	_exit(1);
}

/* pinned-deaths N: processes that are killed, end and execute a program while a
 * call waits, N times; the call's name is the longest. */
static int run_deaths(int argc, char **argv)
{
	enum { AT_ONCE = 30 };
	pid_t children[AT_ONCE];
	int ended[3] = {0};

	if (argc < 1)
		return 99;
	prepare("fifo");
	lengthen("fifo");
	for (int n = number(argv[0]); n > 0; n -= AT_ONCE) {
		for (int i = 0; i < AT_ONCE; i++)
			if ((children[i] = fork()) == 0)
				die_waiting(i % 3);
		await_sleep(children[AT_ONCE - 3]);
		for (int i = 0; i < AT_ONCE; i++) {
			if (i % 3 == 0)
				kill(children[i], SIGKILL);
			ended[i % 3] += !strcmp(reap(children[i]), i % 3 == 0 ? "signal 9" : "exit 0");
		}
	}
	say("killed %d, ended %d, executed %d", ended[0], ended[1], ended[2]);
	close(open("file", O_CREAT | O_WRONLY, 0600));
	lengthen("file");
	say("the longest name: %s", opened(raw(SYS_open, (long)name, 0, 0, 0, 0, 0)));
	return 0;
}

/* pinned-jumps N: handlers that jump out of a call that waits, N times. */
static int run_jumps(int argc, char **argv)
{
	struct itimerval soon = {.it_value = {0, 400}};
	struct sigaction sa = {.sa_sigaction = on_jump, .sa_flags = SA_SIGINFO};
	volatile long left = argc > 0 ? number(argv[0]) : 0, jumped = 0;
	struct arguments a;

	prepare("fifo");
	lengthen("fifo");
	sigaction(SIGALRM, &sa, NULL);
	while (left-- > 0) {
		if (sigsetjmp(back, 1)) {
			jumped++;
			continue;
		}
		setitimer(ITIMER_REAL, &soon, NULL);
		open_fifo(&a);
	}
	say("jumped %ld times", jumped);
	close(open("file", O_CREAT | O_WRONLY, 0600));
	lengthen("file");
	say("the longest name: %s", opened(raw(SYS_open, (long)name, 0, 0, 0, 0, 0)));
	return 0;
}

/* pinned-x32 FILE: calls that name it, by x32's numbers. */
static int run_x32(int argc, char **argv)
{
	static const struct {
		const char *name;
		int nr, at; /* the argument that is the name */
	} calls[] = {{"open", 2, 0}, {"stat", 4, 0}, {"truncate", 76, 0}, {"unlink", 87, 0}, {"chmod", 90, 0},
		     {"setxattr", 188, 0}, {"openat", 257, 1}, {"unlinkat", 263, 1}, {"openat2", 437, 1},
		     {"execve", 520, 0}, {"execveat", 545, 1}};
	uint64_t how[3] = {0};

	if (argc < 1)
		return 99;
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		struct arguments a = {{AT_FDCWD, 1, (long)how, sizeof how, 0x6b6b, 0x7c7c}};
		a.at[calls[i].at] = (long)argv[0];
		struct arguments given = a;
		const char *result = show(native(calls[i].nr | 0x40000000, &a));
		say("%s: %s, registers kept %d", calls[i].name, result, !memcmp(&a, &given, sizeof a));
	}
	return 0;
}

/* pinned-waits: says so, and waits in a call for ever. */
static int run_waits(int argc, char **argv)
{
	struct arguments left;

	(void)argc;
	(void)argv;
	prepare("fifo");
	for (int i = 0; i < 3; i++)
		if (fork() == 0)
			break;
	say("waiting");
	open_fifo(&left);
	return 1;
}

const struct command pinned_commands[] = {
	{"pinned-signals", "", run_signals},
	{"pinned-judged", "memory|register|call FILE", run_judged},
	{"pinned-deaths", "N", run_deaths},
	{"pinned-jumps", "N", run_jumps},
	{"pinned-x32", "FILE", run_x32},
	{"pinned-waits", "", run_waits},
	{NULL, NULL, NULL},
};
