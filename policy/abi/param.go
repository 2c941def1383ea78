package abi

import "slices"

// Param is the call's parameter of that name or alias, or the raw register
// for arg0 to arg5: unsigned, of the ABI's register width. A call has arg0 to
// arg5 whether or not it takes so many.
func (s *Syscall) Param(name string) (*Param, bool) {
	for i := range s.Params {
		p := &s.Params[i]
		if p.Name == name || slices.Contains(p.Aliases, name) {
			return p, true
		}
	}
	if s.Arch == I386 {
		return rawParam(&raw32, name)
	}
	return rawParam(&raw64, name)
}

// Declares says whether p is one of the call's own parameters, not a raw
// register: prctl's arg2 is, the second register, and read's is not.
func (s *Syscall) Declares(p *Param) bool {
	for i := range s.Params {
		if p == &s.Params[i] {
			return true
		}
	}
	return false
}

func rawParam(raw *[6]Param, name string) (*Param, bool) {
	for i := range raw {
		if raw[i].Name == name {
			return &raw[i], true
		}
	}
	return nil, false
}

var raw64 = [6]Param{
	{Name: "arg0", Lo: 0, Hi: -1, Bits: 64},
	{Name: "arg1", Lo: 1, Hi: -1, Bits: 64},
	{Name: "arg2", Lo: 2, Hi: -1, Bits: 64},
	{Name: "arg3", Lo: 3, Hi: -1, Bits: 64},
	{Name: "arg4", Lo: 4, Hi: -1, Bits: 64},
	{Name: "arg5", Lo: 5, Hi: -1, Bits: 64},
}

var raw32 = [6]Param{
	{Name: "arg0", Lo: 0, Hi: -1, Bits: 32},
	{Name: "arg1", Lo: 1, Hi: -1, Bits: 32},
	{Name: "arg2", Lo: 2, Hi: -1, Bits: 32},
	{Name: "arg3", Lo: 3, Hi: -1, Bits: 32},
	{Name: "arg4", Lo: 4, Hi: -1, Bits: 32},
	{Name: "arg5", Lo: 5, Hi: -1, Bits: 32},
}
