package decode

import (
	"strconv"
	"strings"

	"callgate/policy/abi"
)

// number shows an integer: by its constants if it has some, else in decimal.
func number(p *abi.Param, v uint64) string {
	if p.Consts != nil {
		return constant(p.Consts, v)
	}
	if p.Signed {
		return strconv.FormatInt(signed(v, width(p)), 10)
	}
	if v > 1<<32 {
		return hex(v)
	}
	return strconv.FormatUint(v, 10)
}

// constant names v by a family of constants: SOCK_STREAM|SOCK_CLOEXEC. What no
// constant covers is added as a number.
func constant(k *abi.Consts, v uint64) string {
	if !k.Flags {
		return enumerated(k.List, v)
	}
	var b strings.Builder
	rest := v
	if name, ok := masked(k, v); ok {
		b.WriteString(name)
		rest &^= k.Mask
	}
	for i := range k.List {
		c := &k.List[i]
		if c.Value == 0 || c.Value&k.Mask != 0 || rest&c.Value != c.Value {
			continue
		}
		or(&b, c.Name)
		rest &^= c.Value
	}
	switch {
	case rest != 0:
		or(&b, hex(rest))
	case b.Len() == 0:
		return enumerated(k.List, 0)
	}
	return b.String()
}

func or(b *strings.Builder, s string) {
	if b.Len() > 0 {
		b.WriteByte('|')
	}
	b.WriteString(s)
}

// masked names the enumeration within a family of flags: O_RDONLY of the open
// flags.
func masked(k *abi.Consts, v uint64) (string, bool) {
	if k.Mask == 0 {
		return "", false
	}
	for i := range k.List {
		if c := &k.List[i]; c.Value&^k.Mask == 0 && c.Value == v&k.Mask {
			return c.Name, true
		}
	}
	return "", false
}

func enumerated(list []abi.Const, v uint64) string {
	for i := range list {
		if list[i].Value == v {
			return list[i].Name
		}
	}
	if v < 256 {
		return strconv.FormatUint(v, 10)
	}
	return hex(v)
}
