#ifndef CALLGATE_LAUNCH_H
#define CALLGATE_LAUNCH_H

#include <stddef.h>
#include <stdint.h>
#include <linux/filter.h>

/* What the first stage does, in this order; its names are what errors say. */
enum launch_step {
	STEP_NONE,
	STEP_PARENT,      /* the tracer died before it could trace */
	STEP_KEEPER,      /* the first process of a pid namespace */
	STEP_LOOPBACK,
	STEP_MOUNT,       /* mounts[mount] */
	STEP_DESCRIPTORS, /* dup3, close_range */
	STEP_KEEP,        /* a descriptor to keep is not open */
	STEP_SESSION,     /* setsid, TIOCSCTTY */
	STEP_LIMITS,      /* prlimit64 */
	STEP_NICE,        /* setpriority */
	STEP_CHDIR,
	STEP_CAPABILITIES,
	STEP_NO_NEW_PRIVS,
	STEP_LANDLOCK,
	STEP_SECCOMP,
	STEP_EXECVE,
};

/* What is done for the sandbox's mounts, one after the other. */
enum room_act {
	ROOM_PRIVATE,     /* nothing that is mounted reaches other namespaces, or comes from there */
	ROOM_TAKE,        /* what is at path, with all mounts in it, as a tree of its own */
	ROOM_FREEZE_TREE, /* read-only: the tree that mounts[from] took */
	ROOM_FREEZE,      /* read-only: what is mounted at path */
	ROOM_FREEZE_ALL,  /* and in it */
	ROOM_NEW,         /* a new file system of this type, with flags and data */
	ROOM_PUT,         /* the tree that mounts[from] took is mounted at path */
	ROOM_FOLDER,      /* made, unless it is there */
	ROOM_FILE,        /* empty, likewise */
	ROOM_LINK,        /* to data */
};

struct room_mount {
	enum room_act act;
	int from;
	long tree; /* a descriptor */
	const char *path;
	const char *type, *data;
	unsigned long flags;
};

enum { MS_REC_PRIVATE = 16384 | (1 << 18) }; /* MS_REC, MS_PRIVATE */

/* The most of a resource (setrlimit(2)) that the command may have. */
struct launch_limit {
	uint64_t most;
	int resource;
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
	int session;  /* the command is to lead a session */
	int umask;    /* -1: the caller's */
	int nice;     /* what is added to the caller's */
	int namespaces; /* CLONE_NEW*; 0: the caller's */
	struct room_mount *mounts;
	int nmounts;
	uint64_t capabilities; /* in namespaces: those that are kept, as far as they are there */
	uint64_t given_up; /* capabilities that the command loses for good */
	const struct launch_limit *limits; /* that the command is to have, beside the caller's */
	int nlimits;
	int landlock; /* a ruleset's descriptor, or -1 */
	int apart;    /* the stage has a memory of its own, and of the descriptors those in need */
	const int *need; /* ascending */
	int nneed;
	const struct sock_fprog *filters;
	int nfilters;

	/* between the stages */
	int parent;     /* the tracer's process */
	uint32_t go;    /* futex: 0 until the tracer has seized the first stage */
	uint32_t kept;  /* futex: the keeper is ready */
	uint32_t open;  /* futex: with apart, the child may be seized */
	int parent_fd;  /* a pidfd of the tracer's process, for the keeper */
	int mount;      /* the mount in hand */
	int step, err;  /* what failed; valid once the first stage is dead */
	void *stack;
};

/* launch_stage starts the first stage and returns its pid, or -errno. Unless it is
 * apart, it shares the caller's memory until it executes the command, so l and all it points to
 * must stay where it is until then.
 *
 * With a pid namespace the pid is that of the namespace's keeper, whose child the
 * first stage is, and whose memory is a copy: l is in memory that is shared. */
int launch_stage(struct launch *l);

/* launch_come_apart has the calling child give up all descriptors but those that
 * it needs, and then be dumpable, if l says so: only that may be seized without
 * privilege (PR_SET_DUMPABLE in prctl(2)), by its tracer as by any process of the
 * user's. */
void launch_come_apart(struct launch *l);

/* launch_go lets the first stage go on. */
void launch_go(struct launch *l);

/* launch_was_closed says whether descriptor fd, 0 to 2, was closed when the
 * program was started. */
int launch_was_closed(int fd);

/* launch_few_files has commands begin with that soft limit on descriptors, if the
 * program was started with a higher one. */
void launch_few_files(uint64_t soft);

/* launch_end gives back what launch_stage took, once the stage has executed the
 * command or is dead. */
void launch_end(struct launch *l);

#endif
