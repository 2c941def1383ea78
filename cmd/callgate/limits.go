package main

import (
	"strconv"
	"strings"
	"time"

	"callgate/policy"
	"callgate/supervisor/client"
)

// parseLimits reads NAME=VALUE words, each as a policy's limits section has it.
func parseLimits(words []string) (*client.Limits, error) {
	if len(words) == 0 {
		return nil, nil
	}
	limits := new(client.Limits)
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		resource, ok := policy.ParseResource(name)
		if !ok {
			f := usagef("--limit %s: there is no such limit", printable(word))
			f.hint = "there are " + strings.Join(limitNames(), ", ")
			return nil, f
		}
		limit, err := policy.ParseLimit(resource, value, "--limit "+name)
		if err != nil {
			return nil, err
		}
		setLimit(limits, resource, limit.Most)
	}
	return limits, nil
}

func limitNames() (names []string) {
	for _, r := range policy.Resources() {
		names = append(names, r.String())
	}
	return names
}

func setLimit(l *client.Limits, r policy.Resource, most int64) {
	switch r {
	case policy.WallTime:
		l.WallSeconds = time.Duration(most).Seconds()
	case policy.CPUTime:
		l.CPUSeconds = time.Duration(most).Seconds()
	case policy.Memory:
		l.MemoryBytes = most
	case policy.Processes:
		l.Processes = int(most)
	case policy.OpenFiles:
		l.OpenFiles = int(most)
	case policy.FileSize:
		l.FileBytes = most
	case policy.Output:
		l.OutputBytes = most
	case policy.Disk:
		l.DiskBytes = most
	case policy.Inodes:
		l.Inodes = most
	}
}

// formatBytes is a size for people, in at most six columns.
func formatBytes(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + "B"
	}
	size, unit := float64(n), 0
	for size >= 1023.5 && unit < 4 {
		size, unit = size/1024, unit+1
	}
	digits := 0
	if size < 9.95 {
		digits = 1
	}
	return strconv.FormatFloat(size, 'f', digits, 64) + " KMGT"[unit:unit+1]
}

// formatSeconds is a duration for people: 0.3s, 12s, 3m05s, 2h07m, 3d04h.
func formatSeconds(s float64) string {
	two := func(n int) string {
		if n < 10 {
			return "0" + strconv.Itoa(n)
		}
		return strconv.Itoa(n)
	}
	n := int(s)
	switch {
	case s < 9.95:
		return strconv.FormatFloat(max(s, 0), 'f', 1, 64) + "s"
	case n < 60:
		return strconv.Itoa(n) + "s"
	case n < 3600:
		return strconv.Itoa(n/60) + "m" + two(n%60) + "s"
	case n < 86400:
		return strconv.Itoa(n/3600) + "h" + two(n/60%60) + "m"
	}
	return strconv.Itoa(n/86400) + "d" + two(n/3600%24) + "h"
}
