package compile

import (
	"slices"

	"callgate/policy/abi"
)

// libseccomp (2.5.4, and by its source 2.6.1) writes a comparison that several
// calls of a filter make only once, and puts the load of the register before it
// only if the first that it finds jumping there has another one loaded
// (_gen_bpf_build_bpf in its src/gen_bpf.c, "do we need to reload the
// accumulator?"). In
//
//	read:     fd == 7 → ALLOW,               else fd & 1 == 0 → ALLOW
//	pread64:  fd == 7 → count == 0 → ALLOW,  else fd & 1 == 0 → ALLOW
//
// the last comparison is shared: read comes to it with fd loaded, pread64 from
// count == 0 with count, whose bits are then taken for fd's. With i386's ftruncate
// and ftruncate64, which has the length in two registers, one rule is enough for it.
// So calls that meet like this do not share a filter.

// comparison is one of 32 bits of a register, as programs make them.
type comparison struct {
	half        int // of all registers' halves: the lower one of register r is 2r
	mask, value uint32
}

// comparisons are what a cube takes, in libseccomp's order: of a wide register
// both halves.
func (c *cube) comparisons(wide bool) []comparison {
	var out []comparison
	for r, mask := range c.mask {
		if mask == 0 {
			continue
		}
		if wide {
			out = append(out, comparison{2*r + 1, uint32(mask >> 32), uint32(c.value[r] >> 32)})
		}
		out = append(out, comparison{2 * r, uint32(mask), uint32(c.value[r])})
	}
	return out
}

// follower is a comparison that a call may make behind another of the same half,
// relying on what that has loaded.
type follower struct {
	comparison
	gone bool // the other may hold and lead on to another register
}

// followersOf are those of a call with these cubes, and perhaps some more.
func followersOf(cubes []cube, wide bool) []follower {
	var all []follower // every comparison, and whether its cube has more behind it
	for i := range cubes {
		list := cubes[i].comparisons(wide)
		for j, c := range list {
			if f := (follower{c, j < len(list)-1}); !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	var out []follower
	for _, first := range all {
		for _, c := range all {
			behind := c.half == first.half && c.mask != 0 && c.mask&^first.mask == 0 && c.comparison != first.comparison
			if f := (follower{c.comparison, first.gone}); behind && !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
	}
	return out
}

// clash says whether calls with these followers must not be in one filter.
func clash(a, b []follower) bool {
	return slices.ContainsFunc(a, func(f follower) bool {
		return slices.Contains(b, follower{f.comparison, !f.gone})
	})
}

// wide says whether programs compare both halves of an audit arch's registers.
func wide(audit uint32) bool { return audit != abi.AuditI386 }
