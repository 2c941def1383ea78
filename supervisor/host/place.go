package host

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"
	"sync"

	"callgate/policy"
	"callgate/policy/compile"
	"callgate/supervisor/launch"
	"callgate/supervisor/resolve"

	"golang.org/x/sys/unix"
)

// Place is where a command is to run, for policy.Set.Bind: its folder, the
// user's home, the command's environment, and what links and host names mean
// here and now. dir "" is the caller's own folder.
func Place(dir string, env []string) (policy.Place, error) { return place(dir, env, newLinker()) }

func place(dir string, env []string, l *linker) (policy.Place, error) {
	if dir == "" {
		here, err := os.Getwd()
		if err != nil {
			return policy.Place{}, err
		}
		dir = here
	}
	return policy.Place{Dir: dir, Home: home(), Env: env, Links: l.follow, Lookup: lookup}, nil
}

// home is the user's home folder: what HOME says or, where it says nothing, the
// system's list of users; "" if that does not know the user either.
func home() string {
	if dir := os.Getenv("HOME"); path.IsAbs(dir) {
		return dir
	}
	if u, err := user.LookupId(strconv.Itoa(os.Getuid())); err == nil && path.IsAbs(u.HomeDir) {
		return u.HomeDir
	}
	return "" // ~ stands for nothing
}

// linker follows symbolic links from this process's point of view. It looks at each
// name once: a policy has hundreds, and most of a start can be looks.
type linker struct {
	once     sync.Once
	resolver *resolve.Resolver // nil: names stay as they are
	self     resolve.Task
	known    map[string]string        // where names lead
	found    map[string]compile.Found // what is at those that no link is above
}

func newLinker() *linker {
	return &linker{known: map[string]string{}, found: map[string]compile.Found{}}
}

// close gives up what it took to follow links. It is not to be used again.
func (l *linker) close() {
	if l.resolver != nil {
		l.resolver.Close()
	}
}

// follow follows the symbolic links in a path as far as it exists.
func (l *linker) follow(name string) string {
	l.once.Do(func() {
		l.resolver, _ = resolve.New()
		l.self = resolve.Task{PID: os.Getpid(), TID: os.Getpid()}
	})
	if name = path.Clean(name); l.resolver == nil {
		return name
	}
	return l.lead(name)
}

func (l *linker) lead(name string) string {
	if there, ok := l.known[name]; ok {
		return there
	}
	there := l.ask(name)
	l.known[name] = there
	return there
}

// ask follows the folder and then, if it is a link, the last name. What is not
// there is called what it would be. /proc/self stays: it is another's for each who
// asks.
func (l *linker) ask(name string) string {
	dir, base := path.Split(name)
	if base == "" {
		return name
	}
	folder := l.lead(path.Clean(dir))
	if beneath := strings.TrimSuffix(folder, "/") + "/"; beneath != dir {
		name = beneath + base
	}
	if l.under(folder, name) != compile.Link || name == "/proc/self" || name == "/proc/thread-self" {
		return name
	}
	found, err := l.resolver.Name(l.self, unix.AT_FDCWD, name, true)
	switch {
	case err != nil:
		return l.text(name)
	case found.Path == "":
		return name
	}
	if rest, ok := strings.CutPrefix(found.Path, "/proc/"+strconv.Itoa(l.self.PID)); ok && (rest == "" || rest[0] == '/') {
		return "/proc/self" + rest
	}
	return found.Path
}

// under looks at a name in a folder: in one that is missing nothing is there.
func (l *linker) under(folder, name string) compile.Found {
	if there, known := l.found[folder]; known && there == compile.Missing {
		l.found[name] = compile.Missing
		return compile.Missing
	}
	return l.look(name)
}

// look says what is at a canonical path, for compile.Host.
func (l *linker) look(name string) compile.Found {
	there, known := l.found[name]
	if !known {
		there = launch.Look(name)
		l.found[name] = there
	}
	return there
}

// text follows a link that leads nowhere by what it says.
func (l *linker) text(name string) string {
	target, err := os.Readlink(name)
	if err != nil {
		return name
	}
	l.known[name] = name // should it lead back here
	if !path.IsAbs(target) {
		target = path.Dir(name) + "/" + target
	}
	return l.lead(path.Clean(target))
}

func lookup(name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(context.Background(), "ip", name)
}

// Bind puts a set's sections, if it has any, to the place where a command is to
// run, and says who is to enforce them on this host. start is the command's
// file, "" if nothing is going to be executed. The error is that of
// policy.Set.Bind, or says what callgate needs to know and cannot.
func Bind(set policy.Set, dir string, env []string, start string) (compile.Options, error) {
	limits := set.Limits()
	opts := compile.Options{Births: limits.Has(policy.Processes)}
	if !set.HasSections() {
		return opts, nil
	}
	l := newLinker()
	defer l.close()
	at, err := place(dir, env, l)
	if err != nil {
		return compile.Options{}, err
	}
	sections, err := set.Bind(at)
	if err != nil {
		return compile.Options{}, err
	}
	opts.Sections = sections
	opts.Holders, opts.Landlock = compile.Enforce(sections, facts(sections, in(at.Dir, start), l))
	return opts, nil
}

// in makes a file's name absolute, "" as it is.
func in(dir, name string) string {
	if name == "" || path.IsAbs(name) {
		return name
	}
	return path.Join(dir, name)
}

// facts are what a ruleset depends on here.
func facts(b *policy.Sections, start string, l *linker) compile.Host {
	version, err := launch.LandlockABI()
	if err != nil {
		version = 0
	}
	h := compile.Host{ABI: version, Look: l.look, Procs: procs()}
	if b.Has(policy.Exec) {
		h.Loaders = launch.Loaders()
	}
	if start != "" {
		h.Start = launch.Executed(start)
	}
	return h
}

// procs are where proc(5) is mounted, as proc_pid_mountinfo(5) has it; /proc
// where that cannot be read.
func procs() []string {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return []string{"/proc"}
	}
	list := []string{"/proc"}
	for line := range strings.Lines(string(text)) {
		mount, kind, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(mount); strings.HasPrefix(kind, "proc ") && len(fields) > 4 && fields[4] != "/proc" {
			list = append(list, unescape(fields[4]))
		}
	}
	return list
}

// unescape reads the octal escapes of a mount's path.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
