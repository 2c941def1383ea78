/*
 * tracee: one program whose commands make the system calls that the tests of
 * `callgate run` are about. Each prints what the kernel gave back, one line a
 * call, and nothing that differs from run to run: an errno by name, its own
 * process number as "pid", an address as "address".
 */
#ifndef TRACEE_H
#define TRACEE_H

#include <stddef.h>
#include <stdint.h>

struct command {
	const char *name;
	const char *usage;
	int (*run)(int argc, char **argv); /* argv[0] is the first word after the name */
};

/* A table of each file's commands; the last entry has no name. */
extern const struct command entry_commands[];
extern const struct command race_commands[];
extern const struct command filter_commands[];
extern const struct command clone_commands[];
extern const struct command task_commands[];
extern const struct command death_commands[];
extern const struct command signal_commands[];
extern const struct command stop_commands[];
extern const struct command outside_commands[];
extern const struct command state_commands[];
extern const struct command review_commands[];
extern const struct command name_commands[];
extern const struct command area_commands[];
extern const struct command held_commands[];
extern const struct command jail_commands[];
extern const struct command net_commands[];
extern const struct command corner_commands[];
extern const struct command wait_commands[];
extern const struct command pinned_commands[];
extern const struct command scoped_commands[];
extern const struct command judge_commands[];
extern const struct command sharing_commands[];

/* raw makes a call by the syscall instruction; errors are -errno. */
long raw(long nr, long a, long b, long c, long d, long e, long f);

/* raw_int80 makes a call by int $0x80 from 64-bit code. */
long raw_int80(uint32_t nr, const uint32_t args[6]);

/* show gives a call's result as text: "0", "-EPERM", "pid", "address". */
const char *show(long result);

/* say writes one formatted line to standard output, in one write. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* die says on standard error why the program itself cannot go on, and exits 99. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* low_memory is writable memory below 4 GiB, for 32-bit pointers. */
void *low_memory(size_t size);

/* number reads a decimal, octal or hexadecimal number, or exits 99. */
long number(const char *text);

/* mkdir_result tries to make a folder, a harmless call to deny. */
long mkdir_result(const char *path);

/* await_sleep returns when the process sleeps in the kernel, by /proc/PID/stat. */
void await_sleep(int pid);

/* child_change says what waitpid reports of a child next: "stopped by 19", "continued",
 * "killed by 9", "exit 3". */
const char *child_change(int pid);

/* reap waits for a child and says how it ended: "exit 3", "signal 9". */
const char *reap(int pid);

#endif
