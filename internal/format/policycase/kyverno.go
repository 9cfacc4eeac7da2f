package policycase

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// KyvernoAPIVersion and KyvernoKind head the documents that DecodeKyverno reads.
const (
	KyvernoAPIVersion = "cli.kyverno.io/v1alpha1"
	KyvernoKind       = "Test"
)

// KyvernoTest is a kyverno-test.yaml: which rule must say what of which
// resource (kyverno.io, "test" of its command line). Paths are relative to its
// file. What Kyverno has besides and cannot matter to verifyImages is refused.
type KyvernoTest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Name is the older spelling of metadata.name.
	Name     string   `json:"name"`
	Metadata Metadata `json:"metadata"`
	Policies []string `json:"policies"`
	// Resources are manifests.
	Resources []string `json:"resources"`
	Results   []Result `json:"results"`

	Line int `json:"-"`
}

// Result is what one rule must say.
type Result struct {
	// Policy is the policy's name, with its namespace before a slash if it has
	// one; Rule the rule's.
	Policy string `json:"policy"`
	Rule   string `json:"rule"`
	// Resources are names, as NAME or NAMESPACE/NAME; Resource is one.
	Resources []string `json:"resources"`
	Resource  string   `json:"resource"`
	Kind      string   `json:"kind"`
	Namespace string   `json:"namespace"`
	// Result is pass, fail, warn or skip; Status is its older name.
	Result string `json:"result"`
	Status string `json:"status"`

	Line int `json:"-"`
}

// IsKyverno says whether a document is a test of Kyverno's.
func IsKyverno(document strictyaml.Document) bool {
	if strings.HasPrefix(document.Field("apiVersion"), "cli.kyverno.io/") {
		return true
	}
	return document.Field("apiVersion") == "" && document.Field("kind") == "" && document.Field("name") != ""
}

var results = []string{"pass", "fail", "warn", "skip"}

// DecodeKyverno reads one document.
func DecodeKyverno(document strictyaml.Document) (KyvernoTest, error) {
	var test KyvernoTest
	if err := document.Decode(&test); err != nil {
		return KyvernoTest{}, fmt.Errorf("%w (of Kyverno's tests, what is about verifyImages is read)", err)
	}
	test.Line = document.Line
	fail := func(path []string, format string, arguments ...any) (KyvernoTest, error) {
		return KyvernoTest{}, wrong(document, path, format, arguments...)
	}
	if test.APIVersion != "" && test.APIVersion != KyvernoAPIVersion || test.Kind != "" && test.Kind != KyvernoKind {
		return fail([]string{"apiVersion"}, "want %s and kind %s", KyvernoAPIVersion, KyvernoKind)
	}
	if test.Name == "" {
		test.Name = test.Metadata.Name
	}
	for name, list := range map[string]int{"policies": len(test.Policies), "resources": len(test.Resources), "results": len(test.Results)} {
		if list == 0 {
			return fail([]string{name}, "is empty, so the test tests nothing")
		}
	}
	for i := range test.Results {
		r, at := &test.Results[i], []string{"results", fmt.Sprint(i)}
		r.Line = document.LineOf(at...)
		if r.Result == "" {
			r.Result = r.Status
		}
		if r.Resource != "" {
			r.Resources = append(r.Resources, r.Resource)
		}
		switch {
		case r.Policy == "" || r.Rule == "" || len(r.Resources) == 0:
			return fail(at, "want policy, rule and resources")
		case !slices.Contains(results, r.Result):
			return fail(append(at, "result"), "%q: want one of %s", r.Result, strings.Join(results, ", "))
		}
	}
	return test, nil
}
