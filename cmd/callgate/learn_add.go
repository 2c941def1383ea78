package main

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"callgate/policy"
	"callgate/policy/learn"

	"golang.org/x/sys/unix"
)

// addition is the policy that `callgate learn --add` adds to, as it is before the command runs,
// which may put others in its place.
type addition struct {
	name   string
	folder *os.File // in which it is, whatever the name leads to later
	text   []byte
	mode   fs.FileInfo
	parsed *learn.Text
}

// openAddition takes in the policy of that name.
func openAddition(name string) (*addition, error) {
	if err := mayAdd(name); err != nil {
		return nil, err
	}
	folder, err := os.OpenFile(filepath.Dir(name), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	a := &addition{name: name, folder: folder}
	if err := a.take(); err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return a, nil
}

// mayAdd finds what is no file of which callgate is to make another.
func mayAdd(name string) error {
	st, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &failure{status: exitCallgate, err: fmt.Errorf("%s: there is no policy to add to", printable(name)), hint: "-o " + shellWord(name) + " makes one"}
	case err != nil:
		return err
	case st.Mode()&fs.ModeSymlink != 0:
		return &failure{status: exitCallgate, err: fmt.Errorf("%s is a symbolic link, and is not replaced", printable(name)), hint: placeHint}
	case !st.Mode().IsRegular():
		return fmt.Errorf("%s is no file that can be replaced", printable(name))
	}
	_, err = unplanted(filepath.Dir(name))
	return err
}

// take reads the policy, which is to be one before anything is said of its text.
func (a *addition) take() (err error) {
	base := filepath.Base(a.name)
	if a.text, a.mode, err = a.read(base); err != nil {
		return err
	}
	if err := unix.Faccessat(int(a.folder.Fd()), base, unix.W_OK, unix.AT_EACCESS); err != nil { // though another can be put in its place
		return &os.PathError{Op: "write", Path: a.name, Err: err}
	}
	if _, err := a.loader().Load(a.file()); err != nil {
		return err
	}
	a.parsed, err = a.parse()
	return err
}

// parse finds where in the policy rules are to go, before anything is run.
func (a *addition) parse() (*learn.Text, error) {
	t, err := learn.ReadText(a.file(), a.text)
	if err != nil {
		return nil, err
	}
	if _, err := loader().Parse(a.file(), []byte(t.Trial())); err != nil {
		return nil, fmt.Errorf("%s: nothing can be added to it as it is written, for then: %w", printable(a.name), err)
	}
	return t, nil
}

// file is what places of the policy's rules call it.
func (a *addition) file() string {
	if filepath.IsAbs(a.name) {
		return a.name
	}
	return filepath.Clean(a.name)
}

// own says whether a rule stands in the policy itself.
func (a *addition) own(r *policy.Rule) bool { return a != nil && r.Pos.File == a.file() }

// has says whether the policy itself has a key.
func (a *addition) has(key string, beneath ...string) bool {
	return a != nil && a.parsed.Has(key, beneath...)
}

// loader has the policy as it was taken in.
func (a *addition) loader() *policy.Loader {
	l := loader()
	if a != nil {
		l.ReadFile = func(name string) ([]byte, error) {
			if filepath.Clean(name) == filepath.Clean(a.name) {
				return a.text, nil
			}
			return policy.ReadFile(name)
		}
	}
	return l
}

// read reads a file of the folder's, which is no link.
func (a *addition) read(name string) ([]byte, fs.FileInfo, error) {
	fd, err := unix.Openat(int(a.folder.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: a.name, Err: err}
	}
	file := os.NewFile(uintptr(fd), a.name)
	defer file.Close()
	st, err := file.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return nil, nil, cmp.Or(err, errors.New("it is no regular file"))
	}
	const most = 1 << 20 // of a policy's text
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	return text, st, err
}

// unchanged says whether a file of the folder's is the policy as it was.
func (a *addition) unchanged(name string) bool {
	text, _, err := a.read(name)
	return err == nil && bytes.Equal(text, a.text)
}

// replace writes the policy anew, all at once, where it was and as it was but for what is added. What
// has come in its place meanwhile is left there.
func (a *addition) replace(text string) error {
	was, err := a.folder.Stat()
	if err != nil {
		return err
	}
	base, tmp := filepath.Base(a.name), ".callgate-"+rand.Text()
	if now, err := os.Stat(filepath.Dir(a.name)); err != nil || !os.SameFile(was, now) || !a.unchanged(base) {
		return a.changed()
	}
	if err := a.write(tmp, text); err != nil {
		return err
	}
	return a.exchange(base, tmp)
}

func (a *addition) changed() error {
	return &failure{status: exitCallgate, err: fmt.Errorf("%s was changed meanwhile, and is left as it is now: nothing is added", printable(a.name)), hint: "run it again"}
}

// exchange puts a file in the policy's place, and removes what was there if that is the policy as it
// was: it may have been changed since it was looked at.
func (a *addition) exchange(base, tmp string) error {
	dir := int(a.folder.Fd())
	err := unix.Renameat2(dir, tmp, dir, base, unix.RENAME_EXCHANGE)
	switch {
	case err == unix.EINVAL: // some file systems do not know the flag
		err = unix.Renameat(dir, tmp, dir, base)
	case err == nil && !a.unchanged(tmp):
		if err := a.back(base, tmp); err != nil {
			return err
		}
		err = unix.ENOENT
	}
	_ = unix.Unlinkat(dir, tmp, 0)
	switch err {
	case nil:
		return nil
	case unix.ENOENT:
		return a.changed()
	}
	return &os.PathError{Op: "write", Path: a.name, Err: err}
}

// back gives what was exchanged its place again.
func (a *addition) back(base, tmp string) error {
	dir := int(a.folder.Fd())
	err := unix.Renameat2(dir, tmp, dir, base, unix.RENAME_EXCHANGE)
	if err == unix.ENOENT {
		err = unix.Renameat2(dir, tmp, dir, base, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		return fmt.Errorf("%s was changed meanwhile, and what was there is in %s now: %w", printable(a.name), printable(filepath.Join(filepath.Dir(a.name), tmp)), err)
	}
	return nil
}

// write makes a file beside the policy, as the policy is: its owner stays where callgate may say so.
func (a *addition) write(name, text string) error {
	fd, err := unix.Openat(int(a.folder.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "write", Path: a.name, Err: err}
	}
	file := os.NewFile(uintptr(fd), a.name)
	if st, ok := a.mode.Sys().(*syscall.Stat_t); ok {
		_ = file.Chown(int(st.Uid), int(st.Gid))
	}
	_, err = file.WriteString(text)
	err = cmp.Or(err, file.Chmod(a.mode.Mode().Perm()), file.Sync(), file.Close())
	if err != nil {
		_ = unix.Unlinkat(int(a.folder.Fd()), name, 0)
	}
	return err
}

// add writes the policy with what was learned added, once it is known to be one in which all that
// was there is there still.
func (f *learnFlags) add(l *learning) error {
	a := f.addition
	text, told := l.log.Add(&l.draft, a.parsed)
	now, err := loader().Parse(a.file(), []byte(text))
	if err != nil {
		return fmt.Errorf("%s could not be added to: %w", printable(a.name), err)
	}
	was, err := loader().Parse(a.file(), a.text)
	if err == nil && !a.begins(now, was) {
		err = fmt.Errorf("BUG: rules of %s would be lost", printable(a.name))
	}
	if err != nil {
		return err
	}
	if text != string(a.text) {
		if err := a.replace(text); err != nil {
			return err
		}
	}
	if !f.run.quiet {
		f.tell(l, text != string(a.text), told)
	}
	return nil
}

// begins says whether the rules of the policy's own begin with those that it had.
func (a *addition) begins(now, was *policy.Policy) bool {
	own := func(p *policy.Policy, sec policy.Section) (list []string) {
		rules, _ := p.Section(sec)
		for _, r := range rules {
			if a.own(r) {
				list = append(list, r.String())
			}
		}
		return list
	}
	for sec := policy.Syscalls; sec <= policy.Network; sec++ {
		before, after := own(was, sec), own(now, sec)
		if len(after) < len(before) || !slices.Equal(after[:len(before)], before) {
			return false
		}
	}
	return true
}

// checkAdd finds what does not go with --add.
func (f *learnFlags) checkAdd() error {
	switch {
	case f.output != "":
		return ownFailure(errors.New("--add writes the policy that it reads, and -o names one to write"))
	case f.bare || len(f.run.policies) > 0:
		return ownFailure(errors.New("--add extends what the policy extends: -p and --bare do not go with it"))
	case f.force:
		return ownFailure(errors.New("--add replaces nothing: --force does not go with it"))
	case f.adds == "-" || strings.HasPrefix(f.adds, "builtin:"):
		return ownFailure(fmt.Errorf("--add %s: expected a policy's file", printable(f.adds)))
	}
	f.output, f.run.policies = f.adds, []string{f.adds}
	return nil
}

// takeIn is what --add begins with: the policy, and what it says itself.
func (f *learnFlags) takeIn() (err error) {
	if f.adds == "" {
		return nil
	}
	if f.addition, err = openAddition(f.adds); err != nil {
		return err
	}
	for _, place := range f.lift {
		if file, _, _ := strings.Cut(strings.TrimPrefix(place, f.addition.file()), ":"); file == "" {
			return &failure{status: exitCallgate, err: fmt.Errorf("--lift %s: this rule stands in the policy that is added to", printable(place)), hint: "change it there"}
		}
	}
	return nil
}

// compat says whether the line on other ABIs can be added, where it is to be.
func (f *learnFlags) compat(l *learning) error {
	same := policy.Compat{I386: policy.CompatSame, X32: policy.CompatSame}
	switch {
	case f.addition == nil || !l.draft.Compat:
	case l.real[0].Compat == same:
		l.draft.Compat = false
	case f.addition.has("compat"):
		return &failure{status: exitCallgate, err: fmt.Errorf("--lift compat: %s says compat itself", printable(f.addition.name)), hint: "change it there"}
	}
	return nil
}
