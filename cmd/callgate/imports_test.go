package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// walls says which imports stay behind a wall, and where that is. What a
// reader must trust most is then in few places.
var walls = map[string]func(file string) bool{
	"unsafe":                               unsafeAllowed,
	"C":                                    unsafeAllowed,
	"github.com/seccomp/libseccomp-golang": inFolder("policy/compile"),
	"github.com/spf13/cobra":               inFolder("cmd"),
	"github.com/rogpeppe/go-internal/testscript": inFolder("cmd"),
	"gopkg.in/yaml.v3":                           inAny("policy", "supervisor/server/config", "cmd"), // in cmd by tests
	"github.com/nats-io/nats.go":                 inFolder("supervisor/server/store"),
	"github.com/nats-io/nats.go/jetstream":       inFolder("supervisor/server/store"),
	"github.com/nats-io/nats-server/v2/server":   inAny("supervisor/server/store", "cmd/callgated"), // there by a test
}

func inFolder(folder string) func(string) bool {
	return func(file string) bool { return filepath.Dir(file) == folder || strings.HasPrefix(file, folder+"/") }
}

func inAny(folders ...string) func(string) bool {
	return func(file string) bool {
		return slices.ContainsFunc(folders, func(folder string) bool { return inFolder(folder)(file) })
	}
}

// unsafeAllowed says that a file's name must own up to it: NAME_unsafe.go.
func unsafeAllowed(file string) bool {
	name := strings.TrimSuffix(filepath.Base(file), ".go")
	return strings.HasSuffix(strings.TrimSuffix(name, "_test"), "_unsafe")
}

// directions are the packages that a folder's packages must not import: imports
// run cmd -> supervisor -> policy -> policy/abi.
var directions = map[string][]string{
	"policy/abi": {"callgate/policy", "callgate/supervisor"},
	"policy":     {"callgate/supervisor"},
	"supervisor": {"callgate/cmd"},
}

func TestImports(t *testing.T) {
	const root = "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		file, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if wall := walls[name]; wall != nil && !wall(file) {
				t.Errorf("%s imports %s", file, name)
			}
			checkDirection(t, file, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkDirection(t *testing.T, file, imported string) {
	for folder, banned := range directions {
		if !strings.HasPrefix(file, folder+"/") || strings.HasPrefix(file, folder+"/gen/") {
			continue
		}
		for _, b := range banned {
			if imported == b || strings.HasPrefix(imported, b+"/") && !strings.HasPrefix(imported, "callgate/"+folder) {
				t.Errorf("%s imports %s, against the direction of imports", file, imported)
			}
		}
	}
}

// heavy are packages that a program pays for when it starts, used or not (each
// has variables to set up), and that callgate therefore does without.
var heavy = []string{"net/http", "crypto/tls", "github.com/prometheus/", "go.opentelemetry.io/", "github.com/nats-io/", "google.golang.org/"}

// TestCallgateLinksNothingHeavy follows the imports of the module's own packages;
// callgated may import all of it.
func TestCallgateLinksNothingHeavy(t *testing.T) {
	seen := map[string]bool{}
	var visit func(name, from string)
	visit = func(name, from string) {
		for _, h := range heavy {
			if name == h || strings.HasSuffix(h, "/") && strings.HasPrefix(name, h) {
				t.Errorf("%s imports %s, and cmd/callgate links it", from, name)
			}
		}
		folder, ours := strings.CutPrefix(name, "callgate/")
		if !ours || seen[name] {
			return
		}
		seen[name] = true
		files, _ := filepath.Glob("../../" + folder + "/*.go")
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range f.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				visit(imported, name)
			}
		}
	}
	visit("callgate/cmd/callgate", "")
	if len(seen) < 10 {
		t.Errorf("only %d packages were found", len(seen))
	}
}
