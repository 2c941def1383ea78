// Package config is callgated's configuration: a YAML file, read as strictly as
// policies are.
package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"callgate/policy"

	"gopkg.in/yaml.v3"
)

// Config is the whole file.
type Config struct {
	Version int               `yaml:"callgated"` // 1
	Socket  string            `yaml:"socket" until:"restart"`
	Mode    Mode              `yaml:"socket-mode"`                // of the socket's file
	State   string            `yaml:"state" until:"restart"`      // the daemon's folder
	Program string            `yaml:"supervisor" until:"restart"` // the callgate that supervises jobs; "": the one beside callgated, or in PATH
	Host    string            `yaml:"host" until:"restart"`       // this host's name in the queue
	Labels  map[string]string `yaml:"labels"`
	Slots   int               `yaml:"slots"`                  // jobs at once
	Spares  int               `yaml:"spares" until:"restart"` // supervisors that wait for a user's first job, and at most as many that wait for the next

	NATS    []string `yaml:"nats" until:"restart"`   // URLs of servers to share; none: one in this process
	Prefix  string   `yaml:"prefix" until:"restart"` // of the names of buckets and streams there
	Replica int      `yaml:"replicas" until:"restart"`

	Policies map[string]string `yaml:"policies"` // files, by the names that jobs call them
	Default  []string          `yaml:"default"`  // policies of jobs that name none
	Ceiling  []string          `yaml:"ceiling"`  // policies that every job is under as well

	Operators Accounts `yaml:"operators"` // who may see and end everybody's jobs
	Submit    Accounts `yaml:"submit"`    // who may submit; none named: everyone
	Root      bool     `yaml:"root-jobs"` // whether jobs may run as root

	Quota  Quota            `yaml:"quota"`  // of each user
	Quotas map[string]Quota `yaml:"quotas"` // of single users, and of members of groups as @NAME
	Limits Limits           `yaml:"limits"` // of each job, at most

	Metrics   string   `yaml:"metrics" until:"restart"`    // HOST:PORT, at which /metrics, /health and /ready are for everyone; "": the socket alone
	Traces    string   `yaml:"traces" until:"restart"`     // a collector's OTLP/HTTP endpoint; "": none
	Keep      Duration `yaml:"keep"`                       // how long ended jobs are kept
	KeepSize  Size     `yaml:"keep-size"`                  // what ended jobs' output and files take of the disk at most; 0: no bound
	Grace     Duration `yaml:"grace"`                      // how long a stop waits for running jobs with stop: finish
	Stop      string   `yaml:"stop"`                       // leave, finish or kill: what becomes of running jobs when the daemon stops
	DeadAfter Duration `yaml:"dead-after" until:"restart"` // how long a silent host is taken for alive
	Reserve   Size     `yaml:"reserve"`                    // disk that jobs leave free
	Request   Size     `yaml:"request"`                    // the greatest body of a request
}

// Accounts are users and groups, by name or number.
type Accounts struct {
	Users  []string `yaml:"users"`
	Groups []string `yaml:"groups"`
}

// Quota is what one user may have.
type Quota struct {
	Queued  int `yaml:"queued"`  // jobs that have not ended
	Running int `yaml:"running"` // jobs at once
	Stored  int `yaml:"stored"`  // jobs in all, ended ones too
}

// Limits are what one job may use at most.
type Limits struct {
	WallTime  Duration `yaml:"wall-time"` // 0: no limit, as with all of these
	CPUTime   Duration `yaml:"cpu-time"`
	Memory    Size     `yaml:"memory"`
	Processes int      `yaml:"processes"`
	OpenFiles int      `yaml:"open-files"`
	FileSize  Size     `yaml:"file-size"`
	Output    Size     `yaml:"output"` // standard output and error together
	Disk      Size     `yaml:"disk"`   // what a job's own folders hold
	Inodes    int      `yaml:"inodes"` // files and folders in those
	Audit     Size     `yaml:"audit"`
	Files     Size     `yaml:"files"` // collected files
}

// defaults are what the file need not say.
func defaults() Config {
	name, _ := os.Hostname() // "" is told as a mistake below
	return Config{
		Socket: "/run/callgated/callgated.sock", Mode: 0o666, State: "/var/lib/callgated", Host: name, Slots: 2 * runtime.NumCPU(), Spares: min(runtime.NumCPU(), 4),
		Prefix: "callgate", Replica: 1, Default: []string{"builtin:default"},
		Quota:  Quota{Queued: 10000, Running: 1000, Stored: 100000},
		Limits: Limits{OpenFiles: 4096, Disk: 4 << 30, Inodes: 250000, Output: 64 << 20, Audit: 16 << 20, Files: 64 << 20},
		Keep:   Duration(7 * 24 * time.Hour), KeepSize: 10 << 30, Grace: Duration(30 * time.Second), Stop: "leave", DeadAfter: Duration(30 * time.Second),
		Reserve: 64 << 20, Request: 16 << 20,
	}
}

// Load reads a config, and looks at what it names on this host. The error is
// policy.Mistakes, every one. strangers are the users and groups that this host does not
// know, which keeps nothing from running: they may be there tomorrow.
func Load(file string) (c *Config, strangers []policy.Warning, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	c, err = parse(file, text, func(c *Config, r *reader) {
		c.checkHost(r)
		strangers = c.strangers(r)
	})
	return c, strangers, err
}

// Parse is Load of a text at hand, and looks at nothing else. Paths in it are relative to
// file's folder.
func Parse(file string, text []byte) (*Config, error) {
	return parse(file, text, func(*Config, *reader) {})
}

func parse(file string, text []byte, more func(*Config, *reader)) (*Config, error) {
	c := defaults()
	r := &reader{file: file, at: map[string]*yaml.Node{}, keys: map[string]*yaml.Node{}}
	r.read(text, &c)
	folder := filepath.Dir(file)
	for _, path := range []*string{&c.Socket, &c.State, &c.Program} {
		*path = within(folder, *path)
	}
	for name, path := range c.Policies {
		c.Policies[name] = within(folder, path)
	}
	c.check(r)
	more(&c, r)
	if err := r.err(); err != nil {
		return nil, err
	}
	return &c, nil
}

func within(folder, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	abs, err := filepath.Abs(filepath.Join(folder, path))
	if err != nil {
		return path
	}
	return abs
}

// Size is bytes: a number with the units that policies have, or without.
type Size int64

func (s *Size) read(text string) (expected, hint string) {
	unit := int64(1)
	for power, name := range []string{"TiB", "GiB", "MiB", "KiB", "B"} { // B ends the others too
		if rest, ok := strings.CutSuffix(text, name); ok {
			text, unit = strings.TrimSpace(rest), 1<<(40-10*power)
			break
		}
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 || v > (1<<62)/unit {
		return "a size", "write for example 64MiB; the units are B, KiB, MiB, GiB and TiB"
	}
	*s = Size(v * unit)
	return "", ""
}

// Duration is a time such as 30s, 10m or 24h.
type Duration time.Duration

func (d *Duration) read(text string) (expected, hint string) {
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return "a time", "write for example 30s, 10m or 24h"
	}
	*d = Duration(v)
	return "", ""
}

// Mode is permissions in octal.
type Mode uint32

func (m *Mode) read(text string) (expected, hint string) {
	v, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
	if err != nil || v > 0o777 {
		return "permissions in octal", "write for example 0660"
	}
	*m = Mode(v)
	return "", ""
}

// Over gives the quota with what it does not say from another.
func (q Quota) Over(base Quota) Quota {
	for _, n := range []struct{ has, from *int }{{&q.Queued, &base.Queued}, {&q.Running, &base.Running}, {&q.Stored, &base.Stored}} {
		if *n.has == 0 {
			*n.has = *n.from
		}
	}
	return q
}
