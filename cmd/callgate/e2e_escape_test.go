package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// escapes are ways out of an isolated sandbox, or to undo it, as scripts that say
// "out" where they succeed. WITNESS is a file outside of what may be written.
var escapes = []string{
	"umount /proc/sys && echo out", "umount -l /proc && echo out", "umount /tmp && echo out", "umount -l / && echo out",
	"mount -o remount,rw / && echo out", "mount -o remount,bind,rw / && echo out", "mount -o remount,bind,rw /proc/sys && echo out",
	"mount --bind /tmp /etc && echo out", "mount -t tmpfs none /mnt && echo out", "mount -t proc proc /tmp && echo out",
	"unshare -U true && echo out", "unshare -Urm true && echo out", "unshare -m true && echo out", "unshare -n true && echo out",
	"nsenter -t 1 -m true && echo out", "nsenter -t 1 -U true && echo out", "nsenter -m/proc/self/ns/mnt true && echo out",
	"ls /proc/1/root/ && echo out", "ls /proc/1/cwd/ && echo out", "ls /proc/1/fd/ && echo out", "cat /proc/1/environ && echo out",
	"cat /proc/1/mem && echo out", "cat /proc/1/maps && echo out", ": >/proc/1/root/tmp/x && echo out",
	"echo x >WITNESS && echo out", "echo x >/proc/self/root/WITNESS && echo out", "echo x >/proc/self/fd/0 && echo out", "echo x >/dev/stdin && echo out",
	"exec 5</; echo x >/proc/self/fd/5/WITNESS && echo out",
	"echo x >/proc/sys/kernel/core_pattern && echo out", "echo 1 >/proc/sysrq-trigger && echo out", "echo x >/sys/kernel/mm/transparent_hugepage/enabled && echo out",
	"mknod /tmp/disk b 254 0 && echo out", "chroot /proc/1/root true && echo out", "chroot / sh -c 'echo x >WITNESS' && echo out",
	"TRACEE native 165 s:none s:/mnt s:tmpfs 0 0 | grep = | grep -v -- '= -E' && echo out",
	"TRACEE int80 21 s:none s:/mnt s:tmpfs 0 0 | grep = | grep -v -- '= -E' && echo out",
	"TRACEE native 272 0x10000000 | grep -v -- '= -E' && echo out", "TRACEE int80 310 0x10000000 | grep -v -- '= -E' && echo out",
	"TRACEE native 428 -100 s:/ 1 | grep -v -- '= -E' && echo out", "TRACEE native 442 -100 s:/ 0 8 32 | grep -v -- '= -E' && echo out",
	"TRACEE native 155 s:/ s:/ | grep -v -- '= -E' && echo out", "TRACEE native 304 -100 8 0 | grep -v -- '= -E' && echo out",
	"TRACEE native 56 0x10000011 | grep -v -- '= -E' && echo out",
}

// TestIsolateEscapes: none gets out, whatever the policy has: no rules on files,
// or rules on them that callgate itself enforces. In both, the command may make
// any call but those that isolation itself denies.
func TestIsolateEscapes(t *testing.T) {
	needNamespaces(t)
	dir := openFolder(t)
	witness := filepath.Join(dir, "witness")
	writeFile(t, witness, "whole")
	if err := os.Chmod(witness, 0o666); err != nil {
		t.Fatal(err)
	}
	policies := map[string]string{"none": openPolicy, "network": "callgate: 1\ndefault: allow\nnetwork: [{deny: 192.0.2.1}]\ncompat: {i386: same, x32: same}\n",
		"files": "callgate: 1\ndefault: allow\nfiles: [{deny: /no/such}, {write: [/tmp, /proc, /dev]}, {read: /}, {deny: /}]\ncompat: {i386: same, x32: same}\n"}
	for name, policy := range policies {
		for i := range 4 {
			t.Run(fmt.Sprint(name, i), func(t *testing.T) {
				t.Parallel()
				for j := i; j < len(escapes); j += 4 {
					script := strings.ReplaceAll(strings.ReplaceAll(escapes[j], "WITNESS", witness), "TRACEE", tracee(t))
					got := isolated(t, "all", policy, "", "bash", "-c", "("+script+") <"+witness)
					if strings.Contains(got.stdout, "out\n") || got.status == 0 && strings.HasPrefix(escapes[j], "cat ") {
						t.Errorf("%s: %v", escapes[j], got)
					}
				}
			})
		}
	}
	t.Cleanup(func() {
		if text, _ := os.ReadFile(witness); string(text) != "whole" {
			t.Errorf("the file outside has %q", text)
		}
	})
}

// TestIsolateHandedDown: a descriptor from outside is no way out either.
func TestIsolateHandedDown(t *testing.T) {
	needNamespaces(t)
	dir := openFolder(t)
	witness := filepath.Join(dir, "witness")
	writeFile(t, witness, "whole")
	os.Chmod(witness, 0o666)
	sh := func(script string) (string, error) {
		out, err := exec.Command("bash", "-c", script).CombinedOutput()
		return string(out), err
	}
	out, err := sh("callgate run -q -p builtin:trace-all --isolate mount -- bash -c 'cat; ! { echo x >/proc/self/fd/0 || echo x >/dev/stdin; }' <" + witness)
	if err != nil || !strings.HasPrefix(out, "whole") {
		t.Errorf("%v: %s", err, out)
	}
	if text, _ := os.ReadFile(witness); string(text) != "whole" {
		t.Errorf("the file outside has %q", text)
	}
	for _, redirect := range []string{"--isolate mount -- true <" + dir, "--isolate mount --keep-fd 7 -- true 7<" + dir} {
		if out, err := sh("callgate run -q -p builtin:trace-all " + redirect); err == nil || !strings.Contains(out, "is a folder, which leads out of the sandbox's mounts") {
			t.Errorf("%s: %v, %s", redirect, err, out)
		}
	}
}

// TestIsolateRefused: where it cannot be had nothing runs, and why is told.
func TestIsolateRefused(t *testing.T) {
	needNamespaces(t) // those in which there are none
	const withoutNamespaces = "unshare -U -r sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec setpriv --inh-caps=-all --bounding-set=-all "
	out, err := exec.Command("bash", "-c", withoutNamespaces+"callgate run -p builtin:compute --isolate net -- echo ran'").CombinedOutput()
	text := string(out)
	if err == nil || strings.Contains(text, "ran\n") || !strings.Contains(text, "callgate: cannot isolate net: clone: ") ||
		!strings.Contains(text, "user.max_user_namespaces is 0; without isolation callgate still decides what builtin:compute says of syscalls, files, network") {
		t.Errorf("%v: %s", err, text)
	}
	out, _ = exec.Command("bash", "-c", withoutNamespaces+"callgate doctor'").CombinedOutput()
	if !strings.Contains(string(out), "user.max_user_namespaces is 0") {
		t.Errorf("doctor: %s", out)
	}
	trial{policy: openPolicy, flags: []string{"--isolate", "pid", "--permissive"}}.run(t, "true").fails(t, "--isolate does not go with --permissive")
	trial{policy: openPolicy + "isolate: pid\n", quiet: true, flags: []string{"--permissive"}}.run(t, "sh", "-c", "test $$ -gt 2").want(t, 0, "")
	isolated(t, "all", openPolicy, "", "/no/such/program").want(t, 127, "")
}
