package policy

// Piece is a set of a call's arguments for which the verdict is the same: those of which
// the registers' masked bits are the value's. No mask: all of them.
type Piece struct {
	Mask, Value [6]uint64
	Verdict     Verdict
}
