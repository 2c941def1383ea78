package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"callgate/supervisor/launch"

	"golang.org/x/sys/unix"
)

// identity is a user to run as.
type identity struct {
	uid, gid int
	entry    *user.User // nil: the list of users does not have it
}

// become has callgate be the user of --user, and then start anew: the supervisor
// too has no privileges then, and nothing of root's is left in its memory. Started
// as that user, it goes on.
func (r *room) become() error {
	if r.user == "" {
		return nil
	}
	id, err := identify(r.user)
	if err != nil {
		return fmt.Errorf("--user %s: %w", printable(r.user), err)
	}
	if id.isOurs() {
		return nil
	}
	if err := id.assume(); err != nil {
		return fmt.Errorf("--user %s: %w", printable(r.user), err)
	}
	spread()
	launch.GiveBackSlack()
	err = syscall.Exec("/proc/self/exe", os.Args, id.environ(os.Environ()))
	return fmt.Errorf("--user %s: execve callgate: %w", printable(r.user), err)
}

// identify reads USER[:GROUP].
func identify(text string) (*identity, error) {
	name, group, grouped := strings.Cut(text, ":")
	id := &identity{gid: -1}
	number, err := strconv.ParseUint(name, 10, 31)
	if err == nil {
		id.uid = int(number)
		id.entry, _ = user.LookupId(name)
	} else {
		if id.entry, err = user.Lookup(name); err != nil {
			return nil, errors.New("there is no such user")
		}
		id.uid, _ = strconv.Atoi(id.entry.Uid)
	}
	switch {
	case id.uid == 0:
		return nil, errors.New("root keeps its privileges; leave --user out")
	case grouped:
		id.gid, err = groupNumber(group)
	case id.entry != nil:
		id.gid, err = strconv.Atoi(id.entry.Gid)
	default:
		err = errors.New("the list of users does not have it: give its group too, as UID:GID")
	}
	return id, err
}

func groupNumber(name string) (int, error) {
	if number, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(number), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, errors.New("there is no such group")
	}
	return strconv.Atoi(g.Gid)
}

// isOurs says whether callgate is this user already, and nothing more.
func (id *identity) isOurs() bool {
	ru, eu, su := unix.Getresuid()
	rg, eg, sg := unix.Getresgid()
	groups, err := unix.Getgroups()
	return err == nil && len(groups) == 0 && ru == id.uid && eu == id.uid && su == id.uid &&
		rg == id.gid && eg == id.gid && sg == id.gid && unprivileged()
}

// assume changes to the user, for good, in all threads. The kernel drops the
// capabilities of who is root no more (capabilities(7)); what a caller arranged
// otherwise is an error.
func (id *identity) assume() error {
	if err := syscall.Setgroups(nil); err != nil {
		return &privilegeError{err}
	}
	if err := syscall.Setresgid(id.gid, id.gid, id.gid); err != nil {
		return &privilegeError{err}
	}
	if err := syscall.Setresuid(id.uid, id.uid, id.uid); err != nil {
		return &privilegeError{err}
	}
	if !unprivileged() {
		return errors.New("capabilities are left; callgate was started with securebits that keep them (capabilities(7))")
	}
	return nil
}

type privilegeError struct{ err error }

func (e *privilegeError) Error() string {
	return "only root may run a command as another user: " + e.err.Error()
}

func (e *privilegeError) Unwrap() error { return e.err }

// unprivileged says that this thread has no capability that an execve would
// leave.
func unprivileged() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	for _, d := range data {
		if d.Effective|d.Permitted|d.Inheritable != 0 {
			return false
		}
	}
	return true
}

// environ is an environment with the user's own folder and names.
func (id *identity) environ(env []string) []string {
	home, name := "/", strconv.Itoa(id.uid)
	if id.entry != nil {
		home, name = id.entry.HomeDir, id.entry.Username
	}
	for variable, value := range map[string]string{"HOME": home, "USER": name, "LOGNAME": name} {
		env = with(env, variable, value)
	}
	return env
}
