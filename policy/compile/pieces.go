package compile

import (
	"fmt"
	"slices"

	"callgate/policy"
	"callgate/policy/abi"

	seccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Pieces divides a number's calls by what one policy says of them, for policy/foreign:
// sets of arguments with another verdict than def, as bits of the registers. They overlap
// only where their verdicts are the same. False: that takes more than a filter is given.
func Pieces(p *policy.Policy, arch abi.Arch, nr uint32, def policy.Verdict) ([]policy.Piece, bool) {
	parts, ok := partitionOf(policy.Set{p}, arch, nr)
	if !ok {
		return nil, false
	}
	if !same(&parts.rest, &def) {
		rest, ok := subtractAll(everything(), parts.where(func(v *policy.Verdict) bool { return !same(v, &parts.rest) }), maxCubes)
		if !ok {
			return nil, false
		}
		for _, c := range rest {
			parts.pieces = append(parts.pieces, piece{c, parts.rest})
		}
	}
	var out []policy.Piece
	for i := range parts.pieces {
		if one := &parts.pieces[i]; !same(&one.verdict, &def) {
			out = append(out, policy.Piece{Mask: one.cube.mask, Value: one.cube.value, Verdict: one.verdict})
		}
	}
	return out, true
}

// Clash says whether libseccomp compiles rules on two calls wrongly if one filter has both,
// each given by its Pieces (see shared.go).
func Clash(audit uint32, a, b []policy.Piece) bool {
	return clash(followersOf(cubesOf(a), wide(audit)), followersOf(cubesOf(b), wide(audit)))
}

func cubesOf(pieces []policy.Piece) []cube {
	list := make([]cube, len(pieces))
	for i := range pieces {
		list[i] = cube{pieces[i].Mask, pieces[i].Value}
	}
	return list
}

// Misread has libseccomp compile rules as a container runtime would, names[i] being what
// pieces[i] is about, and gives the names whose calls the filter answers otherwise than the
// rules do. Rules must come in the order in which the runtime will add them.
func Misread(def policy.Verdict, arches []abi.Arch, names []string, pieces []policy.Piece) ([]string, error) {
	f, err := seccomp.NewFilter(profileAct(def))
	if err != nil {
		return nil, fmt.Errorf("seccomp_init: %w", err)
	}
	defer f.Release()
	for _, arch := range arches {
		if err := f.AddArch(scmpArch(arch)); err != nil {
			return nil, fmt.Errorf("seccomp_arch_add %v: %w", arch, err)
		}
	}
	var wrong []string
	for i, name := range names {
		call, err := seccomp.GetSyscallFromName(name)
		if err != nil || profileAnswer(pieces[i].Verdict) == profileAnswer(def) {
			continue // a runtime leaves both out too
		}
		if err := addPiece(f, call, &pieces[i]); err != nil && !slices.Contains(wrong, name) {
			wrong = append(wrong, name)
		}
	}
	m, err := exported(f)
	if err != nil {
		return nil, err
	}
	of := map[string][]policy.Piece{}
	for i, name := range names {
		of[name] = append(of[name], pieces[i])
	}
	for name, list := range of {
		for _, arch := range arches {
			if !slices.Contains(wrong, name) && misread(m, def, arch, name, list) {
				wrong = append(wrong, name)
			}
		}
	}
	slices.Sort(wrong)
	return wrong, nil
}

func scmpArch(a abi.Arch) seccomp.ScmpArch {
	switch a {
	case abi.I386:
		return seccomp.ArchX86
	case abi.X32:
		return seccomp.ArchX32
	case abi.AArch64:
		return seccomp.ArchARM64
	}
	return seccomp.ArchAMD64
}

// profileAnswer is what a profile's filter answers for a verdict, which an OCI profile can
// give.
func profileAnswer(v policy.Verdict) uint32 {
	switch v.Action {
	case policy.Allow:
		return retAllow
	case policy.Log:
		return unix.SECCOMP_RET_LOG
	case policy.Kill:
		return retKill
	}
	return unix.SECCOMP_RET_ERRNO | uint32(v.Errno)
}

func profileAct(v policy.Verdict) seccomp.ScmpAction {
	if v.Action == policy.Log {
		return seccomp.ActLog
	}
	return scmpAction(profileAnswer(v))
}

func addPiece(f *seccomp.ScmpFilter, call token, p *policy.Piece) error {
	conds, err := conditions(&cube{p.Mask, p.Value})
	switch {
	case err != nil:
		return err
	case len(conds) == 0:
		return f.AddRule(call, profileAct(p.Verdict))
	}
	return f.AddRuleConditional(call, profileAct(p.Verdict), conds)
}

func exported(f *seccomp.ScmpFilter) (machine, error) {
	e, err := newExporter()
	if err != nil {
		return nil, err
	}
	defer e.close()
	program, err := e.export(f)
	if err != nil {
		return nil, err
	}
	return decode(program)
}

// misread asks the filter about the edges of all pieces of a call.
func misread(m machine, def policy.Verdict, arch abi.Arch, name string, pieces []policy.Piece) bool {
	s, ok := arch.ByName(name)
	if nr, err := seccomp.GetSyscallFromNameByArch(name, scmpArch(arch)); !ok || err != nil || uint32(nr)&^abi.X32Bit != s.Nr&^abi.X32Bit {
		return false
	}
	cubes := cubesOf(pieces)
	right := true
	for i := range cubes {
		cubes[i].corners(0, 1, func(args *[6]uint64) bool {
			want := profileAnswer(def)
			for j := range cubes {
				if cubes[j].contains(args) {
					want = profileAnswer(pieces[j].Verdict)
					break
				}
			}
			d := seccompData(arch.Audit(), s.Nr, args)
			got, _ := m.run(&d, nil)
			right = right && got == want
			return right
		})
	}
	return !right
}
