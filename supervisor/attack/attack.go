// Package attack breaks out of a sandbox, harmlessly, where that can be done: it
// is what `callgate doctor --attack` runs. Everything that an attack aims at is a
// decoy of its own making (Ground): a file, a process, sockets, a terminal.
//
// An attack is tried twice, by a process each (Main): without a sandbox, where it
// must succeed on this machine or it would prove nothing, and in one. What counts
// is the evidence that the decoys give. A sandbox holds where there is none.
//
// # Files
//
//   - attack.go (the table), judge.go (what a policy denies)
//   - outside: ground.go, decoy.go, sockets.go, proof.go (the decoys), report.go
//   - within the sandbox: attacker.go, steps.go; memory_unsafe.go, entry_*.go
//     (the kernel's ways in)
//   - the attacks: tracer.go, ring.go, files.go, races.go, outside.go, network.go,
//     calls.go; those by other ABIs are in entry_amd64.go
//
// # Limits
//
// What an attack tries is what the table says, not all that could be tried: a
// sandbox that holds here holds these attacks, on this kernel, under this policy.
package attack

import "slices"

// Attack is one way out.
type Attack struct {
	Name   string
	What   string // in a few words
	Silent string // what holds it where no call fails
	// Terminal: it is about a terminal, which is to be the attacker's controlling one.
	Terminal bool
	// Traced: it can succeed only where there is a tracer, so that what shows it is
	// a sandbox that enforces nothing.
	Traced bool

	// permitted says why the policy lets the attacker have what it would get, so that
	// there is nothing to break; "" if it does not.
	permitted func(*Judge) string
	attempt   func(*attacker)
}

// Idle is no attack: its attacker starts and ends, which a policy may not even let it do.
var Idle = Attack{Name: "idle", What: "nothing", permitted: func(*Judge) string { return "" }, attempt: func(*attacker) {}}

// Permitted says why there is nothing for the attack to break under the judge's
// policy, "" if there is.
func (a *Attack) Permitted(j *Judge) string { return a.permitted(j) }

// Attacks is the table, in the order in which they are tried.
func Attacks() []Attack {
	return slices.Concat(aroundTheTracer, otherEntries, aroundFiles, races, outside, overNetwork, byCalls)
}
