package configs

import (
	"testing"

	"callgate/policy"
)

func TestShippedPoliciesLoad(t *testing.T) {
	loader := &policy.Loader{Builtin: Builtin}
	names := loader.Builtins()
	if len(names) != 5 {
		t.Errorf("shipped policies: %v", names)
	}
	for _, name := range names {
		p, err := loader.Load(name)
		if err != nil {
			t.Errorf("%s:\n%v", name, err)
			continue
		}
		if p.Description == "" {
			t.Errorf("%s has no description", name)
		}
	}
}
