/* The calls that take names, as data. */
#define _GNU_SOURCE
#include "names.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HERE AT_FDCWD
#define FIFO (S_IFIFO | 0600)
#define VALUE (long)"x"
#define ATTRIBUTE (long)"user.x"

static struct open_how read_how = {.flags = O_RDONLY};
static struct open_how cut_how = {.flags = O_WRONLY | O_TRUNC};

/* Strings are above 4 GiB or not: int80 entries use none but PATH. */
const struct call calls[] = {
	/* opens */
	{"open", SYS_open, 0, READS, "f", {PATH, O_RDONLY}, 0, 0},
	{"openat", SYS_openat, 0, READS, "f", {HERE, PATH, O_RDONLY}, 0, 0},
	{"openat2", SYS_openat2, 0, READS, "f", {HERE, PATH, (long)&read_how, sizeof read_how}, 0, 0},
	{"open-path", SYS_open, 0, LOOKS, "only", {PATH, O_PATH}, 0, 0},
	{"open-cut", SYS_open, 0, CHANGES, "f", {PATH, O_WRONLY | O_TRUNC}, 0, 0},
	{"openat2-cut", SYS_openat2, 0, CHANGES, "f", {HERE, PATH, (long)&cut_how, sizeof cut_how}, 0, 0},
	{"open-make", SYS_open, 0, CHANGES, "new", {PATH, O_RDONLY | O_CREAT, 0600}, NEW, 0},
	{"creat", SYS_creat, 0, CHANGES, "f", {PATH, 0600}, 0, 0},
	{"int80-open", 5, 1, READS, "f", {PATH, O_RDONLY}, 0, 0},
	{"int80-openat", 295, 1, READS, "f", {HERE, PATH, O_RDONLY}, 0, 0},
	{"int80-creat", 8, 1, CHANGES, "f", {PATH, 0600}, 0, 0},

	/* looks */
	{"stat", SYS_stat, 0, LOOKS, "only", {PATH, BLOCK}, 0, 0},
	{"lstat", SYS_lstat, 0, LOOKS, "only", {PATH, BLOCK}, 0, 0},
	{"newfstatat", SYS_newfstatat, 0, LOOKS, "only", {HERE, PATH, BLOCK, 0}, 0, 0},
	{"statx", SYS_statx, 0, LOOKS, "only", {HERE, PATH, 0, STATX_ALL, BLOCK}, 0, 0},
	{"access", SYS_access, 0, LOOKS, "only", {PATH, F_OK}, 0, 0},
	{"faccessat", SYS_faccessat, 0, LOOKS, "only", {HERE, PATH, F_OK}, 0, 0},
	{"faccessat2", SYS_faccessat2, 0, LOOKS, "only", {HERE, PATH, F_OK, 0}, 0, 0},
	{"readlink", SYS_readlink, 0, LOOKS, "l", {PATH, BLOCK, 4096}, 0, 0},
	{"readlinkat", SYS_readlinkat, 0, LOOKS, "l", {HERE, PATH, BLOCK, 4096}, 0, 0},
	{"statfs", SYS_statfs, 0, LOOKS, "only", {PATH, BLOCK}, 0, 0},
	{"listxattr", SYS_listxattr, 0, LOOKS, "only", {PATH, BLOCK, 4096}, 0, 0},
	{"llistxattr", SYS_llistxattr, 0, LOOKS, "only", {PATH, BLOCK, 4096}, 0, 0},
	{"name_to_handle_at", SYS_name_to_handle_at, 0, LOOKS, "only", {HERE, PATH, BLOCK, COUNT, 0}, 0, 0},
	{"chdir", SYS_chdir, 0, GOES, "hid", {PATH}, 0, 0},
	{"inotify_add_watch", SYS_inotify_add_watch, 0, LOOKS, "only", {WATCHER, PATH, IN_OPEN}, 0, 0},
	{"int80-stat64", 195, 1, LOOKS, "only", {PATH, BLOCK}, 0, 0},
	{"int80-access", 33, 1, LOOKS, "only", {PATH, F_OK}, 0, 0},

	/* changes */
	{"truncate", SYS_truncate, 0, CHANGES, "f", {PATH, 1}, 0, 0},
	{"chmod", SYS_chmod, 0, CHANGES, "f", {PATH, 0604}, 0, 0},
	{"chmod-folder", SYS_chmod, 0, CHANGES, "d", {PATH, 0705}, 0, 0},
	{"fchmodat", SYS_fchmodat, 0, CHANGES, "f", {HERE, PATH, 0604}, 0, 0},
	{"fchmodat2", 452, 0, CHANGES, "f", {HERE, PATH, 0604, 0}, 0, 0},
	{"chown", SYS_chown, 0, CHANGES, "f", {PATH, -1, -1}, 0, 0},
	{"lchown", SYS_lchown, 0, CHANGES, "f", {PATH, -1, -1}, 0, 0},
	{"fchownat", SYS_fchownat, 0, CHANGES, "f", {HERE, PATH, -1, -1, 0}, 0, 0},
	{"utime", SYS_utime, 0, CHANGES, "f", {PATH, NOW}, 0, 0},
	{"utimes", SYS_utimes, 0, CHANGES, "f", {PATH, NOW}, 0, 0},
	{"futimesat", SYS_futimesat, 0, CHANGES, "f", {HERE, PATH, NOW}, 0, 0},
	{"utimensat", SYS_utimensat, 0, CHANGES, "f", {HERE, PATH, NOW, 0}, 0, 0},
	{"setxattr", SYS_setxattr, 0, CHANGES, "f", {PATH, (long)"user.z", VALUE, 1, 0}, 0, 0},
	{"lsetxattr", SYS_lsetxattr, 0, CHANGES, "f", {PATH, (long)"user.z", VALUE, 1, 0}, 0, 0},
	{"removexattr", SYS_removexattr, 0, CHANGES, "x", {PATH, ATTRIBUTE}, 0, 0},
	{"int80-chmod", 15, 1, CHANGES, "f", {PATH, 0604}, 0, 0},
	{"int80-truncate", 92, 1, CHANGES, "f", {PATH, 1}, 0, 0},

	/* names */
	{"mkdir", SYS_mkdir, 0, CHANGES, "new", {PATH, 0700}, NEW, 0},
	{"mkdirat", SYS_mkdirat, 0, CHANGES, "new", {HERE, PATH, 0700}, NEW, 0},
	{"mknod", SYS_mknod, 0, CHANGES, "new", {PATH, FIFO, 0}, NEW, 0},
	{"mknodat", SYS_mknodat, 0, CHANGES, "new", {HERE, PATH, FIFO, 0}, NEW, 0},
	{"symlink", SYS_symlink, 0, CHANGES, "new", {OTHER, PATH}, NEW, "f"},
	{"symlinkat", SYS_symlinkat, 0, CHANGES, "new", {OTHER, HERE, PATH}, NEW, "f"},
	{"link-new", SYS_link, 0, CHANGES, "new", {OTHER, PATH}, NEW, "f"},
	{"link-old", SYS_link, 0, CHANGES, "f", {PATH, OTHER}, LINK_AWAY, "link"},
	{"linkat-new", SYS_linkat, 0, CHANGES, "new", {HERE, OTHER, HERE, PATH, 0}, NEW, "f"},
	{"linkat-old", SYS_linkat, 0, CHANGES, "f", {HERE, PATH, HERE, OTHER, 0}, LINK_AWAY, "link"},
	{"unlink", SYS_unlink, 0, CHANGES, "f", {PATH}, FILE_BACK, 0},
	{"unlinkat", SYS_unlinkat, 0, CHANGES, "f", {HERE, PATH, 0}, FILE_BACK, 0},
	{"rmdir", SYS_rmdir, 0, CHANGES, "d", {PATH}, FOLDER_BACK, 0},
	{"rename-old", SYS_rename, 0, CHANGES, "f", {PATH, OTHER}, MOVED_BACK, "moved"},
	{"rename-new", SYS_rename, 0, CHANGES, "f", {OTHER, PATH}, SOURCE_BACK, "source"},
	{"renameat-old", SYS_renameat, 0, CHANGES, "f", {HERE, PATH, HERE, OTHER}, MOVED_BACK, "moved"},
	{"renameat2-new", SYS_renameat2, 0, CHANGES, "f", {HERE, OTHER, HERE, PATH, 0}, SOURCE_BACK, "source"},
	{"renameat2-exchange", SYS_renameat2, 0, CHANGES, "f", {HERE, OTHER, HERE, PATH, 2}, 0, "f2"},
	{"int80-unlink", 10, 1, CHANGES, "f", {PATH}, FILE_BACK, 0},
	{"int80-mkdir", 39, 1, CHANGES, "new", {PATH, 0700}, NEW, 0},

	/* programs */
	{"execve", SYS_execve, 0, RUNS, "prog", {PATH, 0, 0}, 0, 0},
	{"execveat", SYS_execveat, 0, RUNS, "prog", {HERE, PATH, 0, 0, 0}, 0, 0},
	{0},
};
