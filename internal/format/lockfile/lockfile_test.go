package lockfile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/format/lockfile"
)

func result(t *testing.T, packages ...lockfile.Package) lockfile.Result {
	t.Helper()
	list := lockfile.NewList([]byte("x"), "lock")
	for i, p := range packages {
		p.Line = i + 1
		if err := list.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	result, err := list.Result()
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// Edges lead to the version that is meant, or to all that may be.
func TestEdges(t *testing.T) {
	for what, c := range map[string]struct {
		need lockfile.Need
		want []string
	}{
		"by name":           {lockfile.Need{Name: "B_b"}, []string{"pkg:pypi/b-b@1.0", "pkg:pypi/b-b@2.0"}},
		"by version":        {lockfile.Need{Name: "b-b", Version: "v2.0.0"}, nil},
		"by exact version":  {lockfile.Need{Name: "b-b", Version: "2.0"}, []string{"pkg:pypi/b-b@2.0"}},
		"by spelling":       {lockfile.Need{Name: "b-b", Version: " 2.0 "}, []string{"pkg:pypi/b-b@2.0"}},
		"by range":          {lockfile.Need{Name: "b-b", Range: "<2"}, []string{"pkg:pypi/b-b@1.0"}},
		"by range, none":    {lockfile.Need{Name: "b-b", Range: ">3"}, nil},
		"by foreign syntax": {lockfile.Need{Name: "b-b", Range: "^2"}, []string{"pkg:pypi/b-b@1.0", "pkg:pypi/b-b@2.0"}},
		"of itself":         {lockfile.Need{Name: "a"}, nil},
		"of nothing":        {lockfile.Need{Name: "c"}, nil},
	} {
		r := result(t, lockfile.Package{Name: "a", Version: "1", Needs: []lockfile.Need{c.need, c.need}}, lockfile.Package{Name: "b.b", Version: "2.0"}, lockfile.Package{Name: "b-b", Version: "1.0"})
		if diff := cmp.Diff(c.want, r.Components[0].DependsOn); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

// Entries of one package become one; what is always installed has no groups.
func TestEntriesOfOnePackage(t *testing.T) {
	r := result(t,
		lockfile.Package{Name: "a", Version: "1", Groups: []string{"z", "b"}}, lockfile.Package{Name: "A", Version: "1", Groups: []string{"b"}},
		lockfile.Package{Name: "c", Version: "1", Groups: []string{"b"}}, lockfile.Package{Name: "c", Version: "1", Default: true})
	if len(r.Components) != 2 || !cmp.Equal(r.Components[0].Groups, []string{"b", "z"}) || r.Components[1].Groups != nil || len(r.Components[0].Locations) != 2 {
		t.Errorf("%+v", r.Components)
	}
}

func TestUnresolved(t *testing.T) {
	r := result(t,
		lockfile.Package{Name: "-bad-", Version: "1"}, lockfile.Package{Name: "none"}, lockfile.Package{Name: "odd", Version: "1.x"},
		lockfile.Package{Name: "there", Version: "1", Elsewhere: "why", At: "https://u:p@example.com/x"}, lockfile.Package{Name: "self", Elsewhere: "why", At: "."},
		lockfile.Package{Name: "w", Elsewhere: "why", At: "dir/w-1.5-py3-none-any.whl"}, lockfile.Package{Name: "w", Elsewhere: "why", At: "dir/v-1.5-py3-none-any.whl"})
	var got []string
	for _, u := range r.Unresolved {
		got = append(got, fmt.Sprintf("%d %s|%s|%s", u.Location.Line, u.Name, u.Text, u.Reason))
	}
	want := []string{`1 |-bad-==1|"-bad-" is no name that a package can have`, "2 none|none|no version is given", `3 odd|odd==1.x|"1.x" is no version by PEP 440`,
		"4 there|there @ https://****@example.com/x|why", "7 w|w @ dir/v-1.5-py3-none-any.whl|why"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(r.Components) != 1 || r.Components[0].Version != "1.5" {
		t.Errorf("%+v", r.Components)
	}
	if diff := cmp.Diff(map[string]bool{"none": true, "odd": true, "there": true, "w": true}, r.Covers()); diff != "" {
		t.Error(diff)
	}
}

func TestIndexes(t *testing.T) {
	var packages []lockfile.Package
	for i := range 7 {
		packages = append(packages, lockfile.Package{Name: fmt.Sprintf("p%d", i), Version: "1", Index: "https://example.com/simple"})
	}
	packages = append(packages, packages[0], lockfile.Package{Name: "q", Version: "1", Index: "https://pypi.org/simple"}, lockfile.Package{Name: "r", Version: "1"})
	r := result(t, packages...)
	if len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0].Text, "p0, p1, p2, p3, p4 and 2 more from the index https://example.com/simple") || r.Notes[0].Location.Line != 1 {
		t.Errorf("%+v", r.Notes)
	}
}
