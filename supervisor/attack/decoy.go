package attack

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is the decoy process: it has what is secret in its memory and environment and a
// file of it open, and ends with whoever started it.
type process struct {
	pid     int
	address uint64
	stdin   *os.File
	ended   chan error
}

// decoyFD is the descriptor that the decoy has open on what is secret.
const decoyFD = 3

// startProcess starts program, which is to call Main, as a decoy in a folder. A thread is
// its parent that does nothing else: supervisor.Run waits for all children of its own.
func startProcess(program, folder, secret string, file *os.File) (*process, error) {
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdout, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, in.Close(), stdin.Close())
	}
	defer stdout.Close()
	cmd := exec.Command(program)
	cmd.Args = []string{Program, Command, decoyWord}
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.ExtraFiles = folder, in, out, []*os.File{file}
	cmd.Env = []string{"SECRET=" + secret}
	p := &process{stdin: stdin, ended: make(chan error, 1)}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- errors.Join(err, in.Close(), out.Close())
		if err == nil {
			p.ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, stdin.Close())
	}
	p.pid = cmd.Process.Pid
	if _, err = io.WriteString(stdin, secret+"\n"); err == nil {
		_, err = fmt.Fscan(stdout, &p.address)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the decoy process says nothing: %w", err), p.end())
	}
	return p, nil
}

// end has it end, as it does when nobody holds its standard input any more.
func (p *process) end() error {
	if err := p.stdin.Close(); err != nil {
		return err
	}
	return <-p.ended
}

// beDecoy is the process: it reads what is secret from standard input, says where in
// its memory that is, and waits for the end of standard input.
func beDecoy() error {
	signal.Ignore(syscall.SIGUSR1)
	_ = unix.Prctl(unix.PR_SET_PTRACER, ^uintptr(0), 0, 0, 0) // PR_SET_PTRACER_ANY: Yama is not to hide a gap of ours
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s: %w", Command, err)
	}
	memory, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("%s: mmap: %w", Command, err)
	}
	copy(memory, bytes.TrimSpace(line))
	if _, err := fmt.Println(addressOf(memory)); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// newSecret is what nobody guesses.
func newSecret() string { return "secret-" + rand.Text() }
