// Package policycase reads tests of policies: documents of kind PolicyTest
// (assay.sh/v1alpha1), and kyverno-test.yaml (cli.kyverno.io/v1alpha1, kind
// Test), as far as it is about verifyImages.
//
// Entry points are [Decode] and [DecodeKyverno]. What is wrong, and what a test
// says and is not supported, is an error with file and line. The package reads
// no other file: paths in a test are the caller's to open.
package policycase

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

// APIVersion and Kind head the documents that Decode reads.
const (
	APIVersion = "assay.sh/v1alpha1"
	Kind       = "PolicyTest"
)

// Test is a document of kind PolicyTest. Paths are relative to its file.
type Test struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   Metadata `json:"metadata"`
	// Policies are the files of the policies under test. At least one.
	Policies []string `json:"policies"`
	// Now is the door's clock, RFC 3339. A test that looks at no clock may leave
	// it out.
	Now string `json:"now"`
	// ConfigMaps are manifests with config maps and namespaces that policies
	// read.
	ConfigMaps []string `json:"configMaps"`
	// Cases are what is asked, each by itself. At least one.
	Cases []Case `json:"cases"`

	// Clock is Now, parsed; zero where there is none.
	Clock time.Time `json:"-"`
	// Line is where the document begins.
	Line int `json:"-"`
}

// Metadata names a test.
type Metadata struct {
	Name string `json:"name"`
}

// Case is one question to the gate and the answer that it must give.
type Case struct {
	// Name is unique in the test.
	Name string `json:"name"`
	// Image is a reference; with Resource it may be left out, and is then every
	// image of that manifest.
	Image string `json:"image"`
	// Resource is a manifest file with one workload.
	Resource string `json:"resource"`
	// Config is what the image says of itself, for policies that look at it.
	Config ImageConfig `json:"config"`
	// Evidence is all that there is about the image.
	Evidence []Evidence `json:"evidence"`
	// Want is the decision: allow, warn, deny or fault.
	Want string `json:"want"`
	// Failed are the checks that must fail, as RULE or RULE/CHECK, and no other
	// may: without any, those that fail are not compared.
	Failed []string `json:"failed"`
	// Message is text that the answer must contain.
	Message string `json:"message"`

	// Line is where the case stands.
	Line int `json:"-"`
}

// ImageConfig is the part of an image's configuration that says how it runs; what
// is left out is empty.
type ImageConfig struct {
	OS           string            `json:"os"`
	Architecture string            `json:"architecture"`
	Variant      string            `json:"variant"`
	Created      time.Time         `json:"created"`
	Labels       map[string]string `json:"labels"`
	Env          []string          `json:"env"`
	User         string            `json:"user"`
	Entrypoint   []string          `json:"entrypoint"`
	Cmd          []string          `json:"cmd"`
}

// Evidence is one piece that somebody signed.
type Evidence struct {
	// Signer is the policy's name for who signs; any other name is a stranger.
	// In Kyverno's policies it is the path of the entry, such as
	// ".attestors[0].entries[0].keys".
	Signer string `json:"signer"`
	// Type is a predicate type or its short name; "signature" is a signature of
	// the image. Statement has its own.
	Type string `json:"type"`
	// Predicate is the body, PredicateFile a file of it, Statement a file with a
	// whole in-toto statement, whose subject is then judged as it is. At most
	// one of them; none is {}.
	Predicate     json.RawMessage `json:"predicate"`
	PredicateFile string          `json:"predicateFile"`
	Statement     string          `json:"statement"`
	// Annotations are of a signature.
	Annotations map[string]string `json:"annotations"`
	// About is the digest that it is about, where that is not the image's.
	About string `json:"about"`

	// URI is Type as a predicate type.
	URI string `json:"-"`
}

// Is says whether a document is of kind PolicyTest.
func Is(document strictyaml.Document) bool {
	return document.Field("apiVersion") == APIVersion && document.Field("kind") == Kind
}

var decisions = []string{"allow", "warn", "deny", "fault"}

// Decode reads one document.
func Decode(document strictyaml.Document) (Test, error) {
	var test Test
	if err := document.Decode(&test); err != nil {
		return Test{}, err
	}
	fail := func(path []string, format string, arguments ...any) (Test, error) {
		return Test{}, wrong(document, path, format, arguments...)
	}
	test.Line = document.Line
	if !Is(document) {
		return fail([]string{"apiVersion"}, "want %s and kind %s", APIVersion, Kind)
	}
	if len(test.Policies) == 0 {
		return fail([]string{"policies"}, "is empty: name the policy files that are tested")
	}
	if test.Now != "" {
		clock, err := time.Parse(time.RFC3339, test.Now)
		if err != nil {
			return fail([]string{"now"}, "%q is no time; want such as 2026-03-01T12:00:00Z", test.Now)
		}
		test.Clock = clock
	}
	if len(test.Cases) == 0 {
		return fail([]string{"cases"}, "is empty: a test without cases tests nothing")
	}
	names := map[string]bool{}
	for i := range test.Cases {
		c, at := &test.Cases[i], []string{"cases", fmt.Sprint(i)}
		c.Line = document.LineOf(at...)
		switch {
		case c.Name == "" || names[c.Name]:
			return fail(append(at, "name"), "want a name of its own for each case, found %q", c.Name)
		case c.Image == "" && c.Resource == "":
			return fail(at, "want an image or a resource")
		case !slices.Contains(decisions, c.Want):
			return fail(append(at, "want"), "%q: want one of %s", c.Want, strings.Join(decisions, ", "))
		}
		names[c.Name] = true
		if err := pieces(document, append(at, "evidence"), c.Evidence); err != nil {
			return Test{}, err
		}
	}
	return test, nil
}

// wrong is an error at a place of a document.
func wrong(document strictyaml.Document, path []string, format string, arguments ...any) error {
	return fmt.Errorf("%s:%d: %s: %s", document.File, document.LineOf(path...), spell(path), fmt.Sprintf(format, arguments...))
}

// pieces checks a list of evidence.
func pieces(document strictyaml.Document, at []string, list []Evidence) error {
	for i := range list {
		if why := list[i].check(); why != "" {
			return wrong(document, append(at, fmt.Sprint(i)), "%s", why)
		}
	}
	return nil
}

// KindEvidence heads a document that DecodeScenery reads.
const KindEvidence = "PolicyEvidence"

// Scenery is the evidence about images for tests of Kyverno's, whose own format
// has no place for it: a file beside kyverno-test.yaml.
type Scenery struct {
	APIVersion string   `json:"apiVersion"`
	Kind       string   `json:"kind"`
	Metadata   Metadata `json:"metadata"`
	// Now is the door's clock, RFC 3339.
	Now string `json:"now"`
	// Images are what there is; an image that is not among them does not exist.
	Images []ImageEvidence `json:"images"`

	Clock time.Time `json:"-"`
}

// ImageEvidence is all that there is about one image.
type ImageEvidence struct {
	Image    string     `json:"image"`
	Evidence []Evidence `json:"evidence"`
}

// DecodeScenery reads one document.
func DecodeScenery(document strictyaml.Document) (Scenery, error) {
	var s Scenery
	if err := document.Decode(&s); err != nil {
		return Scenery{}, err
	}
	if s.APIVersion != APIVersion || s.Kind != KindEvidence {
		return Scenery{}, wrong(document, []string{"apiVersion"}, "want %s and kind %s", APIVersion, KindEvidence)
	}
	if s.Now != "" {
		clock, err := time.Parse(time.RFC3339, s.Now)
		if err != nil {
			return Scenery{}, wrong(document, []string{"now"}, "%q is no time; want such as 2026-03-01T12:00:00Z", s.Now)
		}
		s.Clock = clock
	}
	for i, image := range s.Images {
		at := []string{"images", fmt.Sprint(i)}
		if image.Image == "" {
			return Scenery{}, wrong(document, at, "the image is missing")
		}
		if err := pieces(document, append(at, "evidence"), image.Evidence); err != nil {
			return Scenery{}, err
		}
	}
	return s, nil
}

// check says what is wrong with a piece of evidence, and finds its type.
func (e *Evidence) check() string {
	bodies := 0
	for _, there := range []bool{len(e.Predicate) > 0, e.PredicateFile != "", e.Statement != ""} {
		if there {
			bodies++
		}
	}
	uri, known := predicate.TypeOf(e.Type)
	switch {
	case e.Signer == "":
		return "the signer is missing: the policy's name for who signs it, or any other name for a stranger"
	case bodies > 1:
		return "want one of predicate, predicateFile and statement"
	case e.Statement != "" && (e.Type != "" || e.About != ""):
		return "a statement says its type and its subject itself"
	case e.Statement == "" && !known:
		return fmt.Sprintf("type %q is no predicate type; want a URI, or a short name such as vuln, provenance, cyclonedx, signature", e.Type)
	case uri == predicate.TypeCosignSign && bodies > 0:
		return "a signature has no predicate"
	case uri != predicate.TypeCosignSign && len(e.Annotations) > 0:
		return "annotations are of signatures"
	}
	e.URI = uri
	return ""
}

// spell is a path in a document as people write it.
func spell(path []string) string {
	var b strings.Builder
	for i, step := range path {
		switch {
		case step != "" && step[0] >= '0' && step[0] <= '9':
			b.WriteString("[" + step + "]")
		case i > 0:
			b.WriteString("." + step)
		default:
			b.WriteString(step)
		}
	}
	return b.String()
}
