package journey_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/job/journey"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/predicate"
)

func (p *parts) refresh(reference string, signers ...trust.Signer) (journey.Refreshed, error) {
	p.t.Helper()
	resolved, err := p.client.Resolve(context.Background(), reference)
	if err != nil {
		p.t.Fatal(err)
	}
	return journey.Refresh{Image: resolved, Scanner: p.config.Scanner.(*scan.Scanner), Evidence: p.config.Evidence, Version: "test",
		SBOMs: scan.SignedConfig{Evidence: p.client, Signers: signers, Now: p.now()}}.Run(context.Background())
}

func (p *parts) self() trust.Signer {
	return trust.Signer{Name: "ci", Keys: []trust.Key{{ID: p.signer.KeyID(), Public: p.signer.Public()}}}
}

// vulnerabilities are the claims about a digest that decide now.
func (p *parts) vulnerabilities(repository string, digest subject.Digest) []trust.Claim {
	p.t.Helper()
	pieces, err := p.client.Evidence(context.Background(), repository, digest)
	if err != nil {
		p.t.Fatal(err)
	}
	var claims []trust.Claim
	for _, piece := range pieces {
		claim, rejection := trust.Verify(piece, []trust.Signer{p.self()}, []subject.Digest{digest}, time.Now())
		if rejection != nil {
			p.t.Fatal(rejection.Detail)
		}
		if predicate.Family(claim.Type()) == predicate.TypeCosignVuln {
			claims = append(claims, claim)
		}
	}
	deciding, _, _ := trust.Newest(claims, p.now())
	return deciding
}

// TestRefresh: every manifest of an index gets newer evidence of both types,
// which says what it was made from, and no layer is pulled.
func TestRefresh(t *testing.T) {
	p := newParts(t, strings.Replace(assayYAML, "  base: scratch", "  base: scratch\n  platforms: [linux/amd64, linux/arm64]", 1), workload(t))
	result, err := p.run("")
	if err != nil {
		t.Fatal(err)
	}
	p.server.Requests()
	refreshed, err := p.refresh(result.Image, p.self())
	if err != nil {
		t.Fatal(err)
	}
	requests := strings.Join(p.server.Requests(), "\n")
	if len(refreshed.Reports) != 3 || len(refreshed.Without) != 0 || len(refreshed.Stored) != 3*4 {
		t.Fatalf("%d reports, without %v, %d stored", len(refreshed.Reports), refreshed.Without, len(refreshed.Stored))
	}
	for _, report := range refreshed.Reports {
		if len(report.SBOMs) != 2 || len(report.Inventory.Components) == 0 || !report.Database.Sample {
			t.Errorf("%s: from %+v", report.Target, report.SBOMs)
		}
		if report.Image != nil {
			for _, id := range append([]subject.Digest{report.Image.ConfigDigest}, report.Image.DiffIDs...) {
				if strings.Contains(requests, "/blobs/"+id.String()) {
					t.Errorf("%s was pulled", id)
				}
			}
		}
		repository, _, _ := strings.Cut(report.Target, "@")
		deciding := p.vulnerabilities(repository, report.Digest)
		if len(deciding) != 2 {
			t.Fatalf("%d claims decide about %s", len(deciding), report.Digest)
		}
		for _, claim := range deciding {
			if made, _ := claim.Time(); !made.Equal(report.Finished) {
				t.Errorf("%s of %s decides, want the new one of %s", claim.Type(), made, report.Finished)
			}
			fromSBOM(t, claim, report)
		}
	}
}

func fromSBOM(t *testing.T, claim trust.Claim, report finding.Report) {
	t.Helper()
	var said struct {
		Invocation struct{ Parameters []string }
		Metadata   struct {
			Annotations []struct{ SBOMs []finding.SBOM }
		}
		Scanner struct{ Result json.RawMessage }
	}
	if err := json.Unmarshal(claim.Predicate(), &said); err != nil {
		t.Fatal(err)
	}
	if claim.Type() == predicate.TypeCosignVuln {
		if p := said.Invocation.Parameters; len(p) != 2 || p[0] != "from-sbom="+report.SBOMs[0].String() || !strings.Contains(p[0], "signed by ci (sha256:") {
			t.Errorf("parameters %q", p)
		}
		if !strings.Contains(string(said.Scanner.Result), `"sboms":[{"format":"CycloneDX 1.6"`) {
			t.Errorf("the report inside does not say it: %.300s", said.Scanner.Result)
		}
		return
	}
	if a := said.Metadata.Annotations; len(a) != 3 || len(a[2].SBOMs) != 2 || a[2].SBOMs[0].Digest != report.SBOMs[0].Digest {
		t.Errorf("annotations %+v", a)
	}
}

func TestRefreshRefuses(t *testing.T) {
	p := newParts(t, assayYAML, workload(t))
	result, err := p.run("")
	if err != nil {
		t.Fatal(err)
	}
	stranger := newParts(t, assayYAML, nil)
	before := p.vulnerabilities(strings.Split(result.Image, "@")[0], subjectOf(t, result.Image))
	_, err = p.refresh(result.Image, stranger.self())
	var missing *scan.NoSBOMError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "unknown key") {
		t.Errorf("got %v", err)
	}
	if after := p.vulnerabilities(strings.Split(result.Image, "@")[0], subjectOf(t, result.Image)); len(after) != len(before) {
		t.Error("something was stored")
	}
	if _, err := (journey.Refresh{}).Run(context.Background()); err == nil {
		t.Error("nothing at all is taken")
	}
	p.config.Evidence = failing{}
	if _, err := p.refresh(result.Image, p.self()); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
}

func subjectOf(t *testing.T, reference string) subject.Digest {
	t.Helper()
	_, digest, _ := strings.Cut(reference, "@")
	parsed, err := subject.Parse(digest)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

type failing struct{}

// Publish stores nothing.
func (failing) Publish(context.Context, []attest.Order) ([]attest.Stored, error) {
	return nil, errors.New("no room")
}
