package supervisor

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// output counts what the command writes to its standard output and error: pipes in
// their place, from which it is passed on. Terminals are left to the command.
type output struct {
	most    int64
	passed  atomic.Int64
	over    func(used int64)
	pipes   []*pipe
	started bool
	waiting sync.WaitGroup
}

// pipe is one that stands for a file of the caller's.
type pipe struct {
	from, to int // its reading end; a duplicate of the caller's descriptor
	far      *os.File
	woken    [2]int // a pipe: a byte says that all writers of the sandbox's are gone
}

// meter puts pipes in place of those of files that are standard output and error.
func meter(files []*os.File, most int64, over func(used int64)) (*output, []*os.File, error) {
	o := &output{most: most, over: over}
	if most == 0 {
		return o, files, nil
	}
	out := append([]*os.File(nil), files...)
	for i := 1; i < len(files) && i <= 2; i++ {
		if files[i] == nil || isTerminal(files[i]) {
			continue
		}
		if i == 2 && out[1] != files[1] && sameFile(files[1], files[2]) {
			out[2] = out[1] // one pipe keeps the order
			continue
		}
		p, err := newPipe(files[i])
		if err != nil {
			return o, nil, fmt.Errorf("a pipe for the limit on output: %w", err)
		}
		o.pipes = append(o.pipes, p)
		out[i] = p.far
	}
	return o, out, nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// kcmpFile is KCMP_FILE of linux/kcmp.h: one open file description.
const kcmpFile = 0

func sameFile(a, b *os.File) bool {
	pid := uintptr(os.Getpid())
	n, _, errno := unix.Syscall6(unix.SYS_KCMP, pid, pid, kcmpFile, a.Fd(), b.Fd(), 0)
	return errno == 0 && n == 0
}

func newPipe(to *os.File) (*pipe, error) {
	var ends, woken [2]int
	dup, err := unix.FcntlInt(to.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		unix.Close(dup)
		return nil, err
	}
	if err := unix.Pipe2(woken[:], unix.O_CLOEXEC); err != nil {
		unix.Close(dup)
		unix.Close(ends[0])
		unix.Close(ends[1])
		return nil, err
	}
	return &pipe{from: ends[0], to: dup, far: os.NewFile(uintptr(ends[1]), "pipe"), woken: woken}, nil
}

// start begins to pass on, once the command has its ends.
func (o *output) start() {
	o.started = true
	for _, p := range o.pipes {
		p.far.Close()
		o.waiting.Add(1)
		go o.pass(p)
	}
}

// end passes on what is left, and gives the pipes back. After that time nobody is
// waited for who does not read; 0 is for ever.
func (o *output) end(patience time.Duration) {
	for _, p := range o.pipes {
		p.far.Close()
		unix.Close(p.woken[1])
		if !o.started {
			p.close()
		}
	}
	if patience == 0 {
		o.waiting.Wait()
		return
	}
	done := make(chan struct{})
	go func() {
		o.waiting.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
	}
}

// pass is a goroutine of its own for each pipe.
func (o *output) pass(p *pipe) {
	defer o.waiting.Done()
	defer p.close()
	buf := make([]byte, 64<<10)
	for p.await() {
		n, err := unix.Read(p.from, buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return
		}
		if !o.forward(p.to, buf[:n]) {
			return // nobody takes it: the command gets SIGPIPE, as without callgate
		}
	}
}

func (p *pipe) close() {
	for _, fd := range []int{p.from, p.to, p.woken[0]} {
		unix.Close(fd)
	}
}

// await says whether there is more to read.
func (p *pipe) await() bool {
	for {
		ready := []unix.PollFd{{Fd: int32(p.from), Events: unix.POLLIN}, {Fd: int32(p.woken[0])}}
		_, err := unix.Poll(ready, -1)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return false
		case ready[0].Revents&unix.POLLIN != 0:
			return true
		default: // no writer is left, or none of the sandbox's
			return false
		}
	}
}

// forward writes as much of text as the limit leaves.
func (o *output) forward(to int, text []byte) bool {
	n := int64(len(text))
	sum := o.passed.Add(n)
	if over := sum - o.most; over > 0 {
		o.over(sum)
		text = text[:max(n-over, 0)]
	}
	for len(text) > 0 {
		n, err := unix.Write(to, text)
		switch err {
		case nil:
			text = text[n:]
		case unix.EINTR:
		case unix.EAGAIN: // the caller's is not to block
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(to), Events: unix.POLLOUT}}, -1); err != nil && err != unix.EINTR {
				return false
			}
		default:
			return false
		}
	}
	return true
}
