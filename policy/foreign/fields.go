package foreign

import (
	"slices"
	"strconv"

	"callgate/policy"
)

func (v *value) get(key string) *value {
	for _, item := range v.items {
		if item.key == key {
			return item
		}
	}
	return nil
}

func (r *reader) at(v *value) policy.Position {
	line, col := r.places.of(r.text, v.offset-v.length())
	return policy.Position{File: r.name, Line: line, Col: col}
}

// length is roughly how long the value's text is: of a list or object its bracket.
func (v *value) length() int64 {
	switch v.kind {
	case '"':
		return int64(len(v.text)) + 2
	case '0', 't':
		return int64(len(v.text))
	case 'n':
		return 4
	}
	return 1
}

// bad reports a value, with its path.
func (r *reader) bad(v *value, hint, format string, args ...any) {
	if path := v.path(); path != "" {
		format, args = "%s: "+format, append([]any{path}, args...)
	}
	r.fail(r.at(v), hint, format, args...)
}

// object gives an object's values by their keys, and reports what is no object, and keys
// that are unknown or stand twice. Keys are told apart by case, as the spec does.
func (r *reader) object(v *value, keys []string) map[string]*value {
	m := map[string]*value{}
	if v.kind != '{' {
		r.bad(v, "", "expected an object, found %s", v.describe())
		return m
	}
	for _, item := range v.items {
		switch {
		case m[item.key] != nil:
			r.bad(item, "", "the key %s stands twice", quote(item.key))
		case !slices.Contains(keys, item.key):
			r.bad(item, policy.DidYouMean(item.key, keys), "unknown key %s", quote(item.key))
		default:
			m[item.key] = item
		}
	}
	for key, item := range m {
		if item.kind == 'n' { // Go programs write it for what is left out
			delete(m, key)
		}
	}
	return m
}

func (r *reader) list(v *value) []*value {
	if v == nil {
		return nil
	}
	if v.kind != '[' {
		r.bad(v, "", "expected a list, found %s", v.describe())
		return nil
	}
	return v.items
}

// word reads a string, of some if there are any to choose from.
func (r *reader) word(v *value, of []string) string {
	switch {
	case v == nil:
		return ""
	case v.kind != '"':
		r.bad(v, "", "expected text, found %s", v.describe())
	case of != nil && !slices.Contains(of, v.text):
		r.bad(v, policy.DidYouMean(v.text, of), "unknown word %s", quote(v.text))
	default:
		return v.text
	}
	return ""
}

// uint reads a whole number that is not negative.
func (r *reader) uint(v *value, most uint64) uint64 {
	if v == nil {
		return 0
	}
	n, err := strconv.ParseUint(v.text, 10, 64)
	if v.kind != '0' || err != nil || n > most {
		r.bad(v, "", "expected a whole number from 0 to %d, found %s", most, v.describe())
		return 0
	}
	return n
}
