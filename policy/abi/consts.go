package abi

// Consts is a family of symbolic constants for a parameter: address families,
// open flags, ioctl requests. Values are those of one ABI.
type Consts struct {
	Name  string // of the family, as documentation shows it: "open flags"
	Flags bool   // values are or-ed together
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
