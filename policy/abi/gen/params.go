package main

import (
	"fmt"
	"strings"
)

// class is which of an ABI's widths a type of params.txt has.
type class int

const (
	fixed class = iota
	word        // the ABI's long
	address
	double // 64 bits: two registers on i386
)

// types are the types of params.txt.
var types = map[string]struct {
	kind   string
	class  class
	bits   int
	signed bool
}{
	"int":       {"Int", fixed, 32, true},
	"uint":      {"Int", fixed, 32, false},
	"uid":       {"Int", fixed, 32, false},
	"uid16":     {"Int", fixed, 16, false},
	"fd":        {"FD", fixed, 32, true},
	"dirfd":     {"DirFD", fixed, 32, true},
	"pid":       {"PID", fixed, 32, true},
	"sig":       {"Signal", fixed, 32, true},
	"len":       {"Size", fixed, 32, true},
	"size32":    {"Size", fixed, 32, false},
	"mode":      {"Mode", fixed, 16, false},
	"imode":     {"Mode", fixed, 32, false},
	"long":      {"Int", word, 0, true},
	"ulong":     {"Int", word, 0, false},
	"size":      {"Size", word, 0, false},
	"off":       {"Offset", word, 0, true},
	"pages":     {"Offset", word, 0, false},
	"loff":      {"Offset", double, 64, true},
	"hilo":      {"Offset", double, 64, true},
	"u64":       {"Int", double, 64, false},
	"ptr":       {"Pointer", address, 0, false},
	"path":      {"Path", address, 0, false},
	"str":       {"String", address, 0, false},
	"buf":       {"Buffer", address, 0, false},
	"sockaddr":  {"Sockaddr", address, 0, false},
	"argv":      {"Argv", address, 0, false},
	"how":       {"OpenHow", address, 0, false},
	"cloneargs": {"CloneArgs", address, 0, false},
	"ts":        {"Timespec", address, 0, false},
}

// defaultFamily is the constants of types that have some always.
var defaultFamily = map[string]string{"sig": "signal", "dirfd": "at_fdcwd"}

// firstTime64 is i386's first call that takes a 64-bit struct timespec; those
// before it take two 32-bit words.
const firstTime64 = 403

// entry is a call of a table with all that the tables say of it.
type entry struct {
	abi, nr                int
	name, canonical, since string
	multiplexer, block     bool
	params                 string // the Go text of its []Param, "" for none
}

func newEntry(abi, nr int, p *prototype, name string, families families) (entry, error) {
	e := entry{abi: abi, nr: nr, name: name, canonical: name, multiplexer: p.is("mux"), block: p.is("block")}
	if p.canonical != "" {
		e.canonical = p.canonical
	}
	var b strings.Builder
	register := 0
	for _, d := range p.params {
		if d.kind != "_" {
			text, err := e.param(d, register, p.is("native"), families)
			if err != nil {
				return e, p.errorf("%s: %w", name, err)
			}
			b.WriteString(text)
		}
		if register++; types[d.kind].class == double && abi == i386 {
			register++
		}
	}
	if register > 6 {
		return e, p.errorf("%s takes %d registers in %s", name, register, abis[abi].id)
	}
	e.params = b.String()
	return e, nil
}

// param is the Go text of one Param, which begins at a register.
func (e *entry) param(d declaredParam, register int, native bool, families families) (string, error) {
	t := types[d.kind]
	lo, hi := register, -1
	if t.class == double && e.abi == i386 {
		if hi = register + 1; d.kind == "hilo" {
			lo, hi = hi, lo
		}
	}
	kind := t.kind
	if kind == "Timespec" && e.abi == i386 && e.nr < firstTime64 {
		kind = "Timespec32"
	}
	text := fmt.Sprintf("Kind: %s, Lo: %d, Hi: %d, Bits: %d", kind, lo, hi, e.bits(d.kind, native))
	if len(d.names) > 1 {
		text = fmt.Sprintf("Aliases: []string{%s}, ", quoted(d.names[1:])) + text
	}
	if d.kind == "pages" {
		text += ", Shift: 12"
	}
	if t.signed {
		text += ", Signed: true"
	}
	family := d.family
	if family == "" {
		family = defaultFamily[d.kind]
	}
	if family != "" {
		variable, err := families.variable(family, e.abi)
		if err != nil {
			return "", err
		}
		text += ", Consts: &" + variable
	}
	return fmt.Sprintf("{Name: %q, %s},\n", d.names[0], text), nil
}

// bits is how much of a register the kernel takes for a type. An x32 call
// past 511 enters through a compat entry point, which takes long as 32 bits,
// unless native.
func (e *entry) bits(kind string, native bool) int {
	t := types[kind]
	switch {
	case t.class == fixed || t.class == double:
		return t.bits
	case e.abi == i386:
		return 32
	case e.abi == x32 && e.nr >= firstX32 && !native && t.class == word:
		return 32
	}
	return 64
}

func quoted(list []string) string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(q, ", ")
}
