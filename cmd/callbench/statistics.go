package main

import (
	"errors"
	"fmt"
	"slices"
)

// comparison is a few subjects that do the same, measured in turn. The first is
// the reference to which the table gives ratios.
type comparison struct {
	name     string
	title    string
	unit     string // what measure's figure is in
	most     int    // rounds, where one takes long; 0: as many as asked for
	subjects []subject
	goals    []goal
}

// subject is one thing to measure. An error of type absent says that this
// machine lacks it; any other, that it is broken.
type subject struct {
	name    string
	measure func() (float64, error)
}

// absent is a reason why something cannot be measured here.
type absent string

func (a absent) Error() string { return string(a) }

// goal is what one subject's figure may be: at most `most` times another's or,
// where against is empty, at most `most` of the comparison's unit.
type goal struct {
	subject string
	against string
	most    float64
}

// result is a comparison's rows, in its subjects' order, and how its goals
// fared.
type result struct {
	comparison
	rows     []row
	outcomes []outcome
}

// row is one subject's figures. Where err is set there are none.
type row struct {
	name    string
	figures []float64 // one a round
	ratio   float64   // the median of its rounds' ratios to the reference; 0: no reference
	err     error
}

// outcome is a goal and the figure that it speaks of.
type outcome struct {
	goal
	got float64
	met bool
	err error // why nobody knows
}

// measure makes the rounds: every subject once, in turn.
func measure(c comparison, rounds int) result {
	r := result{comparison: c, rows: make([]row, len(c.subjects))}
	for i, s := range c.subjects {
		r.rows[i].name = s.name
	}
	if c.most > 0 {
		rounds = min(rounds, c.most)
	}
	for range rounds {
		for i, s := range c.subjects {
			if r.rows[i].err != nil {
				continue
			}
			figure, err := s.measure()
			if err != nil {
				r.rows[i].err, r.rows[i].figures = err, nil
				continue
			}
			r.rows[i].figures = append(r.rows[i].figures, figure)
		}
	}
	for i := range r.rows {
		r.rows[i].ratio = ratio(r.rows[i].figures, r.rows[0].figures)
	}
	for _, g := range c.goals {
		r.outcomes = append(r.outcomes, r.outcome(g))
	}
	return r
}

func (r *result) outcome(g goal) outcome {
	o := outcome{goal: g}
	mine, err := r.figures(g.subject)
	if err == nil && g.against != "" {
		var theirs []float64
		if theirs, err = r.figures(g.against); err == nil {
			o.got = ratio(mine, theirs)
		}
	} else if err == nil {
		o.got = median(mine)
	}
	o.err = err
	o.met = err == nil && o.got <= g.most
	return o
}

// figures finds a subject's, or why there are none.
func (r *result) figures(name string) ([]float64, error) {
	for _, row := range r.rows {
		switch {
		case row.name != name:
		case row.err != nil:
			return nil, fmt.Errorf("%s: %w", name, row.err)
		default:
			return row.figures, nil
		}
	}
	return nil, errors.New("BUG: no subject " + name)
}

// ratio is the median of the rounds' ratios, 0 where the two were not measured
// in the same rounds.
func ratio(mine, reference []float64) float64 {
	if len(mine) != len(reference) {
		return 0
	}
	ratios := make([]float64, len(mine))
	for i := range mine {
		ratios[i] = mine[i] / reference[i]
	}
	return median(ratios)
}

// median leaves values as they are; that of none is 0.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}
