package supervisor

import (
	"testing"

	"callgate/supervisor/ptrace"

	"golang.org/x/sys/unix"
)

// FuzzNames: whatever stops come of tasks that name files, the loop neither
// panics nor loses count of who is in a call that rests on names, nor keeps
// pinned memory of the dead.
func FuzzNames(f *testing.F) {
	f.Add([]byte{3, 0, 4, 0, 3, 1, 4, 1, 3, 2, 1, 0})
	f.Add([]byte{6, 0, 4, 0, 3, 0, 4, 0, 3, 0, 4, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		const here = 1<<64 - 100
		r := &recording{message: map[int]int{root: child, thread: other, child: thread}, memory: map[int][]byte{}, dead: map[int]bool{},
			infos: map[int]ptrace.SyscallInfo{
				root:   call("renameat2", here, 0x1000, here, 0x1008, 0),
				thread: call("openat", here, 0x1000, unix.O_RDONLY),
				child:  call("newfstatat", here, 0x1008, 0x2000, 0),
				other:  call("utimensat", 3, 0, 0, 0),
			}}
		for tid := range r.infos {
			r.memory[tid] = []byte("/usr/a\x00\x00/proc/version\x00")
		}
		for i := 0; i+1 < len(script); i += 2 {
			r.stops = append(r.stops, ptrace.Stop{Kind: ptrace.Kind(script[i] % 11), TID: root + int(script[i+1]%4), Signal: unix.SIGSTOP})
		}
		s := namesRun(t)
		s.kernel = r
		s.loop()
		looking := 0
		for _, task := range s.tasks {
			if task.part == looks {
				looking++
			}
		}
		if s.order.looking != looking {
			t.Fatalf("%d calls are said to look at names, and %d do: %v", s.order.looking, looking, r.asked)
		}
		if len(s.tasks) == 0 && s.pins != (pins{}) {
			t.Fatalf("memory is pinned for nobody: %v", r.asked)
		}
	})
}
