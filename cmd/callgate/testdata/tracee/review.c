/*
 * What a reviewer tried: all registers after calls that run in another's place,
 * and threads that fail in execve too late to return from it.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* rax, rdi, rsi, rdx, r10, r8, r9, rbx, rbp and r12 before and after a call. */
enum { RAX, RDI, RSI, RDX, R10, R8, R9, RBX, RBP, R12, REGISTERS };
uint64_t review_in[REGISTERS], review_out[REGISTERS];

void review_call64(void);
void review_call32(void);

#define CALL(name, instruction)                                                                                      \
	__asm__(".globl " name "\n" name ":\n\t"                                                                     \
		"push %rbx\n\tpush %rbp\n\tpush %r12\n\t"                                                            \
		"mov review_in+0(%rip), %rax\n\tmov review_in+8(%rip), %rdi\n\tmov review_in+16(%rip), %rsi\n\t"     \
		"mov review_in+24(%rip), %rdx\n\tmov review_in+32(%rip), %r10\n\tmov review_in+40(%rip), %r8\n\t"    \
		"mov review_in+48(%rip), %r9\n\tmov review_in+56(%rip), %rbx\n\tmov review_in+64(%rip), %rbp\n\t"    \
		"mov review_in+72(%rip), %r12\n\t" instruction "\n\t"                                                \
		"mov %rax, review_out+0(%rip)\n\tmov %rdi, review_out+8(%rip)\n\tmov %rsi, review_out+16(%rip)\n\t"  \
		"mov %rdx, review_out+24(%rip)\n\tmov %r10, review_out+32(%rip)\n\tmov %r8, review_out+40(%rip)\n\t" \
		"mov %r9, review_out+48(%rip)\n\tmov %rbx, review_out+56(%rip)\n\tmov %rbp, review_out+64(%rip)\n\t" \
		"mov %r12, review_out+72(%rip)\n\t"                                                                  \
		"pop %r12\n\tpop %rbp\n\tpop %rbx\n\tret\n")

CALL("review_call64", "syscall");
CALL("review_call32", "int $0x80");

static struct clone_args *block;

/* prepare fills the registers with what no call may change. */
static void prepare(void)
{
	for (int i = 0; i < REGISTERS; i++)
		review_in[i] = 0x1111111111111111u * (i + 1);
	review_in[RAX] = SYS_clone3;
	memset(block, 0, sizeof *block);
	block->exit_signal = SIGCHLD;
}

/* kept says how many registers beside the result are as they were. */
static int kept(void)
{
	int n = 0;

	for (int i = RAX + 1; i < REGISTERS; i++)
		n += review_out[i] == review_in[i];
	return n;
}

/* born makes a child and says how many registers parent and child have kept. */
static void born(const char *what, void (*call)(void), int pointer, int size, int loud)
{
	pid_t self = getpid();
	int status;

	prepare();
	review_in[pointer] = (uintptr_t)block;
	review_in[size] = sizeof *block;
	call();
	if (getpid() != self)
		_exit(kept());
	pid_t child = review_out[RAX];
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			die("%s: waitpid: %s", what, strerror(errno));
	if (loud || kept() != REGISTERS - 1 || WEXITSTATUS(status) != REGISTERS - 1)
		say("%s: parent kept %d, child %d", what, kept(), WEXITSTATUS(status));
}

static void ignore(int sig)
{
	(void)sig;
}

/* registers: after clone3, by both entries, and under a storm of signals. */
static int run_registers(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = ignore, .sa_flags = SA_RESTART};
	struct itimerval often = {{0, 100}, {0, 100}}, never = {{0, 0}, {0, 0}};

	(void)argc;
	(void)argv;
	block = low_memory(4096);
	born("clone3", review_call64, RDI, RSI, 1);
	/* i386: ebx, ecx; this caller leaves ecx alone, so that the size is bad */
	prepare();
	review_in[RBX] = (uintptr_t)block;
	review_call32();
	say("int80 clone3 of a bad size: %s", show((int)review_out[RAX]));
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 200; i++)
		born("clone3 in a storm", review_call64, RDI, RSI, 0);
	setitimer(ITIMER_REAL, &never, NULL);
	say("storm over");
	return 0;
}

static void *exec_badly(void *path)
{
	char *argv[] = {path, NULL};

	usleep(getpid() % 7 * 100);
	execv(path, argv);
	_exit(9);
}

/* bad-exec PATH ROUNDS: a thread executes PATH, which cannot be loaded, while its leader makes denied calls. */
static int run_bad_exec(int argc, char **argv)
{
	pthread_t thread;
	int segv = 0;

	if (argc < 2)
		return 99;
	long rounds = number(argv[1]);
	for (long i = 0; i < rounds; i++) {
		int status;
		pid_t child = fork();
		if (child == 0) {
			if (pthread_create(&thread, NULL, exec_badly, argv[0]))
				_exit(98);
			for (;;)
				mkdir_result("/proc/nothing");
		}
		if (waitpid(child, &status, 0) == child)
			segv += WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
	}
	say("%d of %ld died of it", segv, rounds);
	return 0;
}

const struct command review_commands[] = {
	{"registers", "", run_registers},
	{"bad-exec", "PATH ROUNDS", run_bad_exec},
	{NULL, NULL, NULL},
};
