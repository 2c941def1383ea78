/* Signals that callgate takes. They are handled here rather than by package
 * os/signal, which spends a thread, three goroutines and two context switches a
 * signal on it before the command has started.
 *
 * All that the handlers call is in signal-safety(7) or a plain system call
 * (ioctl). They run on the alternate stacks of Go's threads (SA_ONSTACK).
 */
#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

static atomic_int command;          /* its process, 0 before it started */
static atomic_ulong waiting;        /* bit N-1: signal N is to be passed on */

static atomic_long grace = -1;      /* us; -1: nobody is killed */
static atomic_int left = -1;        /* a descriptor, once the command is gone */
static atomic_int ending;

static void take(int sig, void (*handler)(int));

static void due(long us)
{
	struct itimerval at = { .it_value = { us / 1000000, us % 1000000 } };
	if (us == 0)
		at.it_value.tv_usec = 1;
	setitimer(ITIMER_REAL, &at, NULL);
}

/* out_of_grace kills the command; its supervisor then kills the rest. */
static void out_of_grace(int sig)
{
	(void)sig;
	int interrupted = errno;
	int pid = atomic_load(&command);
	if (pid > 0)
		kill(pid, SIGKILL);
	else if (atomic_load(&left) < 0)
		due(10000); /* it has not started yet */
	errno = interrupted;
}

/* told_to_end begins the grace period, once. */
static void told_to_end(int sig)
{
	if (sig != SIGTERM && sig != SIGHUP && sig != SIGINT && sig != SIGQUIT)
		return;
	int fd = atomic_load(&left);
	if (fd >= 0) {
		ssize_t n = write(fd, "", 1); /* it is full: it has been told */
		(void)n;
		return;
	}
	long us = atomic_load(&grace);
	if (us < 0 || atomic_exchange(&ending, 1))
		return;
	take(SIGALRM, out_of_grace);
	due(us);
}

static void pass_waiting(void)
{
	int pid = atomic_load(&command);
	if (pid == 0)
		return; /* relay_started will */
	unsigned long signals = atomic_exchange(&waiting, 0);
	for (int sig = 1; signals != 0; sig++, signals >>= 1)
		if (signals & 1)
			kill(pid, sig); /* ESRCH: it is gone, and we soon */
}

void relay_started(int pid)
{
	atomic_store(&command, pid);
	pass_waiting();
}

/* in_foreground says whether callgate is in the foreground process group of its
 * controlling terminal; without a terminal it is not. */
static int in_foreground(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return 0;
	int group;
	int rc = ioctl(fd, TIOCGPGRP, &group);
	close(fd);
	return rc == 0 && group == getpgrp();
}

static void pass_always(int sig)
{
	int interrupted = errno;
	atomic_fetch_or(&waiting, 1UL << (sig - 1));
	pass_waiting();
	told_to_end(sig);
	errno = interrupted;
}

static void pass(int sig)
{
	int interrupted = errno;
	if ((sig != SIGINT && sig != SIGQUIT) || !in_foreground())
		pass_always(sig);
	errno = interrupted;
}

static void hold(int sig)
{
	(void)sig;
}

static void take(int sig, void (*handler)(int))
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESTART };
	sigfillset(&act.sa_mask);
	sigaction(sig, &act, NULL);
}

void relay_pass(int sig, int always)
{
	struct sigaction now;
	if (sigaction(sig, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
		take(sig, always ? pass_always : pass);
}

void relay_grace(long us)
{
	atomic_store(&grace, us);
}

void relay_left(int fd)
{
	atomic_store(&left, fd);
	atomic_store(&command, 0);
	if (atomic_load(&ending)) /* who told the command meant all */
		told_to_end(SIGTERM);
}

void relay_hold(int sig)
{
	take(sig, hold);
}
