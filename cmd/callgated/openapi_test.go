package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

const openAPI = "../../supervisor/server/openapi.yaml"

// contract is openapi.yaml, and which of its answers a test has seen.
type contract struct {
	doc     map[string]any
	schemas *jsonschema.Compiler
	seen    map[string]bool // OPERATION STATUS
}

type object = map[string]any

func readContract(t *testing.T) *contract {
	t.Helper()
	text, err := os.ReadFile(openAPI)
	if err != nil {
		t.Fatal(err)
	}
	var doc object
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(doc) // the compiler takes JSON's types
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{doc: v.(object), schemas: jsonschema.NewCompiler(), seen: map[string]bool{}}
	c.schemas.AssertFormat()
	if err := c.schemas.AddResource("file:///openapi.json", v); err != nil {
		t.Fatal(err)
	}
	return c
}

// operation is one of the document's.
type operation struct {
	id, method, path string
	params           []string // of the query
	statuses         []string
}

func (c *contract) operations() (all []operation) {
	paths := c.doc["paths"].(object)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path].(object)
		for method, v := range item {
			if method == "parameters" {
				continue
			}
			op := v.(object)
			o := operation{id: op["operationId"].(string), method: strings.ToUpper(method), path: path,
				statuses: slices.Sorted(maps.Keys(op["responses"].(object)))}
			for _, list := range []any{item["parameters"], op["parameters"]} {
				ps, _ := list.([]any)
				for _, p := range ps {
					if param := c.follow(p); param["in"] == "query" {
						o.params = append(o.params, param["name"].(string))
					}
				}
			}
			all = append(all, o)
		}
	}
	return all
}

// follow gives what a reference stands for.
func (c *contract) follow(v any) object {
	o := v.(object)
	ref, ok := o["$ref"].(string)
	if !ok {
		return o
	}
	at := any(c.doc)
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		at = at.(object)[name]
	}
	return c.follow(at)
}

// check holds an answer to the document.
func (c *contract) check(t *testing.T, op operation, resp *http.Response) {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s: %v", op.id, err)
	}
	status := fmt.Sprint(resp.StatusCode)
	c.seen[op.id+" "+status] = true
	path := "/paths/" + escaped(op.path) + "/" + strings.ToLower(op.method) + "/responses/" + status
	answer, documented := c.at(path)
	if !documented {
		t.Errorf("%s answers %s, of which the document knows nothing: %s", op.id, status, body)
		return
	}
	if ref, ok := answer["$ref"].(string); ok {
		path, answer = strings.TrimPrefix(ref, "#"), c.follow(answer)
	}
	content, has := answer["content"].(object)
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	media, known := content[kind].(object)
	switch {
	case !has && len(body) > 0:
		t.Errorf("%s %s has a body: %s", op.id, status, body)
	case has && !known:
		t.Errorf("%s %s is %q, and should be one of %v", op.id, status, kind, slices.Sorted(maps.Keys(content)))
	case has && media["schema"] != nil:
		c.checkBody(t, op.id+" "+status, path+"/content/"+escaped(kind)+"/schema", kind, body)
	}
}

func (c *contract) checkBody(t *testing.T, what, pointer, kind string, body []byte) {
	t.Helper()
	schema, err := c.schemas.Compile("file:///openapi.json#" + pointer)
	if err != nil {
		t.Fatal(err)
	}
	parts := [][]byte{body}
	if kind == "application/x-ndjson" {
		parts = bytes.SplitAfter(bytes.TrimSuffix(body, []byte("\n")), []byte("\n"))
	}
	for _, part := range parts {
		v, err := any(string(part)), error(nil)
		if kind != "text/plain" {
			v, err = jsonschema.UnmarshalJSON(bytes.NewReader(part))
		}
		if err == nil {
			err = schema.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", what, err, part)
		}
	}
}

func (c *contract) at(pointer string) (object, bool) {
	v := any(c.doc)
	for _, name := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		v = v.(object)[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
		if v == nil {
			return nil, false
		}
	}
	return v.(object), true
}

func escaped(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }
