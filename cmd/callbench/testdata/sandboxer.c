/* sandboxer [r:PATH | w:PATH]... -- COMMAND [ARG...]: the least that Landlock
 * takes: one ruleset on files, then COMMAND. r: permits to read and execute what is
 * beneath PATH, w: everything. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE /* Linux 6.2 */
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

#define READS (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILES (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)
#define ALL ((LANDLOCK_ACCESS_FS_TRUNCATE << 1) - 1)

static void fail(const char *what)
{
	perror(what);
	exit(125);
}

static void grant(int ruleset, const char *path, __u64 access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	struct stat st;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0 || fstat(rule.parent_fd, &st))
		fail(path);
	if (!S_ISDIR(st.st_mode))
		rule.allowed_access &= FILES;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		fail("landlock_add_rule");
	close(rule.parent_fd);
}

int main(int argc, char **argv)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = ALL };
	int ruleset = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);

	if (ruleset < 0)
		fail("landlock_create_ruleset");
	for (argv++; *argv && strcmp(*argv, "--"); argv++)
		grant(ruleset, *argv + 2, **argv == 'w' ? ALL : READS);
	if (argc < 3 || !*argv || !argv[1]) {
		fprintf(stderr, "usage: sandboxer [r:PATH | w:PATH]... -- COMMAND [ARG...]\n");
		return 2;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, ruleset, 0))
		fail("landlock_restrict_self");
	close(ruleset);
	execvp(argv[1], argv + 1);
	fail(argv[1]);
}
