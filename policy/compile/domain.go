package compile

import (
	"maps"
	"slices"
	"strings"
)

// domain is what some rulesets on files come to together: of the rights that
// it handles, a file has those that are granted to it or a folder above it.
type domain struct {
	handled uint64
	grants  map[string]uint64
}

func (d *domain) add(path string, access uint64) {
	if access == 0 {
		return
	}
	if d.grants == nil {
		d.grants = map[string]uint64{}
	}
	d.grants[path] |= access
}

// handle adds a right and grants it.
func (d *domain) handle(path string, access uint64) {
	d.handled |= access
	d.add(path, access)
}

// of gives the handled rights on a path.
func (d *domain) of(path string) (access uint64) {
	for above := range upward(path) {
		access |= d.grants[above]
	}
	return access
}

// and is the domain that permits what both do. Two grants come to one where a
// path is beneath both: at the deeper of them. So the union of all pairs is
// found by asking both domains about each path that either names.
func (d *domain) and(e domain) domain {
	both := domain{handled: d.handled | e.handled}
	for _, named := range []map[string]uint64{d.grants, e.grants} {
		for path := range named {
			both.add(path, (d.of(path)|both.handled&^d.handled)&(e.of(path)|both.handled&^e.handled))
		}
	}
	return both.pruned()
}

// pruned leaves to each path the rights that no folder above it gives. That
// also takes from a path that is no folder those that only folders can have:
// they are given nowhere else.
func (d *domain) pruned() domain {
	p := domain{handled: d.handled}
	for path, access := range d.grants {
		for above := range upward(path) {
			if above != path {
				access &^= d.grants[above]
			}
		}
		p.add(path, access)
	}
	return p
}

// with gives the paths to which a right is granted.
func (d *domain) with(access uint64) (paths []string) {
	for _, path := range slices.Sorted(maps.Keys(d.grants)) {
		if d.grants[path]&access != 0 {
			paths = append(paths, path)
		}
	}
	return paths
}

func (d *domain) sorted() []PathGrant {
	var list []PathGrant
	for _, path := range slices.Sorted(maps.Keys(d.grants)) {
		list = append(list, PathGrant{path, d.grants[path]})
	}
	return list
}

// upward gives an absolute clean path and every folder above it.
func upward(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for yield(path) && path != "/" {
			path = folderOf(path)
		}
	}
}

func folderOf(path string) string {
	return path[:max(1, strings.LastIndexByte(path, '/'))]
}
