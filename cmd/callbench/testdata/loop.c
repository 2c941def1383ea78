/* loop N [TASKS WORK IDLE]: opens and closes /dev/null N times in each of TASKS
 * processes, with WORK us of computing after each (default: one process, no
 * computing), and prints the ns that one call took, over all. The program's
 * start is no part of the figure, nor are IDLE more processes that wait
 * meanwhile. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void compute(double ns)
{
	double end = now(CLOCK_THREAD_CPUTIME_ID) + ns;
	while (now(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

static void loop(int n, int work)
{
	for (int i = 0; i < n; i++) {
		int fd = openat(AT_FDCWD, "/dev/null", O_RDONLY);
		if (fd < 0) {
			perror("openat");
			exit(1);
		}
		close(fd);
		if (work)
			compute(work * 1e3);
	}
}

/* idlers starts n processes that wait until the pipe that it returns is closed. */
static int idlers(int n)
{
	int ends[2];
	if (pipe(ends)) {
		perror("pipe");
		exit(1);
	}
	for (int i = 0; i < n; i++) {
		pid_t child = fork();
		if (child < 0) {
			perror("fork");
			exit(1);
		}
		if (child == 0) {
			char byte;
			close(ends[1]);
			_exit(read(ends[0], &byte, 1) != 0);
		}
	}
	return ends[1];
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0;
	int tasks = argc > 2 ? atoi(argv[2]) : 1;
	int work = argc > 3 ? atoi(argv[3]) : 0;
	if (n <= 0 || tasks <= 0) {
		fprintf(stderr, "usage: loop N [TASKS WORK IDLE]\n");
		return 2;
	}
	int idle = idlers(argc > 4 ? atoi(argv[4]) : 0);
	double began = now(CLOCK_MONOTONIC);
	for (int i = 1; i < tasks; i++) {
		pid_t child = fork();
		if (child < 0) {
			perror("fork");
			return 1;
		}
		if (child == 0) {
			loop(n, work);
			_exit(0);
		}
	}
	loop(n, work);
	int status, failed = 0;
	for (int i = 1; i < tasks && wait(&status) > 0; i++)
		failed |= status;
	double took = now(CLOCK_MONOTONIC) - began;
	close(idle);
	while (wait(&status) > 0)
		failed |= status;
	if (failed)
		return 1;
	printf("%.1f\n", took / n / tasks);
	return 0;
}
