package host

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"

	"callgate/supervisor/launch"
)

// Restricted says what may keep this process from namespaces; "" if nothing that
// is known does.
func Restricted() string {
	if launch.HasPrivilege() {
		return ""
	}
	for _, s := range []struct{ file, value string }{
		{"user/max_user_namespaces", "0"}, // namespaces(7)
		{"kernel/unprivileged_userns_clone", "0"},
		{"kernel/apparmor_restrict_unprivileged_userns", "1"},
	} {
		text, err := os.ReadFile("/proc/sys/" + s.file)
		if err == nil && strings.TrimSpace(string(text)) == s.value {
			return strings.ReplaceAll(s.file, "/", ".") + " is " + s.value
		}
	}
	if statusField("Seccomp") == "2" {
		return "a seccomp filter, such as a container's, restricts callgate itself"
	}
	return ""
}

// procHidden says whether something is mounted in /proc (mount_too_revealing in
// fs/namespace.c). The folder for binfmt_misc hides nothing.
func procHidden() bool {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], "/proc/") && fields[4] != "/proc/sys/fs/binfmt_misc" {
			return true
		}
	}
	return false
}

// namespaces tries what --isolate asks for.
func namespaces() Feature {
	f := Feature{Name: "isolation", Use: "not needed; what --isolate can give a command of its own", Status: Yes}
	var has, lacks []string
	for _, n := range []struct {
		name string
		flag uintptr
	}{
		{"pid", syscall.CLONE_NEWPID}, {"net", syscall.CLONE_NEWNET}, {"ipc", syscall.CLONE_NEWIPC},
		{"mount", syscall.CLONE_NEWNS}, {"uts", syscall.CLONE_NEWUTS}, {"cgroup", syscall.CLONE_NEWCGROUP},
	} {
		flags := n.flag
		if !launch.HasPrivilege() {
			flags |= syscall.CLONE_NEWUSER
		}
		code := exitAMD64
		if runtime.GOARCH == "arm64" {
			code = exitARM64
		}
		err := execute(elf64(code), &os.ProcAttr{Sys: &syscall.SysProcAttr{Cloneflags: flags}})
		if err == nil && n.name == "pid" && !launch.HasPrivilege() && procHidden() {
			err = errors.New("parts of /proc are hidden, and the kernel gives no other then")
		}
		if err != nil {
			lacks = append(lacks, n.name+": "+err.Error())
		} else {
			has = append(has, n.name)
		}
	}
	if why := Restricted(); why != "" && len(lacks) > 0 {
		f.Status, lacks = No, append(lacks, why)
	}
	if len(has) == 0 {
		f.Status = No
	}
	f.Detail = strings.Join(append(has, lacks...), ", ")
	return f
}
