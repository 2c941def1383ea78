package abi

import "iter"

// nameEntry is a call's number in each ABI, in the order of the Arch
// constants, without X32Bit and plus 1: 0 says that the ABI lacks the call.
type nameEntry struct {
	name string
	nrs  [4]uint16
	// first and end are the part of variantIndex with the indexes of the names
	// whose Canonical this is.
	first, end uint8
}

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
	if !ok {
		return nil, false
	}
	return a.indexed(i)
}

// indexed is the ABI's entry with the i-th name of nameIndex.
func (a Arch) indexed(i int) (*Syscall, bool) {
	if !a.known() || nameIndex[i].nrs[a-X86_64] == 0 {
		return nil, false
	}
	return &a.table()[nameIndex[i].nrs[a-X86_64]-1], true
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

// findName is the index of a name in nameIndex. Resolving a policy's names is
// most of what a start does with this package: hence no callback.
func findName(name string) (int, bool) {
	low, high := 0, len(nameIndex)
	for low < high {
		switch mid := int(uint(low+high) / 2); {
		case nameIndex[mid].name == name:
			return mid, true
		case nameIndex[mid].name < name:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low, false
}
