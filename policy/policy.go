// Package policy is callgate's language: it loads, checks and merges policies,
// and decides calls by them. It is pure: it knows nothing of processes and
// makes no system call but to read the files that it is asked for.
//
// Decide is the reference. The filter and the supervisor are other ways to
// reach its verdicts, and are tested against it.
package policy

import (
	"sync"

	"callgate/policy/abi"
)

// Action is what a rule says, and what a verdict does. The order is that of
// restriction: the greatest wins where several policies speak.
type Action uint8

const (
	Allow Action = iota + 1
	Log          // allowed, and always recorded
	Ask          // somebody is asked: executed and recorded, or else fails with an errno
	Skip         // not executed; returns a value as if it had been
	Deny         // not executed; fails with an errno
	Kill         // the process dies by SIGSYS
)

// Position is a place in a policy's text.
type Position struct {
	File      string // as the user named it; "builtin:NAME" for shipped ones
	Line, Col int    // from 1
}

// Rule is one entry of a policy's `syscalls`, `files`, `exec` or `network`.
type Rule struct {
	Pos     Position
	Section Section
	Action  Action // Allow for `read`, `write`, `connect` and `bind`
	Errno   uint16 // Deny, Ask: what the call fails with
	Value   int64  // Skip: what the call returns
	Reason  string // shown to people, may be empty
	Quiet   bool   // Deny, Skip: recorded, but not told on the terminal
	Calls   []Name // of syscalls, in the order written

	args      []*arg    // conditions, as written; all must hold
	verb      verb      // of the other sections: what they have for an action
	patterns  []pattern // of files and exec
	addresses []address // of network
}

// Name is one name of a rule's list: a call or a "@group".
type Name struct {
	Pos  Position
	Text string
}

// Policy is one policy with all that it extends, loaded and found without a
// mistake.
type Policy struct {
	Name        string // as the user named it: a path or "builtin:NAME"
	Description string
	// Open says that there is no `syscalls` section: every call of an ABI that
	// Compat does not refuse is allowed.
	Open bool
	// CallsFrom are the files, of this one and what it extends, that say anything of
	// calls by their numbers (syscalls, default, errno, kernel, compat), in the order
	// in which their rules are tried. Shipped ones are "builtin:NAME".
	CallsFrom   []string
	Default     Action      // what no rule names: Deny, Kill, Ask, Log or Allow
	Errno       uint16      // what a denied call returns unless its rule says otherwise
	Kernel      abi.Version // calls newer than this get Default; zero: no such line
	Rules       []*Rule     // in the order in which they are tried: this file's, then what it extends
	Compat      Compat
	Limits      Limits // of each resource the tightest of this file and what it extends
	Environment Environment
	// Ceiling says that the caller's environment is not to widen what the policy permits:
	// $NAME stands for what the policy itself sets, and TMPDIR for a private folder.
	Ceiling bool
	Isolate Isolation  // what the sandbox is to have of its own
	Tests   []CallTest // of a Loader with Tests: this file's, not those of what it extends

	sections sections
	tables   [abi.AArch64 + 1]table // by ABI
	nameOnce sync.Once
	byName   map[string]int32 // the first of a name's links
	links    []link
}

// Compat says what becomes of calls through the other ABIs of an x86-64
// kernel.
type Compat struct{ I386, X32 CompatAction }

// CompatAction is Kill, Deny, or Same: the same rules, by name, in that ABI's
// table. The greatest restricts most.
type CompatAction uint8

const (
	CompatSame CompatAction = iota + 1
	CompatDeny
	CompatKill
)

// Environment says which variables of the caller's reach the command.
type Environment struct {
	// Limited is false where no `keep` says otherwise: all is kept.
	Limited bool
	Keep    []string          // names and globs
	Set     map[string]string // always set, whatever the caller's says
	// PrivateTmp asks for a TMPDIR of the run's own.
	PrivateTmp bool
}

// Clause is a rule as it bears on one entry of one ABI's table: names
// resolved, conditions bound to argument registers. It applies where all its
// conditions hold.
type Clause struct {
	Rule  *Rule
	Conds []Cond
}

// Cond asks one parameter's value to pass one of its tests (or, with Negate,
// none).
type Cond struct {
	Param  *abi.Param
	Negate bool
	Tests  []Test
}

// Test is one comparison of a value as Param.Value gives it.
type Test struct {
	Op TestOp
	// For a Range signed at the parameter's width if it is signed.
	A, B uint64
}

// TestOp is how a Test compares.
type TestOp uint8

const (
	Masked TestOp = iota + 1 // value&A == B; equality is A of all ones
	Range                    // A <= value <= B, both inclusive
)

// Verdict is what is to become of a call, and what decided it.
type Verdict struct {
	Action Action
	Errno  uint16 // Deny; Ask: where the answer is no
	Value  int64  // Skip
	// Policy is whose word it was; Rule the deciding rule, nil where none did
	// and Cause says what.
	Policy  *Policy
	Rule    *Rule
	Section Section // whose rule or default it is
	Cause   Cause
}

// Cause is why a verdict stands where no rule is its reason.
type Cause uint8

const (
	ByRule    Cause = iota
	ByDefault       // no rule names the call
	ByUnknown       // a number that the tables lack or that is newer than `kernel:`
	ByCompat        // the policy's `compat` line for that ABI
	ByForeign       // an ABI that callgate does not know
)

// Set is the policies that bear on one sandbox. The most restrictive verdict
// wins; of equal ones the first.
type Set []*Policy
