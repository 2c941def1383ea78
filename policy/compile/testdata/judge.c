// judge: what the real kernel answers to calls under a filter.
//
// It reads jobs from standard input and writes results to standard output, all
// in the machine's own layout:
//
//	job     u32 filters, u32 calls, each filter, struct call[calls]
//	filter  u32 instructions, struct sock_filter[instructions]
//	result  i32[calls]: what the call returned
//
// The filters should answer SECCOMP_RET_ERRNO to everything, so that no call is
// executed. That leaves the process that installed them no way to report or to
// exit: it writes to shared memory and ends by an illegal instruction. If a
// filter kills it, the call that it died of and those after it give KILLED.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_FILTERS 16
#define MAX_INSNS 4096
#define MAX_CALLS 65536
#define KILLED 1

struct call {
	uint32_t nr;
	uint32_t int80;
	uint64_t args[6];
};

static struct sock_filter insns[MAX_FILTERS][MAX_INSNS];
static struct sock_fprog progs[MAX_FILTERS];
static struct call calls[MAX_CALLS];
static int32_t *results;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int32_t by_syscall(const struct call *c)
{
	register uint64_t r10 __asm__("r10") = c->args[3];
	register uint64_t r8 __asm__("r8") = c->args[4];
	register uint64_t r9 __asm__("r9") = c->args[5];
	uint64_t rax = c->nr;

	__asm__ volatile("syscall"
			 : "+a"(rax)
			 : "D"(c->args[0]), "S"(c->args[1]), "d"(c->args[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return (int32_t)rax;
}

// int $0x80 takes its sixth argument in ebp and its first in ebx, neither of
// which C lets go of easily.
int32_t by_int80(const struct call *c);
__asm__(".text\n"
	".globl by_int80\n"
	"by_int80:\n"
	"	push %rbx\n"
	"	push %rbp\n"
	"	mov %rdi, %r11\n"
	"	mov 0(%r11), %eax\n"
	"	mov 8(%r11), %rbx\n"
	"	mov 16(%r11), %rcx\n"
	"	mov 24(%r11), %rdx\n"
	"	mov 32(%r11), %rsi\n"
	"	mov 40(%r11), %rdi\n"
	"	mov 48(%r11), %rbp\n"
	"	int $0x80\n"
	"	pop %rbp\n"
	"	pop %rbx\n"
	"	ret\n");

static void judged(uint32_t n_filters, uint32_t n_calls)
{
	for (uint32_t i = 0; i < n_filters; i++)
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &progs[i]))
			die("seccomp");
	for (uint32_t i = 0; i < n_calls; i++)
		results[i] = calls[i].int80 ? by_int80(&calls[i]) : by_syscall(&calls[i]);
	__builtin_trap();
}

static void job(uint32_t n_filters, uint32_t n_calls)
{
	int status;
	pid_t pid;

	for (uint32_t i = 0; i < n_calls; i++)
		results[i] = KILLED;
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		judged(n_filters, n_calls);
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (!WIFSIGNALED(status) || (WTERMSIG(status) != SIGILL && WTERMSIG(status) != SIGSYS)) {
		fprintf(stderr, "the judged process ended with wait status %#x\n", status);
		exit(1);
	}
}

static void read_all(void *to, size_t size, uint32_t n, uint32_t most)
{
	if (n > most || fread(to, size, n, stdin) != n)
		exit(1);
}

int main(void)
{
	struct rlimit none = {0, 0};
	uint32_t n[2], len;

	setrlimit(RLIMIT_CORE, &none);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die("prctl");
	results = mmap(NULL, MAX_CALLS * sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (results == MAP_FAILED)
		die("mmap");
	while (fread(n, sizeof(n), 1, stdin) == 1) {
		if (n[0] > MAX_FILTERS)
			return 1;
		for (uint32_t i = 0; i < n[0]; i++) {
			read_all(&len, sizeof(len), 1, 1);
			read_all(insns[i], sizeof(*insns[i]), len, MAX_INSNS);
			progs[i].len = (unsigned short)len;
			progs[i].filter = insns[i];
		}
		read_all(calls, sizeof(*calls), n[1], MAX_CALLS);
		job(n[0], n[1]);
		if (fwrite(results, sizeof(*results), n[1], stdout) != n[1] || fflush(stdout))
			return 1;
	}
	return 0;
}
