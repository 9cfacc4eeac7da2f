package component_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// In whatever order an inventory was filled, sorted it is the same.
func TestSort(t *testing.T) {
	at := func(path string, line int) []component.Location {
		return []component.Location{{Path: path, Line: line}}
	}
	want := component.Inventory{
		Components: []component.Component{
			{Ecosystem: "Debian:12", Name: "zlib1g", Version: "1", Architecture: "amd64", Locations: at("status", 1)},
			{Ecosystem: "Debian:12", Name: "zlib1g", Version: "1", Architecture: "i386", Locations: at("status", 1)},
			{Ecosystem: "PyPI", Name: "numpy", Version: "1", Dependency: component.Declared},
			{Ecosystem: "PyPI", Name: "numpy", Version: "1", Dependency: component.Declared, Locations: at("a.txt", 1)},
			{Ecosystem: "PyPI", Name: "numpy", Version: "1", Dependency: component.Declared, Locations: at("a.txt", 2)},
			{Ecosystem: "PyPI", Name: "numpy", Version: "1", Dependency: component.Declared, Locations: []component.Location{{Path: "a.txt", Line: 2, Layer: subject.Of(nil)}}},
			{Ecosystem: "PyPI", Name: "numpy", Version: "1", Dependency: component.Installed, Locations: at("a.txt", 1)},
			{Ecosystem: "PyPI", Name: "numpy", Version: "2", Dependency: component.Declared, Locations: at("a.txt", 1)},
			{Ecosystem: "PyPI", Name: "torch", Version: "1", Dependency: component.Declared, Locations: at("a.txt", 1)},
		},
		Unresolved: []component.Unresolved{{Text: "z", Location: at("a.txt", 1)[0]}, {Text: "a", Location: at("a.txt", 2)[0]}, {Text: "b", Location: at("a.txt", 2)[0]}},
		Sources:    []component.Source{{Path: "a.txt"}, {Path: "status"}},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		got := component.Inventory{Components: slices.Clone(want.Components), Unresolved: slices.Clone(want.Unresolved), Sources: slices.Clone(want.Sources)}
		random.Shuffle(len(got.Components), func(i, j int) { got.Components[i], got.Components[j] = got.Components[j], got.Components[i] })
		random.Shuffle(len(got.Unresolved), func(i, j int) { got.Unresolved[i], got.Unresolved[j] = got.Unresolved[j], got.Unresolved[i] })
		slices.Reverse(got.Sources)
		got.Sort()
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b subject.Digest) bool { return a == b })); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
	}
}

func TestOwnerName(t *testing.T) {
	for owner, want := range map[string]string{"": "", "pkg:deb/debian/python3-pandas@1.5.3%2Bdfsg-2?arch=all": "python3-pandas", "pkg:rpm/x/libstdc%2B%2B@1": "libstdc++", "pkg:apk/a/b%zz@1": "b%zz"} {
		if got := (component.Component{Owner: owner}).OwnerName(); got != want {
			t.Errorf("%s names %q, want %q", owner, got, want)
		}
	}
}

func TestUnresolvedString(t *testing.T) {
	for want, u := range map[string]component.Unresolved{
		"numpy>=1: a range": {Text: "numpy>=1", Reason: "a range", Location: component.Location{Path: "r.txt"}},
		"no zip":            {Text: "w/a.whl", Reason: "no zip", Location: component.Location{Path: "app/w/a.whl"}},
		"broken":            {Text: "a.whl", Reason: "broken", Location: component.Location{Path: "a.whl"}},
		"nothing":           {Reason: "nothing"},
	} {
		if got := u.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
