package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"callgate/policy"

	"gopkg.in/yaml.v3"
)

// reader reads a config's tree, and collects all that is wrong with it.
type reader struct {
	file  string
	at    map[string]*yaml.Node // values, by their keys from the top with dots between
	keys  map[string]*yaml.Node // the last of those keys
	wrong policy.Mistakes
}

// word is a scalar that means what is not YAML's.
type word interface {
	// read gives what was expected where that is not it, and what to write instead.
	read(text string) (expected, hint string)
}

const beginning = "a config begins with `callgated: 1`"

// read reads the whole file into c.
func (r *reader) read(raw []byte, c *Config) {
	root, err := policy.ParseYAML(r.file, raw)
	switch {
	case errors.As(err, &r.wrong):
	case root == nil:
		r.fail("", beginning, "the file is empty")
	default:
		r.value("", root, reflect.ValueOf(c).Elem())
		if r.at["callgated"] == nil && root.Kind == yaml.MappingNode {
			r.fail("", beginning, "the line `callgated: 1` is missing")
		}
	}
}

// fail notes a mistake in the value at a path, or in the whole file.
func (r *reader) fail(path, hint, format string, args ...any) {
	r.failAt(r.at[path], hint, format, args...)
}

func (r *reader) failAt(n *yaml.Node, hint, format string, args ...any) {
	pos := policy.Position{File: r.file}
	if n != nil {
		pos.Line, pos.Col = n.Line, n.Column
		if slices.ContainsFunc(r.wrong, func(m policy.Mistake) bool { return m.Pos == pos }) {
			return // it was not even read
		}
	}
	r.wrong = append(r.wrong, policy.Mistake{Pos: pos, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// err is all that is wrong, in the order of the text.
func (r *reader) err() error {
	if len(r.wrong) == 0 {
		return nil
	}
	slices.SortStableFunc(r.wrong, func(a, b policy.Mistake) int {
		return cmp.Or(cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col))
	})
	return r.wrong
}

// value reads what stands at a path. A key without a value is one that is left out.
func (r *reader) value(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	r.at[path] = n
	if w, ok := v.Addr().Interface().(word); ok {
		r.scalar(n, w)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		r.each(path, n, fields(v.Type()), func(path, key string, n *yaml.Node) {
			r.value(path, n, v.Field(slices.Index(fields(v.Type()), key)))
		})
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		r.each(path, n, nil, func(path, key string, n *yaml.Node) {
			of := reflect.New(v.Type().Elem()).Elem()
			r.value(path, n, of)
			v.SetMapIndex(reflect.ValueOf(key), of)
		})
	case reflect.Slice:
		r.list(path, n, v)
	default:
		if n.Kind != yaml.ScalarNode || n.Decode(v.Addr().Interface()) != nil {
			r.failAt(n, "", "expected %s, found %s", expected(v.Kind()), found(n))
		}
	}
}

func (r *reader) scalar(n *yaml.Node, w word) {
	value := n.Value
	if n.Kind != yaml.ScalarNode {
		value = ""
	}
	if expected, hint := w.read(value); expected != "" {
		r.failAt(n, hint, "expected %s, found %s", expected, found(n))
	}
}

func (r *reader) list(path string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		r.failAt(n, "write [ before it and ] behind it", "expected a list, found %s", found(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		r.value(below(path, strconv.Itoa(i)), item, v.Index(i))
	}
}

// each goes through a mapping; known are its keys, nil where it may have any.
func (r *reader) each(path string, n *yaml.Node, known []string, do func(path, key string, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.failAt(n, "", "expected keys and values, found %s", found(n))
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch line := first[key.Value]; {
		case line > 0:
			r.failAt(key, "", "the key %q stands twice, first in line %d", key.Value, line)
			continue
		case known != nil && !slices.Contains(known, key.Value):
			r.failAt(key, policy.DidYouMean(key.Value, known), "unknown key %q", key.Value)
		default:
			r.keys[below(path, key.Value)] = key
			do(below(path, key.Value), key.Value, value)
		}
		first[key.Value] = key.Line
	}
}

func below(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func expected(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	}
	return "text"
}

func found(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "keys and values"
	}
	return fmt.Sprintf("%.64q", n.Value)
}

// fields are the keys of a struct.
func fields(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("yaml"))
	}
	return keys
}
