package abi

import (
	"iter"
	"slices"
	"strings"
)

// nameEntry is a call's number in each ABI, in the order of the Arch
// constants, without X32Bit and plus 1: 0 says that the ABI lacks the call.
type nameEntry struct {
	name string
	nrs  [4]uint16
}

// variant is a name whose entries have another Canonical.
type variant struct{ canonical, name string }

func (a Arch) table() []Syscall {
	switch a {
	case X86_64:
		return x86_64Table
	case I386:
		return i386Table
	case X32:
		return x32Table
	case AArch64:
		return aarch64Table
	}
	return nil
}

// Lookup is the entry of a number, X32Bit included for X32, in the ABI's
// table. False: no call that the tables know.
func (a Arch) Lookup(nr uint32) (*Syscall, bool) {
	if a == X32 {
		nr ^= X32Bit
	}
	t := a.table()
	if nr >= uint32(len(t)) || t[nr].Name == "" {
		return nil, false
	}
	return &t[nr], true
}

// ByName is the entry with exactly this name in the ABI's table.
func (a Arch) ByName(name string) (*Syscall, bool) {
	i, ok := findName(name)
	if !ok || !a.known() {
		return nil, false
	}
	nr := nameIndex[i].nrs[a-X86_64]
	if nr == 0 {
		return nil, false
	}
	return &a.table()[nr-1], true
}

// Named gives the ABI's entries that a rule on name applies to, by number:
// those with that Name or Canonical. A condition on a parameter that one of
// them lacks (waitpid has no rusage) cannot be tested there: a rule with
// one must fail closed.
func (a Arch) Named(name string) []*Syscall {
	var list []*Syscall
	if s, ok := a.ByName(name); ok {
		list = append(list, s)
	}
	i, _ := slices.BinarySearchFunc(variantIndex, name, func(v variant, name string) int {
		return strings.Compare(v.canonical, name)
	})
	for ; i < len(variantIndex) && variantIndex[i].canonical == name; i++ {
		if s, ok := a.ByName(variantIndex[i].name); ok && s.Canonical == name {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(x, y *Syscall) int { return int(x.Nr) - int(y.Nr) })
	return list
}

// All goes through the ABI's table by number.
func (a Arch) All() iter.Seq[*Syscall] {
	return func(yield func(*Syscall) bool) {
		t := a.table()
		for i := range t {
			if t[i].Name != "" && !yield(&t[i]) {
				return
			}
		}
	}
}

// Known says whether any ABI has a call of this name.
func Known(name string) bool {
	_, ok := findName(name)
	return ok
}

// Names gives the names of all calls of all ABIs, sorted.
func Names() []string {
	names := make([]string, len(nameIndex))
	for i := range nameIndex {
		names[i] = nameIndex[i].name
	}
	return names
}

func findName(name string) (int, bool) {
	return slices.BinarySearchFunc(nameIndex, name, func(e nameEntry, name string) int {
		return strings.Compare(e.name, name)
	})
}
