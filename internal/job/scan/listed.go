package scan

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/cyclonedx"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/format/spdx"
	"github.com/seed-161fc314/assay/predicate"
)

// Listed is a target whose packages were read from documents and not from
// itself.
type Listed struct {
	// Name is what the user calls the target, Kind how it is reported:
	// finding.Container for an image, the document's format for a file.
	Name string
	Kind finding.TargetKind
	// Digest and Image are set where a verified document is about an image.
	// Index is the digest of the index that the user named, if it was one.
	Digest, Index subject.Digest
	Image         *finding.Image
	Inventory     component.Inventory
	// SBOMs are the documents; at least one.
	SBOMs []finding.SBOM
}

const lookedListed = "packages with a package URL (purl) in its SBOM"

// Listed scans what documents list. The report names them.
func (s *Scanner) Listed(ctx context.Context, listed Listed) (finding.Report, error) {
	if len(listed.SBOMs) == 0 {
		return finding.Report{}, errors.New("scan: what is listed comes from no document")
	}
	report := finding.Report{Target: listed.Name, Kind: listed.Kind, Digest: listed.Digest, Index: listed.Index, Image: listed.Image, SBOMs: listed.SBOMs}
	return s.report(ctx, report, lookedListed, func() (component.Inventory, error) { return listed.Inventory, nil })
}

// Evidence lists what is stored beside an image.
type Evidence interface {
	Evidence(ctx context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error)
}

// SignedConfig says whose word on which image counts. All fields must be set.
type SignedConfig struct {
	Evidence Evidence
	// Repository has the registry in it and neither tag nor digest.
	Repository string
	// Subjects are the digests that an SBOM may be about, the best first: a
	// platform's manifest before its index. Evidence about the first one that
	// has any is taken.
	Subjects []subject.Digest
	Signers  []trust.Signer
	Now      time.Time
}

// NoSBOMError says that an image has no SBOM that counts.
type NoSBOMError struct {
	Image string
	// Signers are the names of those whose word was asked for.
	Signers []string
	// Rejected are SBOMs that do not count, with the reasons; Pieces is how
	// many pieces of evidence there were at all.
	Rejected []verdict.Evidence
	Pieces   int
}

// Error says what was looked for, and why what was found does not count.
func (e *NoSBOMError) Error() string {
	text := fmt.Sprintf("%s: no SBOM (CycloneDX or SPDX) that %s signed, among %s of evidence", e.Image, strings.Join(e.Signers, " or "), explain.Count(e.Pieces, "piece", "pieces"))
	for _, r := range e.Rejected {
		text += fmt.Sprintf("\n%s does not count: %s", r.Source, r.Rejected)
	}
	return text
}

// Signed gives what the signed SBOMs on an image list, without reading the
// image. Of one format, signer and tool the newest counts (trust.Newest); of
// several formats and tools all do, and a package is listed if any lists it:
// the image is the same, whatever looked at it. An SBOM that counts and cannot
// be read is an error; where none counts, a *NoSBOMError.
func Signed(ctx context.Context, config SignedConfig) (Listed, error) {
	if config.Evidence == nil || config.Repository == "" || len(config.Subjects) == 0 || len(config.Signers) == 0 || config.Now.IsZero() {
		return Listed{}, errors.New("scan: a source of evidence, an image, signers and a time are needed")
	}
	missing := &NoSBOMError{Image: config.Repository + "@" + config.Subjects[0].String()}
	for _, s := range config.Signers {
		missing.Signers = append(missing.Signers, s.Name)
	}
	claims, err := config.verified(ctx, missing)
	if err != nil {
		return Listed{}, err
	}
	deciding, _, future := trust.Newest(claims, config.Now)
	// In an order of their own, whatever that of the registry: the first one
	// that lists a package says what is known of it.
	slices.SortStableFunc(deciding, func(a, b trust.Claim) int {
		return cmp.Or(cmp.Compare(format(a.Type()), format(b.Type())), cmp.Compare(a.Tool(), b.Tool()),
			cmp.Compare(a.Evidence().Digest.String(), b.Evidence().Digest.String()))
	})
	for _, claim := range future {
		e := claim.Evidence()
		e.Rejected = "it is dated " + e.Time.UTC().Format(time.RFC3339) + ", which is in the future"
		missing.Rejected = append(missing.Rejected, e)
	}
	for _, about := range config.Subjects {
		of := slices.DeleteFunc(slices.Clone(deciding), func(c trust.Claim) bool { return c.Subjects()[0] != about })
		listed, err := together(of, config.Repository+"@"+about.String(), about, missing)
		if err != nil || len(listed.SBOMs) > 0 {
			return listed, err
		}
	}
	return Listed{}, missing
}

// verified gives the SBOMs among the evidence whose signature, subject and type
// hold.
func (c SignedConfig) verified(ctx context.Context, missing *NoSBOMError) ([]trust.Claim, error) {
	var claims []trust.Claim
	for _, digest := range c.Subjects {
		pieces, err := c.Evidence.Evidence(ctx, c.Repository, digest)
		if err != nil {
			return nil, err
		}
		missing.Pieces += len(pieces)
		for _, piece := range pieces {
			claim, rejection := trust.Verify(piece, c.Signers, c.Subjects, c.Now)
			switch {
			case rejection != nil:
				if rejection.ClaimedType == "" || format(rejection.ClaimedType) != "" {
					missing.Rejected = append(missing.Rejected, rejection.Evidence)
				}
			case format(claim.Type()) != "":
				claims = append(claims, claim)
			}
		}
	}
	return claims, nil
}

func format(predicateType string) finding.TargetKind {
	switch predicate.Family(predicateType) {
	case predicate.TypeCycloneDX:
		return finding.CycloneDX
	case predicate.TypeSPDX:
		return finding.SPDX
	}
	return ""
}

// together reads the SBOMs of one digest, and joins what they list.
func together(claims []trust.Claim, name string, about subject.Digest, missing *NoSBOMError) (Listed, error) {
	listed := Listed{Name: name, Kind: finding.Container, Digest: about}
	seen := seen{packages: map[[3]string]bool{}, unresolved: map[component.Unresolved]bool{}}
	for _, claim := range claims {
		e := claim.Evidence()
		document, err := Decode(format(claim.Type()), claim.Predicate(), e.Source)
		if err != nil {
			return Listed{}, fmt.Errorf("%s: a signed SBOM cannot be read: %w", name, err)
		}
		if document.ToolVersion != "" && document.Digest != about {
			e.Rejected = fmt.Sprintf("it is signed for this image, and lists what is in %s", document.Digest)
			missing.Rejected = append(missing.Rejected, e)
			continue
		}
		made, _ := claim.Time()
		listed.SBOMs = append(listed.SBOMs, finding.SBOM{Format: document.Format, Tool: document.Tool, Created: made,
			Digest: e.Digest, Source: e.Source, Signer: e.Signer, KeyID: e.KeyID})
		if listed.Image == nil {
			listed.Image = document.Image
		}
		join(&listed.Inventory, document.Inventory, seen)
	}
	listed.Inventory.Sort()
	return listed, nil
}

// seen is what earlier documents list.
type seen struct {
	packages   map[[3]string]bool
	unresolved map[component.Unresolved]bool
}

// join adds what one more document lists, and no package that an earlier one
// lists.
func join(all *component.Inventory, more component.Inventory, seen seen) {
	key := func(c component.Component) [3]string { return [3]string{c.Ecosystem, c.Name, c.Version} }
	for _, c := range more.Components {
		if !seen.packages[key(c)] {
			all.Components = append(all.Components, c)
		}
	}
	for _, c := range more.Components {
		seen.packages[key(c)] = true
	}
	for _, u := range more.Unresolved {
		if !seen.unresolved[u] {
			all.Unresolved = append(all.Unresolved, u)
		}
		seen.unresolved[u] = true
	}
	for _, s := range more.Sources {
		if !slices.Contains(all.Sources, s) {
			all.Sources = append(all.Sources, s)
		}
	}
	if all.OperatingSystem == nil {
		all.OperatingSystem = more.OperatingSystem
	}
}

// Decode reads an SBOM of one of the formats that sbom.Sniff tells; where is
// what errors and records call it.
func Decode(format finding.TargetKind, content []byte, where string) (sbom.Document, error) {
	switch format {
	case finding.CycloneDX:
		return cyclonedx.Decode(bytes.NewReader(content), where)
	case finding.SPDX:
		return spdx.Decode(bytes.NewReader(content), where)
	}
	return sbom.Document{}, fmt.Errorf("%s: it is neither CycloneDX nor SPDX", where)
}
