/* `callgate run` starts on one CPU. Most of a start is over in less time than
 * it takes to wake an idle virtual CPU, and Go's runtime, which counts CPUs when
 * it starts, makes its threads for nothing. Before the command is started all CPUs
 * are given back; the runtime counts again after a second (GOMAXPROCS in package
 * runtime's documentation).
 */
#define _GNU_SOURCE
#include "start.h"

#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

static cpu_set_t inherited;
static int narrowed;

__attribute__((constructor)) static void start_narrow(int argc, char **argv)
{
	if (argc < 2 || (strcmp(argv[1], "run") != 0 && strcmp(argv[1], "supervise") != 0))
		return;
	if (sched_getaffinity(0, sizeof inherited, &inherited) != 0 || CPU_COUNT(&inherited) < 2)
		return;
	int cpu = sched_getcpu();
	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return;
	cpu_set_t here;
	CPU_ZERO(&here);
	CPU_SET(cpu, &here);
	narrowed = sched_setaffinity(0, sizeof here, &here) == 0;
}

/* follows says whether a mask of all CPUs comes to the inherited one: such a mask
 * is one that was never narrowed, and follows a cpuset that grows later
 * (sched_setaffinity(2)). The calling thread has it then. */
static int follows(const cpu_set_t *all)
{
	cpu_set_t now;
	return sched_setaffinity(0, sizeof *all, all) == 0 && sched_getaffinity(0, sizeof now, &now) == 0 &&
	       CPU_EQUAL(&now, &inherited);
}

void start_spread(void)
{
	if (!narrowed)
		return;
	narrowed = 0;
	cpu_set_t wide;
	memset(&wide, 0xff, sizeof wide);
	if (!follows(&wide))
		wide = inherited;
	sched_setaffinity(0, sizeof wide, &wide);
	DIR *tasks = opendir("/proc/self/task");
	if (tasks == NULL)
		return; /* the other threads stay where they are, and get on */
	struct dirent *entry;
	while ((entry = readdir(tasks)) != NULL)
		if (entry->d_name[0] != '.')
			sched_setaffinity(atoi(entry->d_name), sizeof wide, &wide);
	closedir(tasks);
}
