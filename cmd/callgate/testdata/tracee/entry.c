/*
 * Ways into the kernel: syscall, int $0x80 from 64-bit code, x32's bit, 32-bit
 * code in a 64-bit process, sysenter, the vsyscall page, and numbers that are
 * none.
 */
#define _GNU_SOURCE
#include "tracee.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#define X32_BIT 0x40000000

static char *low;    /* where the next argument's bytes go */
static char *low_end;

static void *place(const void *bytes, size_t size)
{
	if (!low) {
		low = low_memory(1 << 16);
		low_end = low + (1 << 16);
	}
	low = (char *)(((uintptr_t)low + 15) & ~15ul);
	if (low + size > low_end)
		die("arguments too long");
	void *p = memcpy(low, bytes, size);
	low += size;
	return p;
}

static long argument(const char *text, int width);

/* list reads comma-separated arguments into an array of width bytes each. */
static long list(const char *text, int width, const char *prefix)
{
	char copy[4096], word[4096], *save = NULL;
	uint64_t wide[64] = {0};
	uint32_t narrow[64] = {0};
	int n = 0;

	snprintf(copy, sizeof copy, "%s", text);
	for (char *item = strtok_r(copy, ",", &save); item && n < 63; item = strtok_r(NULL, ",", &save)) {
		snprintf(word, sizeof word, "%s%s", prefix, item);
		wide[n] = argument(word, width);
		narrow[n] = wide[n];
		n++;
	}
	if (width == 4)
		return (long)place(narrow, 4 * (n + 1));
	return (long)place(wide, 8 * (n + 1));
}

/*
 * argument reads one: a number; s:TEXT, a string's address; v:A,B the address
 * of a NULL-terminated array of strings; w:1,2 that of an array of words, which
 * can themselves be any argument without a comma; z:N that of N zero bytes.
 */
static long argument(const char *text, int width)
{
	static const char zeroes[8192];

	if (!strncmp(text, "s:", 2))
		return (long)place(text + 2, strlen(text + 2) + 1);
	if (!strncmp(text, "v:", 2))
		return list(text + 2, width, "s:");
	if (!strncmp(text, "w:", 2))
		return list(text + 2, width, "");
	if (!strncmp(text, "z:", 2))
		return (long)place(zeroes, (size_t)number(text + 2) % sizeof zeroes);
	return number(text);
}

/* high is what int80 puts into the high halves of the registers. */
static uint64_t high;

long raw_int80(uint32_t nr, const uint32_t args[6])
{
	uint64_t result = nr | high;
	uint64_t b = args[0] | high, c = args[1] | high, d = args[2] | high, s = args[3] | high, di = args[4] | high;

	/* rbp holds the sixth argument; push and pop keep the compiler's. */
	__asm__ volatile("sub $128, %%rsp\n\t"
			 "push %%rbp\n\t"
			 "mov 20(%[args]), %%ebp\n\t"
			 "int $0x80\n\t"
			 "pop %%rbp\n\t"
			 "add $128, %%rsp"
			 : "+a"(result)
			 : "b"(b), "c"(c), "d"(d), "S"(s), "D"(di), [args] "r"(args)
			 : "r8", "r9", "r10", "r11", "memory", "cc");
	return (int32_t)result;
}

static void read_arguments(int argc, char **argv, int width, long out[6])
{
	memset(out, 0, 6 * sizeof *out);
	for (int i = 1; i < argc && i < 7; i++)
		out[i - 1] = argument(argv[i], width);
}

static int run_int80(int argc, char **argv)
{
	long wide[6];
	uint32_t args[6];

	if (argc < 1)
		return 99;
	read_arguments(argc, argv, 4, wide);
	for (int i = 0; i < 6; i++)
		args[i] = wide[i];
	say("int80 %s = %s", argv[0], show(raw_int80(number(argv[0]), args)));
	return 0;
}

/* int80-high: the same with other bits in the registers' high halves, which i386 lacks. */
static int run_int80_high(int argc, char **argv)
{
	high = 0xdeadbeefull << 32;
	return run_int80(argc, argv);
}

static int run_native(int argc, char **argv)
{
	long a[6];

	if (argc < 1)
		return 99;
	read_arguments(argc, argv, 8, a);
	say("native %s = %s", argv[0], show(raw(number(argv[0]), a[0], a[1], a[2], a[3], a[4], a[5])));
	return 0;
}

static int run_x32(int argc, char **argv)
{
	long a[6];

	if (argc < 1)
		return 99;
	read_arguments(argc, argv, 4, a);
	say("x32 %s = %s", argv[0], show(raw(number(argv[0]) | X32_BIT, a[0], a[1], a[2], a[3], a[4], a[5])));
	return 0;
}

/*
 * far_code: a 32-bit int $0x80 and the way back to 64-bit code. At entry, in
 * 32-bit mode: eax the number, ebx, ecx, edx, esi, edi the arguments, and on
 * the stack the far address to return to.
 */
static const unsigned char far_code[] = {
	0xcd, 0x80, /* int $0x80 */
	0xcb,       /* lret: to 64-bit code, CS 0x33 */
};

/* far_call runs far_code through a far jump to CS 0x23 (__USER32_CS). */
static long far_call(uint32_t nr, const uint32_t args[5])
{
	char *page = low_memory(1 << 16);
	uint32_t *stack = (uint32_t *)(page + 0x8000);
	struct __attribute__((packed)) {
		uint32_t offset;
		uint16_t selector;
	} *target = (void *)(page + 0x4000);
	long result = nr;

	memcpy(page, far_code, sizeof far_code);
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC))
		die("mprotect");
	target->offset = (uint32_t)(uintptr_t)page;
	target->selector = 0x23;
	/* The way back must be below 4 GiB too: a stub that jumps to r15. */
	unsigned char *stub = (unsigned char *)page + 0x1000;
	memcpy(stub, "\x41\xff\xe7", 3); /* jmp *%r15 */
	if (mprotect(stub, 4096, PROT_READ | PROT_EXEC))
		die("mprotect");
	stack[0] = (uint32_t)(uintptr_t)stub;
	stack[1] = 0x33;
	__asm__ volatile("sub $128, %%rsp\n\t"
			 "push %%rbp\n\t"
			 "mov %%rsp, %%r14\n\t"
			 "lea 1f(%%rip), %%r15\n\t"
			 "mov %[stack], %%rsp\n\t"
			 "ljmp *(%[target])\n"
			 "1:\n\t"
			 "mov %%r14, %%rsp\n\t"
			 "pop %%rbp\n\t"
			 "add $128, %%rsp"
			 : "+a"(result)
			 : "b"(args[0]), "c"(args[1]), "d"(args[2]), "S"(args[3]), "D"(args[4]),
			   [stack] "r"((long)stack), [target] "r"(target)
			 : "r14", "r15", "memory", "cc");
	return (int32_t)result;
}

static int run_far(int argc, char **argv)
{
	long wide[6];
	uint32_t args[5];

	if (argc < 1)
		return 99;
	read_arguments(argc, argv, 4, wide);
	for (int i = 0; i < 5; i++)
		args[i] = wide[i];
	say("far %s = %s", argv[0], show(far_call(number(argv[0]), args)));
	return 0;
}

/*
 * sysenter PATH: i386 mkdir by the sysenter instruction. A 64-bit process has
 * no 32-bit vDSO to come back to, so a child does it and dies; whether the
 * folder is there afterwards is what counts.
 */
static int run_sysenter(int argc, char **argv)
{
	struct stat st;

	if (argc < 1)
		return 99;
	char *path = place(argv[0], strlen(argv[0]) + 1);
	char *stack = (char *)low_memory(8192) + 4096;
	int pid = fork();
	if (pid == 0) {
		__asm__ volatile("mov %[stack], %%rbp\n\t"
				 "sysenter"
				 :
				 : "a"(39), "b"(path), "c"(0700), [stack] "r"(stack)
				 : "memory");
		_exit(0);
	}
	const char *end = reap(pid);
	say("sysenter mkdir: %s, child %s", stat(argv[0], &st) ? "no folder" : "folder",
	    strncmp(end, "signal", 6) ? "ended" : "died");
	return 0;
}

/* numbers: calls whose number is none, or has more bits than a number has. */
static int run_numbers(int argc, char **argv)
{
	static const struct {
		const char *text;
		unsigned long nr;
	} cases[] = {
		{"-1", -1ul},
		{"-2", -2ul},
		{"0xffffffff", 0xffffffff},
		{"0x100000027 (getpid and a high half)", 0x100000027},
		{"0xffffffff00000027", 0xffffffff00000027},
		{"0x7fffffff", 0x7fffffff},
		{"0x80000000", 0x80000000},
		{"0x80000027", 0x80000027},
		{"0x40000027 (x32 getpid)", 0x40000027},
		{"0x7fffffffffffffff", 0x7fffffffffffffff},
		{"599", 599},
		{"1023", 1023},
		{"99999", 99999},
	};
	static const uint32_t none[6];

	(void)argc;
	(void)argv;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		say("syscall %s = %s", cases[i].text, show(raw(cases[i].nr, 0, 0, 0, 0, 0, 0)));
		say("int80 %s = %s", cases[i].text, show(raw_int80(cases[i].nr, none)));
	}
	return 0;
}

static int vsyscall_mapped(void)
{
	char line[512];
	int found = 0;
	FILE *f = fopen("/proc/self/maps", "r");

	while (f && fgets(line, sizeof line, f))
		found |= strstr(line, "[vsyscall]") != NULL;
	if (f)
		fclose(f);
	return found;
}

/* vsyscall: time(2)'s three calls through the page at 0xffffffffff600000. */
static int run_vsyscall(int argc, char **argv)
{
	struct timeval tv = {0};
	unsigned cpu = -1, node;
	long seconds = -1;

	(void)argc;
	(void)argv;
	if (!vsyscall_mapped()) {
		say("no vsyscall page");
		return 0;
	}
	long r = ((long (*)(struct timeval *, void *))0xffffffffff600000)(&tv, NULL);
	say("vsyscall gettimeofday = %s, %s", show(r), tv.tv_sec ? "filled" : "empty");
	r = ((long (*)(long *))0xffffffffff600400)(&seconds);
	say("vsyscall time = %s, %s", r > 0x10000 ? "seconds" : show(r), seconds > 0 ? "filled" : "empty");
	r = ((long (*)(unsigned *, unsigned *, void *))0xffffffffff600800)(&cpu, &node, NULL);
	say("vsyscall getcpu = %s, %s", show(r), cpu != -1u ? "filled" : "empty");
	return 0;
}

const struct command entry_commands[] = {
	{"int80", "NR ARG...", run_int80},
	{"int80-high", "NR ARG...", run_int80_high},
	{"native", "NR ARG...", run_native},
	{"x32", "NR ARG...", run_x32},
	{"far", "NR ARG...", run_far},
	{"sysenter", "PATH", run_sysenter},
	{"numbers", "", run_numbers},
	{"vsyscall", "", run_vsyscall},
	{NULL, NULL, NULL},
};
