package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// emitTables writes the tables by number and the index by name.
func emitTables(b *bytes.Buffer, tables []map[string]int) {
	for i, t := range tables {
		emitTable(b, i, t)
	}
	emitIndex(b, tables)
}

func emitTable(b *bytes.Buffer, abi int, table map[string]int) {
	names := slices.SortedFunc(maps.Keys(table), func(x, y string) int { return table[x] - table[y] })
	fmt.Fprintf(b, "\nvar %s = []Syscall{\n", abis[abi].table)
	for _, name := range names {
		nr := fmt.Sprint(table[name])
		if abi == x32 {
			nr = "X32Bit | " + nr
		}
		fmt.Fprintf(b, "%d: {Arch: %s, Nr: %s, Name: %q, Canonical: %q},\n",
			table[name], abis[abi].id, nr, name, name)
	}
	b.WriteString("}\n")
}

// emitIndex writes each name's number in each ABI, plus 1 so that 0 is "has
// no such call".
func emitIndex(b *bytes.Buffer, tables []map[string]int) {
	all := map[string]bool{}
	for _, t := range tables {
		for name := range t {
			all[name] = true
		}
	}
	b.WriteString("\nvar nameIndex = []nameEntry{\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		var nrs []string
		for _, t := range tables {
			nr, ok := t[name]
			if ok {
				nr++
			}
			nrs = append(nrs, fmt.Sprint(nr))
		}
		fmt.Fprintf(b, "{%q, [4]uint16{%s}},\n", name, strings.Join(nrs, ", "))
	}
	b.WriteString("}\n")
}
