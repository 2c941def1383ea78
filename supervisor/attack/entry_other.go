//go:build !amd64

package attack

const mapLow = 0

// otherEntries are those of x86-64.
var otherEntries []Attack
