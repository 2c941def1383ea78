package compile

// runs is a plan's programs on one number. Calls of a number differ in their
// arguments alone, and up to its first look at one a program does the same for
// all of them: it is run that far once, and from there for each call.
type runs struct {
	machines []machine
	seen     [][]bool // the instructions executed, by program; nil if nobody asks
	data     words
	paused   []standing // before the first look, by program
	answers  []uint32   // by program; those that look have the one to the last call
	looks    []bool     // by program
	looked   bool       // any does
}

func newRuns(machines []machine, seen [][]bool) *runs {
	n := len(machines)
	return &runs{machines: machines, seen: seen, paused: make([]standing, n), answers: make([]uint32, n), looks: make([]bool, n)}
}

// take runs the programs up to their first look at an argument.
func (r *runs) take(audit, nr uint32) {
	r.data, r.looked = words{wordNr: nr, wordArch: audit}, false
	for i, m := range r.machines {
		r.paused[i] = standing{}
		done := false
		r.answers[i], done = m.advance(&r.paused[i], &r.data, wordArch, r.seenBy(i))
		r.looks[i] = !done
		r.looked = r.looked || !done
	}
}

// answer is what the kernel answers to a call of the number: see strongest.
func (r *runs) answer(args *[6]uint64) uint32 {
	if r.looked {
		r.data.arguments(args)
		for i, m := range r.machines {
			if r.looks[i] {
				from := r.paused[i]
				r.answers[i], _ = m.advance(&from, &r.data, wordLast, r.seenBy(i))
			}
		}
	}
	action := uint32(retAllow)
	for i := len(r.answers) - 1; i >= 0; i-- {
		if restricts(r.answers[i], action) {
			action = r.answers[i]
		}
	}
	return action
}

func (r *runs) seenBy(program int) []bool {
	if r.seen == nil {
		return nil
	}
	return r.seen[program]
}
