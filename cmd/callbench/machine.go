package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine is where the figures come from.
type machine struct {
	cpu     string
	cores   int
	kernel  string
	virtual string // the kind of virtual machine, "" on bare metal
	load    string // of the last minute, as the benchmark began
	user    string
}

func thisMachine() machine {
	m := machine{cpu: runtime.GOARCH, cores: runtime.NumCPU(), user: "root"}
	if model, flags := cpuInfo(); model != "" {
		m.cpu = model
		if strings.Contains(" "+flags+" ", " hypervisor ") {
			m.virtual = "unknown kind"
		}
	}
	// systemd-detect-virt exits with 1 where it says "none".
	if kind, _ := exec.Command("systemd-detect-virt", "--vm").Output(); len(kind) > 0 {
		m.virtual = strings.Replace(strings.TrimSpace(string(kind)), "none", "", 1)
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.kernel, _, _ = strings.Cut(unix.ByteSliceToString(name.Release[:]), "-")
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.load, _, _ = strings.Cut(string(load), " ")
	}
	if os.Geteuid() != 0 {
		m.user = "an ordinary user"
	}
	return m
}

// cpuInfo is the first processor's name and flags (proc_cpuinfo(5)).
func cpuInfo() (model, flags string) {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "", ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch strings.TrimSpace(key) {
		case "model name":
			model = strings.TrimSpace(value)
		case "flags":
			return model, strings.TrimSpace(value)
		}
	}
	return model, ""
}

func (m machine) String() string {
	kind := "not virtualised"
	if m.virtual != "" {
		kind = "a virtual machine (" + m.virtual + ")"
	}
	return fmt.Sprintf("Machine: %s, %d cores, %s; Linux %s; run by %s; load at the start: %s", m.cpu, m.cores, kind, m.kernel, m.user, m.load)
}
