package pep440_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/osv-scalibr/semantic"

	"github.com/seed-161fc314/assay/internal/format/pep440"
)

// ordered is in ascending order, as the specification's examples have it.
var ordered = []string{
	"1.dev0", "1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456", "1.0b2",
	"1.0b2.post345.dev456", "1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0+abc.5", "1.0+abc.7", "1.0+5",
	"1.0.post456.dev34", "1.0.post456", "1.0.15", "1.1.dev1", "1.10", "2", "2024.1", "99999999999999999999999999",
	"1!0.1",
}

func parse(t *testing.T, text string) pep440.Version {
	t.Helper()
	v, err := pep440.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestOrder(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			got := parse(t, a).Compare(parse(t, b))
			if sign(got) != sign(i-j) {
				t.Errorf("%s against %s is %d", a, b, got)
			}
		}
	}
}

func sign(n int) int { return min(1, max(-1, n)) }

// TestOrderAgainstOracle compares the order of a product of generated versions
// with osv-scalibr's, which is right on the packaging project's own tables.
func TestOrderAgainstOracle(t *testing.T) {
	var versions []string
	for _, epoch := range []string{"", "1!"} {
		for _, release := range []string{"0", "1", "1.0", "1.10", "1.2.0", "01.2"} {
			for _, pre := range []string{"", "a1", "b02", "-rc.1", "c2"} {
				for _, post := range []string{"", ".post1", "-2", ".rev3"} {
					for _, dev := range []string{"", ".dev0", "dev7"} {
						for _, local := range []string{"", "+cpu", "+1.a"} {
							versions = append(versions, epoch+release+pre+post+dev+local)
						}
					}
				}
			}
		}
	}
	step := 7 // about 68,000 pairs
	checked := 0
	for i, a := range versions {
		va, oracle := parse(t, a), semantic.MustParse(a, "PyPI")
		for j := i % step; j < len(versions); j += step * 3 {
			want, err := oracle.CompareStr(versions[j])
			if err != nil {
				t.Fatal(err)
			}
			if got := sign(va.Compare(parse(t, versions[j]))); got != sign(want) {
				t.Fatalf("%s against %s is %d, the oracle says %d", a, versions[j], got, want)
			}
			checked++
		}
	}
	if checked < 50_000 {
		t.Fatalf("only %d pairs were compared", checked)
	}
}

func TestNormalised(t *testing.T) {
	for text, want := range map[string]string{
		"1.0": "1.0", " v1.0 ": "1.0", "1.0ALPHA1": "1.0a1", "1.0-preview": "1.0rc0", "1.0_c.3": "1.0rc3", "1.0-1": "1.0.post1",
		"1.0.r4": "1.0.post4", "1.0post": "1.0.post0", "1.0.Dev": "1.0.dev0", "1.13.0+CU_117": "1.13.0+cu.117", "0!1": "1", "007.08": "7.8",
	} {
		if got := parse(t, text).String(); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func TestInvalid(t *testing.T) {
	for _, text := range []string{"", "1.0+", "a", "1..0", "1.0-", "1.0+a+b", "1.0 1", ">=1.0", "1.0.*", "١.٠", "==", "1.0\x00", "1_0", "2004d", strings.Repeat("1", 600)} {
		if v, err := pep440.Parse(text); err == nil {
			t.Errorf("%q was read as %s", text, v)
		}
	}
}

func TestPublic(t *testing.T) {
	v := parse(t, "1.13.0+cpu")
	if !v.HasLocal() || v.Public().HasLocal() || v.Public().String() != "1.13.0" || v.Public().Compare(parse(t, "1.13.0")) != 0 || v.Compare(parse(t, "1.13.0")) <= 0 {
		t.Errorf("public part of %s is %s", v, v.Public())
	}
}

func TestContains(t *testing.T) {
	for set, c := range map[string]struct{ in, out []string }{
		"":               {[]string{"1", "1.0a1"}, nil},
		"==1.0":          {[]string{"1", "1.0.0", "1.0+cpu"}, []string{"1.0.post1", "1.0a1", "1.1"}},
		"==1.0+cpu":      {[]string{"1.0+cpu"}, []string{"1.0", "1.0+cu"}},
		"==1.*":          {[]string{"1", "1.9", "1.0a1", "1.0+x"}, []string{"2", "10"}},
		"!=1.*":          {[]string{"2"}, []string{"1.5"}},
		"==1.1a1.*":      {[]string{"1.1a1", "1.1a1.post1"}, []string{"1.1", "1.1a2"}},
		"!=1.0":          {[]string{"1.1"}, []string{"1.0"}},
		">1.0":           {[]string{"1.0.1", "1.1"}, []string{"1.0", "1.0.post1", "1.0+x"}},
		">1.0.post1":     {[]string{"1.0.post2"}, []string{"1.0.post1"}},
		"<1.0":           {[]string{"0.9"}, []string{"1.0", "1.0a1", "1.0.dev1"}},
		"<1.0rc2":        {[]string{"1.0rc1", "1.0a1"}, []string{"1.0rc2"}},
		">=1.0, <2":      {[]string{"1.0", "1.9"}, []string{"2", "0.9"}},
		"~=1.4.2":        {[]string{"1.4.2", "1.4.9"}, []string{"1.4.1", "1.5"}},
		"~=2.2.post3":    {[]string{"2.2.post3", "2.9"}, []string{"2.2", "3.0"}},
		"===1.0":         {[]string{"1.0"}, []string{"1.0.0"}},
		"(>=1.0)":        {[]string{"1.0"}, []string{"0.1"}},
		"<=1.0":          {[]string{"1.0", "1.0+local"}, []string{"1.0.post1"}},
		">=1.0,!=1.5.0,": {[]string{"1.4"}, []string{"1.5"}},
	} {
		specifiers, err := pep440.ParseSpecifiers(set)
		if err != nil {
			t.Errorf("%s: %v", set, err)
			continue
		}
		for _, text := range c.in {
			if !specifiers.Contains(parse(t, text)) {
				t.Errorf("%s does not contain %s", set, text)
			}
		}
		for _, text := range c.out {
			if specifiers.Contains(parse(t, text)) {
				t.Errorf("%s contains %s", set, text)
			}
		}
	}
}

func TestInvalidSpecifiers(t *testing.T) {
	for _, text := range []string{"1.0", "~=1", ">=1.0+cpu", "==1.0+x.*", "==1.dev1.*", ">=1.*", "=>1", "==", "===", "===a b", ",", "foo"} {
		if s, err := pep440.ParseSpecifiers(text); err == nil {
			t.Errorf("%q was read as %+v", text, s)
		}
	}
}

func TestPin(t *testing.T) {
	for text, want := range map[string]string{"==1.0": "1.0", "=== 1.0+x": "1.0+x", "==1.*": "", ">=1": "", "": "",
		"==1,==1": "1", ">=1, ==1.0": "1.0", "==1.0,!=2,<3": "1.0", "==1.0,==1.0+x": "1.0+x", "==1.*,==1.5": "1.5", "===1.0,>0": "1.0",
		"==1,==2": "", "==1,>1": "", "==1,!=1": "", "==1.*,==1.0.*": "", "===odd,>1": "", ">=1,<=1": ""} {
		specifiers, err := pep440.ParseSpecifiers(text)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := specifiers.Pin()
		if got != want || ok != (want != "") {
			t.Errorf("%q pins %q, %v", text, got, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range slices.Concat(ordered, []string{"1.0+a-b", "v1!2.3rc4.post5.dev6+7"}) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := pep440.Parse(text)
		if err != nil {
			return
		}
		again, err := pep440.Parse(v.String())
		if err != nil || again.Compare(v) != 0 || again.String() != v.String() {
			t.Errorf("%q is %q, which is %v, %v", text, v, again, err)
		}
		if v.Public().HasLocal() || v.Compare(v.Public()) < 0 {
			t.Errorf("public part of %q", text)
		}
	})
}

func FuzzSpecifiers(f *testing.F) {
	f.Add(">=1.0,!=1.5,<2", "1.4")
	f.Add("~=1.4.2", "1.4.3")
	f.Add("==1.*", "1.0")
	f.Fuzz(func(t *testing.T, set, version string) {
		v, err := pep440.Parse(version)
		if err != nil {
			return
		}
		specifiers, err := pep440.ParseSpecifiers(set)
		if err != nil {
			return
		}
		specifiers.Contains(v)
	})
}

func BenchmarkCompare(b *testing.B) {
	x, _ := pep440.Parse("1.13.0+cpu")
	y, _ := pep440.Parse("1.13.1rc1")
	for b.Loop() {
		if x.Compare(y) == 0 {
			b.Fatal("equal")
		}
	}
}

func ExampleSpecifiers_Contains() {
	set, _ := pep440.ParseSpecifiers(">=1.0,<2")
	v, _ := pep440.Parse("1.5")
	fmt.Println(set.Contains(v))
	// Output: true
}

// TestPlain: numbers with dots are read without the pattern, and mean the same.
func TestPlain(t *testing.T) {
	for _, text := range []string{"0", "1", "1.0", "01.00.2", "2024.10.1", "1.2.3.4.5.6.7.8", "99999999999999999999.1"} {
		short, err := pep440.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		// A "v" in front takes the long way.
		long, err := pep440.Parse("v" + text)
		if err != nil || short.Compare(long) != 0 || short.String() != long.String() || short.Public().String() != long.Public().String() || short.HasLocal() || short.IsPrerelease() {
			t.Errorf("%s: %s and %s, %v", text, short, long, err)
		}
	}
	for _, text := range []string{"", ".", "1.", ".1", "1..2", "1.x", "1,2", "1.2 3"} {
		if v, err := pep440.Parse(text); err == nil {
			t.Errorf("%q is %s", text, v)
		}
	}
}
