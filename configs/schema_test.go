package configs

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"callgate/policy"
)

//go:embed policy.schema.json
var jsonSchema []byte

type object = map[string]any

// TestSchemaHasTheLoadersKeys asks the loader about each key of the schema,
// and compares the schema with the keys that the loader offers instead of one
// that it does not know.
func TestSchemaHasTheLoadersKeys(t *testing.T) {
	var schema object
	if err := json.Unmarshal(jsonSchema, &schema); err != nil {
		t.Fatal(err)
	}
	defs := schema["$defs"].(object)
	properties := func(o any) []string { return slices.Sorted(maps.Keys(o.(object)["properties"].(object))) }
	top := schema["properties"].(object)
	condition := append(properties(defs["condition"].(object)["anyOf"].([]any)[2]), properties(defs["test"].(object)["anyOf"].([]any)[1])...)
	condition = append(condition, properties(defs["test"].(object)["anyOf"].([]any)[2])...)
	slices.Sort(condition)
	for _, tt := range []struct {
		what   string
		text   string // with %s for the unknown key
		schema []string
	}{
		{"policy", "callgate: 1\n%s: 1\n", properties(schema)},
		{"rule", "callgate: 1\nsyscalls: [{allow: read, %s: 1}]\n", properties(defs["rule"])},
		{"files", "callgate: 1\nfiles: [{read: /usr, %s: 1}]\n", properties(defs["fileRule"])},
		{"exec", "callgate: 1\nexec: [{allow: /usr, %s: 1}]\n", properties(defs["execRule"])},
		{"network", "callgate: 1\nnetwork: [{connect: localhost, %s: 1}]\n", properties(defs["networkRule"])},
		{"compat", "callgate: 1\ncompat: {%s: kill}\n", properties(top["compat"])},
		{"limits", "callgate: 1\nlimits: {%s: 1}\n", properties(top["limits"])},
		{"environment", "callgate: 1\nenvironment: {%s: 1}\n", properties(top["environment"])},
		{"test", "callgate: 1\ntests: [{call: read, expect: allow, %s: 1}]\n", properties(defs["callTest"])},
		{"condition", "callgate: 1\nsyscalls: [{allow: read, args: {fd: {%s: 1}}}]\n", condition},
	} {
		if got := offered(t, tt.text); !slices.Equal(got, tt.schema) {
			t.Errorf("%s: the loader has %v, the schema %v", tt.what, got, tt.schema)
		}
	}
}

// offered gives the keys that the loader's hint lists for an unknown one,
// sorted.
func offered(t *testing.T, text string) []string {
	t.Helper()
	_, err := (&policy.Loader{}).Parse("p.yaml", fmt.Appendf(nil, text, "qqqqqqqq"))
	var mistakes policy.Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatalf("%s: %v", text, err)
	}
	hint, ok := strings.CutPrefix(mistakes[0].Hint, "expected ")
	if !ok {
		t.Fatalf("%s: %v", text, err)
	}
	keys := strings.Split(strings.ReplaceAll(hint, " or ", ", "), ", ")
	slices.Sort(keys)
	return keys
}
