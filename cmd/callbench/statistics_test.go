package main

import (
	"errors"
	"reflect"
	"testing"
)

// series measures the figures of a list, one a round, and then fails.
func series(figures ...float64) func() (float64, error) {
	return func() (float64, error) {
		if len(figures) == 0 {
			return 0, errors.New("no more")
		}
		figure := figures[0]
		figures = figures[1:]
		return figure, nil
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		before := append([]float64(nil), c.values...)
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
		if !reflect.DeepEqual(before, c.values) {
			t.Errorf("median reordered %v into %v", before, c.values)
		}
	}
}

// A machine that slows down half-way must not change a ratio: that is why the
// ratios are taken round by round.
func TestRatioIsOfRounds(t *testing.T) {
	reference := []float64{1, 1, 10, 10, 10}
	mine := []float64{2, 2, 20, 20, 15}
	if got := ratio(mine, reference); got != 2 {
		t.Errorf("ratio = %v, want 2", got)
	}
	if got := ratio(mine, reference[:4]); got != 0 {
		t.Errorf("ratio of other rounds = %v, want 0", got)
	}
}

func TestMeasureTakesTurns(t *testing.T) {
	var order []string
	turn := func(name string) subject {
		return subject{name, func() (float64, error) {
			order = append(order, name)
			return 1, nil
		}}
	}
	measure(comparison{subjects: []subject{turn("a"), turn("b")}}, 2)
	if want := []string{"a", "b", "a", "b"}; !reflect.DeepEqual(order, want) {
		t.Errorf("measured %v, want %v", order, want)
	}
}

func TestGoals(t *testing.T) {
	r := measure(comparison{
		subjects: []subject{
			{"bare", series(1, 2, 3)},
			{"ours", series(1.1, 2.2, 3.3)},
			{"gone", func() (float64, error) { return 0, absent("it is not installed") }},
			{"breaks", series(1, 1)},
		},
		goals: []goal{
			{"ours", "bare", 1.2},
			{"ours", "bare", 1.05},
			{"ours", "", 2.5},
			{"ours", "gone", 1},
			{"breaks", "bare", 1},
		},
	}, 3)
	want := []struct{ met, known bool }{{true, true}, {false, true}, {true, true}, {false, false}, {false, false}}
	for i, o := range r.outcomes {
		if o.met != want[i].met || (o.err == nil) != want[i].known {
			t.Errorf("goal %v: met %v, error %v; want %+v", o.goal, o.met, o.err, want[i])
		}
	}
	if got := failures([]result{r}); got == nil || got.Error() != ": breaks: no more" {
		t.Errorf("failures = %v: only what is broken fails, not what is absent", got)
	}
}
