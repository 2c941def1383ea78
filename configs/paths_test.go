package configs

import (
	"testing"

	"callgate/policy"
)

// bound is a shipped policy put to a folder of a user's.
func bound(t *testing.T, name, dir string) *policy.Sections {
	t.Helper()
	set, err := (&policy.Loader{Builtin: Builtin}).LoadAll(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := set.Bind(policy.Place{Dir: dir, Home: "/home/me", Env: []string{"TMPDIR=/tmp/callgate-private", "VIRTUAL_ENV=/srv/venv", "GOCACHE=/srv/cache"}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestShippedPaths has, for each policy that has files, what may be done with a
// path: w(rite), r(ead), l(ook), - (nothing).
func TestShippedPaths(t *testing.T) {
	for _, tt := range []struct{ path, base, def, build, ci, compute string }{
		{"/home/me/proj/a/b", "l", "w", "w", "w", "l"},
		{"/tmp/callgate-private/x", "l", "w", "w", "w", "l"},
		{"/tmp/other", "l", "l", "l", "l", "l"},
		{"/var/tmp/x", "l", "l", "l", "l", "l"},
		{"/home/me/proj/.env", "l", "-", "-", "w", "l"},
		{"/home/me/proj/sub/.ssh/id", "l", "-", "-", "w", "l"},
		{"/home/me/proj/.npmrc", "l", "w", "w", "w", "l"},

		{"/home/me/.ssh/id_ed25519", "l", "-", "-", "l", "l"},
		{"/home/me/.gnupg/private-keys-v1.d/k", "l", "-", "-", "l", "l"},
		{"/home/me/.aws/credentials", "l", "-", "-", "l", "l"},
		{"/home/me/.config/gcloud/x", "l", "-", "-", "l", "l"},
		{"/home/me/.kube/config", "l", "-", "-", "l", "l"},
		{"/home/me/.docker/config.json", "l", "-", "-", "l", "l"},
		{"/home/me/.netrc", "l", "-", "-", "l", "l"},
		{"/home/me/.npmrc", "l", "-", "-", "l", "l"},
		{"/home/me/.pypirc", "l", "-", "-", "l", "l"},
		{"/home/me/.git-credentials", "l", "-", "-", "l", "l"},
		{"/home/me/.config/git/credentials", "l", "-", "-", "l", "l"},
		{"/home/me/.cargo/credentials.toml", "l", "-", "-", "l", "l"},
		{"/home/me/.config/gh/hosts.yml", "l", "-", "-", "l", "l"},
		{"/home/me/.mozilla/firefox/p/logins.json", "l", "-", "-", "l", "l"},
		{"/home/me/.config/google-chrome/Default/Cookies", "l", "-", "-", "l", "l"},
		{"/home/me/.password-store/x.gpg", "l", "-", "-", "l", "l"},
		{"/home/me/.local/share/keyrings/login.keyring", "l", "-", "-", "l", "l"},
		{"/home/me/.bash_history", "l", "-", "-", "l", "l"},
		{"/home/me/.cache/mozilla/x", "l", "-", "-", "w", "l"},
		{"/home/me/Documents/letter", "l", "l", "l", "l", "l"},
		{"/home/you/thesis", "l", "l", "l", "l", "l"},
		{"/home/you/.ssh/id", "l", "-", "-", "l", "l"},
		{"/root/x", "l", "l", "l", "l", "l"},

		{"/home/me/.gitconfig", "r", "r", "r", "r", "l"},
		{"/home/me/.pyenv/versions/3/bin/python", "r", "r", "r", "r", "r"},
		{"/home/me/.nvm/versions/node", "r", "r", "r", "r", "r"},
		{"/home/me/go/pkg/mod/x", "r", "r", "w", "r", "l"},
		{"/home/me/.cache/go-build/00", "l", "l", "w", "w", "l"},
		{"/home/me/.npm/_cacache/x", "r", "r", "w", "r", "l"},
		{"/srv/venv/bin/python", "l", "l", "r", "r", "l"},
		{"/srv/cache/00", "l", "l", "w", "w", "l"},

		{"/usr/lib/x", "r", "r", "r", "r", "r"},
		{"/usr/bin/env", "r", "r", "r", "r", "r"},
		{"/opt/tool/bin", "r", "r", "r", "r", "r"},
		{"/etc/ld.so.cache", "r", "r", "r", "r", "r"},
		{"/etc/passwd", "r", "r", "r", "r", "r"},
		{"/etc/resolv.conf", "r", "r", "r", "r", "l"},
		{"/etc/ssl/certs/ca-certificates.crt", "r", "r", "r", "r", "l"},
		{"/etc/some/program.conf", "l", "r", "r", "l", "l"},
		{"/etc/shadow", "l", "-", "-", "l", "l"},
		{"/etc/shadow-", "l", "-", "-", "l", "l"},
		{"/etc/ssl/private/k", "l", "-", "-", "l", "l"},
		{"/etc/ssh/ssh_host_rsa_key", "l", "-", "-", "l", "l"},
		{"/etc/ssh/ssh_host_rsa_key.pub", "l", "r", "r", "l", "l"},
		{"/etc/sudoers", "l", "-", "-", "l", "l"},

		{"/dev/null", "w", "w", "w", "w", "r"},
		{"/dev/tty", "w", "w", "w", "w", "l"},
		{"/dev/pts/3", "w", "w", "w", "w", "l"},
		{"/dev/shm/sem.x", "w", "w", "w", "w", "l"},
		{"/dev/urandom", "w", "w", "w", "w", "r"},
		{"/dev/sda", "l", "l", "l", "l", "l"},
		{"/dev/kvm", "l", "l", "l", "l", "l"},
		{"/proc/self/status", "r", "r", "r", "r", "r"},
		{"/proc/kcore", "r", "-", "-", "r", "r"},
		{"/sys/devices/system/cpu/online", "r", "r", "r", "r", "r"},
		{"/run/systemd/resolve/stub-resolv.conf", "r", "r", "r", "r", "l"},
		{"/run/docker.sock", "l", "-", "-", "l", "l"},
		{"/run/podman/podman.sock", "l", "-", "-", "l", "l"},
		{"/run/dbus/system_bus_socket", "l", "-", "-", "l", "l"},
		{"/run/user/1000/bus", "l", "-", "-", "l", "l"},
		{"/var/run/docker.sock", "l", "-", "-", "l", "l"},
		{"/run/utmp", "l", "l", "l", "l", "l"},
	} {
		for name, want := range map[string]string{"base": tt.base, "default": tt.def, "build": tt.build, "ci": tt.ci, "compute": tt.compute} {
			if got := most(bound(t, "builtin:"+name, "/home/me/proj"), tt.path); got != want {
				t.Errorf("%s: %s is %q, want %q", name, tt.path, got, want)
			}
		}
	}
}

// most is the most that may be done with a path.
func most(b *policy.Sections, path string) string {
	word := "-"
	for _, try := range []struct {
		access policy.Access
		word   string
	}{{policy.Look, "l"}, {policy.Read, "r"}, {policy.Write, "w"}} {
		if !b.File(path, try.access).Action.Permits() {
			break
		}
		word = try.word
	}
	return word
}

// TestHomeIsTheFolder: secrets are hidden where the working folder is the home
// folder, or above it, or hidden itself.
func TestHomeIsTheFolder(t *testing.T) {
	for _, name := range []string{"builtin:default", "builtin:build"} {
		for _, dir := range []string{"/home/me", "/home", "/", "/home/me/.ssh"} {
			b := bound(t, name, dir)
			for _, path := range []string{"/home/me/.ssh/id_ed25519", "/home/me/.ssh", "/home/you/.aws/credentials", "/etc/shadow", "/run/docker.sock", "/home/me/.netrc"} {
				if got := most(b, path); got != "-" {
					t.Errorf("%s in %s: %s is %q", name, dir, path, got)
				}
			}
		}
		if got := most(bound(t, name, "/home/me"), "/home/me/letter"); got != "w" {
			t.Errorf("%s in the home folder: a letter is %q", name, got)
		}
	}
}

// TestHiddenErrnos: what programs look up every time is missing to them, and told
// to nobody; what git may have in its index is denied.
func TestHiddenErrnos(t *testing.T) {
	const eacces, enoent = 13, 2
	b := bound(t, "builtin:default", "/home/me/proj")
	for path, want := range map[string]struct {
		errno uint16
		quiet bool
	}{
		"/home/me/.ssh/config": {enoent, false},
		"/home/me/.npmrc":      {enoent, true},
		"/home/me/.netrc":      {enoent, true},
		"/home/me/proj/.env":   {eacces, false},
	} {
		v := b.File(path, policy.Read)
		if v.Action != policy.Deny || v.Errno != want.errno || v.Rule.Quiet != want.quiet {
			t.Errorf("%s: %v", path, v)
		}
	}
}

// TestNoNetwork: no shipped policy but trace-all lets anyone talk to anything.
func TestNoNetwork(t *testing.T) {
	for _, name := range []string{"builtin:base", "builtin:default", "builtin:build", "builtin:ci", "builtin:compute"} {
		b := bound(t, name, "/home/me/proj")
		if !b.Has(policy.Network) {
			t.Errorf("%s has no section network", name)
		}
		for domain := range uint32(46) {
			if v := b.Socket(domain, 1, 0); v.Action != policy.Deny {
				t.Errorf("%s: a socket of family %d: %v", name, domain, v)
			}
		}
	}
}
