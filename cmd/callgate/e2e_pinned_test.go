package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/audit"
	"callgate/supervisor/ptrace"
)

// pinnedPolicy has every call that names files made with other registers than
// the program's own.
const pinnedPolicy = "callgate: 1\ndefault: allow\ncompat: {i386: same}\nfiles:\n  - deny: \"**/forbidden\"\n"

// TestPinnedCalls: signals and deaths that meet such a call do what they do bare:
// each register is the program's own for handlers and afterwards, restarted calls
// begin anew, and what was pinned for a call that never ended is free again: the
// longest names of that many would fill the area.
func TestPinnedCalls(t *testing.T) {
	for _, line := range []string{"pinned-signals", "pinned-deaths 990", "pinned-jumps 1000"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			bareDir, dir := openFolder(t), openFolder(t)
			command := traceeCommand(line)
			bare := trial{bare: true, dir: bareDir}.run(t, command(t, bareDir)...)
			traced := trial{policy: pinnedPolicy, quiet: true, dir: dir}.run(t, command(t, dir)...)
			compare(t, bare, traced, bareDir, dir)
			if bare.status != 0 || strings.Contains(bare.stdout, "kept 0") || strings.Contains(bare.stdout, "saw them 0") {
				t.Errorf("bare: %v", bare)
			}
		})
	}
}

// TestPinnedJudgedAnew: a call that is restarted is another call: a handler has
// changed its name in memory, its registers, or its number.
func TestPinnedJudgedAnew(t *testing.T) {
	for _, change := range []string{"memory", "register", "call"} {
		for want, tr := range map[string]trial{"opened": {bare: true}, "-EACCES": {policy: pinnedPolicy, quiet: true}} {
			tr.dir = openFolder(t)
			writeFile(t, tr.dir+"/forbidden", "secret")
			tr.run(t, tracee(t), "pinned-judged", change, "forbidden").want(t, 0, change+": "+want+"\n")
		}
	}
}

// TestPinnedKilledSupervisor: whoever waits in such a call when callgate is killed
// dies there.
func TestPinnedKilledSupervisor(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), hangAfter)
	defer cancel()
	r := trial{policy: pinnedPolicy, quiet: true}.prepare(t, ctx, tracee(t), "pinned-waits")
	out, err := r.cmd.StdoutPipe()
	must(t, err)
	must(t, r.cmd.Start())
	lines := bufio.NewReader(out)
	for range 4 {
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	must(t, r.cmd.Process.Kill())
	_ = r.cmd.Wait() // that it was killed
	waitFor(t, "the end of all", func() bool { return len(r.left()) == 0 }, func() string { return fmt.Sprint(r.left()) })
}

// TestPinnedX32: by x32's numbers the rules are the same, and what they permit is
// for the kernel to say: ENOSYS, where it has x32 off.
func TestPinnedX32(t *testing.T) {
	const policy = "callgate: 1\ndefault: allow\ncompat: {x32: same}\nfiles:\n  - deny: \"**/forbidden\"\n"
	outcomes := map[string]outcome{}
	for _, name := range []string{"file", "forbidden"} {
		for how, tr := range map[string]trial{"bare": {bare: true}, "traced": {policy: policy, quiet: true}} {
			tr.dir = openFolder(t)
			writeFile(t, tr.dir+"/"+name, "text")
			outcomes[name+" "+how] = tr.run(t, tracee(t), "pinned-x32", name)
		}
	}
	compare(t, outcomes["file bare"], outcomes["file traced"], "DIR", "DIR")
	got := outcomes["forbidden traced"]
	if n := strings.Count(got.stdout, ": -EACCES, registers kept 1\n"); n != strings.Count(got.stdout, "\n") || n == 0 {
		t.Errorf("denied: %v", got)
	}
}

// TestPinnedAreaJudged: what policies say of the calls by which programs get their pinned
// area holds where programs make them, and keeps none from its area.
func TestPinnedAreaJudged(t *testing.T) {
	rule := func(action, call string) string {
		return pinnedPolicy + "syscalls:\n  - " + action + ": " + call + "\n"
	}
	const there = "    args: { addr: { min: 0x10000, max: 0x3fffff } }\n"
	for _, c := range []struct {
		call, command string
		bare          string
	}{
		{"mmap", "native 9 0x10000 8192 7 0x22 -1 0", "native 9 = address\n"},
		{"mmap", "native 9 0x3f0000 4096 1 0x22 -1 0", "native 9 = address\n"},
		{"mmap", "int80 192 0x10000 4096 7 0x22 -1 0", "int80 192 = address\n"},
		{"mseal", "native 462 0x10000 0 0", "native 462 = 0\n"},
	} {
		command := append([]string{tracee(t)}, strings.Fields(c.command)...)
		trial{bare: true}.run(t, command...).want(t, 0, c.bare)
		for action, status := range map[string]int{"deny": 0, "kill": 159} {
			for _, quiet := range []bool{false, true} {
				want := ""
				if action == "deny" {
					want = strings.Split(c.bare, "=")[0] + "= -EPERM\n"
				}
				trial{policy: rule(action, c.call), quiet: quiet}.run(t, command...).want(t, status, want)
				dir := openFolder(t)
				writeFile(t, dir+"/file", "text\n")
				trial{policy: rule(action, c.call) + there, quiet: quiet, dir: dir}.run(t, tracee(t), "native", "2", "s:file", "0").want(t, 0, "native 2 = 3\n")
			}
		}
		logged := trial{policy: rule("log", c.call)}.run(t, command...)
		logged.want(t, 0, c.bare)
		if !slices.ContainsFunc(logged.events, func(e audit.Event) bool {
			return e.CallInfo != nil && strings.HasPrefix(e.Syscall, c.call) && strings.HasPrefix(e.Args[0], "0x") && e.Verdict == "log"
		}) {
			t.Errorf("%s is not logged: %v", c.command, logged)
		}
	}
}

// TestArmedUnderFilter: a filter of the program's own that answers the supervisor's calls
// before the first instruction itself keeps it from nothing, or has what needs the area denied.
func TestArmedUnderFilter(t *testing.T) {
	dir := openFolder(t)
	writeFile(t, dir+"/file", "text\n")
	for address, want := range map[uint64]int{compile.PinBase: 1, compile.PinTold: 0} {
		got := trial{policy: pinnedPolicy, dir: dir}.run(t, tracee(t), "answering", fmt.Sprint(address), "/bin/sh", "-c", "echo begun; read word <file && echo $word")
		if want == 0 {
			got.want(t, 0, "begun\ntext\n")
		} else if got.status == 0 || strings.Contains(got.stdout, "text") || !strings.Contains(got.stderr, "kept from changing") {
			t.Errorf("without an area: %v", got)
		}
	}
}

// TestArmedExact: a program begins with the registers and the text that it has bare, wherever in a
// page that is; what is behind the page need not be there.
func TestArmedExact(t *testing.T) {
	dir := openFolder(t)
	writeFile(t, dir+"/file", "text\n")
	for _, at := range []int{0, 64, 4096 - 34, 4096 - 20, 4096 - 5} {
		writeFile(t, dir+"/begins.s", fmt.Sprintf(`
	.section .before, "ax"
name:	.asciz "file"
main:	push %%r15
	push %%r14
	push %%r13
	push %%r12
	push %%r11
	push %%r10
	push %%r9
	push %%r8
	push %%rdi
	push %%rsi
	push %%rbp
	push %%rdx
	push %%rcx
	push %%rbx
	push %%rax
	pushf
	mov $1, %%eax
	mov $1, %%edi
	mov %%rsp, %%rsi
	mov $128, %%edx
	syscall
	mov $1, %%eax
	lea begin(%%rip), %%rsi
	mov $4096, %%edx
	syscall
	mov $2, %%eax
	lea name(%%rip), %%rdi
	xor %%esi, %%esi
	syscall
	mov %%eax, %%edi
	mov $60, %%eax
	syscall
	.section .last, "ax"
begin:	.org %d
	.globl _start
_start:	jmp.d32 main
	.org 4096
`, at))
		assemble(t, dir+"/begins", "-Wl,--section-start=.before=0x500000,--section-start=.last=0x501000")
		bare := trial{bare: true, dir: dir}.run(t, dir+"/begins")
		bare.want(t, 3, bare.stdout)
		if len(bare.stdout) != 128+4096 {
			t.Errorf("at %d: %d bytes", at, len(bare.stdout))
		}
		for _, flags := range [][]string{nil, {"without", "999"}} { // the calls are followed under a filter of its own
			command := []string{dir + "/begins"}
			if flags != nil {
				command = append(append([]string{tracee(t)}, flags...), command...)
			}
			trial{policy: pinnedPolicy, dir: dir}.run(t, command...).want(t, 3, bare.stdout)
		}
	}
}

// assemble makes a program of NAME.s.
func assemble(t *testing.T, name string, flags ...string) {
	t.Helper()
	out, err := exec.Command("gcc", append(flags, "-nostdlib", "-static", "-no-pie", "-o", name, name+".s")...).CombinedOutput()
	if err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
}

// TestArmedWrittenTo: nobody exchanges the code by which a program gets its area, for such as
// gives it one that it can write to.
func TestArmedWrittenTo(t *testing.T) {
	dir := openFolder(t)
	size := len(ptrace.Errand(abi.Call{Arch: abi.X86_64}, abi.Call{Arch: abi.X86_64}, abi.Call{Arch: abi.X86_64}))
	writeFile(t, dir+"/evil.s", fmt.Sprintf(`
	.section .evil, "awx"
	.globl _start
_start:	jmp plain
	.org 128
plain:	mov $318, %%eax		# getrandom(0x10000, 1, 0), which writes there
	mov $0x10000, %%edi
	mov $1, %%esi
	xor %%edx, %%edx
	syscall
	mov %%eax, %%edi
	mov $60, %%eax
	syscall
	.org 256
	cmpl $0, done(%%rip)	# where the jump leads that is written to _start
	jne plain
	movl $1, done(%%rip)
	mov $9, %%eax		# the same area, and to be written to
	mov $0x10000, %%edi
	mov $0x3f0000, %%esi
	mov $3, %%edx
	mov $0x104022, %%r10d
	mov $-1, %%r8
	xor %%r9d, %%r9d
	syscall
	mov %%rax, %%r10
	xor %%r8d, %%r8d
	mov $%#x, %%edi
	mov $9, %%eax
	jmp _start + %d - 2
done:	.long 0
`, compile.PinTold, size))
	assemble(t, dir+"/evil", "-Wl,--section-start=.evil=0x500000")
	trial{bare: true, dir: dir}.run(t, dir+"/evil").want(t, 242, "")
	if got := (trial{bare: true, dir: dir}).run(t, tracee(t), "write-to", dir+"/evil", "0x500000", "20"); !strings.Contains(got.stdout, "written to 1") {
		t.Errorf("bare: %v", got)
	}
	trial{policy: pinnedPolicy, quiet: true, dir: dir}.run(t, tracee(t), "write-to", dir+"/evil", "0x500000", "20").want(t, 0, "written to 0, ended with 1: 0\n")
}

// TestArmedSealed: a program that has no room for the area takes the seal from no other's.
func TestArmedSealed(t *testing.T) {
	dir := openFolder(t)
	writeFile(t, dir+"/small.s", "\t.globl _start\n_start:\tmov $60, %eax\n\tmov $7, %edi\n\tsyscall\n")
	assemble(t, dir+"/small")
	writeFile(t, dir+"/seals", "flags() { sed -n '/^00010000-/,/VmFlags/p' /proc/self/smaps | grep VmFlags; }\nbefore=$(flags)\n"+
		"(ulimit -S -v 3000; exec ./small)\necho $?\n[ -n \"$before\" ] && [ \"$before\" = \"$(flags)\" ] && echo same\n")
	trial{policy: pinnedPolicy, dir: dir}.run(t, "bash", "seals").want(t, 0, "7\nsame\n")
}

// TestPinnedOccupied: a program that is linked where names are kept is not run, and
// told why.
func TestPinnedOccupied(t *testing.T) {
	dir := openFolder(t)
	writeFile(t, dir+"/low.c", "#include <stdio.h>\nint main(void) { puts(\"runs\"); return 0; }\n")
	for _, address := range []string{"0x10000", "0x3ff000"} {
		out, err := exec.Command("gcc", "-static", "-no-pie", "-Wl,-Ttext-segment="+address, "-o", dir+"/low", dir+"/low.c").CombinedOutput()
		if err != nil {
			t.Fatalf("gcc: %v\n%s", err, out)
		}
		trial{bare: true}.run(t, dir+"/low").want(t, 0, "runs\n")
		trial{policy: traceAll}.run(t, dir+"/low").want(t, 0, "runs\n")
		const why = "low: cannot be run under rules on files, programs or addresses: it is linked between 0x10000 and 0x400000"
		got := trial{policy: pinnedPolicy, quiet: true}.run(t, dir+"/low")
		if got.want(t, 126, ""); !strings.Contains(got.stderr, why) {
			t.Errorf("%s: told %q", address, got.stderr)
		}
		got = trial{policy: pinnedPolicy}.run(t, "/bin/sh", "-c", dir+"/low; echo $?")
		got.want(t, 0, "137\n")
		if kills := got.calls("execve"); len(kills) == 0 || !strings.Contains(kills[len(kills)-1].Reason, "0x10000") {
			t.Errorf("%s: told %q", address, got.stderr)
		}
	}
}
