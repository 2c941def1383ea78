package policy

import (
	"reflect"
	"testing"
	"testing/fstest"
)

const treeText = "callgate: 1\ndescription: |\n  two\n  lines\ndefault: 'deny'\nsyscalls:\n  - {allow: [read, \"wri\\x74e\"], reason: ü}\n  - deny: []\n  - {}\n"

func TestTreeIsWhatTheTextSays(t *testing.T) {
	want, flaw := parseYAML(treeText)
	if flaw != nil {
		t.Fatal(flaw.message)
	}
	data, err := AppendTree([]byte{}, []byte(treeText))
	if err != nil {
		t.Fatal(err)
	}
	got, ok := readTree(string(data))
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("read as %+v, want %+v", got, want)
	}
}

func TestTreeThatIsCutOff(t *testing.T) {
	data, err := AppendTree(nil, []byte(treeText))
	if err != nil {
		t.Fatal(err)
	}
	for n := range data {
		if _, ok := readTree(string(data[:n])); ok {
			t.Errorf("%d bytes of %d are enough", n, len(data))
		}
	}
	if _, ok := readTree(string(data) + "x"); ok {
		t.Error("more than a tree is one")
	}
}

func TestTreeOfNoPolicy(t *testing.T) {
	for _, text := range []string{"a: [", "a: \x00", "a: &x 1"} {
		if _, err := AppendTree(nil, []byte(text)); err == nil {
			t.Errorf("%q has a tree", text)
		}
	}
}

// TestTreeHasNoTests: they are read of the text, by who asks for them.
func TestTreeHasNoTests(t *testing.T) {
	const text = "callgate: 1\ntests:\n  - {call: read, expect: deny}\n"
	tree, err := AppendTree(nil, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if bare, err := AppendTree(nil, []byte("callgate: 1\n")); err != nil || string(tree) != string(bare) {
		t.Errorf("the tree is %q, without tests %q, %v", tree, bare, err)
	}
	l := &Loader{Builtin: fstest.MapFS{"p.yaml": {Data: []byte(text)}}, Trees: fstest.MapFS{"p.tree": {Data: tree}}}
	for _, tests := range []bool{false, true} {
		l.Tests = tests
		if p, err := l.Load("builtin:p"); err != nil || len(p.Tests) == 1 != tests {
			t.Errorf("%+v, %v", p, err)
		}
	}
}

// TestTreeIsRead: a tree stands for the text, and one that cannot be read does
// not.
func TestTreeIsRead(t *testing.T) {
	tree, err := AppendTree(nil, []byte("callgate: 1\ndescription: of the tree\n"))
	if err != nil {
		t.Fatal(err)
	}
	text := fstest.MapFS{"p.yaml": {Data: []byte("callgate: 1\ndescription: of the text\n")}}
	for want, data := range map[string][]byte{"of the tree": tree, "of the text": tree[1:]} {
		p, err := (&Loader{Builtin: text, Trees: fstest.MapFS{"p.tree": {Data: data}}}).Load("builtin:p")
		if err != nil {
			t.Fatal(err)
		}
		if p.Description != want {
			t.Errorf("%s, want %s", p.Description, want)
		}
	}
}

func FuzzReadTree(f *testing.F) {
	data, err := AppendTree(nil, []byte(treeText))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	f.Fuzz(func(t *testing.T, data string) {
		if root, ok := readTree(data); ok {
			var led ledger
			readRoot("p", &root, &led)
		}
	})
}
