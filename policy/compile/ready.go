package compile

import (
	"encoding/binary"
	"errors"
	"fmt"

	"callgate/policy"

	"golang.org/x/sys/unix"
)

// AppendPrograms appends programs to dst in the form that ReadPrograms reads:
// for each the number of its instructions as 16 bits, then these as the kernel
// has them in struct sock_filter, 8 bytes each, all little-endian.
func AppendPrograms(dst []byte, programs []Program) []byte {
	for _, p := range programs {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(p)))
		for _, f := range p {
			dst = binary.LittleEndian.AppendUint16(dst, f.Code)
			dst = append(dst, f.Jt, f.Jf)
			dst = binary.LittleEndian.AppendUint32(dst, f.K)
		}
	}
	return dst
}

// ReadPrograms reads what AppendPrograms wrote. An error says only that the
// bytes are cut off: what the programs do is for Compile to prove.
func ReadPrograms(data []byte) ([]Program, error) {
	var out []Program
	for len(data) > 0 {
		if len(data) < 2 {
			return nil, errors.New("a length is cut off")
		}
		n := int(binary.LittleEndian.Uint16(data))
		data = data[2:]
		if len(data) < 8*n {
			return nil, fmt.Errorf("program %d is cut off: %d bytes for %d instructions", len(out)+1, len(data), n)
		}
		p := make(Program, n)
		for i := range p {
			b := data[8*i:]
			p[i] = unix.SockFilter{
				Code: binary.LittleEndian.Uint16(b), Jt: b[2], Jf: b[3],
				K: binary.LittleEndian.Uint32(b[4:]),
			}
		}
		out = append(out, p)
		data = data[8*n:]
	}
	return out, nil
}

// fromReady is the plan with the program of opts.Ready, if it passes the same
// proof as compiled ones, and for all arguments of every number, since anybody may have made
// it. Of several, which are as right together, one could forbid to install the next, or there
// could be too many for the kernel, which counts instructions as it translates them: what is
// compiled is seldom more than one (weld.go).
func fromReady(set policy.Set, opts Options) (*Plan, error) {
	if len(opts.Ready) != 1 {
		return nil, fmt.Errorf("%d programs, not one", len(opts.Ready))
	}
	plan := &Plan{Set: set, Filters: opts.Ready, opts: opts}
	if err := plan.decode(); err != nil {
		return nil, err
	}
	if err := prove(plan, hostGroups(), 0, nil); err != nil {
		return nil, err
	}
	return plan, nil
}

// Took says whether the plan's programs are these very ones, which Options.Ready had.
func (p *Plan) Took(ready []Program) bool {
	return len(ready) > 0 && len(p.Filters) == len(ready) && &p.Filters[0] == &ready[0]
}

// Reusable says whether Compile takes the plan's programs as Options.Ready.
func (p *Plan) Reusable() bool { return !p.hinges && len(p.Filters) == 1 }
