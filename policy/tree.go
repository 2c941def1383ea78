package policy

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// The trees of shipped policies can be made when callgate is built, which
// spares a start the time of reading YAML. What the trees say is read, checked
// and merged as ever: no part of the language is known here.

// AppendTree appends to dst the tree of a policy's text in the form that
// Loader.Trees has: how many values are in lists and in mappings, then the root.
// A value is its kind, its place, and its text or what is in it. A policy's tests are
// left out: nothing that starts needs them.
func AppendTree(dst, text []byte) ([]byte, error) {
	checked, wrong := checkText(text)
	var root node
	if wrong == nil {
		root, wrong = parseYAML(checked)
	}
	if wrong != nil {
		return nil, errors.New(wrong.message)
	}
	root.fields = slices.DeleteFunc(root.fields, func(f field) bool { return f.key.text == "tests" })
	var items, fields int
	root.count(&items, &fields)
	dst = binary.AppendUvarint(dst, uint64(items))
	dst = binary.AppendUvarint(dst, uint64(fields))
	return root.append(dst), nil
}

// count adds what is in the lists and mappings of a tree.
func (n *node) count(items, fields *int) {
	*items += len(n.items)
	*fields += len(n.fields)
	for i := range n.items {
		n.items[i].count(items, fields)
	}
	for i := range n.fields {
		n.fields[i].value.count(items, fields)
	}
}

// quotedBit stands beside the kind.
const quotedBit = 1 << 7

func (n *node) append(dst []byte) []byte {
	kind := byte(n.kind)
	if n.quoted {
		kind |= quotedBit
	}
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(n.line))
	dst = binary.AppendUvarint(dst, uint64(n.col))
	switch n.kind {
	case listNode:
		dst = binary.AppendUvarint(dst, uint64(len(n.items)))
		for i := range n.items {
			dst = n.items[i].append(dst)
		}
	case mapNode:
		dst = binary.AppendUvarint(dst, uint64(len(n.fields)))
		for i := range n.fields {
			dst = n.fields[i].value.append(n.fields[i].key.append(dst))
		}
	default:
		dst = binary.AppendUvarint(dst, uint64(len(n.text)))
		dst = append(dst, n.text...)
	}
	return dst
}

// parsed is the tree of a shipped policy that was made when callgate was built;
// false if there is none.
func (l *Loader) parsed(name string) (root node, ok bool) {
	b, builtin := strings.CutPrefix(name, builtinPrefix)
	if !builtin || l.Trees == nil || l.Tests || !fs.ValidPath(b) {
		return node{}, false
	}
	data, err := fs.ReadFile(l.Trees, b+".tree")
	if err != nil {
		return node{}, false
	}
	return readTree(string(data))
}

// readTree reads what AppendTree wrote; false if it is anything else.
func readTree(data string) (root node, ok bool) {
	r := &treeReader{rest: data}
	items, fields := r.number(), r.number()
	if items > len(data) || fields > len(data) {
		return node{}, false
	}
	r.items, r.fields = make([]node, items), make([]field, fields)
	r.node(&root, 0)
	return root, !r.bad && r.rest == "" && len(r.items) == 0 && len(r.fields) == 0
}

// treeReader reads a tree; items and fields are the room that is left.
type treeReader struct {
	rest   string
	items  []node
	fields []field
	bad    bool
}

func (r *treeReader) node(n *node, depth int) {
	kind := r.take(1)
	if r.bad || depth > maxDepth+1 {
		r.bad = true
		return
	}
	n.kind, n.quoted = nodeKind(kind[0]&^quotedBit), kind[0]&quotedBit != 0
	n.line, n.col = r.number(), r.number()
	size := r.number()
	switch {
	case n.kind == scalarNode:
		n.text = r.take(size)
	case n.kind == listNode && size <= len(r.items):
		n.items, r.items = r.items[:size:size], r.items[size:]
		for i := range n.items {
			r.node(&n.items[i], depth+1)
		}
	case n.kind == mapNode && size <= len(r.fields):
		n.fields, r.fields = r.fields[:size:size], r.fields[size:]
		for i := range n.fields {
			r.node(&n.fields[i].key, depth+1)
			r.node(&n.fields[i].value, depth+1)
		}
	default:
		r.bad = true
	}
}

func (r *treeReader) take(n int) string {
	if n > len(r.rest) {
		r.bad = true
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// number reads a varint (package encoding/binary) of at most five bytes.
func (r *treeReader) number() (n int) {
	for shift := 0; shift < 35; shift += 7 {
		b := r.take(1)
		if r.bad {
			return 0
		}
		n |= int(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return n
		}
	}
	r.bad = true
	return 0
}
