/* Attacks on the memory where callgate keeps what verdicts rest on. */
#define _GNU_SOURCE
#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE 0x10000l
#define END 0x400000l

/* lines gives what /proc/self/smaps says of the area: the line and its flags. */
static void area(char *out, size_t size)
{
	char line[512];
	int in = 0;
	FILE *f = fopen("/proc/self/smaps", "r");

	out[0] = 0;
	while (f && fgets(line, sizeof line, f)) {
		unsigned long from, to;
		char mode[8];
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) == 3) {
			in = from < END;
			if (in)
				snprintf(out + strlen(out), size - strlen(out), "%lx-%lx %s", from, to, mode);
		}
		if (in && !strncmp(line, "VmFlags:", 8))
			snprintf(out + strlen(out), size - strlen(out), "%s", strstr(line, " sl") ? " sealed;" : " open;");
	}
	if (f)
		fclose(f);
}

static void try_file(const char *name)
{
	int fd = open(name, O_RDWR);

	if (fd >= 0)
		say("write to %s = %s", name, show(raw(SYS_pwrite64, fd, (long)"evil", 4, BASE, 0, 0)));
}

/* harm makes calls that would take the area away or change it. */
static void harm(long at)
{
	static char evil[4096] = "evil";
	struct iovec mine = {evil, 4}, there = {(void *)at, 4};
	uint32_t *low = low_memory(4096);
	long more = 4096;
	char name[64];

	raw(SYS_munmap, at, more, 0, 0, 0, 0);
	raw(SYS_mprotect, at, more, PROT_READ | PROT_WRITE, 0, 0, 0);
	raw(SYS_pkey_mprotect, at, more, PROT_READ | PROT_WRITE, -1, 0, 0);
	raw(SYS_mmap, at, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	raw(SYS_mmap, at + 1, END, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	raw(SYS_mmap, 4095, END, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	raw(SYS_mmap, 4095, END, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	raw(SYS_mmap, 0, END, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	raw(SYS_mmap, 0, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	/* what is not to replace anything passes the filter where the area begins */
	static const long loose[] = {0, MAP_FIXED_NOREPLACE, MAP_GROWSDOWN, MAP_32BIT, MAP_STACK, MAP_POPULATE, 1l << 36 | MAP_FIXED_NOREPLACE, MAP_FIXED | MAP_FIXED_NOREPLACE};
	for (size_t i = 0; i < sizeof loose / sizeof *loose; i++) {
		raw(SYS_mmap, at, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | loose[i], -1, 0);
		raw(SYS_mmap, at, END - at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | loose[i], -1, 0);
	}
	raw(SYS_mremap, at, more, 2 * more, MREMAP_MAYMOVE, 0, 0);
	raw(SYS_mremap, at, more, more, MREMAP_MAYMOVE | MREMAP_FIXED, (long)evil & ~4095l, 0);
	raw(SYS_mremap, (long)low, more, more, MREMAP_MAYMOVE | MREMAP_FIXED, at, 0);
	low = low_memory(4096);
	static const int advice[] = {MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_WIPEONFORK, MADV_COLD, MADV_PAGEOUT, 24};
	for (size_t i = 0; i < sizeof advice / sizeof *advice; i++)
		raw(SYS_madvise, at, more, advice[i], 0, 0, 0);
	raw(SYS_remap_file_pages, at, more, 0, 0, 0, 0);
	long self = raw(SYS_pidfd_open, getpid(), 0, 0, 0, 0, 0);
	there.iov_len = more;
	for (size_t i = 0; i < sizeof advice / sizeof *advice; i++)
		raw(SYS_process_madvise, self, (long)&there, 1, advice[i], 0, 0);
	there.iov_len = 4;
	long shm = raw(SYS_shmget, IPC_PRIVATE, more, IPC_CREAT | 0600, 0, 0, 0);
	raw(SYS_shmat, shm, at, SHM_REMAP, 0, 0, 0);
	raw(SYS_shmat, shm, at + 1, SHM_REMAP | SHM_RND, 0, 0, 0);
	uint32_t attach[6] = {21, shm, SHM_REMAP, (uint32_t)(uintptr_t)low, at};
	raw_int80(117, attach); /* ipc(SHMAT) */
	raw(SYS_shmctl, shm, IPC_RMID, 0, 0, 0, 0);
	raw(SYS_prctl, PR_SET_MM, PR_SET_MM_START_BRK, at, 0, 0, 0);
	raw(SYS_prctl, PR_SET_MM, PR_SET_MM_BRK, at, 0, 0, 0);
	raw(SYS_brk, at, 0, 0, 0, 0, 0);
	raw(SYS_read, open("/dev/zero", O_RDONLY), at, 64, 0, 0, 0);
	raw(SYS_process_vm_writev, getpid(), (long)&mine, 1, (long)&there, 1, 0);
	raw(SYS_process_vm_writev, getppid(), (long)&mine, 1, (long)&there, 1, 0);
	/* by int 0x80: munmap, mprotect, mremap, madvise, mmap2 and the old mmap */
	uint32_t a[6] = {at, more, PROT_READ | PROT_WRITE};
	raw_int80(91, a);
	raw_int80(125, a);
	uint32_t move[6] = {at, more, 2 * more, MREMAP_MAYMOVE};
	raw_int80(163, move);
	uint32_t drop[6] = {at, more, MADV_DONTNEED};
	raw_int80(219, drop);
	uint32_t map[6] = {at, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1u, 0};
	raw_int80(192, map);
	map[3] = MAP_PRIVATE | MAP_ANONYMOUS;
	raw_int80(192, map);
	map[3] |= MAP_FIXED;
	memcpy(low, map, sizeof map);
	uint32_t old[6] = {(uint32_t)(uintptr_t)low};
	raw_int80(90, old);
	/* userfaultfd that serves the program's own faults only */
	long uffd = raw(SYS_userfaultfd, 1, 0, 0, 0, 0, 0);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register r = {.range = {at, more}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	struct uffdio_copy copy = {.dst = at, .src = (long)evil, .len = more};
	raw(SYS_ioctl, uffd, UFFDIO_API, (long)&api, 0, 0, 0);
	raw(SYS_ioctl, uffd, UFFDIO_REGISTER, (long)&r, 0, 0, 0);
	raw(SYS_ioctl, uffd, UFFDIO_COPY, (long)&copy, 0, 0, 0);
	/* files of memory, and a tracer */
	try_file("/proc/self/mem");
	try_file("/proc/thread-self/mem");
	try_file("/proc/self/task/../mem");
	snprintf(name, sizeof name, "/proc/%d/mem", getppid());
	try_file(name);
	snprintf(name, sizeof name, "/proc/self/task/%d/mem", getpid());
	try_file(name);
	int fd = open("/proc/self/mem", O_RDONLY);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	try_file(name);
	raw(SYS_ptrace, PTRACE_ATTACH, getppid(), 0, 0, 0, 0);
	raw(SYS_ptrace, PTRACE_POKEDATA, getppid(), at, 0x6c697665, 0, 0);
}

/*
 * area: attacks the area everywhere, also as a child, and says how it was and
 * is: "area same" if nothing happened, and whether evil stands anywhere in it.
 */
static int run_area(int argc, char **argv)
{
	char before[2048], after[2048];
	int evil = 0;

	(void)argc;
	(void)argv;
	area(before, sizeof before);
	static const long at[] = {BASE, BASE + 4096, 0x20000, 0x200000, END - 4096, 0};
	for (int i = 0; i < 6; i++)
		harm(at[i]);
	raw(SYS_munmap, 0, END, 0, 0, 0, 0);
	raw(SYS_munmap, BASE - 4096, 8192, 0, 0, 0, 0);
	pid_t child = fork();
	if (child == 0) {
		harm(BASE);
		area(after, sizeof after);
		_exit(strcmp(before, after) != 0);
	}
	int status = 1;
	waitpid(child, &status, 0);
	area(after, sizeof after);
	for (char *p = (char *)BASE; p < (char *)END - 4; p += 4)
		evil |= !memcmp(p, "evil", 4);
	say("area %s", before);
	say("area %s, the child's %s, evil %d", strcmp(before, after) ? after : "same", status ? "differs" : "same", evil);
	return 0;
}

/*
 * answering ADDRESS PROGRAM...: a program under a filter that answers EPERM to mmap at an
 * address, and allows all else.
 */
static int run_answering(int argc, char **argv)
{
	struct sock_filter mmap_at[] = {
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr)},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 3, SYS_mmap},
		{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, args[0])},
		{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, strtoul(argv[0], NULL, 0)},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM},
		{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
	};
	struct sock_fprog program = {sizeof mmap_at / sizeof *mmap_at, mmap_at};

	if (argc < 2 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		die("a filter of its own");
	execv(argv[1], argv + 1);
	die("execv");
}

/*
 * write-to PROGRAM ADDRESS TRIES: runs a program, and writes a jump 256 bytes on to an address
 * of it again and again; how often it ended with 1, and whether anything could be written.
 */
static int run_write_to(int argc, char **argv)
{
	static unsigned char jump[] = {0xe9, 0xfb, 0, 0, 0};
	int ones = 0, written = 0;

	if (argc < 3)
		return 99;
	for (int i = atoi(argv[2]); i > 0; i--) {
		struct iovec from = {jump, sizeof jump}, to = {(void *)strtoul(argv[1], NULL, 0), sizeof jump};
		int status = 0;
		pid_t child = fork();

		if (child == 0) {
			execl(argv[0], argv[0], NULL);
			die("execl");
		}
		while (waitpid(child, &status, WNOHANG) == 0)
			written |= raw(SYS_process_vm_writev, child, (long)&from, 1, (long)&to, 1, 0) > 0;
		ones += WIFEXITED(status) && WEXITSTATUS(status) == 1;
	}
	say("written to %d, ended with 1: %d", written, ones);
	return 0;
}

/* filtered COMMAND: the same program under a filter of its own, which allows all. */
static int run_filtered(int argc, char **argv)
{
	struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	struct sock_fprog program = {1, &allow};

	(void)argc;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		die("a filter of its own");
	execv("/proc/self/exe", argv - 1);
	die("execv");
}

const struct command area_commands[] = {
	{"area", "", run_area},
	{"answering", "ADDRESS PROGRAM...", run_answering},
	{"filtered", "COMMAND...", run_filtered},
	{"write-to", "PROGRAM ADDRESS TRIES", run_write_to},
	{NULL, NULL, NULL},
};
