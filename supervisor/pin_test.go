package supervisor

import (
	"testing"

	"callgate/policy/compile"
)

func TestPins(t *testing.T) {
	var p pins
	take := func(n, from int) pinned {
		t.Helper()
		piece, ok := p.take(n)
		if !ok || piece.from != from {
			t.Fatalf("%d bytes at grain %d, %v; want %d", n, piece.from, ok, from)
		}
		if piece.address() < compile.PinBase || piece.address()+uint64(n) > compile.PinEnd {
			t.Fatalf("%#x is outside of the area", piece.address())
		}
		return piece
	}
	a := take(1, 0)
	b := take(65, 1)
	c := take(4096, 3)
	p.free(b)
	take(129, 67) // does not fit between a and c
	take(128, 1)
	p.free(a)
	p.free(c)
	take(64*64, 3) // across words
	take(64, 0)
	if _, ok := p.take(compile.PinEnd - compile.PinBase); ok {
		t.Error("more than there is")
	}
}

// TestPinsFull: the area ends, and what is given back can be had again.
func TestPinsFull(t *testing.T) {
	var p pins
	var all []pinned
	for {
		piece, ok := p.take(4096)
		if !ok {
			break
		}
		all = append(all, piece)
	}
	if len(all) != grains/64 {
		t.Fatalf("%d pieces of 4096 bytes, want %d", len(all), grains/64)
	}
	for _, piece := range all {
		p.free(piece)
	}
	if p != (pins{}) {
		t.Error("something is still in use")
	}
	p.free(pinned{}) // none
}
