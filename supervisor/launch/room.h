#ifndef CALLGATE_ROOM_H
#define CALLGATE_ROOM_H

#include "launch.h"

/* room_enter makes what the sandbox has of its own, from within its new
 * namespaces, and stops for the tracer to look at it. */
long room_enter(struct launch *l, int *step);

/* room_confine drops the capabilities that could undo it. */
long room_confine(struct launch *l);

/* room_keeper starts the process that is the first of a pid namespace; it starts
 * the first stage by stage(l). It returns its pid, or -errno. */
int room_keeper(struct launch *l, void (*stage)(struct launch *));

/* room_await_keeper blocks until the keeper has given up what it does not need. */
void room_await_keeper(struct launch *l);

#endif
