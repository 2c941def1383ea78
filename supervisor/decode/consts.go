package decode

import (
	"strconv"

	"callgate/policy/abi"
)

// number shows an integer: by its constants if it has some, else in decimal.
// Large numbers without a name, such as ioctl requests, are in hexadecimal.
func number(p *abi.Param, v uint64) string {
	if p.Consts != nil {
		if s := p.Consts.Format(v, width(p)); p.Consts.Flags || s[0] < '0' || s[0] > '9' {
			return s
		}
	}
	if n := signed(v, width(p)); p.Signed && n > -1<<16 && n < 1<<31-1 && (p.Consts == nil || n < 1<<12) {
		return strconv.FormatInt(n, 10)
	}
	if v >= 1<<32 || p.Consts != nil && v >= 1<<12 {
		return hex(v)
	}
	return strconv.FormatUint(v, 10)
}

// consts is the family of constants of another call's parameter: struct
// open_how has openat's flags.
func consts(arch abi.Arch, call, param string) *abi.Consts {
	if s, ok := arch.ByName(call); ok {
		if p, ok := s.Param(param); ok && p.Consts != nil {
			return p.Consts
		}
	}
	return &abi.Consts{Flags: true}
}
