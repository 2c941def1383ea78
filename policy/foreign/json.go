package foreign

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxText is the greatest input in bytes, maxDepth how deep values may be nested.
const (
	maxText  = 1 << 20
	maxDepth = 32
)

// value is one value of a JSON text, with its place. Objects keep every key as it
// is written, so that one that stands twice, or in another case, is found.
type value struct {
	in     *value // the list or object that it is in, nil for the whole
	key    string // in an object
	index  int    // in a list
	offset int64  // where it ends, of a list or object where it begins
	items  []*value
	kind   byte   // '{', '[', '"', '0', 't' for both truth values, 'n' for null
	text   string // of a string, number or truth value
}

// path is how the value is reached from the root: syscalls[3].names[0].
func (v *value) path() string {
	switch {
	case v.in == nil:
		return ""
	case v.in.kind == '[':
		return v.in.path() + "[" + strconv.Itoa(v.index) + "]"
	case v.in.in == nil:
		return cut(v.key)
	}
	return v.in.path() + "." + cut(v.key)
}

// parseJSON reads a whole text, one value.
func parseJSON(text []byte) (*value, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	r := jsonReader{d: d}
	v, err := r.value(nil, 0)
	if err == nil {
		if _, more := d.Token(); more == nil {
			return v, &jsonError{d.InputOffset(), "a second value follows the first"}
		} else if !errors.Is(more, io.EOF) {
			err = more
		}
	}
	return v, r.placed(err)
}

type jsonError struct {
	offset int64
	what   string
}

func (e *jsonError) Error() string { return e.what }

type jsonReader struct{ d *json.Decoder }

// placed gives an error of the library's its place.
func (r *jsonReader) placed(err error) error {
	var own *jsonError
	var syntax *json.SyntaxError
	switch {
	case err == nil || errors.As(err, &own):
		return err
	case errors.As(err, &syntax):
		return &jsonError{max(syntax.Offset-1, 0), "not JSON: " + syntax.Error()}
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return &jsonError{r.d.InputOffset(), "not JSON: the text ends too early"}
	}
	return &jsonError{r.d.InputOffset(), "not JSON: " + err.Error()}
}

func (r *jsonReader) value(in *value, depth int) (*value, error) {
	t, err := r.d.Token()
	v := &value{in: in, offset: r.d.InputOffset()}
	if err != nil {
		return v, err
	}
	if depth > maxDepth {
		return v, &jsonError{v.offset, "values are nested too deeply"}
	}
	switch t := t.(type) {
	case json.Delim:
		v.kind = byte(t)
		return v, r.inside(v, depth)
	case string:
		v.kind, v.text = '"', t
	case json.Number:
		v.kind, v.text = '0', t.String()
	case bool:
		v.kind, v.text = 't', strconv.FormatBool(t)
	default:
		v.kind = 'n'
	}
	return v, nil
}

// inside reads what a list or an object holds, and its end.
func (r *jsonReader) inside(v *value, depth int) error {
	for r.d.More() {
		key := ""
		if v.kind == '{' {
			t, err := r.d.Token()
			if err != nil {
				return err
			}
			key, _ = t.(string) // the decoder lets nothing else be a key
		}
		one, err := r.value(v, depth+1)
		if err != nil {
			return err
		}
		one.key, one.index = key, len(v.items)
		v.items = append(v.items, one)
	}
	_, err := r.d.Token()
	return err
}

// describe is what a value is, for a message.
func (v *value) describe() string {
	switch v.kind {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return quote(v.text)
	case 'n':
		return "null"
	}
	return v.text
}

// places are the lines and columns of a text, from 1, at every stride-th byte.
type places []place

type place struct{ line, col int }

// advance goes past some bytes. A character counts where it begins.
func (p *place) advance(text []byte) {
	if n := bytes.Count(text, []byte("\n")); n > 0 {
		p.line, p.col = p.line+n, 1
		text = text[bytes.LastIndexByte(text, '\n')+1:]
	}
	for _, c := range text {
		if utf8.RuneStart(c) {
			p.col++
		}
	}
}

const stride = 1 << 10

func placesOf(text []byte) places {
	p := make(places, 0, 1+len(text)/stride)
	p = append(p, place{1, 1})
	for at := stride; at <= len(text); at += stride {
		p = append(p, p[len(p)-1])
		p[len(p)-1].advance(text[at-stride : at])
	}
	return p
}

// of is the line and column of a place in the text.
func (p places) of(text []byte, offset int64) (line, col int) {
	at := int(min(max(offset, 0), int64(len(text))))
	place := p[at/stride]
	place.advance(text[at/stride*stride : at])
	return place.line, place.col
}

// quote quotes text of the input for a message, cut to a length that a line bears.
func quote(s string) string { return strconv.Quote(cut(s)) }

func cut(s string) string {
	const limit = 60
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}

// oneLine is text that others wrote, as a comment of one line can have it.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
