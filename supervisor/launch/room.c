/* What a sandbox has of its own: namespaces(7), and what is mounted in them. It
 * is made by the first stage, under the same conditions as the rest of that: see
 * launch.c.
 *
 * The order of the mounts is package supervisor's; here each is one call, or the
 * few that the kernel takes for it.
 */
#define _GNU_SOURCE
#include "room.h"
#include "rawcall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* From linux/mount.h, which does not go together with sys/mount.h of older
 * libraries. */
#define OPEN_TREE_CLONE_FLAG 1
#define MOVE_MOUNT_F_EMPTY_PATH_FLAG 0x00000004
#define MOVE_MOUNT_T_EMPTY_PATH_FLAG 0x00000040
#define MOUNT_ATTR_RDONLY_FLAG 0x00000001
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

struct attributes { /* struct mount_attr */
	uint64_t set, clear, propagation, userns;
};

/* look opens a place by a path that leads through no symbolic link: what the
 * policy named, not what somebody has put there since. */
static long look(const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC | O_NOFOLLOW, .resolve = RESOLVE_NO_SYMLINKS };
	return raw4(SYS_openat2, AT_FDCWD, (long)path, (long)&how, sizeof how);
}

/* take gives a tree of mounts that is nowhere yet: what is at a path now. */
static long take(struct room_mount *m)
{
	long at = look(m->path);
	if (at < 0)
		return at;
	m->tree = raw3(SYS_open_tree, at, (long)"", OPEN_TREE_CLONE_FLAG | O_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	raw1(SYS_close, at);
	return m->tree;
}

static long freeze(int fd, int below)
{
	struct attributes a = { .set = MOUNT_ATTR_RDONLY_FLAG };
	return raw5(SYS_mount_setattr, fd, (long)"", AT_EMPTY_PATH | below, (long)&a, sizeof a);
}

/* put mounts a tree at its path, which must be there. */
static long put(struct room_mount *m)
{
	long at = look(m->path);
	if (at < 0)
		return at;
	long rc = raw5(SYS_move_mount, m->tree, (long)"", at, (long)"", MOVE_MOUNT_F_EMPTY_PATH_FLAG | MOVE_MOUNT_T_EMPTY_PATH_FLAG);
	raw1(SYS_close, at);
	raw1(SYS_close, m->tree);
	return rc;
}

static long make_file(const char *path)
{
	long fd = raw4(SYS_openat, AT_FDCWD, (long)path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	return fd < 0 ? fd : raw1(SYS_close, fd);
}

static long freeze_place(const char *path, int below)
{
	long at = look(path);
	if (at < 0)
		return at;
	long rc = freeze(at, below);
	raw1(SYS_close, at);
	return rc;
}

static long do_mount(struct launch *l, struct room_mount *m)
{
	long rc;

	switch (m->act) {
	case ROOM_PRIVATE:
		return raw5(SYS_mount, 0, (long)"/", 0, MS_REC_PRIVATE, 0);
	case ROOM_TAKE:
		return take(m);
	case ROOM_FREEZE_TREE:
		return freeze(l->mounts[m->from].tree, AT_RECURSIVE);
	case ROOM_FREEZE:
		return freeze_place(m->path, 0);
	case ROOM_FREEZE_ALL:
		return freeze_place(m->path, AT_RECURSIVE);
	case ROOM_NEW:
		return raw5(SYS_mount, (long)m->type, (long)m->path, (long)m->type, m->flags, (long)m->data);
	case ROOM_PUT:
		m->tree = l->mounts[m->from].tree;
		return put(m);
	case ROOM_FOLDER:
		rc = raw3(SYS_mkdirat, AT_FDCWD, (long)m->path, 0755);
		return rc == -EEXIST ? 0 : rc;
	case ROOM_FILE:
		rc = make_file(m->path);
		return rc == -EEXIST ? 0 : rc;
	case ROOM_LINK:
		return raw3(SYS_symlinkat, (long)m->data, AT_FDCWD, (long)m->path);
	}
	return -EINVAL;
}

/* loopback_up has a network namespace reach itself (netdevice(7)). */
static long loopback_up(void)
{
	long fd = raw3(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	struct ifreq lo = { .ifr_name = "lo" };
	long rc = raw3(SYS_ioctl, fd, SIOCGIFFLAGS, (long)&lo);
	if (rc >= 0) {
		lo.ifr_flags |= IFF_UP | IFF_RUNNING;
		rc = raw3(SYS_ioctl, fd, SIOCSIFFLAGS, (long)&lo);
	}
	raw1(SYS_close, fd);
	return rc;
}

long room_enter(struct launch *l, int *step)
{
	long rc;

	*step = STEP_LOOPBACK;
	if ((l->namespaces & CLONE_NEWNET) && (rc = loopback_up()) < 0)
		return rc;
	*step = STEP_MOUNT;
	long mask = raw1(SYS_umask, 0);
	for (l->mount = 0; l->mount < l->nmounts; l->mount++)
		if ((rc = do_mount(l, &l->mounts[l->mount])) < 0)
			return rc;
	raw1(SYS_umask, mask);
	/* the tracer looks at what there is now, and lets go on */
	return raw2(SYS_kill, raw0(SYS_getpid), SIGSTOP);
}

long room_confine(struct launch *l)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	uint32_t keep[2] = { (uint32_t)l->capabilities, (uint32_t)(l->capabilities >> 32) };

	raw5(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (long cap = 0; raw2(SYS_prctl, PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!(l->capabilities >> cap & 1)) {
			long rc = raw2(SYS_prctl, PR_CAPBSET_DROP, cap);
			if (rc < 0)
				return rc;
		}
	long rc = raw2(SYS_capget, (long)&header, (long)data);
	if (rc < 0)
		return rc;
	for (int i = 0; i < 2; i++) {
		data[i].effective &= keep[i];
		data[i].permitted &= keep[i];
		data[i].inheritable = 0;
	}
	return raw2(SYS_capset, (long)&header, (long)data);
}

/* wake says to whoever waits on a word that it is set. */
static void wake(uint32_t *word)
{
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	raw3(SYS_futex, (long)word, FUTEX_WAKE, 1);
}

static void await(uint32_t *word)
{
	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE))
		raw4(SYS_futex, (long)word, FUTEX_WAIT, 0, 0);
}

void room_await_keeper(struct launch *l)
{
	if (l->namespaces & CLONE_NEWPID)
		await(&l->kept);
}

/* forsake gives up all that the keeper does not need: the sandbox shares its
 * namespaces. Nobody without privilege may then trace it, or look into its part of
 * proc (PR_SET_DUMPABLE in prctl(2)). */
static long forsake(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	long rc = raw2(SYS_capset, (long)&header, (long)none);
	if (rc >= 0)
		rc = raw2(SYS_prctl, PR_SET_DUMPABLE, 0);
	if (rc >= 0)
		rc = raw3(SYS_close_range, 0, ~0U, 0);
	return rc;
}

/* keep is process 1: it starts the first stage and reaps whatever is left to it
 * (pid_namespaces(7)). It ends when there is nothing left, and all of the sandbox
 * ends with it. */
static void keep(struct launch *l, void (*stage)(struct launch *))
{
	raw2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	struct pollfd parent = { l->parent_fd, POLLIN, 0 };
	struct timespec now = { 0, 0 };
	if (raw5(SYS_ppoll, (long)&parent, 1, (long)&now, 0, 0) != 0)
		raw1(SYS_exit_group, 127); /* the tracer died before that could be heard of */
	launch_come_apart(l);
	await(&l->go);
	long pid = raw5(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		stage(l);
	long rc = pid < 0 ? pid : forsake();
	if (rc < 0) {
		l->err = (int)-rc;
		__atomic_store_n(&l->step, STEP_KEEPER, __ATOMIC_RELEASE);
		raw1(SYS_exit_group, 127);
	}
	wake(&l->kept);
	for (;;) {
		rc = raw4(SYS_wait4, -1, 0, __WALL, 0);
		if (rc < 0 && rc != -EINTR)
			raw1(SYS_exit_group, 0);
	}
}

int room_keeper(struct launch *l, void (*stage)(struct launch *))
{
	l->parent_fd = raw2(SYS_pidfd_open, l->parent, 0);
	if (l->parent_fd < 0)
		return l->parent_fd;
	long pid = raw5(SYS_clone, l->namespaces | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		keep(l, stage);
		__builtin_trap();
	}
	raw1(SYS_close, l->parent_fd);
	return (int)pid;
}
