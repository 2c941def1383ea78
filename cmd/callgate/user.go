package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"callgate/supervisor/keyring"
	"callgate/supervisor/server/handover"

	"golang.org/x/sys/unix"
)

// identity is a user to run as.
type identity struct {
	uid, gid int
	entry    *user.User // nil: the list of users does not have it
}

// become has callgate be the user of --user: the supervisor too has no privileges
// then. It does not start anew, since other processes of the user's could trace it
// from its execve on, and what root left open is open in it.
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
	runtime.LockOSThread() // for good: the command has the credentials of the thread that starts it
	if err := keyring.Own(); err != nil {
		return fmt.Errorf("--user %s: %w", printable(r.user), err)
	}
	if err := id.assume(nil); err != nil {
		return fmt.Errorf("--user %s: %w", printable(r.user), err)
	}
	return id.settle()
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
	case id.uid == 0 && os.Geteuid() != 0:
		return nil, errors.New("only root may run a command as another user")
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
//
// Other processes of the user's can then not trace this one, nor take what it has
// open: a change of user clears the dumpable flag, unless fs.suid_dumpable has it
// otherwise (proc_sys_fs(5)), and only an execve would set it again.
func (id *identity) assume(groups []int) error {
	if err := hide(); err != nil {
		return err
	}
	if err := syscall.Setgroups(groups); err != nil {
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
	return hide()
}

func hide() error {
	return os.NewSyscallError("prctl PR_SET_DUMPABLE", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

// become has a job's supervisor, which root's daemon starts as root, be its user.
func become(as *handover.Identity) error {
	switch {
	case as == nil && unix.Geteuid() == 0:
		return errors.New("root's job does not say whose it is")
	case as == nil:
		return house(unix.Getuid())
	}
	if err := expose(); err != nil {
		return err
	}
	if as.UID == 0 {
		return nil
	}
	id := &identity{uid: int(as.UID), gid: int(as.GID)}
	groups := make([]int, len(as.Groups))
	for i, g := range as.Groups {
		groups[i] = int(g)
	}
	if err := id.assume(groups); err != nil {
		return err
	}
	return house(id.uid)
}

// house has ~ stand for something in the policies of a user without an entry in the
// list of users: a folder that is not there, as the job's HOME has it.
func house(uid int) error {
	if _, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return nil
	}
	return os.Setenv("HOME", handover.NoHome)
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

// expose gives up the protection from the OOM killer that a daemon may have
// (proc_pid_oom_score_adj(5)): it is not for jobs.
func expose() error {
	const file = "/proc/self/oom_score_adj"
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "-") {
		return err
	}
	return os.WriteFile(file, []byte("0"), 0)
}

// settle sets the variables that name the user and its own folder.
func (id *identity) settle() error {
	home, name := handover.NoHome, strconv.Itoa(id.uid)
	if id.entry != nil {
		home, name = id.entry.HomeDir, id.entry.Username
	}
	return errors.Join(os.Setenv("HOME", home), os.Setenv("USER", name), os.Setenv("LOGNAME", name))
}
