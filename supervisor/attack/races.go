package attack

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var races = []Attack{
	{Name: "race-name", What: "a thread flips a letter of a name, between a permitted folder and the decoy", permitted: wantsRace, attempt: raceName},
	{Name: "race-program", What: "the same of a program that is executed", permitted: func(j *Judge) string {
		if why := wantsProgram(j); why != "" {
			return why
		}
		switch {
		case j.denies([]string{"execveat"}):
			return "the policy permits to execute nothing"
		case j.targets.Programs == "":
			return "the policy permits no folder of programs to race with"
		}
		return ""
	}, attempt: raceProgram},
	{Name: "race-link", What: "a thread exchanges a folder and a link to the decoy's", permitted: wantsYard, attempt: raceLink},
}

// race makes attempts while another thread flips something, and says how they ended.
// Where it has not seen both sides yet it goes on, up to patience times as long: without a
// thread on another processor there was no race.
func (a *attacker) race(flip func(), patience int, what string, attempt func() (won bool, err unix.Errno)) {
	flipping := make(chan bool)
	go func() {
		runtime.LockOSThread()
		close(flipping)
		for {
			flip()
		}
	}()
	<-flipping
	var done, refused int
	var last unix.Errno
	for n := 0; n < a.Tries || n < patience*a.Tries && (done == 0 || refused == 0); n++ {
		if n%oneSided == oneSided-1 && (done == 0 || refused == 0) {
			time.Sleep(time.Millisecond) // on a busy machine the other thread may not have run yet
		}
		won, errno := attempt()
		switch {
		case won:
			a.tell()
			return
		case errno != 0:
			refused, last = refused+1, errno
		default:
			done++
		}
	}
	if last != 0 {
		a.failed(what, last)
	}
	a.say(fmt.Sprintf("tries %d %d", done+refused, done))
}

// oneSided is how many attempts that all ended alike show that there is no race.
const oneSided = 200

// patient is a race's patience where one can see both sides.
const patient = 20

// wantsRace is wantsFile where there is a folder to go to and fro.
func wantsRace(j *Judge) string {
	if why := wantsFile(j); why != "" {
		return why
	}
	if j.targets.from() == "" {
		return "the policy permits no folder to race with"
	}
	return ""
}

// from is a folder that the goal's call is permitted on.
func (t *Targets) from() string {
	if t.Goal == Read {
		return t.Permitted
	}
	return t.Yard
}

// hole puts a name that is one moment a folder's and the next, by way of that, another
// file's.
func (a *attacker) hole(folder, file string) (name uintptr, flip func()) {
	folder = strings.TrimSuffix(folder, "/")
	up := strings.Repeat("/..", strings.Count(folder, "/"))
	if folder == "" {
		folder = "/."
	}
	return a.mem.hole(folder+"/"+strings.TrimPrefix(up+file, "/"), len(folder))
}

// raceName has a name be that of a permitted folder, and with a slash for its end that
// of the decoy, by way of that folder.
func raceName(a *attacker) {
	to := a.secret()
	call := [6]uintptr{cwd, 0, unix.O_RDONLY}
	nr, what := uintptr(unix.SYS_OPENAT), "openat"
	if a.Goal != Read { // a folder cannot be opened to be written, but be made
		to, call[2] = a.Folder+"/"+madeName, 0o700
		nr, what = unix.SYS_MKDIRAT, "mkdirat"
	}
	name, flip := a.hole(a.from(), to)
	call[1] = name
	a.race(flip, patient, what, func() (bool, unix.Errno) {
		got := bySyscall(nr, &call)
		if got.errno == unix.EEXIST { // the permitted one
			return false, 0
		}
		if got.errno != 0 || a.Goal != Read {
			return got.errno == 0, got.errno
		}
		n := bySyscall(unix.SYS_READ, &[6]uintptr{got.value, a.found, textBytes})
		unix.Close(int(got.value))
		return n.errno == 0, 0 // a folder cannot be read so
	})
}

// raceProgram has children execute a name that is a folder's or that of the program
// that is denied.
func raceProgram(a *attacker) {
	name, flip := a.hole(a.Programs, a.Folder+"/"+programName)
	argv := a.mem.words(a.mem.text(programName), 0)
	steps := []step{{name: "execveat", nr: unix.SYS_EXECVEAT, args: [6]uintptr{cwd, name, argv, argv + 8}}}
	seen := a.mem.at(a.mem.room(8), 8)
	call := birth(0)
	a.Tries = min(a.Tries, mostChildren)
	a.race(flip, 1, "execveat", func() (bool, unix.Errno) {
		seen[0] = 0
		pid, errno := a.born(&call, steps, seen)
		if errno != 0 {
			return false, errno
		}
		status, errno := a.wait(pid)
		if errno == 0 && status.ExitStatus() == passed {
			a.did("execveat")
			return true, 0
		}
		return false, max(errno, unix.Errno(seen[0]))
	})
}

// mostChildren are the tries of a race that makes a child for each.
const mostChildren = 300

// raceLink has a name in a folder that may be written be one of a file there, and by way
// of a link that of the decoy.
func raceLink(a *attacker) {
	at := a.Yard + "/"
	exchange := [6]uintptr{cwd, a.mem.text(at + racedFolder), cwd, a.mem.text(at + racedLink), unix.RENAME_EXCHANGE}
	name := a.mem.text(at + racedFolder + "/" + secretName)
	flags := uintptr(unix.O_RDONLY)
	if a.Goal != Read {
		flags = unix.O_WRONLY
	}
	changed := a.mem.text(changedText)
	flip := func() { bySyscall(unix.SYS_RENAMEAT2, &exchange) }
	if got := bySyscall(unix.SYS_RENAMEAT2, &exchange); got.errno != 0 {
		a.failed("renameat2", got.errno)
		return
	}
	a.race(flip, patient, "openat", func() (bool, unix.Errno) {
		got := bySyscall(unix.SYS_OPENAT, &[6]uintptr{cwd, name, flags})
		if got.errno != 0 {
			return false, got.errno
		}
		defer unix.Close(int(got.value))
		if a.Goal != Read {
			bySyscall(unix.SYS_WRITE, &[6]uintptr{got.value, changed, uintptr(len(changedText))})
			return false, 0 // the decoy tells
		}
		bySyscall(unix.SYS_READ, &[6]uintptr{got.value, a.found, textBytes})
		text := a.mem.at(a.found, textBytes)
		if strings.HasPrefix(string(text), harmlessText) {
			clear(text)
			return false, 0
		}
		return true, 0
	})
}

// Names in the yard of what raceLink exchanges, and what the file there says.
const (
	racedFolder  = "folder"
	racedLink    = "way"
	harmlessText = "harmless"
)
