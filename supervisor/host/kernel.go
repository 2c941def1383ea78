package host

import (
	"fmt"
	"math"
	"os"
	"strings"

	"callgate/policy/abi"
	"callgate/supervisor/launch"

	"golang.org/x/sys/unix"
)

func kernel() Feature {
	f := Feature{Name: "kernel", Use: "callgate needs Linux 5.13 or newer"}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		f.Detail = err.Error()
		return f
	}
	f.Status = Yes
	f.Detail = unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
	return f
}

// KernelVersion is the running kernel's, zero if it has no such form.
func KernelVersion() abi.Version {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return abi.Version{}
	}
	return parseVersion(unix.ByteSliceToString(u.Release[:]))
}

// parseVersion reads the first two numbers of a release such as
// "6.18.44-generic" (uname(2)).
func parseVersion(release string) abi.Version {
	var v abi.Version
	if n, _ := fmt.Sscanf(release, "%d.%d", &v.Major, &v.Minor); n != 2 {
		return abi.Version{}
	}
	return v
}

func landlock() Feature {
	f := Feature{Name: "Landlock", Use: "file trees and ports without stops, and keeping the sandbox from other processes' memory", Status: Yes, Required: true}
	version, err := launch.LandlockABI()
	if err != nil {
		f.Status, f.Detail = No, err.Error()
		return f
	}
	f.Detail = landlockDetail(version)
	return f
}

// landlockDetail says what this version costs, for want of later ones
// (landlock(7), VERSIONS). ABIs 5 and 7 brought nothing that callgate uses.
func landlockDetail(version int) string {
	detail := fmt.Sprintf("ABI %d", version)
	for _, later := range []struct {
		abi         int
		linux, cost string
	}{
		{2, "5.19", "no file can be moved or linked to another folder"},
		{3, "6.2", "rules on files cost stops"},
		{4, "6.7", "TCP ports are held by stops alone"},
		{6, "6.12", "signals and abstract sockets are held by stops alone"},
	} {
		if version < later.abi {
			detail += fmt.Sprintf("; before %d (Linux %s) %s", later.abi, later.linux, later.cost)
		}
	}
	return detail
}

func mseal() Feature {
	f := found("mseal", "sealing memory that verdicts rest on", sealNothing(), unix.ENOSYS)
	if f.Status == No {
		f.Detail = "comes with Linux 6.10"
	}
	return f
}

func closeRange() Feature {
	err := unix.CloseRange(math.MaxUint32, math.MaxUint32, 0)
	f := found("close_range", "closing the caller's descriptors in one call", err, unix.ENOSYS)
	if f.Status == No {
		f.Detail = "comes with Linux 5.9"
	}
	return f
}

// yama is the one limit on tracing children that a sysctl sets; 2 and 3 take it
// from ordinary users and from everyone (Documentation/admin-guide/LSM/Yama.rst).
func yama() Feature {
	f := Feature{Name: "Yama ptrace_scope", Use: "2 lets only root trace, 3 nobody"}
	text, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	if err != nil {
		f.Status, f.Detail = No, "not there: children can be traced"
		return f
	}
	f.Status, f.Detail = Yes, strings.TrimSpace(string(text))
	return f
}

func privileges() Feature {
	f := Feature{Name: "privileges", Use: "callgate needs none", Status: No, Detail: fmt.Sprintf("user %d", os.Geteuid())}
	caps := statusField("CapEff")
	if strings.Trim(caps, "0") != "" {
		f.Status, f.Detail = Yes, f.Detail+", capabilities "+caps
	}
	return f
}

// confinement says what already restricts this process.
func confinement() Feature {
	f := Feature{Name: "confined already", Use: "an outer filter or container can forbid more", Status: No}
	var found []string
	if statusField("Seccomp") == "2" {
		found = append(found, "a seccomp filter")
	}
	if statusField("NoNewPrivs") == "1" {
		found = append(found, "no_new_privs")
	}
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv", "/run/systemd/container"} {
		if _, err := os.Stat(mark); err == nil {
			found = append(found, "a container: "+mark)
		}
	}
	if len(found) > 0 {
		f.Status, f.Detail = Yes, strings.Join(found, ", ")
	}
	return f
}

// statusField is a field of /proc/self/status, "" if it has no such field.
func statusField(name string) string {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
