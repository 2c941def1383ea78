package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// emitTables writes the tables by number and the index by name. pool names
// the parameter lists.
func emitTables(b *bytes.Buffer, tables []map[string]entry, pool map[string]string) {
	for i, t := range tables {
		emitTable(b, i, t, pool)
	}
	emitIndex(b, tables)
}

func emitTable(b *bytes.Buffer, abi int, table map[string]entry, pool map[string]string) {
	fmt.Fprintf(b, "\nvar %s = []Syscall{\n", abis[abi].table)
	for _, e := range byNumber(table) {
		fmt.Fprintf(b, "%d: {%s},\n", e.nr, e.text(pool))
	}
	b.WriteString("}\n")
}

func byNumber(table map[string]entry) []entry {
	return slices.SortedFunc(maps.Values(table), func(x, y entry) int { return x.nr - y.nr })
}

// text is the entry's Syscall as Go has it, without its braces.
func (e *entry) text(pool map[string]string) string {
	nr := fmt.Sprint(e.nr)
	if e.abi == x32 {
		nr = strings.TrimSuffix("X32Bit | "+nr, " | 0") // staticcheck: or-ing 0 does nothing
	}
	text := fmt.Sprintf("Arch: %s, Nr: %s, Name: %q, Canonical: %q", abis[e.abi].id, nr, e.name, e.canonical)
	if e.params != "" {
		text += ", Params: " + pool[e.params]
	}
	if e.since != "" {
		text += ", Since: Version{" + strings.Replace(e.since, ".", ", ", 1) + "}"
	}
	if e.multiplexer {
		text += ", Multiplexer: true"
	}
	if e.block {
		text += ", Block: true"
	}
	return text
}

// emitParams writes each distinct parameter list once and gives their names by
// their text. They are named by the first call that has them.
func emitParams(b *bytes.Buffer, tables []map[string]entry) map[string]string {
	pool := map[string]string{}
	for i, t := range tables {
		for _, e := range byNumber(t) {
			if e.params != "" && pool[e.params] == "" {
				pool[e.params] = fmt.Sprintf("params_%s_%s", abis[i].id, e.name)
				fmt.Fprintf(b, "\nvar %s = []Param{\n%s}\n", pool[e.params], e.params)
			}
		}
	}
	return pool
}

// emitFamilies writes the constants, and all families by name.
func emitFamilies(b *bytes.Buffer, fs families) {
	names := slices.Sorted(maps.Keys(fs))
	var all []string
	for _, name := range names {
		f := fs[name]
		for _, goarch := range goarches {
			if v := f.variables[goarch]; !slices.Contains(all, v) {
				all = append(all, v)
				f.emit(b, v, goarch)
			}
		}
	}
	fmt.Fprintf(b, "\nvar allConsts = []*Consts{\n")
	for _, v := range all {
		fmt.Fprintf(b, "&%s,\n", v)
	}
	b.WriteString("}\n")
}

func (f *family) emit(b *bytes.Buffer, variable, goarch string) {
	fmt.Fprintf(b, "\nvar %s = Consts{Name: %q, Flags: %t, Mixed: %t, Mask: %#x, List: []Const{\n",
		variable, f.title, f.flags, f.mixed, f.masks[goarch])
	for _, c := range f.lists[goarch] {
		fmt.Fprintf(b, "{%q, %#x},\n", c.name, c.value)
	}
	b.WriteString("}}\n")
}

// emitIndex writes each name's number in each ABI, plus 1 so that 0 is "has
// no such call", and the names that are variants of it.
func emitIndex(b *bytes.Buffer, tables []map[string]entry) {
	variants := map[string][]string{}
	all := map[string]bool{}
	for _, t := range tables {
		for _, e := range t {
			all[e.name] = true
			if e.canonical != e.name && !slices.Contains(variants[e.canonical], e.name) {
				variants[e.canonical] = append(variants[e.canonical], e.name)
			}
		}
	}
	names := slices.Sorted(maps.Keys(all))
	var indexes []string
	b.WriteString("\nvar nameIndex = []nameEntry{\n")
	for _, name := range names {
		first := len(indexes)
		slices.Sort(variants[name])
		for _, v := range variants[name] {
			i, _ := slices.BinarySearch(names, v)
			indexes = append(indexes, fmt.Sprint(i))
		}
		fmt.Fprintf(b, "{%q, [4]uint16{%s}, %d, %d},\n", name, numbersOf(name, tables), first, len(indexes))
	}
	fmt.Fprintf(b, "}\n\nvar variantIndex = []uint16{%s}\n", strings.Join(indexes, ", "))
}

func numbersOf(name string, tables []map[string]entry) string {
	var nrs []string
	for _, t := range tables {
		e, ok := t[name]
		if ok {
			e.nr++
		}
		nrs = append(nrs, fmt.Sprint(e.nr))
	}
	return strings.Join(nrs, ", ")
}
