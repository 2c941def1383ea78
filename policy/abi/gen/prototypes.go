package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// prototype is a line of params.txt.
type prototype struct {
	line
	name      string
	canonical string // "" where the call stands for itself
	params    []declaredParam
	attrs     []string
}

// declaredParam is a parameter as params.txt has it. A placeholder has the type
// "_" and no name.
type declaredParam struct {
	names  []string // name, then aliases
	kind   string   // of types
	family string   // of constants, or ""
}

// prototypes is what params.txt says, by section ("all" or an ABI's) and name.
type prototypes map[string]map[string]*prototype

var (
	fullLine  = regexp.MustCompile(`^(\w+)\(([^)]*)\)(?: = (\w+))?((?: !\w+)*)$`)
	aliasLine = regexp.MustCompile(`^(\w+) = (\w+)$`)
	paramText = regexp.MustCompile(`^([a-z0-9_=]+) (\w+)(?::(\w+))?$`)
)

var sections = []string{"all", "x86_64", "i386", "x32", "aarch64"}

func readPrototypes(path string) (prototypes, error) {
	lines, err := readLines(path)
	if err != nil {
		return nil, err
	}
	all, section := prototypes{}, ""
	for _, s := range sections {
		all[s] = map[string]*prototype{}
	}
	for _, l := range lines {
		if l.text[0] == '[' {
			if section = strings.Trim(l.text, "[]"); all[section] == nil {
				return nil, l.errorf("no such ABI")
			}
			continue
		}
		p, err := parsePrototype(l)
		if err != nil {
			return nil, err
		}
		if all[section][p.name] != nil {
			return nil, l.errorf("%s is there already", p.name)
		}
		all[section][p.name] = p
	}
	return all, all.resolve()
}

func parsePrototype(l line) (*prototype, error) {
	if m := aliasLine.FindStringSubmatch(l.text); m != nil {
		return &prototype{line: l, name: m[1], canonical: m[2], params: nil, attrs: []string{"same"}}, nil
	}
	m := fullLine.FindStringSubmatch(l.text)
	if m == nil {
		return nil, l.errorf("not a prototype: %s", l.text)
	}
	p := &prototype{line: l, name: m[1], canonical: m[3], attrs: strings.Fields(strings.ReplaceAll(m[4], "!", ""))}
	seen := map[string]bool{}
	for text := range strings.SplitSeq(m[2], ", ") {
		if text == "" {
			continue
		}
		d, err := l.parseParam(text)
		if err != nil {
			return nil, err
		}
		for _, n := range d.names {
			if seen[n] {
				return nil, l.errorf("%s twice", n)
			}
			seen[n] = true
		}
		p.params = append(p.params, d)
	}
	return p, nil
}

func (l line) parseParam(text string) (declaredParam, error) {
	if text == "_" {
		return declaredParam{kind: "_"}, nil
	}
	m := paramText.FindStringSubmatch(text)
	if m == nil {
		return declaredParam{}, l.errorf("not a parameter: %s", text)
	}
	if _, ok := types[m[2]]; !ok {
		return declaredParam{}, l.errorf("no such type: %s", m[2])
	}
	return declaredParam{strings.Split(m[1], "="), m[2], m[3]}, nil
}

// resolve gives the lines `name = canonical` the parameters of the canonical
// call under [all].
func (ps prototypes) resolve() error {
	for _, section := range sections {
		for _, name := range slices.Sorted(maps.Keys(ps[section])) {
			p := ps[section][name]
			if p.canonical == "" {
				continue
			}
			c := ps["all"][p.canonical]
			if c == nil || c.canonical != "" {
				return p.errorf("%s is no canonical call", p.canonical)
			}
			if slices.Contains(p.attrs, "same") {
				p.params = c.params
			}
		}
	}
	return nil
}

// of is the prototype of a call in an ABI, nil if there is none.
func (ps prototypes) of(abi, name string) *prototype {
	if p := ps[strings.ToLower(abi)][name]; p != nil {
		return p
	}
	return ps["all"][name]
}

func (p *prototype) is(attr string) bool { return slices.Contains(p.attrs, attr) }

// unused complains of a prototype whose call no table has: a misspelt name
// would leave the call that was meant with another ABI's parameters.
func (ps prototypes) unused(tables []map[string]entry) error {
	for _, section := range sections {
		for name, p := range ps[section] {
			found := false
			for i, t := range tables {
				_, ok := t[name]
				found = found || ok && (section == "all" || section == strings.ToLower(abis[i].id))
			}
			if !found {
				return p.errorf("no call %s", name)
			}
		}
	}
	return nil
}

// readSince gives the versions of since.txt by name or ABI/name.
func readSince(path string) (map[string]string, error) {
	lines, err := readLines(path)
	if err != nil {
		return nil, err
	}
	since := map[string]string{}
	for _, l := range lines {
		words := strings.Fields(l.text)
		for _, name := range words[1:] {
			if since[name] != "" {
				return nil, l.errorf("%s is there already", name)
			}
			since[name] = words[0]
		}
	}
	return since, nil
}
