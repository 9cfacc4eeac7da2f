package assay_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/seed-161fc314/assay"

// floors maps the head of a package's path to its floor. Imports never go up.
// A package under none of these heads fails the test.
var floors = []struct {
	head  string
	floor int
}{
	{"internal/domain", 0},
	{"predicate", 0},
	{"api", 0},
	{"examples", 0},
	{"internal/format", 1},
	{"internal/engine", 2},
	{"internal/port", 3},
	{"internal/job", 4},
	{"internal/cli", 5},
	{"cmd", 6},
	{"bench", 7},            // a program that runs assay and its peers
	{"internal/interop", 7}, // test packages against real peers; nothing imports them
}

// pure names packages that our code on floors 0 to 2 never imports.
var pure = []string{
	"net/http", "os/exec", "database/sql", "net", "os/signal", "flag",
	"k8s.io/client-go", "sigs.k8s.io/controller-runtime", "github.com/spf13/cobra",
	"cloud.google.com", "github.com/aws", "github.com/Azure",
	"github.com/google/go-containerregistry/pkg/v1/remote",
}

// reaches lists libraries that floors 0 to 2 may import although something
// below them imports net/http or os/exec, each with the reason.
var reaches = map[string]string{
	"github.com/owenrumney/go-sarif/v3": "its schema validator can load URLs; only writing and decoding are used",
	"github.com/digitorus/timestamp":    "its requests are sent by whoever makes them; only responses are read",
	"github.com/sigstore/sigstore-go":   "its root and verify packages; clients of logs and TUF come along, and are not called",
	"k8s.io/apimachinery":               "object metadata types; its wait and net packages are not called",
	"k8s.io/apiserver":                  "its library of CEL functions, which are pure; an authorizer comes along, and is not called",
}

// heavy dependencies have exactly one importing package (law 3).
var heavy = map[string]string{
	"github.com/google/go-containerregistry/pkg/v1/remote": "internal/port/oci",
	"github.com/google/cel-go":                             "internal/engine/policy/cel",
	"k8s.io/apiserver":                                     "internal/engine/policy/cel",
	"github.com/kyverno/go-jmespath":                       "internal/engine/policy/kyverno",
	"github.com/CycloneDX/cyclonedx-go":                    "internal/format/cyclonedx",
	"github.com/spdx/tools-golang":                         "internal/format/spdx",
	"github.com/github/go-spdx":                            "internal/format/licence",
	"github.com/owenrumney/go-sarif":                       "internal/format/sarif",
	"github.com/pandatix/go-cvss":                          "internal/format/osv",
	"github.com/pelletier/go-toml/v2":                      "internal/format/stricttoml",
	"github.com/sigstore/sigstore-go/pkg/verify":           "internal/engine/trust",
	"github.com/spf13/cobra":                               "internal/cli",
	"github.com/aws":                                       "internal/port/signing/awskms",
	"github.com/Azure":                                     "internal/port/signing/azurekms",
	"k8s.io/client-go":                                     "internal/port/signing/kube",
	"github.com/spiffe/go-spiffe/v2":                       "internal/port/oidc",
	"github.com/theupdateframework/go-tuf/v2":              "internal/port/trustroot",
}

// edge holds calls that only cli and cmd may make (law 4).
var edge = map[string][]string{
	"os":      {"Exit", "Getenv", "LookupEnv", "Environ", "UserCacheDir", "UserConfigDir", "UserHomeDir", "Args"},
	"context": {"Background", "TODO"},
	"time":    {"Now", "Since", "Until"},
}

// clocked packages may read the clock although they are not at the edge.
var clocked = map[string]string{
	"internal/port/oci": "measures how long a registry takes, to know how long another writer may",
}

// drawers are names that say nothing (law 10).
var drawers = []string{"util", "utils", "common", "helper", "helpers", "types", "base", "core", "misc", "manager", "service", "impl"}

type listed struct {
	ImportPath   string
	Dir          string
	Name         string
	Doc          string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func list(t *testing.T) []listed {
	t.Helper()
	command := exec.Command("go", "list", "-json=ImportPath,Dir,Name,Doc,GoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports", "./...")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []listed
	decoder := json.NewDecoder(bytes.NewReader(output))
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 5 {
		t.Fatalf("go list found %d packages; the test looks at the wrong place", len(packages))
	}
	return packages
}

func under(path, head string) bool { return path == head || strings.HasPrefix(path, head+"/") }

func floorOf(importPath string) (int, bool) {
	path := strings.TrimPrefix(importPath, module+"/")
	for _, f := range floors {
		if under(path, f.head) {
			return f.floor, true
		}
	}
	return 0, false
}

// isTestDouble says whether a package is a real thing for tests: its name is
// its parent's with "test" behind it (oci/ocitest, signing/signingtest).
func isTestDouble(importPath string) bool {
	dir, name := path.Split(importPath)
	return name == path.Base(dir)+"test"
}

func TestFloors(t *testing.T) {
	for _, p := range list(t) {
		if p.ImportPath == module {
			continue
		}
		from, ok := floorOf(p.ImportPath)
		if !ok {
			t.Errorf("%s stands on no floor; put it under one of the heads in house_test.go", p.ImportPath)
			continue
		}
		for _, i := range p.Imports {
			if !strings.HasPrefix(i, module) {
				continue
			}
			to, _ := floorOf(i)
			short := strings.TrimPrefix(i, module+"/")
			path := strings.TrimPrefix(p.ImportPath, module+"/")
			switch {
			case to > from:
				t.Errorf("%s (floor %d) imports %s (floor %d): imports never go up", path, from, short, to)
			case from == 0 && path != short && (under(path, "predicate") || under(path, "api")) && under(short, "internal"):
				if !under(path, "api") || !under(short, "internal/domain") {
					t.Errorf("%s is public and imports %s", path, short)
				}
			case from == 3 && to == 3 && !sameRoom(path, short):
				t.Errorf("%s imports %s: ports never import ports", path, short)
			case from == 4 && to == 4 && short != "internal/job/gate" && path != "internal/job/journey":
				t.Errorf("%s imports %s: a job imports no job but gate (journey may)", path, short)
			case isTestDouble(i) && !isTestDouble(p.ImportPath) && from != 7:
				t.Errorf("%s imports %s, which is for tests", path, short)
			case under(short, path) && !isTestDouble(p.ImportPath):
				t.Errorf("%s imports its child %s; wire children in cli/wire.go", path, short)
			}
		}
	}
}

// sameRoom says whether two ports are the same outside thing: a child may
// import its parent, and a test double whatever it doubles.
func sameRoom(a, b string) bool {
	room := func(path string) string {
		parts := strings.Split(path, "/")
		return strings.Join(parts[:min(3, len(parts))], "/")
	}
	return room(a) == room(b)
}

func TestPureFloors(t *testing.T) {
	for _, p := range list(t) {
		floor, ok := floorOf(p.ImportPath)
		if !ok || floor > 2 || isTestDouble(p.ImportPath) {
			continue
		}
		for _, i := range p.Imports {
			for _, banned := range pure {
				if i == banned || strings.HasPrefix(i, banned+"/") && banned != "net" {
					t.Errorf("%s (floor %d) imports %s: words in, words out", p.ImportPath, floor, i)
				}
			}
		}
	}
}

// TestReach holds the libraries of floors 0 to 2 to what is said of them.
func TestReach(t *testing.T) {
	output, err := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports,Standard", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	imports := map[string][]string{}
	standard := map[string]bool{}
	decoder := json.NewDecoder(bytes.NewReader(output))
	for {
		var p struct {
			ImportPath string
			Imports    []string
			Standard   bool
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		imports[p.ImportPath], standard[p.ImportPath] = p.Imports, p.Standard
	}
	memo := map[string]bool{}
	var reach func(string) bool
	reach = func(path string) bool {
		if path == "net/http" || path == "os/exec" || path == "database/sql" {
			return true
		}
		if standard[path] {
			return false
		}
		if known, seen := memo[path]; seen {
			return known
		}
		memo[path] = false
		for _, i := range imports[path] {
			if reach(i) {
				memo[path] = true
				break
			}
		}
		return memo[path]
	}
	used := map[string]bool{}
	for path, list := range imports {
		floor, ok := floorOf(path)
		if !strings.HasPrefix(path, module+"/") || !ok || floor > 2 || isTestDouble(path) {
			continue
		}
		for _, i := range list {
			if strings.HasPrefix(i, module) || !reach(i) {
				continue
			}
			reason := ""
			for allowed, why := range reaches {
				if under(i, allowed) {
					reason, used[allowed] = why, true
				}
			}
			if reason == "" {
				t.Errorf("%s imports %s, which reaches net/http, os/exec or database/sql; list it in house_test.go with a reason, or move the code up", path, i)
			}
		}
	}
	for allowed := range reaches {
		if !used[allowed] {
			t.Errorf("house_test.go allows %s to reach the outside, but no package on floors 0 to 2 needs that: remove the line", allowed)
		}
	}
}

func TestHeavyDependencies(t *testing.T) {
	importers := map[string]map[string]bool{}
	for _, p := range list(t) {
		if isTestDouble(p.ImportPath) {
			continue
		}
		for _, i := range p.Imports {
			for dependency, home := range heavy {
				if !under(i, dependency) {
					continue
				}
				if importers[dependency] == nil {
					importers[dependency] = map[string]bool{}
				}
				importers[dependency][p.ImportPath] = true
				if path := strings.TrimPrefix(p.ImportPath, module+"/"); path != home {
					t.Errorf("%s imports %s; only %s may", path, i, home)
				}
			}
		}
	}
	for dependency := range heavy {
		if len(importers[dependency]) == 0 {
			t.Errorf("house_test.go names %s as a heavy dependency, but nothing imports it: remove the line", dependency)
		}
	}
}

func TestEdgeCalls(t *testing.T) {
	for _, p := range list(t) {
		floor, _ := floorOf(p.ImportPath)
		if p.ImportPath == module || floor >= 5 || isTestDouble(p.ImportPath) {
			continue
		}
		for _, file := range p.GoFiles {
			for _, call := range selectors(t, filepath.Join(p.Dir, file)) {
				if slices.Contains(edge[call.pkg], call.name) && clocked[strings.TrimPrefix(p.ImportPath, module+"/")] == "" {
					t.Errorf("%s: %s.%s belongs to cli and cmd; take the value as an argument", call.at, call.pkg, call.name)
				}
			}
		}
	}
}

type selector struct{ pkg, name, at string }

func selectors(t *testing.T, file string) []selector {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []selector
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Obj == nil {
				found = append(found, selector{x.Name, s.Sel.Name, set.Position(s.Pos()).String()})
			}
		}
		return true
	})
	return found
}

func TestNoInitNoState(t *testing.T) {
	for _, p := range list(t) {
		if p.ImportPath == module || isTestDouble(p.ImportPath) {
			continue
		}
		for _, file := range p.GoFiles {
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, filepath.Join(p.Dir, file), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, declaration := range parsed.Decls {
				if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s: no init functions", set.Position(f.Pos()))
				}
			}
		}
	}
}

func TestWordsOnTheDoor(t *testing.T) {
	for _, p := range list(t) {
		if p.ImportPath == module || len(p.GoFiles) == 0 {
			continue
		}
		if slices.Contains(drawers, p.Name) {
			t.Errorf("%s: a drawer, not a name; call it by what a caller gets", p.ImportPath)
		}
		if p.Name == "main" {
			continue
		}
		if !strings.HasPrefix(p.Doc, "Package "+p.Name+" ") {
			t.Errorf("%s has no package comment that starts \"Package %s \"", p.ImportPath, p.Name)
		}
		for _, file := range p.GoFiles {
			undocumented(t, filepath.Join(p.Dir, file))
		}
	}
}

func undocumented(t *testing.T, file string) {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	// A group of one-line declarations shares the comment above it.
	documentedLine := map[int]bool{}
	for _, group := range parsed.Comments {
		documentedLine[set.Position(group.End()).Line+1] = true
	}
	previousDocumented := 0
	for _, declaration := range parsed.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			line := set.Position(d.Pos()).Line
			if !d.Name.IsExported() || receiverHidden(d) {
				continue
			}
			if d.Doc == nil && !documentedLine[line] && line != previousDocumented+1 {
				t.Errorf("%s: %s has no comment", set.Position(d.Pos()), d.Name.Name)
			}
			previousDocumented = set.Position(d.End()).Line
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					t.Errorf("%s: type %s has no comment", set.Position(s.Pos()), s.Name.Name)
				}
				if s, ok := spec.(*ast.ValueSpec); ok && s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
					t.Errorf("%s: %s has no comment", set.Position(s.Pos()), s.Names[0].Name)
				}
			}
		}
	}
}

func receiverHidden(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return false
	}
	expression := f.Recv.List[0].Type
	if star, ok := expression.(*ast.StarExpr); ok {
		expression = star.X
	}
	if index, ok := expression.(*ast.IndexExpr); ok {
		expression = index.X
	}
	name, ok := expression.(*ast.Ident)
	return ok && !name.IsExported()
}

func TestGoMod(t *testing.T) {
	content, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(content, []byte("\nreplace ")) {
		t.Error("go.mod has a replace line, which breaks go install")
	}
}
