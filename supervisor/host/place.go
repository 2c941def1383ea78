package host

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path"
	"strings"

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
	if dir == "" {
		here, err := os.Getwd()
		if err != nil {
			return policy.Place{}, err
		}
		dir = here
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // ~ stands for nothing
	}
	return policy.Place{Dir: dir, Home: home, Env: env, Links: links, Lookup: lookup}, nil
}

// links follows the symbolic links in a path as far as it exists.
func links(name string) string {
	r, err := resolve.New()
	if err != nil {
		return name
	}
	defer r.Close()
	return follow(r, path.Clean(name))
}

func follow(r *resolve.Resolver, name string) string {
	self := resolve.Task{PID: os.Getpid(), TID: unix.Gettid()}
	found, err := r.Name(self, unix.AT_FDCWD, name, true)
	if err == nil && found.Path != "" {
		return found.Path
	}
	dir, base := path.Split(name)
	if base == "" {
		return name
	}
	return strings.TrimSuffix(follow(r, path.Clean(dir)), "/") + "/" + base
}

func lookup(name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(context.Background(), "ip", name)
}

// Bind puts a set's sections, if it has any, to the place where a command is to
// run, and says who is to enforce them on this host. start is the command's
// file, "" if nothing is going to be executed. The error is that of
// policy.Set.Bind, or says what callgate needs to know and cannot.
func Bind(set policy.Set, dir string, env []string, start string) (compile.Options, error) {
	if !set.HasSections() {
		return compile.Options{}, nil
	}
	at, err := Place(dir, env)
	if err != nil {
		return compile.Options{}, err
	}
	sections, err := set.Bind(at)
	if err != nil {
		return compile.Options{}, err
	}
	opts := compile.Options{Sections: sections}
	opts.Holders, opts.Landlock = compile.Enforce(sections, facts(in(at.Dir, start)))
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
func facts(start string) compile.Host {
	version, err := launch.LandlockABI()
	if err != nil {
		version = 0
	}
	h := compile.Host{ABI: version, Look: launch.Look, Loaders: launch.Loaders(), Procs: procs()}
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
