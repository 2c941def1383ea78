package abi

import (
	"slices"
	"strings"
)

// Group is a named set of calls: "@basic-io".
type Group struct {
	Name string // with its @
	Help string // what the calls do, on a line
	// members are names of calls and groups between white space, or known.
	members string
}

// known stands for every name in a group's members.
const known = "*"

// Groups gives all groups, by name.
func Groups() []*Group {
	list := make([]*Group, len(groups))
	for i := range groups {
		list[i] = &groups[i]
	}
	return list
}

// FindGroup is the group of that name, @ included.
func FindGroup(name string) (*Group, bool) {
	i, ok := slices.BinarySearchFunc(groups, name, func(g Group, name string) int {
		return strings.Compare(g.Name, name)
	})
	if !ok {
		return nil, false
	}
	return &groups[i], true
}

// Calls gives the names of the group's calls of all ABIs, those of the groups
// within it and variants of other ABIs included, sorted and each once.
// socketcall and ipc are in no group: what they carry is.
func (g *Group) Calls() []string {
	if g.members == known {
		return Names()
	}
	names := g.Members()
	for _, name := range names {
		if i, ok := findName(name); ok {
			for _, v := range variantIndex[nameIndex[i].first:nameIndex[i].end] {
				names = append(names, nameIndex[v].name)
			}
		}
	}
	return sorted(names)
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// GroupsOf gives the names of the groups that a call is in, but for @known.
func GroupsOf(call string) []string {
	var names []string
	for i := range groups {
		g := &groups[i]
		if g.members == known {
			continue
		}
		if _, ok := slices.BinarySearch(g.Calls(), call); ok {
			names = append(names, g.Name)
		}
	}
	return names
}
