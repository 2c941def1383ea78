#ifndef CALLGATE_RELAY_H
#define CALLGATE_RELAY_H

/* relay_pass has a signal passed on to the command, unless the caller of
 * callgate had it ignored, or without always where the command has it from the
 * terminal. One that comes before relay_started waits for it. */
void relay_pass(int sig, int always);

/* relay_hold has a signal caught, and nothing done for it. */
void relay_hold(int sig);

/* relay_grace says how long the command may take to end after SIGTERM, SIGHUP, SIGINT
 * or SIGQUIT was passed on to it, in microseconds; then it is killed. */
void relay_grace(long us);

/* relay_left says that the command is gone and others go on: for those signals
 * a byte is written to fd instead, at once if there was one before. */
void relay_left(int fd);

/* relay_started names the command's process. */
void relay_started(int pid);

#endif
