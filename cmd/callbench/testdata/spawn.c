/* spawn N COMMAND [ARG...]: runs COMMAND N times, one after the other, and
 * prints the median ns from its start to its end. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double once(char **command)
{
	extern char **environ;
	pid_t child;
	int status;
	double began = now();
	int error = posix_spawnp(&child, command[0], NULL, NULL, command, environ);
	if (error) {
		fprintf(stderr, "%s: %s\n", command[0], strerror(error));
		exit(127);
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			exit(125);
	double took = now() - began;
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "%s: wait status %#x\n", command[0], status);
		exit(1);
	}
	return took;
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[1]) : 0;
	if (n <= 0) {
		fprintf(stderr, "usage: spawn N COMMAND [ARG...]\n");
		return 2;
	}
	double *took = calloc(n, sizeof *took);
	if (!took)
		return 125;
	for (int i = 0; i < n; i++)
		took[i] = once(argv + 2);
	qsort(took, n, sizeof *took, ascending);
	printf("%.0f\n", took[n / 2]);
	return 0;
}
