/* The first stage: what becomes the command. It is started with CLONE_VM, as
 * vfork(2) does, but without suspending its parent, which has to seize it. It
 * shares the memory of a process with other threads, so it uses its own stack,
 * calls the kernel directly (errno is its parent's) and nothing of libc.
 */
#define _GNU_SOURCE
#include "launch.h"
#include "rawcall.h"
#include "room.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define CLOSE_RANGE_CLOEXEC_FLAG (1U << 2)

enum { STACK_SIZE = 64 * 1024, SIGNALS = 64, SIGSET_SIZE = 8 };

/* struct sigaction as the kernel has it (rt_sigaction(2)). */
struct kernel_sigaction {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

/* struct rlimit64 (prlimit(2)). */
struct limit {
	uint64_t soft, hard;
};

/* What the caller of callgate left. Go changes all of it before main: its
 * runtime takes every signal and opens /dev/null where 0, 1 or 2 is closed
 * (runtime/fds_unix.go), and package os raises RLIMIT_NOFILE's soft limit
 * (os/rlimit.go). */
static uint64_t inherited_mask;
static uint64_t inherited_ignored;
static long inherited_slack; /* ns */
static struct limit inherited_files;
static int inherited_closed; /* bit N: descriptor N, of 0 to 2 */

/* In its first millisecond Go's sysmon thread sleeps for 20 us at a time
 * (runtime/proc.go), which on a virtual machine costs a start a tenth of its
 * time. Threads have the timer slack of the one that made them (prctl(2),
 * PR_SET_TIMERSLACK); sysmon's is what the kernel may add to its sleeps. */
enum { SYSMON_SLACK = 500000 /* ns */ };

__attribute__((constructor)) static void remember_inherited(void)
{
	raw4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&inherited_files);
	raw4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&inherited_mask, SIGSET_SIZE);
	inherited_slack = raw1(SYS_prctl, PR_GET_TIMERSLACK);
	raw2(SYS_prctl, PR_SET_TIMERSLACK, SYSMON_SLACK);
	mallopt(M_ARENA_MAX, 1); /* else each of Go's threads maps one for a few bytes */
	for (int sig = 1; sig <= SIGNALS; sig++) {
		struct kernel_sigaction act;
		if (raw4(SYS_rt_sigaction, sig, 0, (long)&act, SIGSET_SIZE) == 0 && act.handler == SIG_IGN)
			inherited_ignored |= 1UL << (sig - 1);
	}
	for (int fd = 0; fd <= 2; fd++)
		if (raw3(SYS_fcntl, fd, F_GETFD, 0) == -EBADF)
			inherited_closed |= 1 << fd;
}

int launch_was_closed(int fd)
{
	return inherited_closed >> fd & 1;
}

void launch_few_files(uint64_t soft)
{
	if (inherited_files.soft > soft)
		inherited_files.soft = soft;
}

static void restore_signals(void)
{
	for (int sig = 1; sig <= SIGNALS; sig++) {
		struct kernel_sigaction act = { SIG_DFL, 0, 0, 0 };
		if (inherited_ignored >> (sig - 1) & 1)
			act.handler = SIG_IGN;
		raw4(SYS_rt_sigaction, sig, (long)&act, 0, SIGSET_SIZE);
	}
	raw4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&inherited_mask, 0, SIGSET_SIZE);
}

/* place_files makes files[i] descriptor i. Sources below nfiles are moved out
 * of the way first, lest one overwrites another's. */
static long place_files(struct launch *l, int *moved)
{
	if (l->landlock >= 0) {
		l->landlock = raw3(SYS_fcntl, l->landlock, F_DUPFD_CLOEXEC, l->nfiles);
		if (l->landlock < 0)
			return l->landlock;
	}
	for (int i = 0; i < l->nfiles; i++) {
		moved[i] = l->files[i];
		if (moved[i] < 0)
			continue;
		moved[i] = raw3(SYS_fcntl, l->files[i], F_DUPFD_CLOEXEC, l->nfiles);
		if (moved[i] < 0)
			return moved[i];
	}
	for (int i = 0; i < l->nfiles; i++) {
		if (moved[i] < 0) {
			raw1(SYS_close, i);
			continue;
		}
		long rc = raw3(SYS_dup3, moved[i], i, 0);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* hide_descriptors has execve close all from first on. Before Linux 5.11
 * close_range has no CLOEXEC flag: then each is marked by itself. */
static long hide_descriptors(int first)
{
	long rc = raw3(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC_FLAG);
	if (rc != -ENOSYS && rc != -EINVAL)
		return rc;
	struct limit limit;
	rc = raw4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit);
	if (rc < 0)
		return rc;
	for (uint64_t fd = first; fd < limit.hard; fd++)
		raw3(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
	return 0;
}

static long keep_descriptors(struct launch *l)
{
	for (int i = 0; i < l->nkeep; i++) {
		long rc = raw3(SYS_fcntl, l->keep[i], F_SETFD, 0);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* own_session gives the command a session of its own, without a terminal or with
 * descriptor 0 as its controlling one (ioctl_tty(2), TIOCSCTTY). */
static long own_session(struct launch *l)
{
	if (!l->session && !l->terminal)
		return 0;
	long rc = raw0(SYS_setsid);
	return rc < 0 || !l->terminal ? rc : raw3(SYS_ioctl, 0, TIOCSCTTY, 0);
}

/* be_nicer is nice(2), which the kernel has no call of its own for everywhere.
 * getpriority gives 20 less the niceness, so that no result looks like an error. */
static long be_nicer(int by)
{
	if (by == 0)
		return 0;
	long now = raw2(SYS_getpriority, PRIO_PROCESS, 0);
	return now < 0 ? now : raw3(SYS_setpriority, PRIO_PROCESS, 0, 20 - now + by);
}

/* narrow_limits lowers limits for good: hard and soft ones. */
static long narrow_limits(struct launch *l)
{
	for (int i = 0; i < l->nlimits; i++) {
		uint64_t most = l->limits[i].most;
		struct limit limit;
		long rc = raw4(SYS_prlimit64, 0, l->limits[i].resource, 0, (long)&limit);
		if (rc < 0)
			return rc;
		if (limit.hard > most)
			limit.hard = most;
		if (limit.soft > most)
			limit.soft = most;
		rc = raw4(SYS_prlimit64, 0, l->limits[i].resource, (long)&limit, 0);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* give_up gives up capabilities for good, in every set and in the bounding set, from
 * which root's programs have theirs (capabilities(7), "Capabilities and execution of
 * programs by root"). */
static long give_up(uint64_t given)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct sets[2];

	if (given == 0)
		return 0;
	long rc = raw2(SYS_capget, (long)&header, (long)sets);
	if (rc < 0)
		return rc;
	int changed = 0;
	for (int cap = 0; cap < 64; cap++) {
		struct __user_cap_data_struct *set = &sets[cap / 32];
		const uint32_t bit = 1U << cap % 32;

		if (!(given >> cap & 1) || !((set->permitted | set->inheritable) & bit))
			continue;
		if ((rc = raw5(SYS_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0)) < 0)
			return rc;
		set->effective &= ~bit;
		set->permitted &= ~bit;
		set->inheritable &= ~bit;
		changed = 1;
	}
	if (!changed)
		return 0;
	return raw2(SYS_capset, (long)&header, (long)sets);
}

static long install_filters(struct launch *l)
{
	for (int i = 0; i < l->nfilters; i++) {
		long rc = raw3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&l->filters[i]);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* await_tracer blocks until the tracer has seized this task. From then on
 * PTRACE_O_EXITKILL guards against its death; until then the parent-death
 * signal does. */
static long await_tracer(struct launch *l)
{
	if (l->namespaces & CLONE_NEWPID)
		return 0; /* it is traced since its keeper made it */
	raw2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	if (raw0(SYS_getppid) != l->parent)
		return -ESRCH;
	while (!__atomic_load_n(&l->go, __ATOMIC_ACQUIRE))
		raw4(SYS_futex, (long)&l->go, FUTEX_WAIT, 0, 0);
	raw2(SYS_prctl, PR_SET_PDEATHSIG, 0);
	return 0;
}

/* The pieces run with every signal blocked but for the last, so that none of
 * Go's signal functions can run in this stage. */
static long stage_steps(struct launch *l, int *step)
{
	long rc;
	int moved[l->nfiles + 1];

	*step = STEP_PARENT;
	if ((rc = await_tracer(l)) < 0)
		return rc;
	if (l->namespaces) {
		room_await_keeper(l);
		if ((rc = room_enter(l, step)) < 0)
			return rc;
	}
	*step = STEP_DESCRIPTORS;
	if ((rc = place_files(l, moved)) < 0 || (rc = hide_descriptors(l->nfiles)) < 0)
		return rc;
	*step = STEP_KEEP;
	if ((rc = keep_descriptors(l)) < 0)
		return rc;
	*step = STEP_SESSION;
	if ((rc = own_session(l)) < 0)
		return rc;
	*step = STEP_LIMITS;
	if ((rc = raw4(SYS_prlimit64, 0, RLIMIT_NOFILE, (long)&inherited_files, 0)) < 0 || (rc = narrow_limits(l)) < 0)
		return rc;
	*step = STEP_NICE;
	if ((rc = be_nicer(l->nice)) < 0)
		return rc;
	if (l->umask >= 0)
		raw1(SYS_umask, l->umask); /* no errors */
	*step = STEP_CHDIR;
	if (l->dir && (rc = raw1(SYS_chdir, (long)l->dir)) < 0)
		return rc;
	*step = STEP_CAPABILITIES;
	if ((rc = give_up(l->given_up)) < 0 || (l->namespaces && (rc = room_confine(l)) < 0))
		return rc;
	*step = STEP_NO_NEW_PRIVS;
	if ((rc = raw5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) < 0)
		return rc;
	*step = STEP_LANDLOCK;
	if (l->landlock >= 0 && (rc = raw2(SYS_landlock_restrict_self, l->landlock, 0)) < 0)
		return rc;
	restore_signals();
	*step = STEP_SECCOMP;
	if ((rc = install_filters(l)) < 0)
		return rc;
	*step = STEP_EXECVE;
	return raw3(SYS_execve, (long)l->path, (long)l->argv, (long)l->envp);
}

static void run_stage(struct launch *l)
{
	int step;
	l->err = (int)-stage_steps(l, &step);
	__atomic_store_n(&l->step, step, __ATOMIC_RELEASE);
	raw1(SYS_exit_group, 127);
	__builtin_trap(); /* the policy denies exit_group */
}

static int stage(void *l)
{
	run_stage(l);
	return 0;
}

/* close_between closes descriptors; close_range is of Linux 5.9. */
static void close_between(unsigned first, unsigned last)
{
	struct limit limit;
	if (raw3(SYS_close_range, first, last, 0) == 0 || raw4(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit) < 0)
		return;
	for (uint64_t fd = first; fd <= last && fd < limit.hard; fd++)
		raw1(SYS_close, fd);
}

void launch_come_apart(struct launch *l)
{
	if (!l->apart)
		return;
	unsigned next = 0;
	for (int i = 0; i < l->nneed; i++) {
		if ((unsigned)l->need[i] > next)
			close_between(next, l->need[i] - 1);
		next = l->need[i] + 1;
	}
	close_between(next, ~0U);
	raw2(SYS_prctl, PR_SET_DUMPABLE, 1);
	__atomic_store_n(&l->open, 1, __ATOMIC_RELEASE);
	raw3(SYS_futex, (long)&l->open, FUTEX_WAKE, 1);
}

/* await_apart waits until the child has come apart, or is dead. */
static void await_apart(struct launch *l, int pid)
{
	const struct timespec now_and_then = { 0, 50000000 };
	while (!__atomic_load_n(&l->open, __ATOMIC_ACQUIRE)) {
		siginfo_t dead = { 0 };
		if (waitid(P_PID, pid, &dead, WEXITED | WNOHANG | WNOWAIT) != 0 || dead.si_pid == pid)
			return;
		raw4(SYS_futex, (long)&l->open, FUTEX_WAIT, 0, (long)&now_and_then);
	}
}

static int start_apart(struct launch *l)
{
	long pid = raw5(SYS_clone, SIGCHLD | l->namespaces, 0, 0, 0, 0);
	if (pid == 0) {
		launch_come_apart(l);
		run_stage(l);
	}
	return (int)pid;
}

static int start(struct launch *l)
{
	if (l->namespaces & CLONE_NEWPID)
		return room_keeper(l, run_stage);
	if (l->apart)
		return start_apart(l);
	int pid = clone(stage, (char *)l->stack + STACK_SIZE, CLONE_VM | SIGCHLD | l->namespaces, l);
	return pid < 0 ? -errno : pid;
}

int launch_stage(struct launch *l)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	l->stack = stack;
	l->parent = getpid();
	raw2(SYS_prctl, PR_SET_TIMERSLACK, inherited_slack); /* clone(2) passes it on */

	sigset_t all, before;
	sigfillset(&all);
	int rc = pthread_sigmask(SIG_BLOCK, &all, &before);
	if (rc != 0)
		return -rc;
	int pid = start(l);
	if (pid > 0 && l->apart)
		await_apart(l, pid);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

void launch_go(struct launch *l)
{
	__atomic_store_n(&l->go, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &l->go, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void launch_end(struct launch *l)
{
	if (l->stack)
		munmap(l->stack, STACK_SIZE);
	l->stack = NULL;
}
