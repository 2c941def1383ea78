package host

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path"
	"runtime"
	"slices"
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
func Place(dir string, env []string) (policy.Place, error) {
	l := newLinker()
	runtime.SetFinalizer(l, (*linker).close) // a Place has nothing to close
	return place(dir, env, l)
}

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
	once     sync.Once         // at the first link of proc(5)
	resolver *resolve.Resolver // nil: those stay as they are
	self     resolve.Task
	found    map[string]compile.Found // what is at names that lead to themselves
	led      map[string]way           // where others lead: links, and names beneath them
}

// way is where a name leads, and by which links, by their canonical names.
type way struct {
	to      string
	through []string
	proc    bool // by what is in proc(5), where links need not lead to what they say
}

func newLinker() *linker {
	const names = 400 // that builtin:default has
	return &linker{found: make(map[string]compile.Found, names), led: map[string]way{}}
}

// close gives up what it took to follow links. It is not to be used again.
func (l *linker) close() {
	if l.resolver != nil {
		l.resolver.Close()
	}
}

// follow follows the symbolic links in a path as far as it exists.
func (l *linker) follow(name string) (to string, through []string) {
	w := l.lead(path.Clean(name))
	return w.to, w.through
}

func (l *linker) lead(name string) way {
	if _, itself := l.found[name]; itself {
		return way{to: name}
	}
	there, known := l.led[name]
	if known {
		return there
	}
	there, what := l.ask(name)
	if there.to == name && there.through == nil && !there.proc {
		l.found[name] = what
	} else {
		l.led[name] = there
		delete(l.found, name) // a link that leads round has come by here
	}
	return there
}

// ask follows the folder and then, if it is a link, the last name, and says what is
// at that if it is none. What is not there is called what it would be. /proc/self
// stays: it is another's for each who asks.
func (l *linker) ask(name string) (way, compile.Found) {
	dir, base := path.Split(name)
	if base == "" {
		return way{to: name}, compile.Folder
	}
	folder := l.lead(dir[:max(1, len(dir)-1)])
	at := name
	if beneath := strings.TrimSuffix(folder.to, "/") + "/"; beneath != dir {
		at = beneath + base
	}
	what := l.under(folder.to, at)
	switch {
	case at == "/proc/self" || at == "/proc/thread-self":
		return way{at, folder.through, true}, what
	case what != compile.Link:
		return way{at, folder.through, folder.proc}, what
	}
	l.led[name], l.led[at] = way{to: at}, way{to: at} // should it lead back here
	there := l.link(folder.to, at)
	there.through = append([]string{at}, there.through...)
	l.led[at] = there
	return way{there.to, slices.Concat(folder.through, there.through), folder.proc || there.proc}, what
}

// link follows a link in a folder: by what it says or, where proc(5) has a part in it, as the
// kernel does, but for the links on the way or where it leads nowhere.
func (l *linker) link(folder, at string) way {
	said := l.said(folder, at)
	if said.proc = said.proc || strings.HasPrefix(said.to+"/", "/proc/") || inProc(folder); !said.proc {
		return said
	}
	l.once.Do(func() {
		l.resolver, _ = resolve.New()
		l.self = resolve.Task{PID: os.Getpid(), TID: os.Getpid()}
	})
	if l.resolver == nil {
		return way{to: at, proc: true}
	}
	found, err := l.resolver.Name(l.self, unix.AT_FDCWD, at, true)
	switch {
	case err != nil:
		return said
	case found.Path == "":
		return way{at, said.through, true}
	}
	if rest, ok := strings.CutPrefix(found.Path, "/proc/"+strconv.Itoa(l.self.PID)); ok && (rest == "" || rest[0] == '/') {
		return way{"/proc/self" + rest, said.through, true}
	}
	return way{found.Path, said.through, true}
}

// inProc says whether a folder is one of proc(5), or may be.
func inProc(folder string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(folder, &fs) != nil || fs.Type == unix.PROC_SUPER_MAGIC
}

// said follows what a link in a folder says.
func (l *linker) said(folder, at string) way {
	target, err := os.Readlink(at)
	if err != nil {
		return way{to: at}
	}
	there := way{to: folder}
	if path.IsAbs(target) {
		there.to = "/"
	}
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			there.to = path.Dir(there.to)
		default:
			next := l.lead(path.Join(there.to, part))
			there = way{next.to, append(there.through, next.through...), there.proc || next.proc}
		}
	}
	return there
}

// under looks at a name in a folder: in one that is missing nothing is there.
func (l *linker) under(folder, name string) compile.Found {
	if there, known := l.found[folder]; known && there == compile.Missing {
		return compile.Missing
	}
	return l.look(name)
}

// look says what is at a canonical path, for compile.Host.
func (l *linker) look(name string) compile.Found {
	if there, known := l.found[name]; known {
		return there
	}
	return launch.Look(name)
}

func lookup(name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(context.Background(), "ip", name)
}

// Bind puts a set's sections, if it has any, to the place where a command is to
// run, and says who is to enforce them on this host. start is the command's
// file, "" if nothing is going to be executed; env is its environment, of what caller gave. The error is that of
// policy.Set.Bind, or says what callgate needs to know and cannot.
func Bind(set policy.Set, dir string, env, caller []string, start string) (compile.Options, error) {
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
	at.Caller = caller
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
	h := compile.Host{ABI: version, Look: l.look, Procs: procs}
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
	list := []string{"/proc"}
	fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return list
	}
	f := os.NewFile(uintptr(fd), "mountinfo") // os.Open would set up the runtime's poller for it
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		mount, kind, _ := strings.Cut(lines.Text(), " - ")
		if !strings.HasPrefix(kind, "proc ") {
			continue
		}
		if fields := strings.Fields(mount); len(fields) > 4 && fields[4] != "/proc" {
			list = append(list, unescape(fields[4]))
		}
	}
	if lines.Err() != nil {
		return list[:1]
	}
	return list
}

// unescape reads the octal escapes of a mount's path.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
