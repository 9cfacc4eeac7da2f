package cel

import (
	"reflect"
	"slices"
	"time"

	celgo "github.com/google/cel-go/cel"

	"github.com/seed-161fc314/assay/predicate"
)

// Finding is a vulnerability as checks see it, in the list findings.
type Finding struct {
	ID        string   `cel:"id"`
	Aliases   []string `cel:"aliases"`
	Package   string   `cel:"package"`
	PURL      string   `cel:"purl"`
	Installed string   `cel:"installed"`
	Fixed     string   `cel:"fixed"`
	Severity  string   `cel:"severity"`
	Score     float64  `cel:"score"`
	// KnownExploited is false and EPSS 0 where nothing is known; Database says
	// whether anybody looked.
	KnownExploited bool    `cel:"knownExploited"`
	EPSS           float64 `cel:"epss"`
	Dependency     string  `cel:"dependency"`
	Path           string  `cel:"path"`
	Line           int64   `cel:"line"`
}

// Scan is a vulnerability scan as checks see it. Packages is -1 where the
// predicate does not say how many were tested; times that it does not say are
// 1970-01-01.
type Scan struct {
	Scanner    string       `cel:"scanner"`
	Packages   int64        `cel:"packages"`
	Unresolved []Unresolved `cel:"unresolved"`
	Database   Database     `cel:"database"`
	Finished   time.Time    `cel:"finished"`
}

// Unresolved is a package that a scan could not test.
type Unresolved struct {
	Name   string `cel:"name"`
	Text   string `cel:"text"`
	Reason string `cel:"reason"`
	Path   string `cel:"path"`
}

// Database is the advisories of a scan; KEV and EPSS are the dates of what was
// known of attacks.
type Database struct {
	URI        string    `cel:"uri"`
	Version    string    `cel:"version"`
	Sample     bool      `cel:"sample"`
	LastUpdate time.Time `cel:"lastUpdate"`
	Current    time.Time `cel:"current"`
	KEV        time.Time `cel:"kev"`
	EPSS       time.Time `cel:"epss"`
}

// Component is an entry of an SBOM as checks see it.
type Component struct {
	Name       string   `cel:"name"`
	Version    string   `cel:"version"`
	PURL       string   `cel:"purl"`
	Type       string   `cel:"type"`
	Dependency string   `cel:"dependency"`
	Licenses   []string `cel:"licenses"`
}

// Build is SLSA provenance as checks see it, in the variable provenance; times
// that it does not say are 1970-01-01.
type Build struct {
	Builder      string     `cel:"builder"`
	Type         string     `cel:"buildType"`
	Invocation   string     `cel:"invocation"`
	Sources      []Source   `cel:"sources"`
	Dependencies []Resource `cel:"dependencies"`
	Started      time.Time  `cel:"started"`
	Finished     time.Time  `cel:"finished"`
}

// Source is a repository that a build read: Ref is refs/heads/… or refs/tags/…
// where the provenance says it.
type Source struct {
	URI    string `cel:"uri"`
	Ref    string `cel:"ref"`
	Commit string `cel:"commit"`
}

// Resource is anything that a build read.
type Resource struct {
	Name   string            `cel:"name"`
	URI    string            `cel:"uri"`
	Digest map[string]string `cel:"digest"`
}

// Tests are a test result as checks see it, in the variable tests. Count is how
// many tests the reports hold, -1 where none is of tests; Coverage is the lowest
// of the coverage reports in percent, -1 where there is none; Analysers are the
// tools of the reports of static analysis, with their Errors and Warnings.
type Tests struct {
	Result    string   `cel:"result"`
	Passed    []string `cel:"passed"`
	Warned    []string `cel:"warned"`
	Failed    []string `cel:"failed"`
	Count     int64    `cel:"count"`
	Coverage  float64  `cel:"coverage"`
	Analysers []string `cel:"analysers"`
	Errors    int64    `cel:"errors"`
	Warnings  int64    `cel:"warnings"`
}

// Image is what is being judged, as checks see it. Labels and Config are of the
// manifest for the platform.
type Image struct {
	Reference  string            `cel:"reference"`
	Registry   string            `cel:"registry"`
	Repository string            `cel:"repository"`
	Tag        string            `cel:"tag"`
	Digest     string            `cel:"digest"`
	Platform   string            `cel:"platform"`
	Labels     map[string]string `cel:"labels"`
	Config     Config            `cel:"config"`
}

// Config is how an image runs, as it says itself.
type Config struct {
	OS           string    `cel:"os"`
	Architecture string    `cel:"architecture"`
	Variant      string    `cel:"variant"`
	Created      time.Time `cel:"created"`
	Env          []string  `cel:"env"`
	User         string    `cel:"user"`
	Entrypoint   []string  `cel:"entrypoint"`
	Cmd          []string  `cel:"cmd"`
}

// Claim is the verified evidence, as checks see it. Time is 1970-01-01 where
// the type has none, and has(claim.time) is false. Digest names the evidence,
// Subjects the digests that it is about. Key is the fingerprint of the key that
// signed; where a certificate did, Subject, Issuer and Extensions are its.
type Claim struct {
	Type        string            `cel:"type"`
	Signer      string            `cel:"signer"`
	Tool        string            `cel:"tool"`
	Time        time.Time         `cel:"time"`
	Digest      string            `cel:"digest"`
	Subjects    []string          `cel:"subjects"`
	Key         string            `cel:"key"`
	Subject     string            `cel:"subject"`
	Issuer      string            `cel:"issuer"`
	Extensions  map[string]string `cel:"extensions"`
	Annotations map[string]string `cel:"annotations"`
	Logs        []LogEntry        `cel:"logs"`
	Timestamps  []Timestamp       `cel:"timestamps"`
}

// LogEntry is a verified place in a transparency log; Time is 1970-01-01 where
// the log does not sign one.
type LogEntry struct {
	Authority string    `cel:"authority"`
	Index     int64     `cel:"index"`
	Time      time.Time `cel:"time"`
}

// Timestamp is a verified statement of a timestamp authority.
type Timestamp struct {
	Authority string    `cel:"authority"`
	Time      time.Time `cel:"time"`
}

// Evidence is one piece that decides, as checks see it in the list evidence;
// what another type has is empty.
type Evidence struct {
	Claim      Claim       `cel:"claim"`
	Findings   []Finding   `cel:"findings"`
	Scan       Scan        `cel:"scan"`
	Components []Component `cel:"components"`
	Provenance Build       `cel:"provenance"`
	Tests      Tests       `cel:"tests"`
}

// Request is the workload, as checks see it; all empty where none is known.
// Object and pod, which are open, are variables of their own.
type Request struct {
	Operation       string            `cel:"operation"`
	Group           string            `cel:"group"`
	Version         string            `cel:"version"`
	Kind            string            `cel:"kind"`
	Namespace       string            `cel:"namespace"`
	Name            string            `cel:"name"`
	Path            string            `cel:"path"`
	NamespaceLabels map[string]string `cel:"namespaceLabels"`
	User            User              `cel:"user"`
}

// User is who asks, as checks see it.
type User struct {
	Name   string   `cel:"name"`
	Groups []string `cel:"groups"`
}

// PURL is a package URL, as the function purl gives it.
type PURL struct {
	Type       string            `cel:"type"`
	Namespace  string            `cel:"namespace"`
	Name       string            `cel:"name"`
	Version    string            `cel:"version"`
	Qualifiers map[string]string `cel:"qualifiers"`
	Subpath    string            `cel:"subpath"`
}

// objects are the types of variables.
func objects() []reflect.Type {
	return []reflect.Type{reflect.TypeFor[Finding](), reflect.TypeFor[Scan](), reflect.TypeFor[Unresolved](), reflect.TypeFor[Database](),
		reflect.TypeFor[Component](), reflect.TypeFor[Build](), reflect.TypeFor[Source](), reflect.TypeFor[Resource](), reflect.TypeFor[Tests](),
		reflect.TypeFor[Image](), reflect.TypeFor[Config](), reflect.TypeFor[Claim](), reflect.TypeFor[LogEntry](), reflect.TypeFor[Timestamp](),
		reflect.TypeFor[Evidence](), reflect.TypeFor[Request](), reflect.TypeFor[User](), reflect.TypeFor[PURL]()}
}

func object[T any]() *celgo.Type { return celgo.ObjectType("cel." + reflect.TypeFor[T]().Name()) }

// variable is something that an expression may name.
type variable struct {
	name string
	kind *celgo.Type
	// families are the types of evidence that have it; none is all. of says so
	// to people.
	families []string
	of       string
	// one says that it is of one piece of evidence.
	one bool
}

// variables are all of them.
func variables() []variable {
	vulnerabilities, sboms := []string{predicate.TypeCosignVuln}, []string{predicate.TypeCycloneDX, predicate.TypeSPDX}
	builds, tests := []string{predicate.TypeProvenanceV1, predicate.TypeProvenanceV02}, []string{predicate.TypeTestResult}
	open := celgo.MapType(celgo.StringType, celgo.DynType)
	return []variable{
		{name: "predicate", kind: celgo.DynType, one: true},
		{name: "claim", kind: object[Claim](), one: true},
		{name: "image", kind: object[Image]()},
		{name: "request", kind: object[Request]()},
		{name: "object", kind: open}, {name: "oldObject", kind: open}, {name: "pod", kind: open},
		{name: "now", kind: celgo.TimestampType},
		{name: "evidence", kind: celgo.ListType(object[Evidence]())},
		{name: "predicates", kind: celgo.ListType(celgo.DynType)},
		{"findings", celgo.ListType(object[Finding]()), vulnerabilities, "vulnerability types (type: vuln)", true},
		{"scan", object[Scan](), vulnerabilities, "vulnerability types (type: vuln)", true},
		{"components", celgo.ListType(object[Component]()), sboms, "SBOM types (type: cyclonedx, spdx)", true},
		{"provenance", object[Build](), builds, "provenance types (type: provenance, slsaprovenance)", true},
		{"tests", object[Tests](), tests, "test results (type: test-result)", true},
	}
}

// has says whether evidence of a family has the variable.
func (v variable) has(family string) bool {
	return len(v.families) == 0 || slices.Contains(v.families, family)
}
