package supervisor

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"callgate/policy"
	"callgate/policy/abi"
	"callgate/policy/compile"
	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// recording is a kernel that answers with recorded stops and notes what is
// asked of it. Tasks in dead answer ESRCH.
type recording struct {
	stops   []ptrace.Stop
	infos   map[int]ptrace.SyscallInfo
	message map[int]int
	memory  map[int][]byte // from address 0x1000 on
	dead    map[int]bool
	asked   []string
	gone    map[ptrace.Kind]bool // stops that are not there any more when they are asked for
	last    ptrace.Kind
	turns   int // stops of a task that was asked for alone
}

func (r *recording) note(tid int, format string, args ...any) error {
	if r.dead[tid] {
		return unix.ESRCH
	}
	r.asked = append(r.asked, fmt.Sprintf(format, args...)+fmt.Sprintf(" %d", tid))
	return nil
}

func (r *recording) Wait() (ptrace.Stop, error) {
	if len(r.stops) == 0 {
		return ptrace.Stop{}, unix.ECHILD
	}
	stop := r.stops[0]
	r.stops = r.stops[1:]
	r.last = stop.Kind
	return stop, nil
}

func (r *recording) SyscallInfo(tid int, out *ptrace.SyscallInfo) error {
	if r.dead[tid] {
		return unix.ESRCH
	}
	*out = r.infos[tid]
	if r.last == ptrace.Syscall {
		*out = ptrace.SyscallInfo{Op: ptrace.OpExit}
	}
	return nil
}

func (r *recording) Message(tid int) (int, error) {
	if r.dead[tid] {
		return 0, unix.ESRCH
	}
	return r.message[tid], nil
}

func (r *recording) At(s ptrace.Stop) (bool, error) { return !r.gone[s.Kind], nil }

func (r *recording) Memory(tid int) io.ReaderAt { return fakeMemory(r.memory[tid]) }

type fakeMemory []byte

func (m fakeMemory) ReadAt(p []byte, off int64) (int, error) {
	off -= 0x1000
	if off < 0 || off >= int64(len(m)) {
		return 0, unix.EFAULT
	}
	n := copy(p, m[off:])
	if n < len(p) {
		return n, unix.EFAULT
	}
	return n, nil
}

// Traced is all tasks but other, a stranger to whom a dead child's number went.
func (r *recording) Traced(tid int) bool { return tid != other }

// ThreadOf: thread is the command's, child a process.
func (r *recording) ThreadOf(pid, tid int) bool { return pid == root && tid == thread }

func (r *recording) Take(int)                  {}
func (r *recording) Seize(int) error           { return nil }
func (r *recording) Poll() (ptrace.Stop, bool) { return ptrace.Stop{}, false }
func (r *recording) WaitFor(tid int) (ptrace.Stop, bool) {
	if len(r.stops) == 0 || r.stops[0].TID != tid {
		return ptrace.Stop{}, false
	}
	stop, _ := r.Wait()
	r.turns++
	return stop, true
}
func (r *recording) CPU() time.Duration  { return 0 }
func (r *recording) Usage() *unix.Rusage { return &unix.Rusage{} }
func (r *recording) Registers(tid int, out *ptrace.Registers) error {
	return r.note(tid, "registers")
}
func (r *recording) SetRegisters(tid int, _ *ptrace.Registers) error {
	return r.note(tid, "set registers")
}
func (r *recording) Replace(tid int, _, _ *abi.Call) error {
	return r.note(tid, "replace the call of")
}
func (r *recording) Restore(tid int, _, _ *[6]uint64) error {
	return r.note(tid, "restore the arguments of")
}
func (r *recording) Resume(tid int, sig unix.Signal) error {
	if sig != 0 {
		return r.note(tid, "%s to", unix.SignalName(sig))
	}
	return r.note(tid, "resume")
}
func (r *recording) ResumeToExit(tid int, _ unix.Signal) error { return r.note(tid, "resume to exit") }
func (r *recording) Listen(tid int) error                      { return r.note(tid, "listen") }
func (r *recording) Skip(tid int, v int64) error               { return r.note(tid, "return %d from", v) }
func (r *recording) SetNr(tid int, nr uint32) error            { return r.note(tid, "set nr %#x", nr) }
func (r *recording) Kill(tid int) error                        { return r.note(tid, "kill") }
func (r *recording) Detach(tid int) error                      { return r.note(tid, "detach") }
func (r *recording) Interrupt(tid int) error                   { return r.note(tid, "interrupt") }
func (r *recording) Write(pid int, _ uint64, _ []byte) error   { return r.note(pid, "write to") }
func (r *recording) Peek(pid int, _ uint64, _ []byte) error    { return r.note(pid, "peek at") }
func (r *recording) Store(tid int, _ uint64, _ []byte) error   { return r.note(tid, "store to") }
func (r *recording) SetResult(tid int, v int64) error          { return r.note(tid, "result %d of", v) }
func (r *recording) Forget(int)                                {}

// Tasks of the recordings: numbers that no real task has, since some facts of
// tasks are asked of the real kernel.
const (
	root = 1<<30 + iota
	thread
	child
	other
)

func at(kind ptrace.Kind, tid int) ptrace.Stop { return ptrace.Stop{Kind: kind, TID: tid} }

func call(name string, args ...uint64) ptrace.SyscallInfo {
	entry, ok := abi.X86_64.ByName(name)
	if !ok {
		panic(name)
	}
	info := ptrace.SyscallInfo{Op: ptrace.OpSeccomp, Audit: abi.AuditX86_64, Nr: uint64(entry.Nr), Data: compile.TraceData}
	copy(info.Args[:], args)
	return info
}

// cloneArgs is a struct clone_args of the first version (clone(2)).
func cloneArgs(flags, exitSignal uint64) []byte {
	b := make([]byte, 64)
	binary.LittleEndian.PutUint64(b, flags)
	binary.LittleEndian.PutUint64(b[32:], exitSignal)
	return b
}

// replay runs the loop over a recording, the command already started.
func replay(t *testing.T, r *recording) *sandbox {
	t.Helper()
	set, err := some()
	if err != nil {
		t.Fatal(err)
	}
	s := newSandbox(&compile.Plan{Set: set}, Command{}, Options{})
	s.kernel = r
	s.place.off.Store(true)
	s.adoptFirst(root)
	s.first.starting = false
	s.loop()
	return s
}

// some is a policy with a rule of each kind.
var some = sync.OnceValues(func() (policy.Set, error) {
	loader := policy.Loader{ReadFile: func(string) ([]byte, error) {
		return []byte(`callgate: 1
default: allow
compat: {i386: same, x32: same}
syscalls:
  - deny: mkdir
  - kill: rmdir
  - skip: chmod
    value: 7
  - deny: clone
    args: {flags: {mask: CLONE_NEWUSER, is: CLONE_NEWUSER}}
    errno: EACCES
`), nil
	}}
	return loader.LoadAll("test.yaml")
})

func TestLoop(t *testing.T) {
	clone3 := call("clone3", 0x1000, 64)
	for _, c := range []struct {
		name string
		recording
		want string // what was asked, one a line
		err  string
	}{
		{name: "allowed", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root)}, infos: map[int]ptrace.SyscallInfo{root: call("read")}},
			want: "resume root"},
		{name: "denied", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root)}, infos: map[int]ptrace.SyscallInfo{root: call("mkdir")}},
			want: "return -1 from root; resume root"},
		{name: "skipped", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root)}, infos: map[int]ptrace.SyscallInfo{root: call("chmod")}},
			want: "return 7 from root; resume root"},
		{name: "killed", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root)}, infos: map[int]ptrace.SyscallInfo{root: call("rmdir")}},
			want: "set nr 0x3ffffff0 root; resume root"},
		{name: "killed, and there again", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root), at(ptrace.Seccomp, root)}, infos: map[int]ptrace.SyscallInfo{root: call("rmdir")}},
			want: "set nr 0x3ffffff0 root; resume root; kill root", err: "did not kill"},
		{name: "killed, stopped by a signal on its way", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root), {Kind: ptrace.GroupStop, TID: root, Signal: unix.SIGTSTP}}, infos: map[int]ptrace.SyscallInfo{root: call("rmdir")}},
			want: "set nr 0x3ffffff0 root; resume root; listen root"},
		{name: "forged data of an allowed call", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root)}, infos: map[int]ptrace.SyscallInfo{root: forged(call("read"))}},
			want: "return -38 from root; resume root"},
		{name: "forged data of a denied call", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root)}, infos: map[int]ptrace.SyscallInfo{root: forged(call("mkdir"))}},
			want: "return -1 from root; resume root"},
		{name: "an unknown audit arch", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root)}, infos: map[int]ptrace.SyscallInfo{root: {Op: ptrace.OpSeccomp, Audit: 0x40000028, Data: compile.TraceData}}},
			want: "set nr 0x3ffffff0 root; resume root"},
		{name: "a seccomp stop that is none", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root)}, infos: map[int]ptrace.SyscallInfo{root: {Op: ptrace.OpNone}}},
			want: "kill root", err: "the kernel calls it none"},
		{name: "a stop that is not understood", recording: recording{stops: []ptrace.Stop{at(ptrace.Unknown, root)}},
			want: "kill root", err: "not understood"},
		{name: "a signal", recording: recording{stops: []ptrace.Stop{{Kind: ptrace.SignalStop, TID: root, Signal: unix.SIGUSR1}}},
			want: "SIGUSR1 to root"},
		{name: "stopped and continued", recording: recording{
			stops: []ptrace.Stop{{Kind: ptrace.GroupStop, TID: root, Signal: unix.SIGSTOP}, at(ptrace.EventStop, root)}},
			want: "listen root; resume root"},
		{name: "killed at its stop", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root), {Kind: ptrace.Killed, TID: root, Signal: unix.SIGKILL}}, dead: map[int]bool{root: true}},
			want: ""},

		{name: "a child that is announced first", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Cloned, root), at(ptrace.EventStop, child)}, message: map[int]int{root: child}},
			want: "resume root; resume child"},
		{name: "a child that stops first", recording: recording{
			stops: []ptrace.Stop{at(ptrace.EventStop, child), at(ptrace.Cloned, root)}, message: map[int]int{root: child}},
			want: "resume child; resume root"},
		{name: "a child of a parent that died", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Cloned, root), at(ptrace.EventStop, thread), at(ptrace.Killed, thread), at(ptrace.EventStop, child)}, message: map[int]int{root: thread}},
			want: "resume root; resume thread; resume child"},
		{name: "a task that nobody announced makes a call", recording: recording{stops: []ptrace.Stop{at(ptrace.Seccomp, child)}},
			want: "kill root", err: "nobody announced"},
		{name: "a stop of a task that has died", recording: recording{stops: []ptrace.Stop{at(ptrace.Seccomp, other)}},
			want: ""},
		{name: "exec from another thread while the leader's signal is in hand", recording: recording{
			stops:   []ptrace.Stop{at(ptrace.Cloned, root), at(ptrace.EventStop, thread), {Kind: ptrace.SignalStop, TID: root, Signal: unix.SIGUSR1}, at(ptrace.Execed, root)},
			message: map[int]int{root: thread}, gone: map[ptrace.Kind]bool{ptrace.SignalStop: true}},
			want: "resume root; resume thread; resume root"},

		{name: "clone3 that is announced first", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root), at(ptrace.Cloned, root), at(ptrace.EventStop, child), at(ptrace.Syscall, root)},
			infos: map[int]ptrace.SyscallInfo{root: clone3}, memory: map[int][]byte{root: cloneArgs(0, 17)}, message: map[int]int{root: child}},
			want: "registers root; set registers root; resume to exit root; resume to exit root;" +
				"registers child; set registers child; resume child; registers root; set registers root; resume root"},
		{name: "clone3 that fails", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root), at(ptrace.Syscall, root)},
			infos: map[int]ptrace.SyscallInfo{root: clone3}, memory: map[int][]byte{root: cloneArgs(0, 17)}},
			want: "registers root; set registers root; resume to exit root; registers root; set registers root; resume root"},
		{name: "a child that stops while a clone3 fails", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root), at(ptrace.EventStop, child), at(ptrace.Syscall, root)},
			infos: map[int]ptrace.SyscallInfo{root: clone3}, memory: map[int][]byte{root: cloneArgs(0, 17)}},
			want: "registers root; set registers root; resume to exit root; resume child; registers root; set registers root; resume root"},
		{name: "clone3 whose child stops first", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root), at(ptrace.EventStop, child), at(ptrace.Cloned, root)},
			infos: map[int]ptrace.SyscallInfo{root: clone3}, memory: map[int][]byte{root: cloneArgs(0, 17)}, message: map[int]int{root: child}},
			want: "registers root; set registers root; resume to exit root;" +
				"registers child; set registers child; resume child; resume to exit root"},
		{name: "clone3 whose caller dies before it is announced", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Cloned, root), at(ptrace.EventStop, thread), at(ptrace.Seccomp, thread), at(ptrace.EventStop, child), at(ptrace.Killed, thread)},
			infos: map[int]ptrace.SyscallInfo{thread: clone3}, memory: map[int][]byte{thread: cloneArgs(0, 17)}, message: map[int]int{root: thread}},
			want: "resume root; resume thread; registers thread; set registers thread; resume to exit thread; resume child"},
		{name: "clone3 for a user namespace", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root)},
			infos: map[int]ptrace.SyscallInfo{root: clone3}, memory: map[int][]byte{root: cloneArgs(unix.CLONE_NEWUSER, 17)}},
			want: "return -13 from root; resume root"},
		{name: "clone3 with a bad pointer", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root)}, infos: map[int]ptrace.SyscallInfo{root: clone3}},
			want: "return -14 from root; resume root"},
		{name: "clone untraced", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Seccomp, root)}, infos: map[int]ptrace.SyscallInfo{root: call("clone", unix.CLONE_UNTRACED|17)}},
			want: "registers root; set registers root; resume to exit root"},

		{name: "exec from another thread", recording: recording{
			stops:   []ptrace.Stop{at(ptrace.Cloned, root), at(ptrace.EventStop, thread), at(ptrace.Execed, root), {Kind: ptrace.Exited, TID: thread}},
			message: map[int]int{root: thread}},
			want: "resume root; resume thread; resume root"},
		{name: "the command ends and its daemon with it", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Cloned, root), at(ptrace.EventStop, child), {Kind: ptrace.Exited, TID: root, Status: 3},
				at(ptrace.EventStop, other), {Kind: ptrace.Killed, TID: child, Signal: unix.SIGKILL}},
			message: map[int]int{root: child}},
			want: "resume root; resume child; kill child"},
		{name: "a child that died before it was announced", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Killed, other), at(ptrace.Cloned, root), at(ptrace.Exited, root)}, message: map[int]int{root: other}},
			want: "resume root"},
		{name: "a thread that died as its leader in execve", recording: recording{
			stops: []ptrace.Stop{at(ptrace.Cloned, root), at(ptrace.EventStop, thread), at(ptrace.Exited, root)}, message: map[int]int{root: thread}},
			want: "resume root; resume thread"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := replay(t, &c.recording)
			got := byName(c.asked)
			want := strings.FieldsFunc(c.want, func(r rune) bool { return r == ';' })
			for i := range want {
				want[i] = strings.TrimSpace(want[i])
			}
			if !equalButKills(got, want) {
				t.Errorf("asked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if c.err == "" && s.err != nil || c.err != "" && (s.err == nil || !strings.Contains(s.err.Error(), c.err)) {
				t.Errorf("error %v, want %q", s.err, c.err)
			}
		})
	}
}

func forged(i ptrace.SyscallInfo) ptrace.SyscallInfo {
	i.Data = 99
	return i
}

func byName(asked []string) []string {
	names := strings.NewReplacer(fmt.Sprint(root), "root", fmt.Sprint(thread), "thread", fmt.Sprint(child), "child", fmt.Sprint(other), "other")
	out := make([]string, len(asked))
	for i, a := range asked {
		out[i] = names.Replace(a)
	}
	return out
}

// equalButKills compares what was asked; tasks are killed in any order.
func equalButKills(got, want []string) bool {
	kills := func(list []string) (rest, killed []string) {
		for _, a := range list {
			if strings.HasPrefix(a, "kill ") {
				killed = append(killed, a)
			} else {
				rest = append(rest, a)
			}
		}
		slices.Sort(killed)
		return rest, killed
	}
	gotRest, gotKilled := kills(got)
	wantRest, wantKilled := kills(want)
	return slices.Equal(gotRest, wantRest) && slices.Equal(gotKilled, wantKilled)
}

// FuzzLoop: whatever stops come, the loop neither panics nor goes on with a
// task that it has killed.
func FuzzLoop(f *testing.F) {
	f.Add([]byte{3, 0, 5, 1, 6, 2, 1, 0})
	f.Add([]byte("$00/uF\x9b_\xe4\x16h\xd2_.")) // a held task stops again
	f.Fuzz(func(t *testing.T, script []byte) {
		r := &recording{infos: map[int]ptrace.SyscallInfo{}, message: map[int]int{root: child, thread: other, child: thread},
			memory: map[int][]byte{root: cloneArgs(0, 17), thread: cloneArgs(unix.CLONE_NEWUSER, 0)}, dead: map[int]bool{other: true}}
		for i, name := range []string{"clone3", "mkdir", "clone", "rmdir"} {
			r.infos[root+i] = call(name, 0x1000, 64)
		}
		for i := 0; i+1 < len(script); i += 2 {
			r.stops = append(r.stops, ptrace.Stop{Kind: ptrace.Kind(script[i] % 11), TID: root + int(script[i+1]%4), Signal: unix.SIGSTOP})
		}
		replay(t, r)
		killed := map[string]bool{}
		for _, a := range r.asked {
			verb, tid, _ := cutLast(a)
			if verb == "kill" {
				killed[tid] = true
			} else if killed[tid] {
				t.Fatalf("%s after kill: %v", a, r.asked)
			}
		}
	})
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, ' ')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
