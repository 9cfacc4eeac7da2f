package scan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/cyclonedx"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/format/spdx"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
	"github.com/seed-161fc314/assay/predicate"
)

// shelf is a real registry with an image, and a signer.
type shelf struct {
	*testing.T
	server *ocitest.Server
	client *oci.Client
	image  oci.Resolved
	key    *file.Signer
}

func newShelf(t *testing.T, platforms ...string) *shelf {
	t.Helper()
	s := &shelf{T: t, server: ocitest.New(t, registry.Config{}), client: oci.New(oci.Config{}), key: newKey(t)}
	var err error
	if s.image, err = s.client.PushLayout(context.Background(), s.server.Host+"/ml/app", ocitest.Layout(t, platforms...)); err != nil {
		t.Fatal(err)
	}
	return s
}

func newKey(t *testing.T) *file.Signer {
	t.Helper()
	private, public, err := cosignkey.Generate(nil)
	if err != nil {
		t.Fatal(err)
	}
	path, _, err := file.Write(filepath.Join(t.TempDir(), "k"), private, public)
	if err != nil {
		t.Fatal(err)
	}
	key, err := file.Open(path, func() ([]byte, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// contents is an SBOM by Assay of an image that holds pyarrow at a version and
// something that could not be resolved.
func contents(image subject.Digest, version string, made time.Time) sbom.Document {
	return sbom.Document{Name: "ml/app", Digest: image, Kind: finding.Container, Created: made, ToolVersion: "1", Inventory: component.Inventory{
		Components: []component.Component{{Ecosystem: "PyPI", Name: "pyarrow", Version: version, PURL: pydist.PURL("pyarrow", version), Dependency: component.Installed,
			Locations: []component.Location{{Path: "opt/METADATA"}}}},
		Unresolved: []component.Unresolved{{Name: "private", Text: "private @ https://example.com/p.whl", Reason: "a URL", Location: component.Location{Path: "requirements.txt", Line: 2}}}}}
}

func (s *shelf) attest(about subject.Digest, kind string, document sbom.Document) {
	s.Helper()
	var content bytes.Buffer
	err := cyclonedx.Encode(&content, document, cyclonedx.V16)
	if kind == predicate.TypeSPDX {
		content.Reset()
		err = spdx.Encode(&content, document)
	}
	if err != nil {
		s.Fatal(err)
	}
	s.store(about, kind, content.Bytes())
}

func (s *shelf) store(about subject.Digest, kind string, content []byte) {
	s.Helper()
	attester, err := attest.New(attest.Config{Signer: s.key, Store: s.client, Now: now})
	if err != nil {
		s.Fatal(err)
	}
	if _, err := attester.Attest(context.Background(), attest.Image{Repository: s.image.Name(), Digest: about}, kind, content); err != nil {
		s.Fatal(err)
	}
}

func (s *shelf) config(key *file.Signer, subjects ...subject.Digest) scan.SignedConfig {
	return scan.SignedConfig{Evidence: s.client, Repository: s.image.Name(), Subjects: subjects, Now: now(),
		Signers: []trust.Signer{{Name: "ci", Keys: []trust.Key{{ID: key.KeyID(), Public: key.Public()}}}}}
}

func (s *shelf) signed(subjects ...subject.Digest) (finding.Report, error) {
	listed, err := scan.Signed(context.Background(), s.config(s.key, subjects...))
	if err != nil {
		return finding.Report{}, err
	}
	return scanner(s.T).Listed(context.Background(), listed)
}

func (s *shelf) wants(report finding.Report, err error, versions ...string) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	var got []string
	for _, c := range report.Inventory.Components {
		got = append(got, c.Version)
	}
	if !slices.Equal(got, versions) {
		s.Errorf("got versions %v, want %v", got, versions)
	}
}

// refused wants a *NoSBOMError that says so.
func (s *shelf) refused(err error, want string) {
	s.Helper()
	var missing *scan.NoSBOMError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), want) {
		s.Errorf("got %v, want %q", err, want)
	}
}

func TestSigned(t *testing.T) {
	s := newShelf(t)
	digest := s.image.Digest
	s.attest(digest, predicate.TypeCycloneDX, contents(digest, "13.0.0", now()))
	s.server.Requests()
	report, err := s.signed(digest)
	s.wants(report, err, "13.0.0")
	if len(report.Findings) != 1 || report.Findings[0].ID != "CVE-2023-47248" || !report.Database.Sample {
		t.Errorf("findings %+v of %+v", report.Findings, report.Database)
	}
	if len(report.Inventory.Unresolved) != 1 || report.Inventory.Unresolved[0].Text != "private @ https://example.com/p.whl" {
		t.Errorf("unresolved %+v", report.Inventory.Unresolved)
	}
	if len(report.SBOMs) != 1 || report.SBOMs[0].Signer != "ci" || report.SBOMs[0].KeyID != s.key.KeyID().String() || report.SBOMs[0].Digest.IsZero() || !report.SBOMs[0].Created.Equal(now()) {
		t.Errorf("read from %+v", report.SBOMs)
	}
	if report.Digest != digest || report.Kind != finding.Container {
		t.Errorf("about %s, %s", report.Digest, report.Kind)
	}
	s.notPulled()
}

// notPulled holds that neither layers nor the configuration of the image were
// asked for since the last look.
func (s *shelf) notPulled() {
	s.Helper()
	image, err := s.client.Image(context.Background(), s.image, "linux/amd64")
	if err != nil {
		s.Fatal(err)
	}
	requests := strings.Join(s.server.Requests(), "\n")
	manifest, err := image.Manifest()
	if err != nil {
		s.Fatal(err)
	}
	if !strings.Contains(requests, "/blobs/") {
		s.Error("no evidence was read; the test proves nothing")
	}
	for _, layer := range append(manifest.Layers, manifest.Config) {
		if strings.Contains(requests, "/blobs/"+layer.Digest.String()) {
			s.Errorf("%s was pulled:\n%s", layer.Digest, requests)
		}
	}
}

// altered changes what a real registry answers.
type altered struct {
	real   scan.Evidence
	change func([]trust.Evidence) []trust.Evidence
	from   *subject.Digest
}

// Evidence asks, and changes the answer.
func (a altered) Evidence(ctx context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error) {
	if a.from != nil {
		digest = *a.from
	}
	list, err := a.real.Evidence(ctx, repository, digest)
	return a.change(list), err
}

func TestSignedRefuses(t *testing.T) {
	s := newShelf(t)
	digest := s.image.Digest
	ctx := context.Background()
	_, err := s.signed(digest)
	s.refused(err, "among 0 pieces")
	s.attest(digest, predicate.TypeCycloneDX, contents(digest, "13.0.0", now()))

	_, err = scan.Signed(ctx, s.config(newKey(t), digest))
	s.refused(err, "unknown key")

	tampered := s.config(s.key, digest)
	tampered.Evidence = altered{real: s.client, change: func(list []trust.Evidence) []trust.Evidence {
		for i := range list { // the payload is base64 of JSON: one more letter in a version
			list[i].Content = bytes.Replace(list[i].Content, []byte(`"payload":"`), []byte(`"payload":"ICAg`), 1)
		}
		return list
	}}
	_, err = scan.Signed(ctx, tampered)
	s.refused(err, "bad signature")

	other := newShelf(t)
	other.key = s.key
	other.attest(other.image.Digest, predicate.TypeCycloneDX, contents(other.image.Digest, "14.0.1", now()))
	copied := other.config(s.key, digest)
	copied.Evidence = altered{real: other.client, from: &other.image.Digest, change: func(l []trust.Evidence) []trust.Evidence { return l }}
	_, err = scan.Signed(ctx, copied)
	s.refused(err, "other subject")

	// The twin of all: nothing changed.
	untouched := s.config(s.key, digest)
	untouched.Evidence = altered{real: s.client, change: func(l []trust.Evidence) []trust.Evidence { return l }}
	if _, err := scan.Signed(ctx, untouched); err != nil {
		t.Error(err)
	}
	for name, config := range map[string]scan.SignedConfig{"nothing": {}, "no signer": {Evidence: s.client, Repository: "r", Subjects: []subject.Digest{digest}, Now: now()}} {
		if _, err := scan.Signed(ctx, config); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestSignedForAnother: the statement is about this image, and what it says is
// about another one.
func TestSignedForAnother(t *testing.T) {
	s := newShelf(t)
	s.attest(s.image.Digest, predicate.TypeSPDX, contents(subject.Of([]byte("other")), "14.0.1", now()))
	_, err := s.signed(s.image.Digest)
	s.refused(err, "lists what is in "+subject.Of([]byte("other")).String())
}

func TestSignedNewest(t *testing.T) {
	for _, order := range [][2]int{{0, 1}, {1, 0}} {
		s := newShelf(t)
		digest := s.image.Digest
		versions := []string{"13.0.0", "14.0.1"} // the older one, the newer one
		for _, i := range order {
			s.attest(digest, predicate.TypeCycloneDX, contents(digest, versions[i], now().Add(time.Duration(i-2)*time.Hour)))
		}
		report, err := s.signed(digest)
		s.wants(report, err, "14.0.1")
		if len(report.Findings) != 0 || len(report.SBOMs) != 1 {
			t.Errorf("findings %+v from %+v", report.Findings, report.SBOMs)
		}
	}
	s := newShelf(t)
	s.attest(s.image.Digest, predicate.TypeCycloneDX, contents(s.image.Digest, "14.0.1", now().Add(time.Hour)))
	_, err := s.signed(s.image.Digest)
	s.refused(err, "in the future")
}

// TestSignedTogether: what one tool's SBOM leaves out, another's may list.
func TestSignedTogether(t *testing.T) {
	s := newShelf(t)
	digest := s.image.Digest
	s.attest(digest, predicate.TypeSPDX, contents(digest, "13.0.0", now()))
	s.attest(digest, predicate.TypeCycloneDX, contents(digest, "13.0.0", now()))
	s.store(digest, predicate.TypeCycloneDX, []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"timestamp":"2026-01-01T00:00:00Z","tools":{"components":[{"type":"application","name":"syft"}]},
	 "component":{"type":"container","name":"x","version":"`+subject.Of([]byte("as the daemon has it")).String()+`"}},
	 "components":[{"type":"library","name":"pyarrow","purl":"pkg:pypi/pyarrow@13.0.0"},{"type":"library","name":"pyarrow","purl":"pkg:pypi/pyarrow@14.0.1"}]}`))
	report, err := s.signed(digest)
	s.wants(report, err, "13.0.0", "14.0.1")
	if len(report.SBOMs) != 3 || len(report.Inventory.Unresolved) != 1 {
		t.Errorf("from %+v, unresolved %+v", report.SBOMs, report.Inventory.Unresolved)
	}
}

func TestSignedPlatform(t *testing.T) {
	s := newShelf(t, "linux/amd64", "linux/arm64")
	platform := s.image.Platforms[0].Digest
	s.attest(s.image.Digest, predicate.TypeCycloneDX, contents(s.image.Digest, "13.0.0", now()))
	report, err := s.signed(platform, s.image.Digest)
	s.wants(report, err, "13.0.0") // the index stands in
	s.attest(platform, predicate.TypeCycloneDX, contents(platform, "14.0.1", now().Add(-time.Hour)))
	report, err = s.signed(platform, s.image.Digest)
	s.wants(report, err, "14.0.1") // and gives way, even to an older one
	if report.Digest != platform {
		t.Errorf("about %s", report.Digest)
	}
}

func TestSignedUnreadable(t *testing.T) {
	s := newShelf(t)
	s.store(s.image.Digest, predicate.TypeSPDX, []byte(`{"spdxVersion":"SPDX-3.0","creationInfo":{"created":"2026-01-01T00:00:00Z"}}`))
	s.attest(s.image.Digest, predicate.TypeCycloneDX, contents(s.image.Digest, "14.0.1", now()))
	if _, err := s.signed(s.image.Digest); err == nil || !strings.Contains(err.Error(), "a signed SBOM cannot be read: reading SPDX") {
		t.Errorf("got %v", err)
	}
}

func TestSignedRegistryFails(t *testing.T) {
	s := newShelf(t)
	s.attest(s.image.Digest, predicate.TypeCycloneDX, contents(s.image.Digest, "14.0.1", now()))
	s.server.Break(ocitest.Fault{Match: "/blobs/", Status: 500})
	if _, err := s.signed(s.image.Digest); err == nil {
		t.Error("a registry that fails counts as one without evidence")
	}
}

func TestListedNothing(t *testing.T) {
	_, err := scanner(t).Listed(context.Background(), scan.Listed{Name: "x", Kind: finding.SPDX, SBOMs: []finding.SBOM{{Format: "SPDX 2.3"}}})
	var nothing *scan.NothingFoundError
	if !errors.As(err, &nothing) {
		t.Errorf("got %v", err)
	}
	if _, err := scanner(t).Listed(context.Background(), scan.Listed{Name: "x"}); err == nil || !strings.Contains(err.Error(), "no document") {
		t.Errorf("got %v", err)
	}
	if _, err := scan.Decode("", nil, "x"); err == nil || !strings.Contains(fmt.Sprint(err), "neither") {
		t.Errorf("got %v", err)
	}
}
