#ifndef CALLGATE_LAUNCH_H
#define CALLGATE_LAUNCH_H

#include <stddef.h>
#include <stdint.h>
#include <linux/filter.h>

/* What the first stage does, in this order; its names are what errors say. */
enum launch_step {
	STEP_NONE,
	STEP_PARENT,      /* the tracer died before it could trace */
	STEP_DESCRIPTORS, /* dup3, close_range */
	STEP_KEEP,        /* a descriptor to keep is not open */
	STEP_TERMINAL,    /* setsid, TIOCSCTTY */
	STEP_LIMITS,      /* prlimit64 */
	STEP_NICE,        /* setpriority */
	STEP_CHDIR,
	STEP_NO_NEW_PRIVS,
	STEP_LANDLOCK,
	STEP_SECCOMP,
	STEP_EXECVE,
};

struct launch {
	const char *path;
	char *const *argv;
	char *const *envp;
	const char *dir; /* NULL: the caller's */
	const int *files; /* files[i] becomes descriptor i; -1 closes it */
	int nfiles;
	const int *keep; /* stay open under their number */
	int nkeep;
	int terminal; /* descriptor 0 is to be the controlling terminal of a new session */
	int umask;    /* -1: the caller's */
	int nice;     /* what is added to the caller's */
	int landlock; /* a ruleset's descriptor, or -1 */
	const struct sock_fprog *filters;
	int nfilters;

	/* between the stages */
	int parent;     /* the tracer's process */
	uint32_t go;    /* futex: 0 until the tracer has seized the first stage */
	int step, err;  /* what failed; valid once the first stage is dead */
	void *stack;
};

/* launch_stage starts the first stage and returns its pid, or -errno. It shares
 * the caller's memory until it executes the command, so l and all it points to
 * must stay where it is until then. */
int launch_stage(struct launch *l);

/* launch_go lets the first stage go on. */
void launch_go(struct launch *l);

/* launch_give_back_slack gives the calling thread the timer slack that the
 * program was started with. */
void launch_give_back_slack(void);

/* launch_was_closed says whether descriptor fd, 0 to 2, was closed when the
 * program was started. */
int launch_was_closed(int fd);

/* launch_end gives back what launch_stage took, once the stage has executed the
 * command or is dead. */
void launch_end(struct launch *l);

#endif
