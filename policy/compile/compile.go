// Package compile turns policies into a plan: what the kernel's filter decides
// by itself, and what the supervisor must be asked. It is the only importer of
// libseccomp, and it proves every filter against policy.Set.Decide before it
// lets anyone install it.
//
// A call travels through the package like this: the policies' clauses on its
// number become cubes of arguments (view.go, partition.go), the cubes become
// sets of arguments with one kernel answer each (group.go), the sets become
// rules in as few stacked filters as hold them (layer.go), libseccomp compiles
// each filter (seccomp.go, lean.go) behind a short prologue of ours (prologue.go),
// they become one again where that answers the same (weld.go), and the programs are followed along every way that a call can take through them,
// or run, and held against the reference (ways.go, run.go, proof.go). A call whose
// conditions are answered wrongly is traced, and all is proven again. Programs that
// were made earlier skip all but the last step (ready.go).
//
// What the sections files, exec and network permit becomes one Landlock ruleset
// (ruleset.go, sections.go, domain.go), wider than they are where Landlock
// cannot say it, never narrower but for what is below.
//
// # Limits
//
// A call whose conditions take more than 128 comparisons of a register, or more
// than 128 cubes to work out, is traced, and so is what fails with errno 4095,
// the one that libseccomp does not take. Under the i386
// ABI, calls that libseccomp has no name for, and those that it would turn into
// rules on socketcall and ipc, are told apart by number only. Numbers 335
// (uretprobe) and 336 (uprobe) go around seccomp on recent x86-64 kernels
// (seccomp_uprobe_exception in kernel/seccomp.c): no filter can hold
// them, and none needs to, since they raise SIGILL outside of the kernel's own
// trampolines.
//
// Landlock's rules are on files, not on names. A file or folder keeps what was
// granted to it when someone outside of the sandbox moves it, and has it under
// its other names too: hard links, bind mounts. What was missing when the
// ruleset was made stays denied when someone outside makes it, unless a folder
// above it was granted. A ruleset with rights on files forbids mount(2) and its
// like; before Landlock ABI 6 every ruleset has some, and with ABI 1 no file
// moves between folders.
package compile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"callgate/policy"
	"callgate/policy/abi"

	"golang.org/x/sys/unix"
)

// TraceData is the 16 bits that our filters give with SECCOMP_RET_TRACE. They
// are a hint, never a fact: a tracee's own filter can say the same.
const TraceData = 0x0ca1

// KillNr is a number, in every ABI's table unused, that the filter answers
// with SECCOMP_RET_KILL_PROCESS. The supervisor writes it over a call's number
// to have the kernel kill the process by SIGSYS: after a seccomp stop the
// filter runs again on what the tracer left (seccomp(2), SECCOMP_RET_TRACE).
const KillNr = 0x3ffffff0

// Options says what, beside the policies, decides which calls need a stop.
type Options struct {
	// Report sends what is denied, skipped or killed to the supervisor, so that
	// it can be told; without it the filter answers where it can.
	Report bool
	// Births sends every call that makes a task to the supervisor, which counts
	// them for a limit on processes.
	Births bool
	// Sections is the set, bound to the place where it is to hold.
	Sections *policy.Sections
	// Holders say who enforces the sections, and Landlock what of it is the
	// kernel's part (Enforce).
	Holders  Holders
	Landlock Landlock
	// Ready are programs that Compile may have made of the same policies before,
	// with the same Report and Holders. They spare the time of compiling: where the proof
	// accepts them they are the plan's, else the policies are compiled. They need
	// not be trusted.
	Ready []Program
	// Before is a plan of Compile's, or nil. Where it was made for policies that decide calls
	// alike (policy.Set.SameCalls), with the same Report, Births and Holders, its programs
	// are proven, and are the plan's.
	Before *Plan
}

// Plan is what a sandbox is started with.
type Plan struct {
	Set policy.Set
	// Filters are to be installed in this order; the kernel takes the most
	// restrictive answer of all.
	Filters []Program
	one     Program // the same as one, if they can be (weld.go)

	opts     Options
	machines []machine // Filters, decoded
	inexact  []inexact
	hinges   bool // the proof took what is known of how Filters were compiled
}

// Sections decides by what arguments point to; nil where no policy has such a
// section.
func (p *Plan) Sections() *policy.Sections { return p.opts.Sections }

// Holders say who enforces the plan's sections.
func (p *Plan) Holders() Holders { return p.opts.Holders }

// Landlock is what the kernel enforces of the plan's sections; without any it is
// the zero value.
func (p *Plan) Landlock() Landlock { return p.opts.Landlock }

// Reports says whether what is denied is sent to the supervisor, to be told.
func (p *Plan) Reports() bool { return p.opts.Report }

// Births says whether tasks can be counted, as a limit on processes needs it.
func (p *Plan) Births() bool { return p.opts.Births }

// Program is a classic BPF program as struct sock_fprog wants it.
type Program []unix.SockFilter

// Compile makes the plan for policies, and proves it. An error means that no
// filter could be made that is right: nothing may be started.
func Compile(set policy.Set, opts Options) (*Plan, error) {
	before := opts.Before
	opts.Before = nil // not the one before that, and so on
	if before != nil && before.serves(set, &opts) {
		return &Plan{Set: set, Filters: before.Filters, opts: opts, machines: before.machines, inexact: before.inexact}, nil
	}
	if len(set) > 0 && len(opts.Ready) > 0 {
		if plan, err := fromReady(set, opts); err == nil {
			return plan, nil
		}
	}
	plan, groups, err := build(set, opts)
	if err != nil {
		return nil, fmt.Errorf("compile the filter: %w", err)
	}
	return proven(plan, groups)
}

// proven is the plan, with one filter if that is as right, and with calls traced whose
// conditions turn out to be compiled wrongly.
func proven(plan *Plan, groups []*group) (*Plan, error) {
	if one, ok := plan.welded(groups); ok {
		return one, nil
	}
	err := prove(plan, groups, probesPerCall, nil)
	for bad := new(Counterexample); err != nil; err = prove(plan, groups, probesPerCall, nil) {
		if !errors.As(err, &bad) || !distrust(groups, &bad.Call) {
			return nil, fmt.Errorf("refusing to start: %w", err)
		}
		if plan, err = assemble(plan.Set, plan.opts, groups); err != nil {
			return nil, fmt.Errorf("compile the filter: %w", err)
		}
	}
	return plan, nil
}

// distrust traces a call that has conditions; false if it has none.
func distrust(groups []*group, bad *abi.Call) bool {
	for _, g := range groups {
		for _, p := range g.parts {
			at, found := slices.BinarySearchFunc(p.calls, bad.Nr, func(c call, nr uint32) int { return cmp.Compare(c.nr, nr) })
			if p.arch == bad.Arch && found && len(p.calls[at].sets) > 0 {
				p.calls[at].trace(wrong)
				return true
			}
		}
	}
	return false
}

// serves says whether the programs are what Compile would make for these.
func (p *Plan) serves(set policy.Set, opts *Options) bool {
	return p.opts.Report == opts.Report && p.opts.Births == opts.Births && p.opts.Holders == opts.Holders && p.Set.SameCalls(set)
}

// build makes the plan without proving it.
func build(set policy.Set, opts Options) (*Plan, []*group, error) {
	if len(set) == 0 {
		return nil, nil, errors.New("no policy")
	}
	groups := groupsOf(set, opts)
	plan, err := assemble(set, opts, groups)
	if errors.Is(err, errTooLong) {
		for _, g := range groups {
			g.coarsen()
		}
		plan, err = assemble(set, opts, groups)
	}
	return plan, groups, err
}

func assemble(set policy.Set, opts Options, groups []*group) (*Plan, error) {
	plan := &Plan{Set: set, opts: opts}
	e, err := newExporter()
	if err != nil {
		return nil, err
	}
	defer e.close()
	var all []*layer
	for i, g := range groups {
		layers := g.stack()
		if i == 0 && layers == nil { // the prologue of the host's own group speaks of all archs
			layers = []*layer{{group: g, program: Program(frontOf(groups, nil))}}
		}
		for _, l := range layers {
			if l.program == nil {
				if l.program, err = e.compile(groups, i, l); err != nil {
					return nil, err
				}
			}
			plan.Filters = append(plan.Filters, l.program)
		}
		all = append(all, layers...)
		plan.mark(g)
	}
	plan.one = weld(weldable(all))
	return plan, plan.decode()
}

// compile is the program of a layer of the groups' at-th.
func (e *exporter) compile(groups []*group, at int, l *layer) (Program, error) {
	var front prologue
	switch {
	case l.first && at == 0:
		front = frontOf(groups, l)
	case l.first:
		front = frontOfOther(l)
	case l.selects():
		front = selector(l)
	}
	body, err := e.body(l)
	return append(Program(front), body...), err
}

// mark notes the calls that are traced more than their verdicts need.
func (p *Plan) mark(g *group) {
	for _, part := range g.parts {
		for i := range part.calls {
			if c := &part.calls[i]; c.why != "" {
				p.inexact = append(p.inexact, inexact{part.arch, c.nr, c.why})
			}
		}
	}
}

// decode checks the programs as the kernel will.
func (p *Plan) decode() error {
	total := 0
	for i, f := range p.Filters {
		m, err := decode(f)
		if err != nil {
			return fmt.Errorf("filter %d of %d: %w", i+1, len(p.Filters), err)
		}
		p.machines = append(p.machines, m)
		total += len(f) + filterPenalty
	}
	if total > maxTotalInsns {
		return fmt.Errorf("%w: %d instructions in all filters, the kernel takes %d", errTooLong, total, maxTotalInsns)
	}
	p.closeLast()
	return nil
}

// closeLast puts a filter that forbids to install another behind the others: the
// first stage installs one after the other.
func (p *Plan) closeLast() {
	entry, ok := abi.Native().ByName("seccomp")
	if !ok {
		return
	}
	install := seccompData(entry.Arch.Audit(), entry.Nr, &[6]uint64{unix.SECCOMP_SET_MODE_FILTER})
	last := len(p.machines) - 1
	for i := range p.machines[:max(last, 0)] {
		switch answer, _ := p.machines[i].run(&install, nil); answer {
		case retAllow, retTrace:
		default:
			p.machines[i], p.machines[last] = p.machines[last], p.machines[i]
			p.Filters[i], p.Filters[last] = p.Filters[last], p.Filters[i]
			return
		}
	}
}
