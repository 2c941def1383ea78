package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// place is the folder in which a group can be made: version 2's if it has the
// memory controller, else version 1's.
func place() (parent string, k kind, err error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", kind{}, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", kind{}, err
	}
	return find(string(own), string(mounts))
}

// find is place, given the texts of /proc/self/cgroup and mountinfo.
func find(own, mounts string) (parent string, k kind, err error) {
	var reasons []error
	for _, h := range []struct {
		kind
		find func(own, mounts string) (string, error)
	}{{version2, findUnified}, {version1, findMemory}} {
		parent, err := h.find(own, mounts)
		if err == nil {
			return parent, h.kind, nil
		}
		reasons = append(reasons, fmt.Errorf("%s: %w", h.name, err))
	}
	return "", kind{}, errors.Join(reasons...)
}

// findUnified is the nearest folder, from this process's own group upwards, whose
// children have the memory controller and where this user may move a process: that
// takes leave to write the cgroup.procs of the common ancestor (cgroups(7),
// "Cgroups delegation: delegating a hierarchy to a less privileged user").
func findUnified(own, mounts string) (string, error) {
	top, path, err := locate(own, mounts, "cgroup2", "")
	if err != nil {
		return "", err
	}
	for dir := filepath.Join(top, path); ; dir = filepath.Dir(dir) {
		if controls(dir) {
			return dir, writable(dir)
		}
		if dir == top || !strings.HasPrefix(dir, top) {
			return "", errors.New("no group above this process's own has the memory controller for its children")
		}
	}
}

func controls(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	return err == nil && slices.Contains(strings.Fields(string(text)), "memory")
}

func findMemory(own, mounts string) (string, error) {
	top, path, err := locate(own, mounts, "cgroup", "memory")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(top, path)
	return dir, writable(dir)
}

func writable(dir string) error {
	for _, file := range []string{dir, filepath.Join(dir, "cgroup.procs")} {
		if err := unix.Faccessat(unix.AT_FDCWD, file, unix.W_OK, unix.AT_EACCESS); err != nil {
			return &os.PathError{Op: "write to", Path: file, Err: err}
		}
	}
	return nil
}

// locate gives where a hierarchy is mounted and this process's group in it. A mount
// may show a part of the hierarchy only (proc(5), mountinfo's root).
func locate(own, mounts, fstype, controller string) (top, path string, err error) {
	path = groupOf(own, controller)
	if path == "" {
		return "", "", errors.New("this process is in no such hierarchy")
	}
	for line := range strings.Lines(mounts) {
		left, right, ok := strings.Cut(line, " - ")
		fields, kinds := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(kinds) < 3 || kinds[0] != fstype ||
			controller != "" && !slices.Contains(strings.Split(kinds[2], ","), controller) {
			continue
		}
		if inside, ok := strings.CutPrefix(path, strings.TrimSuffix(fields[3], "/")); ok && (inside == "" || inside[0] == '/') {
			return fields[4], inside, nil
		}
	}
	return "", "", errors.New("it is not mounted")
}

// groupOf is this process's group: version 2's for "", else that of a controller.
func groupOf(own, controller string) string {
	for line := range strings.Lines(own) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) == 3 && slices.Contains(strings.Split(parts[1], ","), controller) && (controller != "" || parts[0] == "0") {
			return parts[2]
		}
	}
	return ""
}
