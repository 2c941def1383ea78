// Package strict reads the bodies of requests to the letter.
package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"callgate/policy"
	"callgate/supervisor/client"
)

// Read reads a JSON object into what v points to. Package encoding/json drops what it
// knows no better: names that stand twice, or in other letters, and text that is no
// Unicode. Here all of that is refused, for what is asked is to be what is done, and what
// somebody between has read.
func Read(text []byte, v any) error {
	if !utf8.Valid(text) {
		return client.ProblemAt(client.Malformed, "", "not UTF-8")
	}
	if err := json.Unmarshal(text, new(json.RawMessage)); err != nil {
		return client.ProblemAt(client.Malformed, "", "not JSON: "+placed(err))
	}
	if halved(text) {
		return client.ProblemAt(client.Malformed, "", `half of a surrogate pair, such as \ud800 alone, which is no character`)
	}
	r := &reader{json.NewDecoder(bytes.NewReader(text))}
	if err := r.value("", reflect.TypeOf(v).Elem()); err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read a body that was found to be right: %w", err)
	}
	return nil
}

// placed is what the parser says, with where it says it.
func placed(err error) string {
	var wrong *json.SyntaxError
	if errors.As(err, &wrong) {
		return fmt.Sprintf("%s, at byte %d", err, wrong.Offset)
	}
	return err.Error()
}

// halved says whether an escape in JSON is one of a surrogate pair without the other,
// which becomes U+FFFD as it is read (RFC 8259, section 8.2).
func halved(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return false
		}
		unit, is := escaped(text[i:])
		text = text[i+2:]
		if !is || !utf16.IsSurrogate(unit) {
			continue
		}
		second, _ := escaped(text[4:])
		if utf16.DecodeRune(unit, second) == utf8.RuneError {
			return true
		}
		text = text[6:]
	}
}

// escaped is what a text begins with that is \uXXXX.
func escaped(text []byte) (unit rune, is bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}

// reader goes through valid JSON beside the type that it is to become. Since nothing that
// the type does not have passes, it goes no deeper than that.
type reader struct{ *json.Decoder }

// value looks at the next value, which is at a JSON pointer.
func (r *reader) value(at string, t reflect.Type) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch kind := expected(t); kind {
	case "an object":
		return r.object(at, t)
	case "a list":
		return r.list(at, t.Elem())
	default:
		v := reflect.New(t)
		var text json.RawMessage
		if err := r.Decode(&text); err != nil {
			return err
		}
		if text[0] == 'n' || json.Unmarshal(text, v.Interface()) != nil { // null changes nothing
			return client.ProblemAt(client.Malformed, at, "expected "+kind)
		}
		if strings.HasPrefix(at, "/limits/") && v.Elem().IsZero() {
			return client.ProblemAt(client.Invalid, at, "more than 0; what is not there is the host's")
		}
		return nil
	}
}

// expected names what JSON is to have for a type.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "base64"
		}
		return "a list"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

func (r *reader) list(at string, t reflect.Type) error {
	if begin, err := r.Token(); err != nil || begin != json.Delim('[') {
		return client.ProblemAt(client.Malformed, at, "expected a list")
	}
	for i := 0; r.More(); i++ {
		if err := r.value(at+"/"+strconv.Itoa(i), t); err != nil {
			return err
		}
	}
	_, err := r.Token()
	return err
}

func (r *reader) object(at string, t reflect.Type) error {
	if begin, err := r.Token(); err != nil || begin != json.Delim('{') {
		return client.ProblemAt(client.Malformed, at, "expected an object")
	}
	var known map[string]reflect.Type // nil: every name is
	if t.Kind() == reflect.Struct {
		known = fields(t)
	}
	seen := map[string]bool{}
	for r.More() {
		token, err := r.Token()
		if err != nil {
			return err
		}
		name := token.(string)
		at := at + "/" + Pointer(name)
		of, is := known[name]
		switch {
		case known == nil:
			of = t.Elem()
		case !is:
			return unknown(at, name, known)
		}
		if seen[name] {
			return client.ProblemAt(client.Malformed, at, "is there twice")
		}
		seen[name] = true
		if err := r.value(at, of); err != nil {
			return err
		}
	}
	_, err := r.Token()
	return err
}

// fields are the types of a struct's fields, by their names in JSON.
func fields(t reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			all[name] = f.Type
		}
	}
	return all
}

func unknown(at, name string, known map[string]reflect.Type) *client.Problem {
	p := client.ProblemAt(client.Malformed, at, "there is no such field")
	const longest = 64 // to look for what it is like
	if len(name) <= longest {
		if near := policy.Nearest(strings.ToLower(name), slices.Sorted(maps.Keys(known))); near != "" {
			p.Hint = fmt.Sprintf("did you mean %q?", near)
		}
	}
	return p
}

// Pointer is a name as a JSON pointer has it (RFC 6901).
func Pointer(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }
