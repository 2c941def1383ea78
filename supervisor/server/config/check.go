package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"callgate/policy"
)

var (
	hostName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$`)
	prefixName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_]{0,30}$`)
)

// LabelName is what a label of a host's or a job's can be called.
var LabelName = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,63}$`)

// check gives what cannot be, one line each.
func (c *Config) check() (wrong []string) {
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	c.Host = strings.ReplaceAll(c.Host, ".", "-")
	if c.Version != 1 {
		fail("callgated: %d: this callgated reads version 1; the file begins with callgated: 1", c.Version)
	}
	if !hostName.MatchString(c.Host) {
		fail("host: %q: up to 63 letters, digits, - and _", c.Host)
	}
	if !prefixName.MatchString(c.Prefix) {
		fail("prefix: %q: up to 31 letters, digits and _", c.Prefix)
	}
	if c.Slots < 1 || c.Slots > 10000 {
		fail("slots: %d: from 1 to 10000", c.Slots)
	}
	if c.Spares < 0 || c.Spares > 100 {
		fail("spares: %d: from 0 to 100", c.Spares)
	}
	if c.Replica < 1 || c.Replica > 5 {
		fail("replicas: %d: from 1 to 5", c.Replica)
	}
	if c.Stop != "leave" && c.Stop != "finish" && c.Stop != "kill" {
		fail("stop: %q: leave, finish or kill", c.Stop)
	}
	if len(c.Default) == 0 {
		fail("default: no policy; builtin:default is one")
	}
	if c.DeadAfter < Duration(3*HeartbeatEvery) {
		fail("dead-after: less than %s, three signs of life", 3*HeartbeatEvery)
	}
	if c.Request < 64<<10 {
		fail("request: less than 64KiB")
	}
	if one := c.Limits.Output + c.Limits.Audit + c.Limits.Files; c.KeepSize > 0 && c.KeepSize < one {
		fail("keep-size: less than one job may have: %d bytes of output, audit and files, by the limits", one)
	}
	c.checkCounts(fail)
	c.checkNames(fail)
	return wrong
}

// checkCounts refuses what is less than nothing. Sizes and times are read so.
func (c *Config) checkCounts(fail func(string, ...any)) {
	counts := func(at string, has map[string]int) {
		for _, key := range slices.Sorted(maps.Keys(has)) {
			if has[key] < 0 {
				fail("%s: %s: %d: 0 or more", at, key, has[key])
			}
		}
	}
	counts("limits", map[string]int{"processes": c.Limits.Processes, "open-files": c.Limits.OpenFiles, "inodes": c.Limits.Inodes})
	counts("quota", c.Quota.counts())
	for _, name := range slices.Sorted(maps.Keys(c.Quotas)) {
		counts("quotas: "+name, c.Quotas[name].counts())
	}
}

func (q Quota) counts() map[string]int {
	return map[string]int{"queued": q.Queued, "running": q.Running, "stored": q.Stored}
}

func (c *Config) checkNames(fail func(string, ...any)) {
	for name := range c.Labels {
		if !LabelName.MatchString(name) {
			fail("labels: %q: up to 63 letters, digits and . _ / -", name)
		}
	}
	for name, file := range c.Policies {
		if name == "" || strings.ContainsAny(name, "/: \n") {
			fail("policies: %q: a name without / and :", name)
		}
		if !filepath.IsAbs(file) {
			fail("policies: %s: a file", name)
		}
	}
	for _, list := range [][]string{c.Default, c.Ceiling} {
		for _, name := range list {
			if _, known := c.Policies[name]; !known && !strings.HasPrefix(name, "builtin:") {
				fail("%q is neither builtin:NAME nor one of policies", name)
			}
		}
	}
}

// nearest hints at a key that is like an unknown one.
func nearest(key string) string {
	if near := policy.Nearest(key, Keys()); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// keys are those of the file, of all depths.
func keys(t reflect.Type) (all []string) {
	if t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		all = append(all, t.Field(i).Tag.Get("yaml"))
		all = append(all, keys(t.Field(i).Type)...)
	}
	return all
}

// Keys are all keys of a config.
func Keys() []string { return keys(reflect.TypeFor[Config]()) }
