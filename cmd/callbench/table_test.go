package main

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	r := measure(comparison{
		name:  "loop",
		title: "something",
		unit:  "us",
		subjects: []subject{
			{"bare", series(1, 2, 3)},
			{"ours", series(11, 24, 33)},
			{"gone", func() (float64, error) { return 0, absent("it is not installed") }},
		},
		goals: []goal{{"ours", "bare", 1.05}, {"ours", "", 20.5}, {"bare", "ours", 1}, {"ours", "gone", 1}},
	}, 3)
	want := strings.TrimPrefix(`
loop: something
  median us  lowest  highest  ratio
       2.00    1.00     3.00  1.00x  bare
       24.0    11.0     33.0  11.0x  ours
  not measured: gone: it is not installed
  goal MISSED: ours at most 1.05x of bare: 11.0x
  goal MISSED: ours at most 20.5 us: 24.0 us
  goal met: bare at most 1.00x of ours: 0.09x
  goal unknown: ours at most 1.00x of gone
`, "\n")
	if got := r.table(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0.004: "0.00", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 12345.6: "12346"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestDocument(t *testing.T) {
	place := machine{cpu: "A CPU", cores: 4, kernel: "6.18.1", virtual: "kvm", load: "0.10", user: "root"}
	r := measure(comparison{name: "loop", title: "something", unit: "us", subjects: []subject{{"bare", series(1)}}}, 1)
	got := document(place, 1, []result{r})
	for _, want := range []string{
		"# Benchmark\n",
		"Machine: A CPU, 4 cores, a virtual machine (kvm); Linux 6.18.1; run by root; load at the start: 0.10\n\nRounds: 1.\n",
		"\n## loop\n\n```text\nloop: something\n",
		"bare\n```\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}
