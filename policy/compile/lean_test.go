package compile

import (
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLean: what is left out of a program changes no answer of it, wherever it stands and
// jumps lead.
func TestLean(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 1))
	left := 0
	for range 10000 {
		p := vainProgram(r)
		whole, err := decode(p)
		if err != nil {
			t.Fatal(err)
		}
		shorter := lean(append(Program(nil), p...))
		left += len(p) - len(shorter)
		m, err := decode(shorter)
		if err != nil {
			t.Fatalf("%v: %v", shorter, err)
		}
		for range 40 {
			d := seccompData(r.Uint32N(3), r.Uint32N(3), &[6]uint64{r.Uint64N(4) << (32 * r.IntN(2)), r.Uint64N(3)})
			was, _ := whole.run(&d, nil)
			if is, _ := m.run(&d, nil); is != was {
				t.Fatalf("%v answers %#x for %v, and %v without what is in vain %#x", p, was, d, shorter, is)
			}
		}
	}
	if left < 2000 {
		t.Errorf("only %d instructions are left out", left)
	}
}

// vainProgram is a random one with comparisons in vain, some of which are needed after all.
func vainProgram(r *rand.Rand) Program {
	p := Program{load(wordNr)}
	n := 4 + r.IntN(24)
	for len(p) < n {
		p = append(p, load([]uint32{wordNr, wordArch, wordArgs, wordArgs + 1, wordArgs + 2}[r.IntN(5)]))
		switch r.IntN(3) {
		case 0:
			p = append(p, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: uint32(r.IntN(2))})
			fallthrough
		case 1:
			for range 1 + r.IntN(2) {
				p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(r.IntN(2))})
			}
		}
	}
	p = append(p, ret(1), ret(2), ret(3))
	for i := range p {
		if p[i].Code&7 == unix.BPF_JMP { // anywhere further on, or not at all
			far := func() uint8 { return uint8(r.IntN(min(len(p)-i-1, 1+r.IntN(9)))) }
			p[i].Jt, p[i].Jf = far(), far()
		}
	}
	return p
}
