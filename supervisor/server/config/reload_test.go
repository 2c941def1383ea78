package config

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// TestWithin: what cannot change without a restart stays, and is told; all else changes.
func TestWithin(t *testing.T) {
	parse := func(text string) *Config {
		t.Helper()
		c, err := Parse("/etc/c.yaml", []byte("callgated: 1\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	old := parse("host: a\nnats: [nats://a:1]\nkeep: 1h\n")
	now, waits := parse("host: b\nnats: [nats://b:1]\nmetrics: 127.0.0.1:1\nkeep: 2h\nsocket-mode: 0600\n").Within(old)
	if want := []string{"host", "nats", "metrics"}; !slices.Equal(waits, want) {
		t.Errorf("%v, not %v", waits, want)
	}
	if now.Host != "a" || now.Metrics != "" || !reflect.DeepEqual(now.NATS, old.NATS) || time.Duration(now.Keep) != 2*time.Hour || now.Mode != 0o600 {
		t.Errorf("%+v", now)
	}
	if _, waits := now.Within(old); waits != nil {
		t.Errorf("what stayed waits: %v", waits)
	}
}
