/*
 * Signals: what is caught, blocked, restarted and carried; and how to die.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
static volatile int caught_code, caught_value, caught_own_pid;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)context;
	caught = sig;
	caught_code = info->si_code;
	caught_value = info->si_value.sival_int;
	caught_own_pid = info->si_pid == getpid();
}

static void catch(int sig, int flags)
{
	struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags};

	sigaction(sig, &sa, NULL);
}

static volatile int *volatile hole = (int *)16; /* nothing is mapped there */

/* exit STATUS */
static int run_exit(int argc, char **argv)
{
	return argc > 0 ? number(argv[0]) : 0;
}

/* die SIGNAL: by the signal's default action, sent to itself. */
static int run_die(int argc, char **argv)
{
	if (argc < 1)
		return 99;
	signal(number(argv[0]), SIG_DFL);
	kill(getpid(), number(argv[0]));
	for (;;)
		pause();
}

/* fault KIND: death by a real fault. */
static int run_fault(int argc, char **argv)
{
	const char *kind = argc > 0 ? argv[0] : "";

	if (!strcmp(kind, "segv"))
		*hole = 1;
	if (!strcmp(kind, "ill"))
		__asm__ volatile("ud2");
	if (!strcmp(kind, "trap"))
		__asm__ volatile("int3");
	if (!strcmp(kind, "fpe"))
		__asm__ volatile("xor %%edx, %%edx\n\tmov $1, %%eax\n\tidiv %%edx" : : : "rax", "rdx", "cc");
	if (!strcmp(kind, "abort"))
		abort();
	return 99;
}

/* catch-all: every signal that can be caught, raised and caught. */
static int run_catch_all(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP || (sig >= 32 && sig < SIGRTMIN))
			continue;
		catch(sig, 0);
		caught = 0;
		union sigval value = {.sival_int = sig * 3};
		sigqueue(getpid(), sig, value);
		say("%d: caught %d, code %d, value %d, own pid %d", sig, (int)caught, caught_code, caught_value,
		    caught_own_pid);
	}
	return 0;
}

/* siginfo: what sigwaitinfo, signalfd and a child's end say of who sent it. */
static int run_siginfo(int argc, char **argv)
{
	sigset_t set;
	siginfo_t info = {0};
	struct signalfd_siginfo record;
	union sigval value = {.sival_int = 4711};

	(void)argc;
	(void)argv;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigqueue(getpid(), SIGRTMIN, value);
	sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 4712});
	for (int i = 0; i < 2; i++) {
		int sig = sigwaitinfo(&set, &info);
		say("sigwaitinfo %d: code %d value %d", sig, info.si_code, info.si_value.sival_int);
	}
	int fd = signalfd(-1, &set, 0);
	kill(getpid(), SIGUSR1);
	ssize_t n = read(fd, &record, sizeof record);
	say("signalfd: %zd bytes, signal %d, own pid %d", n, record.ssi_signo, (int)record.ssi_pid == getpid());
	pid_t child = fork();
	if (child == 0)
		_exit(9);
	int sig = sigwaitinfo(&set, &info);
	say("SIGCHLD %d: code %d status %d, child %d", sig, info.si_code, info.si_status, info.si_pid == child);
	say("child: %s", reap(child));
	child = fork();
	if (child == 0) {
		signal(SIGTERM, SIG_DFL);
		raise(SIGTERM);
	}
	sig = sigwaitinfo(&set, &info);
	say("SIGCHLD %d: code %d status %d, child %d", sig, info.si_code, info.si_status, info.si_pid == child);
	return 0;
}

static void alarm_in(int milliseconds)
{
	struct itimerval t = {.it_value = {milliseconds / 1000, milliseconds % 1000 * 1000}};

	setitimer(ITIMER_REAL, &t, NULL);
}

static int pipe_ends[2];

static void *write_later(void *unused)
{
	sigset_t all;

	(void)unused;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	usleep(150000);
	if (write(pipe_ends[1], "x", 1) != 1)
		die("write");
	return NULL;
}

/* restart: reads that a signal interrupts, with and without SA_RESTART. */
static int run_restart(int argc, char **argv)
{
	char byte;
	pthread_t thread;

	(void)argc;
	(void)argv;
	if (pipe(pipe_ends))
		die("pipe");
	catch(SIGALRM, 0);
	alarm_in(50);
	say("read = %s", show(read(pipe_ends[0], &byte, 1) < 0 ? -errno : 1));
	say("caught %d", caught);
	caught = 0;
	catch(SIGALRM, SA_RESTART);
	sigset_t set, old;
	sigfillset(&set);
	pthread_sigmask(SIG_BLOCK, &set, &old); /* the thread must not get the alarm */
	if (pthread_create(&thread, NULL, write_later, NULL))
		die("pthread_create");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	alarm_in(50);
	say("read = %s", show(read(pipe_ends[0], &byte, 1) < 0 ? -errno : 1));
	say("caught %d", caught);
	pthread_join(thread, NULL);
	/* poll and nanosleep are never restarted after a caught signal */
	struct pollfd p = {pipe_ends[0], POLLIN, 0};
	alarm_in(50);
	say("poll = %s", show(poll(&p, 1, 60000) < 0 ? -errno : 0));
	struct timespec long_time = {60, 0};
	alarm_in(50);
	say("nanosleep = %s", show(nanosleep(&long_time, NULL) < 0 ? -errno : 0));
	/* the same with a call that a tracer can be asked about in between */
	alarm_in(50);
	say("pause = %s", show(pause() < 0 ? -errno : 0));
	return 0;
}

static char *alternative;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	char here;

	(void)context;
	int inside = &here >= alternative && &here < alternative + 65536;
	say("signal %d, code %d, at %s, on the alternative stack %d", sig, info->si_code, show((long)info->si_addr),
	    inside);
	_exit(0);
}

/* altstack: a fault that is caught on an alternative stack. */
static int run_altstack(int argc, char **argv)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	(void)argc;
	(void)argv;
	alternative = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = {.ss_sp = alternative, .ss_size = 65536};
	sigaltstack(&stack, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	*hole = 1;
	return 99;
}

/* evade-sigsys PATH: blocks, ignores and catches SIGSYS, then calls mkdir. */
static int run_evade_sigsys(int argc, char **argv)
{
	sigset_t all;

	if (argc < 1)
		return 99;
	catch(SIGSYS, 0);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	if (argc > 1)
		signal(SIGSYS, SIG_IGN);
	say("mkdir = %s", show(mkdir_result(argv[0])));
	return 0;
}

static void *killed_thread(void *path)
{
	say("mkdir = %s", show(mkdir_result(path)));
	return NULL;
}

/* kill-in-thread PATH: mkdir from a thread; a killing rule takes the whole process. */
static int run_kill_in_thread(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 1 || pthread_create(&thread, NULL, killed_thread, argv[0]))
		return 99;
	pthread_join(thread, NULL);
	say("the process goes on");
	return 0;
}

/* death-signal: the end of a parent sends what PR_SET_PDEATHSIG asked for. */
static int run_death_signal(int argc, char **argv)
{
	int ends[2], go[2];
	char text[64] = "";

	(void)argc;
	(void)argv;
	if (pipe(ends) || pipe(go))
		die("pipe");
	pid_t parent = fork();
	if (parent == 0) {
		if (fork() == 0) {
			sigset_t set;
			sigemptyset(&set);
			sigaddset(&set, SIGUSR2);
			sigprocmask(SIG_BLOCK, &set, NULL);
			prctl(PR_SET_PDEATHSIG, SIGUSR2);
			if (write(go[1], "x", 1) != 1)
				_exit(1);
			int sig = sigwaitinfo(&set, NULL);
			int n = snprintf(text, sizeof text, "%d", sig);
			_exit(write(ends[1], text, n) != n);
		}
		if (read(go[0], text, 1) != 1)
			_exit(1);
		_exit(0);
	}
	say("parent: %s", reap(parent));
	close(ends[1]);
	memset(text, 0, sizeof text);
	if (read(ends[0], text, sizeof text - 1) < 0)
		die("read");
	say("grandchild got signal %s", text);
	return 0;
}

const struct command signal_commands[] = {
	{"exit", "STATUS", run_exit},
	{"die", "SIGNAL", run_die},
	{"fault", "segv|ill|trap|fpe|abort", run_fault},
	{"catch-all", "", run_catch_all},
	{"siginfo", "", run_siginfo},
	{"restart", "", run_restart},
	{"altstack", "", run_altstack},
	{"evade-sigsys", "PATH [ignore]", run_evade_sigsys},
	{"kill-in-thread", "PATH", run_kill_in_thread},
	{"death-signal", "", run_death_signal},
	{NULL, NULL, NULL},
};
