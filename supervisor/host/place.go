package host

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path"
	"strings"

	"callgate/policy"
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
