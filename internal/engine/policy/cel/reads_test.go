package cel_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/engine/policy/cel"
	"github.com/seed-161fc314/assay/predicate"
)

func TestReads(t *testing.T) {
	for _, test := range []struct {
		uri, expression string
		want            []string
	}{
		{predicate.TypeProvenanceV1, `predicate.runDetails.builder.id == "https://ci"`, []string{"runDetails.builder.id=https://ci"}},
		{predicate.TypeProvenanceV1, `predicate["runDetails"].builder.id.startsWith("https://ci")`, []string{"runDetails.builder.id"}},
		{predicate.TypeProvenanceV1, `predicate.buildDefinition.resolvedDependencies.exists(d, d.uri == "git")`, []string{"buildDefinition.resolvedDependencies[].uri=git"}},
		{predicate.TypeCycloneDX, `predicate.components.filter(c, c.type == "library").all(c, has(c.purl))`, []string{"components[].type=library", "components[].purl?"}},
		{predicate.TypeCycloneDX, `predicate.components.map(c, c.licenses).all(l, l[0].license.id == "MIT")`, []string{"components[].licenses[].license.id=MIT"}},
		{predicate.TypeProvenanceV1, `predicate.?runDetails.?builder.?id.orValue("") in ["a", "b"]`, []string{"runDetails.builder.id?=a,b"}},
		{predicate.TypeTestResult, `predicates.all(p, p.result == "PASSED")`, []string{"result=PASSED"}},
		{predicate.TypeTestResult, `claim.signer == "ci"`, nil},
	} {
		looked, ok := cel.Reads(test.expression, test.uri)
		if !ok {
			t.Errorf("%s does not compile", test.expression)
			continue
		}
		var got []string
		for _, read := range looked.Reads {
			text := read.Path.String()
			if read.Optional {
				text += "?"
			}
			if len(read.Compared) > 0 {
				text += "=" + strings.Join(read.Compared, ",")
			}
			got = append(got, text)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s reads %q, want %q", test.expression, got, test.want)
		}
	}
	if _, ok := cel.Reads(`predicate.a ==`, predicate.TypeProvenanceV1); ok {
		t.Error("half an expression compiles")
	}
}

func TestReadsOtherThings(t *testing.T) {
	looked, ok := cel.Reads(`components.all(c, c.name.matches("^a$")) && size(findings()) > 0`, predicate.TypeCycloneDX)
	if ok {
		t.Fatalf("a function that is not there: %+v", looked)
	}
	looked, ok = cel.Reads(`size(components) > 0 && components.all(c, c.name.matches("^a$")) && claim.type == claim.type`, predicate.TypeCycloneDX)
	if !ok || !slices.Equal(looked.Loops, []string{"components"}) || !slices.Equal(looked.Sized, []string{"components"}) ||
		!slices.Equal(looked.Patterns, []string{"^a$"}) || !slices.Equal(looked.Identical, []string{"claim.type"}) || !slices.Contains(looked.Variables, "components") {
		t.Errorf("found %+v, %v", looked, ok)
	}
	if looked, _ := cel.Reads(`components.exists(c, c.name == "a")`, predicate.TypeCycloneDX); len(looked.Loops)+len(looked.Sized)+len(looked.Identical) > 0 {
		t.Errorf("found %+v, want none of these", looked)
	}
}
