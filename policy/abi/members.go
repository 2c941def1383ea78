package abi

import "strings"

// Members gives the calls that the group lists, those of the groups within it
// too, in no order and perhaps some twice. It leaves out what Calls adds: a
// call's variants, which follow it by their Canonical name. Resolving rules at
// every start, it does no more than read the list.
func (g *Group) Members() []string {
	if g.members == known {
		return Names()
	}
	names := make([]string, 0, len(g.members)/8)
	for name := range strings.FieldsSeq(g.members) {
		if name[0] != '@' {
			names = append(names, name)
		} else if other, ok := FindGroup(name); ok {
			names = append(names, other.Members()...)
		}
	}
	return names
}
