package resolve

import "golang.org/x/sys/unix"

const (
	// climbMost bounds the folders between one and the first above it whose
	// path is not longer than PATH_MAX.
	climbMost = 4096
	// entriesMost bounds the names that are looked at for that.
	entriesMost = 1 << 17
)

// climb is the path of a folder that is longer than PATH_MAX: the kernel does not
// tell it in one piece (do_proc_readlink gives d_path one page), and so it is put
// together from the names on the way up, as getcwd(3) does without a system call.
func (r *Resolver) climb(fd int) (string, error) {
	at, err := openAt(fd, ".", pathOnly)
	if err != nil {
		return "", err
	}
	defer func() { shut(at) }()
	budget := entriesMost
	below := ""
	for range climbMost {
		above, err := openAt(at, "..", pathOnly)
		if err != nil {
			return "", err
		}
		name, err := nameIn(above, at, &budget)
		shut(at)
		at = above
		if err != nil {
			return "", err
		}
		below = "/" + name + below
		text, err := r.told(above)
		if err == nil {
			return text + below, nil
		}
		if err != unix.ENAMETOOLONG {
			return "", err
		}
	}
	return "", unix.ENAMETOOLONG
}

// nameIn is the name that the folder child has in its parent.
func nameIn(parent, child int, budget *int) (string, error) {
	var want unix.Stat_t
	if errno := status(child, &want); errno != 0 {
		return "", errno
	}
	fd, err := openAt(parent, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return "", err
		}
		if n <= 0 {
			return "", unix.ENOENT
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if *budget--; *budget < 0 {
				return "", unix.ENAMETOOLONG
			}
			var st unix.Stat_t
			if unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Dev == want.Dev && st.Ino == want.Ino {
				return name, nil
			}
		}
	}
}
