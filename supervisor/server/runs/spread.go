package runs

import "golang.org/x/sys/unix"

// topdir is FS_TOPDIR_FL (linux/fs.h): what is in the folder's folders is not related.
const topdir = 0x20000

// spread has a file system that knows of it keep the folders in a folder apart, as `chattr +T`
// does. In one place ext4 looks for a new inode behind all those that went in the last minute
// (recently_deleted in fs/ext4/ialloc.c): with some jobs each second that is most of what
// they take of the daemon's time.
func spread(folder string) {
	fd, err := openIn("", folder, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	if err == nil && flags&topdir == 0 {
		_ = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags|topdir)) // EOPNOTSUPP: it knows of none
	}
}
