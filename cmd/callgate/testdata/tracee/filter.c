/*
 * Filters of the tracee's own: a listener that answers its own calls, RET_TRACE,
 * RET_KILL, RET_ERRNO and RET_TRAP over calls of mkdir(2).
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define X32_BIT 0x40000000

/* install answers action for x86-64's nr and allows all else. via: the call. */
static long install(uint32_t nr, uint32_t action, unsigned flags, const char *via)
{
	struct sock_filter *code = low_memory(4096);
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog *wide = low_memory(4096);
	uint32_t *narrow = low_memory(4096); /* i386's struct sock_fprog */

	memcpy(code, program, sizeof program);
	wide->len = sizeof program / sizeof *program;
	wide->filter = code;
	narrow[0] = wide->len;
	narrow[1] = (uint32_t)(uintptr_t)code;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (!strcmp(via, "int80")) {
		uint32_t args[6] = {SECCOMP_SET_MODE_FILTER, flags, (uint32_t)(uintptr_t)narrow};
		return raw_int80(354, args);
	}
	if (!strcmp(via, "x32"))
		return raw(SYS_seccomp | X32_BIT, SECCOMP_SET_MODE_FILTER, flags, (long)narrow, 0, 0, 0);
	if (!strcmp(via, "prctl"))
		return raw(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, (long)wide, 0, 0, 0);
	return raw(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, (long)wide, 0, 0, 0);
}

static void *answer(void *listener)
{
	int fd = (int)(long)listener;

	for (;;) {
		struct seccomp_notif call;
		struct seccomp_notif_resp reply = {0};
		memset(&call, 0, sizeof call);
		if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &call)) {
			if (errno == EINTR || errno == ENOENT)
				continue;
			return NULL;
		}
		reply.id = call.id;
		reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &reply);
	}
}

/*
 * listener VIA PATH [FLAGS]: a filter with a listener over mkdir, a thread that
 * answers "go on", and then mkdir PATH.
 */
static int run_listener(int argc, char **argv)
{
	unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	pthread_t thread;

	if (argc < 2)
		return 99;
	if (argc > 2)
		flags = number(argv[2]);
	long fd = install(SYS_mkdir, SECCOMP_RET_USER_NOTIF, flags, argv[0]);
	say("seccomp = %s", fd > 0 ? "listener" : show(fd));
	if (fd > 0 && pthread_create(&thread, NULL, answer, (void *)fd))
		die("pthread_create");
	say("mkdir = %s", show(mkdir_result(argv[1])));
	_exit(0);
}

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	say("SIGSYS %d: call %d, code %d, errno %d", sig, info->si_syscall, info->si_code, info->si_errno);
	c->uc_mcontext.gregs[REG_RAX] = 77;
}

/* own-filter ACTION PATH: the tracee's own filter with that action over mkdir. */
static int run_own(int argc, char **argv)
{
	struct sigaction sa = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};

	if (argc < 2)
		return 99;
	sigaction(SIGSYS, &sa, NULL);
	say("install = %s", show(install(SYS_mkdir, number(argv[0]), 0, "native")));
	say("mkdir = %s", show(mkdir_result(argv[1])));
	return 0;
}

/* strict PATH: SECCOMP_MODE_STRICT, then a call that it does not have. */
static int run_strict(int argc, char **argv)
{
	(void)argc;
	say("strict = %s", show(raw(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0, 0)));
	say("mkdir = %s", show(mkdir_result(argv[0] ? argv[0] : "/")));
	raw(SYS_exit, 0, 0, 0, 0, 0, 0);
	return 0;
}

/* without NR COMMAND ARG...: a command to which call NR answers EPERM, as containers' filters do. */
static int run_without(int argc, char **argv)
{
	if (argc < 2)
		return 99;
	if (install(number(argv[0]), SECCOMP_RET_ERRNO | EPERM, 0, "native") < 0)
		die("seccomp");
	execv(argv[1], argv + 1);
	die("execv");
}

const struct command filter_commands[] = {
	{"without", "NR COMMAND ARG...", run_without},
	{"listener", "native|int80|x32|prctl PATH [FLAGS]", run_listener},
	{"own-filter", "ACTION PATH", run_own},
	{"strict", "PATH", run_strict},
	{NULL, NULL, NULL},
};
