package config

import (
	"slices"
	"time"

	"callgate/policy"
)

// HeartbeatEvery is how often a host says that it is alive.
const HeartbeatEvery = time.Second

// Texts are the policies of a config as they were when it was loaded.
type Texts struct {
	// ByFile are the texts of all files that the config's policies are made of.
	ByFile map[string]string
	// Files are the names of the config's policies, and their files.
	Files map[string]string
	// Bounded are the policies that have a limit on memory, of the config's and the
	// built-in ones, as Source has them.
	Bounded map[string]bool
}

// LoadPolicies reads all policies of the config, and reports the mistakes of all
// of them, and what no job could be started under. base has the built-in ones.
func (c *Config) LoadPolicies(base policy.Loader) (*Texts, error) {
	t := &Texts{ByFile: map[string]string{}, Files: c.Policies, Bounded: map[string]bool{}}
	base.ReadFile = t.read
	names := slices.Concat(c.Default, c.Ceiling, base.Builtins())
	for name := range c.Policies {
		names = append(names, name)
	}
	for i, name := range names {
		names[i] = t.Source(name)
	}
	set, err := base.LoadAll(names...)
	if err != nil {
		return nil, err
	}
	usual, ceiling := set[:len(c.Default)], set[len(c.Default):][:len(c.Ceiling)]
	for _, p := range ceiling {
		p.Ceiling = true
	}
	if err := policy.CheckCeiling(ceiling, usual); err != nil {
		return nil, err
	}
	for i, p := range set {
		if p.Limits.Has(policy.Memory) {
			t.Bounded[names[i]] = true
		}
	}
	return t, nil
}

// Source is what a loader calls a policy: the file of one of the config's, or
// the built-in's own name.
func (t *Texts) Source(name string) string {
	if file, ok := t.Files[name]; ok {
		return file
	}
	return name
}

func (t *Texts) read(name string) ([]byte, error) {
	b, err := policy.ReadFile(name)
	if err != nil {
		return nil, err
	}
	t.ByFile[name] = string(b)
	return b, nil
}
