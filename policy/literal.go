package policy

import (
	"strconv"

	"callgate/policy/abi"
)

// Literal is a parameter's value as a policy has it.
func Literal(p *abi.Param, args *[6]uint64) string {
	v, bits := p.Value(args), p.Bits
	if p.Hi >= 0 || p.Shift > 0 {
		bits = 64
	}
	if p.Consts != nil {
		if s := p.Consts.Format(v, bits); p.Consts.Flags || s[0] < '0' || s[0] > '9' {
			return s
		}
	}
	switch {
	case p.Kind == abi.Mode && v > 0:
		return "0o" + strconv.FormatUint(v, 8)
	case p.Signed && v>>(bits-1)&1 == 1:
		return strconv.FormatInt(int64(v<<(64-bits))>>(64-bits), 10)
	case v >= 1<<12 && !p.Signed:
		return "0x" + strconv.FormatUint(v, 16)
	}
	return strconv.FormatUint(v, 10)
}
