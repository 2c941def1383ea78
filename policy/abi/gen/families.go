package main

import (
	"fmt"
	"maps"
	"math/bits"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// family is a family of constants of consts.txt.
type family struct {
	line
	name, title  string
	flags, mixed bool
	mask         string
	members      []string
	// lists are the constants by suffix of x/sys's files: amd64, 386, arm64.
	lists map[string][]constant
	masks map[string]uint64
	// variables are the names of the Go variables likewise; architectures with
	// the same list share one.
	variables map[string]string
}

type families map[string]*family

var goarches = []string{"amd64", "386", "arm64"}

var header = regexp.MustCompile(`^family (\w+)((?: flags| mixed)*)(?: mask=(\w+))? "([^"]+)"$`)

// readFamilies reads consts.txt and gives its members the values of x/sys in
// dir.
func readFamilies(path, dir string) (families, error) {
	lines, err := readLines(path)
	if err != nil {
		return nil, err
	}
	all := families{}
	var last *family
	for _, l := range lines {
		m := header.FindStringSubmatch(l.text)
		switch {
		case m != nil && all[m[1]] != nil:
			return nil, l.errorf("%s is there already", m[1])
		case m != nil:
			last = &family{line: l, name: m[1], title: m[4], mask: m[3],
				flags: strings.Contains(m[2], "flags"), mixed: strings.Contains(m[2], "mixed")}
			all[m[1]] = last
		case last == nil:
			return nil, l.errorf("not in a family")
		default:
			last.members = append(last.members, strings.Fields(l.text)...)
		}
	}
	for _, goarch := range goarches {
		if err := all.evaluate(goarch, dir); err != nil {
			return nil, err
		}
	}
	all.name()
	return all, nil
}

// evaluate gives every family its list for one architecture.
func (fs families) evaluate(goarch, dir string) error {
	known := map[string]uint64{}
	for _, file := range []string{"zerrors_linux", "zerrors_linux_" + goarch, "ztypes_linux", "ztypes_linux_" + goarch} {
		list, err := readConstants(filepath.Join(dir, file+".go"))
		if err != nil {
			return err
		}
		for _, c := range list {
			known[c.name] = c.value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fs)) {
		f := fs[name]
		list, err := fs.expand(f, goarch, known)
		if err != nil {
			return f.errorf("family %s, %s: %w", name, goarch, err)
		}
		if f.lists == nil {
			f.lists, f.masks = map[string][]constant{}, map[string]uint64{}
		}
		f.lists[goarch] = f.order(list)
		if f.masks[goarch], err = f.maskValue(list); err != nil {
			return f.errorf("%w", err)
		}
	}
	return nil
}

// expand gives the family's members on one architecture, in their order.
func (fs families) expand(f *family, goarch string, known map[string]uint64) ([]constant, error) {
	var list []constant
	have := map[string]bool{}
	add := func(name string, value uint64) {
		if !have[name] {
			have[name] = true
			list = append(list, constant{name, value})
		}
	}
	for _, m := range f.members {
		if name, ok := strings.CutPrefix(m, "-"); ok {
			have[name] = true
		}
	}
	for _, m := range f.members {
		if arch, rest, ok := strings.Cut(m, ":"); ok {
			if arch != goarch {
				continue
			}
			m = rest
		}
		name, text, explicit := strings.Cut(m, "=")
		prefix, wild := strings.CutSuffix(m, "*")
		name, optional := strings.CutPrefix(name, "?")
		value, ok := known[name]
		switch {
		case m[0] == '-':
		case m[0] == '@':
			other, err := fs.expand(fs[m[1:]], goarch, known)
			if err != nil {
				return nil, err
			}
			for _, c := range other {
				add(c.name, c.value)
			}
		case explicit:
			v, err := strconv.ParseUint(text, 0, 64)
			if err != nil {
				return nil, err
			}
			if ok && value != v && value != 0 {
				return nil, fmt.Errorf("%s is %#x in x/sys", name, value)
			}
			add(name, v)
		case wild:
			for _, n := range slices.Sorted(maps.Keys(known)) {
				if strings.HasPrefix(n, prefix) {
					add(n, known[n])
				}
			}
		case ok:
			add(name, value)
		case !optional:
			return nil, fmt.Errorf("x/sys has no %s", name)
		}
	}
	return list, nil
}

// order is the order in which decoding tries the constants: of flags, those
// of more bits first, since O_SYNC holds O_DSYNC.
func (f *family) order(list []constant) []constant {
	if f.flags {
		slices.SortStableFunc(list, func(x, y constant) int {
			return bits.OnesCount64(y.value) - bits.OnesCount64(x.value)
		})
	}
	return list
}

func (f *family) maskValue(list []constant) (uint64, error) {
	for _, c := range list {
		if c.name == f.mask {
			return c.value, nil
		}
	}
	if f.mask == "" {
		return 0, nil
	}
	return strconv.ParseUint(f.mask, 0, 64)
}

// name gives each list a Go variable, one for all architectures that have the
// same.
func (fs families) name() {
	for _, f := range fs {
		f.variables = map[string]string{}
		for i, goarch := range goarches {
			f.variables[goarch] = "consts_" + f.name + "_" + goarch
			for _, earlier := range goarches[:i] {
				if slices.Equal(f.lists[earlier], f.lists[goarch]) && f.masks[earlier] == f.masks[goarch] {
					f.variables[goarch] = f.variables[earlier]
					break
				}
			}
		}
	}
}

// variable is the Go variable of a family in an ABI. The sizes in ioctl
// requests are those of i386 in x32, whose long is 32 bits too.
func (fs families) variable(name string, abi int) (string, error) {
	f := fs[name]
	if f == nil {
		return "", fmt.Errorf("no family %s", name)
	}
	goarch := abis[abi].constants
	if abi == x32 && name == "ioctl" {
		goarch = "386"
	}
	return f.variables[goarch], nil
}
