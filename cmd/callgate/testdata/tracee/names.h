/*
 * The world of the attacks on names, in one folder, of which the tests know what
 * must not change: wk may be written, ro only read, no is denied. All three have
 * a file f and a folder d; no alone has only, l and hid.
 */
#ifndef NAMES_H
#define NAMES_H

#include "tracee.h"

/* Stands for a parameter of struct call that is known when it is made. */
#define PATH 0x7ead0001  /* the name that is attacked */
#define OTHER 0x7ead0002 /* a second name, in wk */
#define BLOCK 0x7ead0003 /* 4096 bytes to be written to */
#define NOW 0x7ead0004   /* two times */
#define COUNT 0x7ead0005   /* an int to be written to */
#define WATCHER 0x7ead0006 /* an inotify descriptor */

/* What a call gives away, or does, if it reaches the denied object. */
enum gain {
	READS = 1, /* a descriptor: of a file that says "secret" */
	LOOKS,     /* what is in no alone was found: any success */
	CHANGES,   /* the object is not as it was, which the test sees */
	RUNS,      /* the program says where it is */
	GOES,      /* getcwd says where */
};

/* What the next try needs after this one succeeded in wk. */
enum tidy { NOTHING, NEW, FILE_BACK, FOLDER_BACK, MOVED_BACK, SOURCE_BACK, LINK_AWAY };

struct call {
	const char *name;
	long nr;
	int int80;
	enum gain gain;
	const char *object; /* in the folder that is attacked */
	long args[6];
	enum tidy tidy;
	const char *other; /* in wk */
};

extern const struct call calls[];

/* shared_memory is below 4 GiB, and children share it. */
void *shared_memory(size_t size);

/* folder opens a folder of the world. */
int folder(const char *name, int flags);

/* A pair that flips: start has a thread or a child do so for ever. */
void start(int child, void (*flip)(void));

#endif
