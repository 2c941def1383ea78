package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// abis are the ABIs in the order of the Arch constants, with the suffix of
// golang.org/x/sys/unix's files that give their numbers ("" for x32, which is
// derived) and those that give their constants.
var abis = []struct{ id, table, numbers, constants string }{
	{"X86_64", "x86_64Table", "amd64", "amd64"},
	{"I386", "i386Table", "386", "386"},
	{"X32", "x32Table", "", "amd64"},
	{"AArch64", "aarch64Table", "arm64", "arm64"},
}

const (
	x86_64 = iota
	i386
	x32
	aarch64
)

// notCalls are names of x/sys's tables that are no calls: the base of the
// numbers that an architecture may use for its own.
var notCalls = []string{"arch_specific_syscall"}

// only64 are the calls that syscall_64.tbl gives as "64": x32 has none of
// them under their x86_64 number.
var only64 = strings.Fields(`
	rt_sigaction rt_sigreturn ioctl readv writev recvfrom sendmsg recvmsg
	setsockopt getsockopt execve ptrace rt_sigpending rt_sigtimedwait
	rt_sigqueueinfo sigaltstack uselib _sysctl create_module get_kernel_syms
	query_module nfsservctl set_thread_area io_setup io_submit get_thread_area
	epoll_ctl_old epoll_wait_old timer_create vserver mq_notify kexec_load
	waitid set_robust_list get_robust_list vmsplice move_pages preadv pwritev
	rt_tgsigqueueinfo recvmmsg sendmmsg process_vm_readv process_vm_writev
	execveat preadv2 pwritev2 map_shadow_stack`)

// onlyX32 are the calls that syscall_64.tbl gives as "x32", from 512 on
// without a gap. The range is closed: no call will be added to it.
var onlyX32 = strings.Fields(`
	rt_sigaction rt_sigreturn ioctl readv writev recvfrom sendmsg recvmsg
	execve ptrace rt_sigpending rt_sigtimedwait rt_sigqueueinfo sigaltstack
	timer_create mq_notify kexec_load waitid set_robust_list get_robust_list
	vmsplice move_pages preadv pwritev rt_tgsigqueueinfo recvmmsg sendmmsg
	process_vm_readv process_vm_writev setsockopt getsockopt io_setup
	io_submit execveat preadv2 pwritev2`)

const firstX32 = 512

// numbers gives each ABI's calls: index of abis, then name to number (without
// X32Bit). dir is x/sys's unix folder.
func numbers(dir string) ([]map[string]int, error) {
	tables := make([]map[string]int, len(abis))
	for i, a := range abis {
		if a.numbers == "" {
			continue
		}
		all, err := readConstants(filepath.Join(dir, "zsysnum_linux_"+a.numbers+".go"))
		if err != nil {
			return nil, err
		}
		tables[i] = calls(all)
	}
	x, err := deriveX32(tables[x86_64])
	tables[x32] = x
	return tables, err
}

func calls(all []constant) map[string]int {
	table := map[string]int{}
	for _, c := range all {
		name, ok := strings.CutPrefix(c.name, "SYS_")
		if name = strings.ToLower(name); ok && !slices.Contains(notCalls, name) {
			table[name] = int(c.value)
		}
	}
	return table
}

// deriveX32 makes x32's table of x86_64's, as the kernel's build makes both of
// arch/x86/entry/syscalls/syscall_64.tbl.
func deriveX32(from map[string]int) (map[string]int, error) {
	table := map[string]int{}
	for name, nr := range from {
		if !slices.Contains(only64, name) {
			table[name] = nr
		}
	}
	for i, name := range onlyX32 {
		if _, ok := from[name]; !ok || table[name] != 0 {
			return nil, fmt.Errorf("x32: %s is not a 64-bit-only call of x86_64", name)
		}
		table[name] = firstX32 + i
	}
	return table, nil
}
