#ifndef CALLGATE_START_H
#define CALLGATE_START_H

/* start_spread lets all threads of the process run on all CPUs that its caller
 * let it run on: see start.c. */
void start_spread(void);

#endif
