package attack

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Report is what an attacker said of its attempt.
type Report struct {
	Began, Ended bool
	Found        string   // what it read of decoys
	Did          []string // calls that succeeded where that is all there is to see
	Failed       []Failure
	Said         string // the first line of what is none of this: of its own failure
	Killed       string // the signal that ended a child of it
	Tries, Made  int    // of a race: all, and those that got what is permitted
}

// Failure is a call that gave an error.
type Failure struct{ Call, Errno string }

// ReadReport reads what Main wrote. An attacker that is killed says less.
func ReadReport(text string) *Report {
	r := &Report{}
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case beganLine:
			r.Began = true
		case endedLine:
			r.Ended = true
		case "found":
			r.Found += rest
		case "did":
			if !slices.Contains(r.Did, rest) {
				r.Did = append(r.Did, rest)
			}
		case "failed":
			call, errno, _ := strings.Cut(rest, " ")
			if f := (Failure{call, errno}); !slices.Contains(r.Failed, f) {
				r.Failed = append(r.Failed, f)
			}
		case "killed":
			r.Killed = rest
		case "tries":
			_, _ = fmt.Sscan(rest, &r.Tries, &r.Made) // the attacker is ours, and so is the format
		default:
			r.Said = cmp.Or(r.Said, strings.TrimSpace(line))
		}
	}
	return r
}
