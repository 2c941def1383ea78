package attack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

// Goal is what is wanted of the decoy: the most harmless that the policy denies.
type Goal string

const (
	Read  Goal = "read it"
	Write Goal = "write to it"
	Make  Goal = "make a folder beside it"
	None  Goal = ""
)

// Targets are what an attacker is told: where the decoys are, never what is in them.
type Targets struct {
	Goal      Goal
	Folder    string // has the decoy, and whatever is made or taken there
	Yard      string // may be written to; "" if there is no such folder
	Permitted string // may be looked through; "" likewise
	Programs  string // has programs that may be run; "" likewise
	PID       int    // of a process
	FD        int    // of that process's, open on what is secret
	Address   uint64 // in its memory, of the same
	TCP, UDP  uint16 // ports of loopback, 0 where there are none
	Abstract  string // of a unix socket, "" likewise
	Types     bool   // standard input is a terminal where the attack asks for one
	Tries     int    // of a race
	Data      uint16 // what callgate's filters give with SECCOMP_RET_TRACE
	Alone     bool   // without a sandbox
}

// Names in Targets.Folder, and what a decoy says after it was written to.
const (
	secretName  = "secret"
	madeName    = "made"
	programName = "program"
	movedName   = "moved" // in the yard
	changedText = "changed"
)

// attacker is the process that attacks.
type attacker struct {
	Targets
	mem   *memory
	found uintptr // where steps put what they read
	// Masks of rt_sigprocmask(2): all signals, and room for what there was.
	allSignals, oldSignals uintptr
}

// Command is the word by which callgate's command line becomes Main.
const Command = "attacker"

// decoyWord is the argument that makes Main a decoy.
const decoyWord = "decoy"

// Arguments are those, after the program's name, that make the program an attacker.
func (a *Attack) Arguments(t Targets) ([]string, error) {
	text, err := json.Marshal(t)
	return []string{Command, a.Name, string(text)}, err
}

// Main is the process that attacks, or a decoy: args are what follows Command. What it
// tells on standard output is read by Report.
func Main(args []string) error {
	if len(args) == 1 && args[0] == decoyWord {
		return beDecoy()
	}
	if len(args) != 2 {
		return errors.New(Command + " is for callgate doctor to start")
	}
	a := &attacker{}
	if err := json.Unmarshal([]byte(args[1]), &a.Targets); err != nil {
		return fmt.Errorf("%s: %w", Command, err)
	}
	runtime.LockOSThread()
	runtime.GOMAXPROCS(4)  // a thread that waits in a raw call keeps its place
	debug.SetGCPercent(-1) // so that nothing stops the threads of a race
	for _, one := range append(Attacks(), Idle) {
		if one.Name == args[0] {
			return a.attack(&one)
		}
	}
	return fmt.Errorf("%s: there is no attack %q", Command, args[0])
}

func (a *attacker) attack(one *Attack) error {
	mem, err := mapMemory()
	if err != nil {
		return fmt.Errorf("%s: %w", Command, err)
	}
	a.mem, a.found = mem, mem.room(textBytes)
	a.allSignals, a.oldSignals = mem.words(^uintptr(0)), mem.room(8)
	a.say(beganLine)
	one.attempt(a)
	a.say(endedLine)
	os.Exit(0)
	return nil
}

// Lines of the report.
const (
	beganLine = "began"
	endedLine = "ended"
)

// failed tells of a call that gave an error.
func (a *attacker) failed(call string, err error) {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		a.say("failed " + call + " " + strconv.Quote(err.Error()))
		return
	}
	name := unix.ErrnoName(errno)
	if name == "" {
		name = "errno " + strconv.Itoa(int(errno))
	}
	a.say("failed " + call + " " + name)
}

// did tells of a call that succeeded where that is all there is to see.
func (a *attacker) did(what string) { a.say("did " + what) }

// each makes attempts one after the other until one succeeds.
func each(attempts ...func() bool) bool {
	for _, attempt := range attempts {
		if attempt() {
			return true
		}
	}
	return false
}
