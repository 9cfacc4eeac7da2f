package journey_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/cel"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/assayfile"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/job/journey"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
	"github.com/seed-161fc314/assay/internal/port/builder/layer"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
	"github.com/seed-161fc314/assay/predicate"
)

// parts is a journey with real parts: a registry, a key, a gate, a scanner
// with the built-in sample, the embedded builder.
type parts struct {
	t      *testing.T
	dir    string
	server *ocitest.Server
	client *oci.Client
	signer *file.Signer
	clock  time.Time
	config journey.Config
}

const policyText = `
apiVersion: assay.sh/v1alpha1
kind: EvidencePolicy
metadata: {name: all}
spec:
  match: {images: ["*/app*"]}
  allowSample: true
  signers: [{name: ci, keys: [{file: k}]}]
  requirements:
  - {name: signed, type: signature, signers: [ci]}
  - {name: built, type: provenance, signers: [ci]}
  - name: scanned
    type: vuln
    signers: [ci]
    checks: [{name: none, deny: "findings"}]
  - name: contents
    type: cyclonedx
    signers: [ci]
    checks:
    - {name: installed, deny: 'components.filter(c, c.dependency != "installed")'}
  - {name: contents-spdx, type: spdx, signers: [ci]}
`

func newParts(t *testing.T, yaml string, files map[string]string) *parts {
	t.Helper()
	p := &parts{t: t, dir: t.TempDir(), server: ocitest.New(t, registry.Config{}), client: oci.New(oci.Config{}), clock: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	for name, content := range files {
		path := filepath.Join(p.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	private, public, err := cosignkey.Generate(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := file.Write(filepath.Join(t.TempDir(), "k"), private, public)
	if err != nil {
		t.Fatal(err)
	}
	if p.signer, err = file.Open(key, func() ([]byte, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	db, err := advisorydb.Sample()
	if err != nil {
		t.Fatal(err)
	}
	scanner, err := scan.New(scan.Config{Advisories: db, Now: p.now})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := attest.New(attest.Config{Signer: p.signer, Store: p.client, Now: p.now})
	if err != nil {
		t.Fatal(err)
	}
	documents, err := strictyaml.Documents("p", []byte(policyText))
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := cel.Load(documents[0], policytest.Keys(func(string) ([]byte, error) { return public, nil }))
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(gate.Config{Policies: []policy.Policy{compiled}, Registry: p.client, Now: p.now})
	if err != nil {
		t.Fatal(err)
	}
	assay, err := assayfile.Decode("assay.yaml", []byte(strings.ReplaceAll(yaml, "HOST", p.server.Host)))
	if err != nil {
		t.Fatal(err)
	}
	p.config = journey.Config{File: assay, FileDigest: subject.Of([]byte(yaml)), Dir: p.dir, Files: os.DirFS(p.dir), State: filepath.Join(p.dir, ".assay"),
		Scanner: scanner, Builder: layer.New(), Registry: p.client, Evidence: publisher, Gate: asker{g}, Version: "test", Now: p.now}
	return p
}

// now is a clock that moves on by a second at every look.
func (p *parts) now() time.Time {
	p.clock = p.clock.Add(time.Second)
	return p.clock
}

type asker struct{ gate *gate.Gate }

// Decide asks.
func (a asker) Decide(ctx context.Context, reference string) (verdict.Verdict, error) {
	return a.gate.Decide(ctx, gate.Question{Reference: reference})
}

func (p *parts) run(from journey.Step) (journey.Result, error) {
	p.t.Helper()
	j, err := journey.New(p.config)
	if err != nil {
		p.t.Fatal(err)
	}
	return j.Run(context.Background(), from)
}

// wheel makes a wheel of a pure package.
func wheel(t *testing.T, name, version string) []byte {
	t.Helper()
	info := name + "-" + version + ".dist-info/"
	files := []struct{ path, content string }{
		{name + ".py", "x = 1\n"},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\n"},
	}
	record := ""
	for _, f := range files {
		sum := sha256.Sum256([]byte(f.content))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", f.path, base64.RawURLEncoding.EncodeToString(sum[:]), len(f.content))
	}
	files = append(files, struct{ path, content string }{info + "RECORD", record + info + "RECORD,,\n"})
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	for _, f := range files {
		w, err := archive.Create(f.path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// workload has three pins, each with its wheel.
func workload(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{"app.py": "import six\n"}
	for _, pin := range []string{"six 1.16.0", "requests 2.32.3", "numpy 1.26.4"} {
		name, version, _ := strings.Cut(pin, " ")
		content := wheel(t, name, version)
		files["wheels/"+name+"-"+version+"-py3-none-any.whl"] = string(content)
		files["requirements.txt"] += fmt.Sprintf("%s==%s --hash=%s\n", name, version, subject.Of(content))
	}
	return files
}

const assayYAML = `apiVersion: assay.sh/v1alpha1
kind: Journey
name: app
image: HOST/app
tag: v1
build:
  builder: layer
  base: scratch
  requirements: requirements.txt
  dependencies: installed
  wheels: wheels
sign: {key: k}
policies: [p]
`

// TestInstalledPinsAreFoundAgain: every pin of the lockfile is found in the
// built image, installed, and the policy that demands it is satisfied.
func TestInstalledPinsAreFoundAgain(t *testing.T) {
	p := newParts(t, assayYAML, workload(t))
	result, err := p.run("")
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := p.client.Resolve(context.Background(), p.server.Host+"/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	if result.Verdict == nil || result.Verdict.Decision != verdict.Allow || !strings.HasSuffix(result.Image, resolved.Digest.String()) {
		t.Fatalf("result is %+v", result)
	}
	image, err := p.client.Image(context.Background(), resolved, "")
	if err != nil {
		t.Fatal(err)
	}
	report, err := p.config.Scanner.Image(context.Background(), image, scan.Named{Reference: "app", Digest: resolved.Digest})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range report.Inventory.Components {
		got = append(got, c.Name+"=="+c.Version+" "+string(c.Dependency))
	}
	want := []string{"numpy==1.26.4 installed", "requests==2.32.3 installed", "six==1.16.0 installed"}
	if !slices.Equal(got, want) {
		t.Errorf("the image has %v, want %v", got, want)
	}
	again := newParts(t, assayYAML, workload(t))
	other, err := again.run("")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := result.Image[strings.Index(result.Image, "@"):], other.Image[strings.Index(other.Image, "@"):]; a != b {
		t.Errorf("the same source gives %s, then %s", a, b)
	}
}

// TestDeclaredIsDenied is the twin: a policy that demands installed denies what
// is only declared, and the image gets no tag.
func TestDeclaredIsDenied(t *testing.T) {
	yaml := strings.Replace(strings.Replace(assayYAML, "dependencies: installed", "dependencies: declared", 1), "  wheels: wheels\n", "", 1)
	p := newParts(t, yaml, workload(t))
	result, err := p.run("")
	var denied *journey.DeniedError
	if !errors.As(err, &denied) || denied.Step != journey.Decide {
		t.Fatalf("got %v", err)
	}
	if result.Verdict == nil || len(result.Verdict.Failures()) != 1 || result.Verdict.Failures()[0].Name != "installed" {
		t.Errorf("verdict is %+v", result.Verdict)
	}
	if _, err := p.client.Resolve(context.Background(), p.server.Host+"/app:v1"); !oci.IsNotFound(err) {
		t.Errorf("a denied image has the tag: %v", err)
	}
}

// TestIndex: with two platforms the index and each of its manifests have all
// evidence.
func TestIndex(t *testing.T) {
	yaml := strings.Replace(assayYAML, "  base: scratch", "  base: scratch\n  platforms: [linux/amd64, linux/arm64]", 1)
	p := newParts(t, yaml, workload(t))
	result, err := p.run("")
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := p.client.Resolve(context.Background(), result.Image)
	if err != nil {
		t.Fatal(err)
	}
	if !resolved.Index || len(resolved.Platforms) != 2 {
		t.Fatalf("resolved to %+v", resolved)
	}
	signer := trust.Signer{Name: "ci", Keys: []trust.Key{{ID: p.signer.KeyID(), Public: p.signer.Public()}}}
	for _, digest := range []subject.Digest{resolved.Digest, resolved.Platforms[0].Digest, resolved.Platforms[1].Digest} {
		pieces, err := p.client.Evidence(context.Background(), resolved.Name(), digest)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, piece := range pieces {
			claim, rejection := trust.Verify(piece, []trust.Signer{signer}, []subject.Digest{digest}, time.Now())
			if rejection != nil {
				t.Fatalf("%s: %+v", digest, rejection)
			}
			found[claim.Type()] = true
		}
		for _, uri := range []string{predicate.TypeCosignSign, predicate.TypeProvenanceV1, predicate.TypeVulnsV02, predicate.TypeCosignVuln, predicate.TypeCycloneDX, predicate.TypeSPDX} {
			if !found[uri] {
				t.Errorf("%s has no %s", digest, uri)
			}
		}
	}
}

// TestSourceFailsFast: findings in the source stop the journey before the build.
func TestSourceFailsFast(t *testing.T) {
	files := workload(t)
	files["requirements.txt"] += "pyarrow==13.0.0\n"
	p := newParts(t, assayYAML, files)
	result, err := p.run("")
	var denied *journey.DeniedError
	if !errors.As(err, &denied) || denied.Step != journey.Source || len(result.Over) != 1 || result.Over[0].ID != "CVE-2023-47248" || len(result.Steps) != 1 {
		t.Fatalf("%v, %+v", err, result.Steps)
	}
	if requests := p.server.Requests(); len(requests) != 0 {
		t.Errorf("the registry was asked: %v", requests)
	}
}

// changed is a scanner whose reports are changed before they are used.
type changed struct {
	journey.Scanner
	change func(*finding.Report)
}

// Directory changes the report on a directory.
func (c changed) Directory(ctx context.Context, fsys fs.FS, name string) (finding.Report, error) {
	report, err := c.Scanner.Directory(ctx, fsys, name)
	c.change(&report)
	return report, err
}

// Image changes the report on an image.
func (c changed) Image(ctx context.Context, image v1.Image, named scan.Named) (finding.Report, error) {
	report, err := c.Scanner.Image(ctx, image, named)
	c.change(&report)
	return report, err
}

// TestSourceFailsWithoutFindings: an expired ignore and, where it is asked for,
// a requirement without a pin stop the journey like a finding.
func TestSourceFailsWithoutFindings(t *testing.T) {
	loose := component.Unresolved{Text: "foo>=1", Reason: "a range", Location: component.Location{Path: "requirements.txt", Line: 9}}
	for name, c := range map[string]struct {
		change func(*finding.Report)
		want   string
	}{
		"expired": {func(r *finding.Report) {
			r.Expired = []finding.Expired{{ID: "CVE-1", Ended: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Source: component.Location{Path: "i.yaml", Line: 3}}}
		}, "ignores have expired: CVE-1 (i.yaml:3, until 2026-01-02); nothing was built"},
		"pinned": {func(r *finding.Report) {
			r.RequirePinned, r.Inventory.Unresolved = true, []component.Unresolved{loose}
		}, "1 requirement has no single version, the first foo>=1 in requirements.txt (scan.requirePinned); nothing was built"},
		"loose":      {func(r *finding.Report) { r.Inventory.Unresolved = []component.Unresolved{loose} }, ""},
		"suppressed": {func(r *finding.Report) { r.Suppressed = []finding.Suppressed{{Status: "ignored"}} }, ""},
	} {
		p := newParts(t, assayYAML, workload(t))
		p.config.Scanner = changed{p.config.Scanner, c.change}
		result, err := p.run("")
		var denied *journey.DeniedError
		if c.want == "" {
			if err != nil || name == "suppressed" && !strings.HasSuffix(result.Steps[0].Detail, "; 1 suppressed") {
				t.Errorf("%s: %v, %+v", name, err, result.Steps[0])
			}
			continue
		}
		if !errors.As(err, &denied) || denied.Step != journey.Source || denied.Reason != c.want || len(result.Steps) != 1 {
			t.Errorf("%s: %v, %+v", name, err, result.Steps)
		}
	}
}

// TestIndexSuppressed: the index's report has what is suppressed for its images,
// but not what counts for one of them.
func TestIndexSuppressed(t *testing.T) {
	yaml := strings.Replace(assayYAML, "  base: scratch", "  base: scratch\n  platforms: [linux/amd64, linux/arm64]", 1)
	p := newParts(t, yaml, workload(t))
	about := func(id string) finding.Finding {
		return finding.Finding{ID: id, Severity: finding.Severity{Level: finding.Low}}
	}
	p.config.Scanner = changed{p.config.Scanner, func(r *finding.Report) {
		switch {
		case r.Image == nil:
		case r.Image.Platform == "linux/amd64":
			r.Suppressed = []finding.Suppressed{{Finding: about("CVE-1")}, {Finding: about("CVE-2")}}
		default:
			r.Suppressed = []finding.Suppressed{{Finding: about("CVE-2")}, {Finding: about("CVE-3")}}
			r.Findings = []finding.Finding{about("CVE-1")}
		}
	}}
	// The policy denies CVE-1; what was scanned is in the state.
	if result, err := p.run(""); err == nil || len(result.Steps) < 3 {
		t.Fatalf("%v, %+v", err, result.Steps)
	}
	content, err := os.ReadFile(filepath.Join(p.dir, ".assay", "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	var state struct {
		Images []struct {
			Report finding.Report `json:"report"`
		} `json:"images"`
	}
	if err := json.Unmarshal(content, &state); err != nil || len(state.Images) != 3 {
		t.Fatalf("%v, %d images", err, len(state.Images))
	}
	var ids []string
	for _, s := range state.Images[0].Report.Suppressed {
		ids = append(ids, s.Finding.ID)
	}
	if strings.Join(ids, " ") != "CVE-2 CVE-3" || len(state.Images[0].Report.Findings) != 1 {
		t.Errorf("suppressed are %v, findings %+v", ids, state.Images[0].Report.Findings)
	}
}

// TestNothingHalfSigned breaks every write to the registry in turn. Whatever
// breaks, the run faults, sets no tag, and leaves no image signature beside an
// image that does not have all of its attestations.
func TestNothingHalfSigned(t *testing.T) {
	probe := newParts(t, assayYAML, workload(t))
	if _, err := probe.run(""); err != nil {
		t.Fatal(err)
	}
	var writes []string
	for _, request := range probe.server.Requests() {
		if strings.HasPrefix(request, "PUT ") || strings.HasPrefix(request, "POST ") {
			writes = append(writes, request[:strings.Index(request, "/")])
		}
	}
	if len(writes) < 20 {
		t.Fatalf("only %d writes", len(writes))
	}
	for i := 0; i < len(writes); i += 5 {
		p := newParts(t, assayYAML, workload(t))
		skip := 0
		for _, method := range writes[:i] {
			if method == writes[i] {
				skip++
			}
		}
		p.server.Break(ocitest.Fault{Match: writes[i] + "/v2/", Skip: skip, Status: 507})
		_, err := p.run("")
		p.server.Mend()
		var denied *journey.DeniedError
		if err == nil || errors.As(err, &denied) {
			t.Fatalf("write %d broke, and the run ended with %v", i, err)
		}
		if _, err := p.client.Resolve(context.Background(), p.server.Host+"/app:v1"); !oci.IsNotFound(err) {
			t.Errorf("write %d broke, and the tag is set (%v)", i, err)
		}
		halfSigned(t, p, i)
		if i%15 == 0 { // and the run can be repeated
			if _, err := p.run(""); err != nil {
				t.Errorf("write %d broke, and the next run fails: %v", i, err)
			}
		}
	}
}

func halfSigned(t *testing.T, p *parts, write int) {
	t.Helper()
	local, err := oci.OpenLayout(filepath.Join(p.config.State, "image"), "")
	if err != nil {
		t.Fatal(err)
	}
	pieces, err := p.client.Evidence(context.Background(), p.server.Host+"/app", local.Digest)
	if err != nil {
		t.Fatal(err)
	}
	signer := trust.Signer{Name: "ci", Keys: []trust.Key{{ID: p.signer.KeyID(), Public: p.signer.Public()}}}
	types := map[string]bool{}
	for _, piece := range pieces {
		if claim, rejection := trust.Verify(piece, []trust.Signer{signer}, []subject.Digest{local.Digest}, time.Now()); rejection == nil {
			types[claim.Type()] = true
		}
	}
	if types[predicate.TypeCosignSign] && len(types) < 6 {
		t.Errorf("write %d broke, and the image is signed with only %v beside it", write, types)
	}
}

// TestFrom begins anywhere that an earlier run came to, and nowhere else.
func TestFrom(t *testing.T) {
	p := newParts(t, assayYAML, workload(t))
	if _, err := p.run(journey.Attest); err == nil || !strings.Contains(err.Error(), "needs the state of an earlier run") {
		t.Errorf("from attest without a run: %v", err)
	}
	if _, err := p.run("nowhere"); err == nil || !strings.Contains(err.Error(), `no step "nowhere"`) {
		t.Errorf("from nowhere: %v", err)
	}
	first, err := p.run("")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range journey.Steps() {
		result, err := p.run(step)
		if err != nil {
			t.Errorf("from %s: %v", step, err)
		}
		if result.Image != first.Image || result.Steps[0].Step != step {
			t.Errorf("from %s: %+v", step, result)
		}
	}
	p.config.FileDigest = subject.Of([]byte("changed"))
	if _, err := p.run(journey.Decide); err == nil || !strings.Contains(err.Error(), "was changed since") {
		t.Errorf("with another assay.yaml: %v", err)
	}
	p.config.FileDigest = subject.Of([]byte(assayYAML))
	if err := os.WriteFile(filepath.Join(p.config.State, "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.run(journey.Decide); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("with a damaged state: %v", err)
	}
}

// TestForgedStateAdmitsNothing: the state names another image; the gate judges
// what is in the registry.
func TestForgedStateAdmitsNothing(t *testing.T) {
	p := newParts(t, assayYAML, workload(t))
	first, err := p.run("")
	if err != nil {
		t.Fatal(err)
	}
	evil, err := p.client.PushLayout(context.Background(), p.server.Host+"/app", ocitest.Layout(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(p.config.State, "state.json")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(content, []byte(first.Image), []byte(evil.Pinned())), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = p.run(journey.Decide)
	var denied *journey.DeniedError
	if !errors.As(err, &denied) {
		t.Errorf("got %v", err)
	}
}

// TestTestsAreEvidence: reports become a test result, failed tests a FAILED one.
func TestTestsAreEvidence(t *testing.T) {
	files := workload(t)
	files["junit.xml"] = `<testsuite name="s" tests="2" failures="1"><testcase classname="a" name="ok"/><testcase classname="a" name="bad"><failure/></testcase></testsuite>`
	p := newParts(t, assayYAML+"tests: {junit: [junit.xml]}\n", files)
	result, err := p.run("")
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := p.client.Resolve(context.Background(), result.Image)
	if err != nil {
		t.Fatal(err)
	}
	pieces, err := p.client.Evidence(context.Background(), resolved.Name(), resolved.Digest)
	if err != nil {
		t.Fatal(err)
	}
	signer := trust.Signer{Name: "ci", Keys: []trust.Key{{ID: p.signer.KeyID(), Public: p.signer.Public()}}}
	found := false
	for _, piece := range pieces {
		claim, rejection := trust.Verify(piece, []trust.Signer{signer}, []subject.Digest{resolved.Digest}, time.Now())
		if rejection != nil || claim.Type() != predicate.TypeTestResult {
			continue
		}
		tests, err := predicate.ReadTestResult(claim.Predicate())
		if err != nil || tests.Result != predicate.ResultFailed || !slices.Equal(tests.FailedTests, []string{"a.bad"}) {
			t.Errorf("%+v, %v", tests, err)
		}
		found = true
	}
	if !found {
		t.Error("no test result is stored")
	}
	missing := newParts(t, assayYAML+"tests: {junit: [gone.xml]}\n", workload(t))
	if _, err := missing.run(""); err == nil || !strings.Contains(err.Error(), "gone.xml") {
		t.Errorf("a report that is named and missing: %v", err)
	}
}
