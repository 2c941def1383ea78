package main

import (
	"fmt"
	"io"
	"slices"

	"callgate/policy/abi"
)

func groupNames() []string {
	var names []string
	for _, g := range abi.Groups() {
		names = append(names, g.Name)
	}
	return names
}

// listGroups gives a group a line: its name, how many calls of the ABIs asked
// for are in it, and what they do.
func listGroups(w io.Writer, arches []abi.Arch) {
	for _, g := range abi.Groups() {
		fmt.Fprintf(w, "%-17s %4d  %s\n", g.Name, len(present(g.Calls(), arches)), g.Help)
	}
}

// present are the calls that one of the ABIs has.
func present(calls []string, arches []abi.Arch) []string {
	return slices.DeleteFunc(slices.Clone(calls), func(name string) bool {
		return !slices.ContainsFunc(arches, func(a abi.Arch) bool {
			_, ok := a.ByName(name)
			return ok
		})
	})
}

// showGroup lists a group's calls with their number in each ABI; x32's without
// its bit, - where the ABI lacks the call.
func showGroup(w io.Writer, arches []abi.Arch, name string) error {
	g, ok := abi.FindGroup(name)
	if !ok {
		return unknownName("group", name, groupNames())
	}
	fmt.Fprintf(w, "%s: %s\n\n%-24s", g.Name, g.Help, "")
	for _, a := range arches {
		fmt.Fprintf(w, " %8v", a)
	}
	fmt.Fprintln(w)
	for _, call := range present(g.Calls(), arches) {
		fmt.Fprintf(w, "%-24s", call)
		for _, a := range arches {
			number := "-"
			if s, ok := a.ByName(call); ok {
				number = fmt.Sprint(s.Nr &^ abi.X32Bit)
			}
			fmt.Fprintf(w, " %8s", number)
		}
		fmt.Fprintln(w)
	}
	return nil
}
