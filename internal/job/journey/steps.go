package journey

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/engine/evidence"
	"github.com/seed-161fc314/assay/internal/format/coverage"
	"github.com/seed-161fc314/assay/internal/format/cyclonedx"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/junit"
	"github.com/seed-161fc314/assay/internal/format/sarif"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/format/spdx"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/builder"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/predicate"
)

// BuildType heads the build type of provenance; the builder's name follows.
const BuildType = "https://assay.sh/buildtypes/"

// DefaultBuilderID is the trust base where assay.yaml names none: somebody's
// machine.
const DefaultBuilderID = "https://assay.sh/builder/development"

func (r *run) source(ctx context.Context) (string, error) {
	report, err := r.Scanner.Directory(ctx, r.Files, r.Dir)
	if err != nil {
		return "", err
	}
	r.result.Source = &report
	over, err := r.over(report.Findings)
	if err != nil {
		return "", err
	}
	r.result.Over = over
	if len(over) > 0 {
		return "", &DeniedError{Step: Source, Reason: fmt.Sprintf("%d of %d findings in the source are over the threshold; nothing was built", len(over), len(report.Findings))}
	}
	if reason := besides(report); reason != "" {
		return "", &DeniedError{Step: Source, Reason: reason + "; nothing was built"}
	}
	r.state.Inputs = nil
	for _, s := range report.Inventory.Sources {
		r.state.Inputs = append(r.state.Inputs, input{s.Path, s.Digest})
	}
	detail := fmt.Sprintf("%s, %s, none over the threshold", explain.Count(report.Tested(), "package", "packages"), explain.Count(len(report.Findings), "finding", "findings"))
	if n := len(report.Inventory.Unresolved); n > 0 {
		detail += fmt.Sprintf("; %d not tested", n)
	}
	if n := len(report.Suppressed); n > 0 {
		detail += fmt.Sprintf("; %d suppressed", n)
	}
	return detail, nil
}

// besides says what counts in a report besides its findings, "" for nothing.
func besides(report finding.Report) string {
	var reasons []string
	if len(report.Expired) > 0 {
		var ids []string
		for _, e := range report.Expired {
			ids = append(ids, fmt.Sprintf("%s (%s:%d, until %s)", e.ID, e.Source.Path, e.Source.Line, e.Ended.Format("2006-01-02")))
		}
		reasons = append(reasons, "ignores have expired: "+strings.Join(ids, ", "))
	}
	if unpinned := report.Unpinned(); len(unpinned) > 0 {
		first := unpinned[0]
		reasons = append(reasons, fmt.Sprintf("%s no single version, the first %s in %s (scan.requirePinned)", explain.Count(len(unpinned), "requirement has", "requirements have"), first.Text, first.Location.Path))
	}
	return strings.Join(reasons, "; ")
}

// over picks the findings that stop a journey.
func (r *run) over(findings []finding.Finding) ([]finding.Finding, error) {
	threshold := finding.DefaultThreshold()
	if words := r.File.Scan.FailOn; len(words) > 0 {
		var err error
		if threshold, err = finding.ParseThreshold(words); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(findings), func(f finding.Finding) bool {
		return !threshold.Reached(f.Severity.Level) || r.File.Scan.IgnoreUnfixed && f.Unfixed()
	}), nil
}

func (r *run) build(ctx context.Context) (string, error) {
	b := r.File.Build
	if err := os.RemoveAll(r.layoutDir()); err != nil {
		return "", fmt.Errorf("clearing the last image: %w", err)
	}
	if err := os.MkdirAll(r.layoutDir(), 0o755); err != nil {
		return "", err
	}
	r.state.Commit = nil
	if r.Describe != nil {
		commit, err := r.Describe(ctx)
		if err != nil {
			return "", err
		}
		r.state.Commit = commit
	}
	request := builder.Request{Dir: r.Dir, Out: r.layoutDir(), Platforms: b.Platforms, Created: r.Created, Labels: b.Labels,
		Layer: builder.Layer{Files: b.Files, Exclude: b.Exclude, Workdir: b.Workdir, Entrypoint: b.Entrypoint, Command: b.Command,
			Env: b.Env, User: b.User, Requirements: b.Requirements, Dependencies: component.Dependency(b.Dependencies), Wheels: b.Wheels,
			Python: b.Python, SitePackages: b.SitePackages},
		Dockerfile: builder.Dockerfile{Path: b.Dockerfile, Arguments: b.Arguments}}
	if b.Builder == "layer" && b.Base != "scratch" {
		if r.Base == nil {
			return "", errors.New("no way to fetch a base image is configured")
		}
		base, err := r.Base(ctx, b.Base, platforms(b.Platforms))
		if err != nil {
			return "", fmt.Errorf("base image: %w", err)
		}
		request.Layer.Base = base
	}
	r.state.Began = r.Now().UTC()
	built, err := r.Builder.Build(ctx, request)
	if err != nil {
		return "", err
	}
	r.state.Built, r.state.Finished = built, r.Now().UTC()
	r.state.Images, r.state.Pinned = nil, ""
	detail := built.Digest.Short() + " by " + b.Builder
	if built.Dependencies != "" {
		detail += ", dependencies " + string(built.Dependencies)
	}
	return detail, nil
}

func platforms(list []string) []string {
	if len(list) == 0 {
		return []string{"linux/amd64"}
	}
	return list
}

// scan scans every image of the layout. An index gets the union, so that what
// looks for evidence on the index finds it too.
func (r *run) scan(ctx context.Context) (string, error) {
	local, err := oci.OpenLayout(r.layoutDir(), "")
	if err != nil {
		return "", err
	}
	if local.Digest != r.state.Built.Digest {
		return "", fmt.Errorf("the image on disk is %s, and the builder made %s; begin with step %s", local.Digest, r.state.Built.Digest, Build)
	}
	r.state.Images = nil
	packages, unresolved := 0, 0
	var worst finding.Level
	found := 0
	for _, img := range local.Images {
		named := scan.Named{Reference: r.File.Image + "@" + img.Digest.String(), Digest: img.Digest}
		if local.Index {
			named.Index = local.Digest
		}
		report, err := r.Scanner.Image(ctx, img.Image, named)
		if err != nil {
			return "", err
		}
		r.state.Images = append(r.state.Images, image{Digest: img.Digest, Platform: img.Platform, Report: &report})
		packages, unresolved = max(packages, report.Tested()), max(unresolved, len(report.Inventory.Unresolved))
		found = max(found, len(report.Findings))
		for _, f := range report.Findings {
			worst = max(worst, f.Severity.Level)
		}
	}
	if local.Index {
		report := union(r.state.Images, r.File.Image, local.Digest)
		r.state.Images = append([]image{{Digest: local.Digest, Report: &report}}, r.state.Images...)
	}
	detail := explain.Count(packages, "package", "packages") + ", " + explain.Count(found, "finding", "findings")
	if found > 0 {
		detail += ", worst " + worst.String()
	}
	if unresolved > 0 {
		detail += fmt.Sprintf("; %d not tested", unresolved)
	}
	return detail, nil
}

// union puts the reports on an index's images together.
func union(images []image, name string, digest subject.Digest) finding.Report {
	all := *images[0].Report
	all.Target, all.Digest, all.Image = name+"@"+digest.String(), digest, nil
	all.Inventory.Components = slices.Clone(all.Inventory.Components)
	all.Inventory.Unresolved = slices.Clone(all.Inventory.Unresolved)
	all.Findings = slices.Clone(all.Findings)
	all.Suppressed = slices.Clone(all.Suppressed)
	all.Untested = slices.Clone(all.Untested)
	for _, img := range images[1:] {
		for _, c := range img.Report.Inventory.Components {
			if !slices.ContainsFunc(all.Inventory.Components, func(k component.Component) bool { return k.PURL == c.PURL && k.Dependency == c.Dependency }) {
				all.Inventory.Components = append(all.Inventory.Components, c)
			}
		}
		for _, u := range img.Report.Inventory.Unresolved {
			if !slices.ContainsFunc(all.Inventory.Unresolved, func(k component.Unresolved) bool { return k.Text == u.Text && k.Location.Path == u.Location.Path }) {
				all.Inventory.Unresolved = append(all.Inventory.Unresolved, u)
			}
		}
		for _, f := range img.Report.Findings {
			if !slices.ContainsFunc(all.Findings, func(k finding.Finding) bool { return k.ID == f.ID && k.Component.PURL == f.Component.PURL }) {
				all.Findings = append(all.Findings, f)
			}
		}
		for _, s := range img.Report.Suppressed {
			if !slices.ContainsFunc(all.Suppressed, func(k finding.Suppressed) bool {
				return k.Finding.ID == s.Finding.ID && k.Finding.Component.PURL == s.Finding.Component.PURL
			}) {
				all.Suppressed = append(all.Suppressed, s)
			}
		}
		for _, ecosystem := range img.Report.Untested {
			if !slices.Contains(all.Untested, ecosystem) {
				all.Untested = append(all.Untested, ecosystem)
			}
		}
		all.Finished = img.Report.Finished
	}
	// What counts for one image counts for the index.
	all.Suppressed = slices.DeleteFunc(all.Suppressed, func(s finding.Suppressed) bool {
		return slices.ContainsFunc(all.Findings, func(f finding.Finding) bool {
			return f.ID == s.Finding.ID && f.Component.PURL == s.Finding.Component.PURL
		})
	})
	slices.Sort(all.Untested)
	all.Inventory.Sort()
	advisory.Sort(all.Findings)
	return all
}

func (r *run) sbom(context.Context) (string, error) {
	for i := range r.state.Images {
		img := &r.state.Images[i]
		created := r.Created
		if img.Report.Image != nil && created.IsZero() {
			created = img.Report.Image.Created
		}
		var cdx, spdxJSON bytes.Buffer
		name := r.File.Image
		listed := sbom.Document{Name: name, Digest: img.Digest, Kind: finding.Container, Image: img.Report.Image, Inventory: img.Report.Inventory, Created: created, ToolVersion: r.Version}
		if err := cyclonedx.Encode(&cdx, listed, cyclonedx.V16); err != nil {
			return "", err
		}
		if err := spdx.Encode(&spdxJSON, listed); err != nil {
			return "", err
		}
		img.Documents = []document{{predicate.TypeCycloneDX, cdx.Bytes()}, {predicate.TypeSPDX, spdxJSON.Bytes()}}
	}
	return "CycloneDX 1.6 and SPDX 2.3", nil
}

func (r *run) test(context.Context) (string, error) {
	t := r.File.Tests
	r.state.Tests = nil
	var suites []evidence.Suite
	var measures []evidence.Measure
	var analyses []evidence.Analyses
	for _, path := range t.JUnit {
		content, source, err := r.report(path)
		if err != nil {
			return "", err
		}
		report, err := junit.Read(bytes.NewReader(content), path)
		if err != nil {
			return "", err
		}
		suites = append(suites, evidence.Suite{Source: source, Report: report})
	}
	for _, path := range t.Coverage {
		content, source, err := r.report(path)
		if err != nil {
			return "", err
		}
		report, err := coverage.Read(bytes.NewReader(content), path)
		if err != nil {
			return "", err
		}
		measures = append(measures, evidence.Measure{Source: source, Report: report})
	}
	for _, path := range t.SARIF {
		content, source, err := r.report(path)
		if err != nil {
			return "", err
		}
		summary, err := sarif.Read(bytes.NewReader(content), path)
		if err != nil {
			return "", err
		}
		analyses = append(analyses, evidence.Analyses{Source: source, Summary: summary})
	}
	var details []string
	if len(suites)+len(measures) > 0 {
		d, err := evidence.Tests(suites, measures)
		if err != nil {
			return "", err
		}
		r.state.Tests = append(r.state.Tests, document(d))
		details = append(details, tested(suites, measures))
	}
	if len(analyses) > 0 {
		d, err := evidence.Analysis(analyses)
		if err != nil {
			return "", err
		}
		r.state.Tests = append(r.state.Tests, document(d))
		for _, a := range analyses {
			details = append(details, fmt.Sprintf("%s: %s, %s", a.Tool, explain.Count(a.Errors, "error", "errors"), explain.Count(a.Warnings, "warning", "warnings")))
		}
	}
	if len(details) == 0 {
		return "assay.yaml names no reports", errSkip
	}
	return strings.Join(details, "; "), nil
}

func tested(suites []evidence.Suite, measures []evidence.Measure) string {
	passed, failed, skipped := 0, 0, 0
	for _, s := range suites {
		passed, failed, skipped = passed+len(s.Passed), failed+len(s.Failed)+len(s.Errored), skipped+len(s.Skipped)
	}
	text := fmt.Sprintf("%d passed, %d failed, %d skipped", passed, failed, skipped)
	for _, m := range measures {
		text += fmt.Sprintf(", coverage %.1f %%", m.Percent)
	}
	return text
}

func (r *run) report(path string) ([]byte, evidence.Source, error) {
	file, err := r.Files.Open(path)
	if err != nil {
		return nil, evidence.Source{}, fmt.Errorf("assay.yaml names a report that cannot be read: %w", err)
	}
	defer file.Close()
	content, err := limit.ReadAll(file, path, limit.TestReport)
	return content, evidence.Source{Path: path, Digest: subject.Of(content)}, err
}

// attest pushes the image without a tag, and then signs and stores everything
// that was said about it.
func (r *run) attest(ctx context.Context) (string, error) {
	orders, err := r.orders()
	if err != nil {
		return "", err
	}
	resolved, err := r.Registry.PushLayout(ctx, r.File.Image, r.layoutDir())
	if err != nil {
		return "", err
	}
	if resolved.Digest != r.state.Built.Digest {
		return "", fmt.Errorf("pushed %s, and the builder made %s", resolved.Digest, r.state.Built.Digest)
	}
	for i := range orders {
		orders[i].Image.Repository = resolved.Name()
	}
	stored, err := r.Evidence.Publish(ctx, orders)
	r.result.Stored = stored
	if err != nil {
		return "", err
	}
	r.state.Pinned = resolved.Pinned()
	r.result.Image = resolved.Pinned()
	return fmt.Sprintf("%s of evidence on %s", explain.Count(len(stored), "piece", "pieces"), resolved.Pinned()), nil
}

// orders lists what is signed: on every manifest its provenance, scans, SBOMs
// and tests, and its signature.
func (r *run) orders() ([]attest.Order, error) {
	provenance, err := r.provenance()
	if err != nil {
		return nil, err
	}
	var orders []attest.Order
	for _, img := range r.state.Images {
		vulns, cosign, err := evidence.Vulnerabilities(*img.Report, r.Version)
		if err != nil {
			return nil, err
		}
		documents := slices.Concat([]document{document(provenance), document(vulns), document(cosign)}, img.Documents, r.state.Tests)
		order := attest.Order{Image: attest.Image{Digest: img.Digest}, Sign: true}
		for _, d := range documents {
			order.Predicates = append(order.Predicates, attest.Predicate{Type: d.Type, Content: d.Body})
		}
		orders = append(orders, order)
	}
	return orders, nil
}

func (r *run) provenance() (evidence.Document, error) {
	b := r.File.Build
	external := map[string]any{"assayfile": map[string]string{r.FileDigest.Algorithm(): r.FileDigest.Hex()}, "name": r.File.Name, "image": r.File.Image, "build": b}
	internal := map[string]any{}
	var dependencies []predicate.ResourceDescriptor
	if c := r.state.Commit; c != nil {
		descriptor := predicate.ResourceDescriptor{Name: "source", URI: c.URI, Digest: map[string]string{"gitCommit": c.ID}}
		if c.URI != "" {
			descriptor.URI = "git+" + strings.TrimPrefix(c.URI, "git+") + "@" + c.ID
		}
		if c.Dirty {
			descriptor.Annotations = map[string]any{"dirty": true}
		}
		dependencies = append(dependencies, descriptor)
	}
	for _, in := range r.state.Inputs {
		dependencies = append(dependencies, predicate.ResourceDescriptor{Name: in.Path, Digest: map[string]string{in.Digest.Algorithm(): in.Digest.Hex()}})
	}
	for _, m := range r.state.Built.Materials {
		descriptor := predicate.ResourceDescriptor{URI: m.URI}
		if !m.Digest.IsZero() {
			descriptor.Digest = map[string]string{m.Digest.Algorithm(): m.Digest.Hex()}
		}
		dependencies = append(dependencies, descriptor)
	}
	if d := r.state.Built.Dependencies; d != "" {
		internal["dependencies"] = d
	}
	id := r.File.BuilderID
	if id == "" {
		id = DefaultBuilderID
	}
	return evidence.Provenance(evidence.Build{BuilderID: id, BuildType: BuildType + b.Builder + "/v1", External: external, Internal: internal,
		Dependencies: dependencies, Version: r.Version, Started: r.state.Began, Finished: r.state.Finished})
}

// decide asks the gate about what the registry holds, and tags what it allows.
func (r *run) decide(ctx context.Context) (string, error) {
	v, err := r.Gate.Decide(ctx, r.state.Pinned)
	r.result.Verdict = &v
	if err != nil {
		return "", err
	}
	if !v.Decision.Admits() {
		return "", &DeniedError{Step: Decide, Reason: fmt.Sprintf("the policy denies %s; it was not tagged and not promoted", r.state.Pinned)}
	}
	detail := fmt.Sprintf("%s by %s", v.Decision, strings.Join(v.Policies, ", "))
	if r.File.Tag == "" {
		return detail, nil
	}
	if err := r.Registry.Tag(ctx, r.File.Image, v.Subject, r.File.Tag); err != nil {
		return "", err
	}
	return detail + ", tagged " + r.File.Tag, nil
}

func (r *run) promote(ctx context.Context) (string, error) {
	if r.Promoter == nil {
		return "assay.yaml has no promote:", errSkip
	}
	result, err := r.Promoter.Promote(ctx, r.state.Pinned)
	if err != nil {
		return "", err
	}
	r.result.Promotion = &result
	switch {
	case result.Denied:
		r.result.Verdict = &result.Verdict
		return "", &DeniedError{Step: Promote, Reason: fmt.Sprintf("the policy denies %s; nothing was promoted", r.state.Pinned)}
	case !result.Changed:
		return "the digest is pinned already", nil
	}
	return fmt.Sprintf("commit %.12s on %s changes %s", result.Commit, result.Branch, strings.Join(result.Files, ", ")), nil
}
