package compile

import "golang.org/x/sys/unix"

// lean is a program without the comparisons that libseccomp makes in vain: for a
// masked comparison of a register of which one half does not count, it asks
// whether no bit of that half is one. That is a fifth of a filter, of which a call
// that is not allowed whatever its arguments would run its part each time.
func lean(p Program) Program {
	into := make([]bool, len(p)) // where jumps lead
	for i := range p {
		for _, to := range targets(p, i) {
			into[to] = true
		}
	}
	gone := make([]bool, len(p))
	for i := 0; i+3 < len(p); i++ {
		if vain(p[i:]) && !into[i+1] && !into[i+2] && refills(p, i+3+int(p[i+2].Jt)) {
			gone[i], gone[i+1], gone[i+2] = true, true, p[i+2].Jt == 0
			if !gone[i+2] {
				p[i+2] = jump(int(p[i+2].Jt))
			}
		}
	}
	return without(p, gone)
}

// vain says whether a program begins by asking whether no bit of a word is one.
func vain(p Program) bool {
	return p[0].Code == unix.BPF_LD|unix.BPF_W|unix.BPF_ABS &&
		p[1].Code == unix.BPF_ALU|unix.BPF_AND|unix.BPF_K && p[1].K == 0 &&
		p[2].Code == unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K && p[2].K == 0
}

// refills says whether nothing needs the accumulator at an instruction.
func refills(p Program, at int) bool {
	return at < len(p) && (p[at].Code == unix.BPF_LD|unix.BPF_W|unix.BPF_ABS || p[at].Code == unix.BPF_RET|unix.BPF_K)
}

// targets is where a jump may lead, nothing for another instruction.
func targets(p Program, at int) []int {
	in := &p[at]
	switch {
	case in.Code&7 != unix.BPF_JMP:
		return nil
	case in.Code == unix.BPF_JMP|unix.BPF_JA:
		return []int{at + 1 + int(in.K)}
	}
	return []int{at + 1 + int(in.Jt), at + 1 + int(in.Jf)}
}

// without leaves instructions out. A jump to one leads to the next that is there.
func without(p Program, gone []bool) Program {
	at := make([]int, len(p)+1) // of each instruction, in what is left
	for i := range p {
		at[i+1] = at[i]
		if !gone[i] {
			at[i+1]++
		}
	}
	out := make(Program, 0, at[len(p)])
	for i, in := range p {
		if gone[i] {
			continue
		}
		switch to := targets(p, i); len(to) {
		case 1:
			in.K = uint32(at[to[0]] - at[i] - 1)
		case 2:
			in.Jt, in.Jf = uint8(at[to[0]]-at[i]-1), uint8(at[to[1]]-at[i]-1)
		}
		out = append(out, in)
	}
	return out
}
