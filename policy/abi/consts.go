package abi

import (
	"strconv"
	"strings"
)

// Consts is a family of symbolic constants for a parameter: address families,
// open flags, ioctl requests. Values are those of one ABI.
type Consts struct {
	Name  string // of the family, as documentation shows it: "open flags"
	Flags bool   // values are or-ed together
	// Mixed says that names of several meanings share values (socket options
	// of different levels): a value alone does not say which is meant, and is
	// shown as a number.
	Mixed bool
	// Mask is the part of the value that holds an enumeration in a family of
	// flags (O_ACCMODE of the open flags), 0 if none.
	Mask uint64
	List []Const // in the order in which decoding tries them
}

// Const is one symbolic constant.
type Const struct {
	Name  string
	Value uint64
}

// Value is the constant of that name, false if the family has none of it.
// Negative constants come in two's complement of 64 bits: a comparison
// truncates them to its parameter's width.
func (c *Consts) Value(name string) (uint64, bool) {
	for i := range c.List {
		if c.List[i].Name == name {
			return c.List[i].Value, true
		}
	}
	return 0, false
}

// Names gives the family's names, in List's order.
func (c *Consts) Names() []string {
	names := make([]string, len(c.List))
	for i := range c.List {
		names[i] = c.List[i].Name
	}
	return names
}

// Format shows a value of a parameter of so many bits as a person would write
// it: flags as "O_RDWR|O_CLOEXEC|0x40", what the family has no name for in
// hexadecimal; of an enumeration the name or, if it has none, the decimal
// number. Bits above bits are not looked at.
func (c *Consts) Format(v uint64, bits uint8) string {
	width := ones(bits)
	v &= width
	if c.Flags {
		return c.formatFlags(v, width)
	}
	if name := c.named(v, width); name != "" && !c.Mixed {
		return name
	}
	return strconv.FormatUint(v, 10)
}

// ones is a mask of so many bits.
func ones(bits uint8) uint64 {
	if bits >= 64 {
		return ^uint64(0)
	}
	return 1<<bits - 1
}

// named is the first name of a value among width's bits, or "". The mask's own
// name (O_ACCMODE) is none.
func (c *Consts) named(v, width uint64) string {
	for i := range c.List {
		if k := c.List[i].Value; k&width == v && (c.Mask == 0 || k != c.Mask) {
			return c.List[i].Name
		}
	}
	return ""
}

func (c *Consts) formatFlags(v, width uint64) string {
	var parts []string
	if v == 0 || v&c.Mask != 0 || c.Mask != 0 && v&^c.Mask != 0 {
		// The enumerated part: shown when it has a name, though it be 0.
		if name := c.named(v&c.Mask, width); name != "" {
			parts = append(parts, name)
			v &^= c.Mask
		}
	}
	for i := range c.List {
		k := c.List[i].Value & width
		if k != 0 && k&c.Mask == 0 && v&k == k {
			parts = append(parts, c.List[i].Name)
			v &^= k
		}
	}
	if v != 0 || len(parts) == 0 {
		rest := "0"
		if v != 0 {
			rest = "0x" + strconv.FormatUint(v, 16)
		}
		parts = append(parts, rest)
	}
	return strings.Join(parts, "|")
}
