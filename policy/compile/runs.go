package compile

// runs is a plan's programs on one number. Calls of a number differ in their
// arguments alone, and up to its first look at one a program does the same for
// all of them: it is run that far once, and from there for each call.
type runs struct {
	programs []paused
	data     words
	looked   bool   // any program looks at arguments
	common   uint32 // the answer of those that do not
}

// paused is a program before its first look at an argument.
type paused struct {
	machine machine
	seen    []bool // the instructions executed, nil if nobody asks
	looks   bool   // it does look; else it has answered
	at      standing
	scratch [16]uint32
	stores  bool   // it uses scratch memory
	answer  uint32 // the last
}

// newRuns has the programs stand at their beginnings.
func newRuns(machines []machine, seen [][]bool) *runs {
	r := &runs{programs: make([]paused, len(machines))}
	for i, m := range machines {
		p := &r.programs[i]
		p.machine, p.stores, p.looks = m, m.stores(), true
		if seen != nil {
			p.seen = seen[i]
		}
	}
	return r
}

func (m machine) stores() bool {
	for i := range m {
		if m[i].op == opStore || m[i].op == opStoreX {
			return true
		}
	}
	return false
}

// asksWhence says whether the program looks at the instruction pointer.
func (m machine) asksWhence() bool {
	for i := range m {
		if m[i].op == opLoad && m[i].k > wordArch && m[i].k < wordArgs {
			return true
		}
	}
	return false
}

// take runs the programs up to their first look at an argument.
func (r *runs) take(audit, nr uint32) {
	r.data, r.looked = words{wordNr: nr, wordArch: audit}, false
	for i := range r.programs {
		p := &r.programs[i]
		p.at = standing{}
		done := false
		p.answer, done = p.machine.advance(&p.at, &p.scratch, &r.data, wordArch, p.seen)
		p.looks = !done
		r.looked = r.looked || !done
	}
	if !r.looked {
		r.common = r.strongest()
	}
}

// answer is what the kernel answers to a call of the number.
func (r *runs) answer(args *[6]uint64) uint32 {
	if !r.looked {
		return r.common
	}
	r.data.arguments(args)
	for i := range r.programs {
		if p := &r.programs[i]; p.looks {
			p.resume(&r.data)
		}
	}
	return r.strongest()
}

func (p *paused) resume(d *words) {
	from := p.at
	if !p.stores {
		p.answer, _ = p.machine.advance(&from, &p.scratch, d, wordLast, p.seen)
		return
	}
	scratch := p.scratch
	p.answer, _ = p.machine.advance(&from, &scratch, d, wordLast, p.seen)
}

// strongest is what the kernel makes of the programs' answers: see strongest
// in plan.go.
func (r *runs) strongest() uint32 {
	action := uint32(retAllow)
	for i := len(r.programs) - 1; i >= 0; i-- {
		action = stronger(r.programs[i].answer, action)
	}
	return action
}
