package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/lint"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/fit"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/job/rehearse"
)

// fits holds the policies of files against the evidence of an image. Policies
// that load and do not judge the image are passed over; one has to be left.
func (h *Host) fits(ctx context.Context, files []policyFile, reference string) ([]lint.Finding, error) {
	image, err := rehearse.Image(reference)
	if err != nil {
		return nil, usage("--image %s: %v", reference, err)
	}
	asked := policy.Image{Registry: image.Registry, Repository: image.Repository, Tag: image.Tag, Digest: image.Digest, Pinned: strings.Contains(reference, "@")}
	var judges []judging
	for _, file := range files {
		for _, document := range file.documents {
			p, company, err := h.loadForLint(ctx, document, file.around)
			if err != nil { // which is a finding already; what it asks for is held all the same
				p = nil
			} else if !p.Match(asked, policy.Request{}) {
				continue
			}
			judges = append(judges, judging{document, p, company})
		}
	}
	if len(judges) == 0 {
		return nil, usage("--image %s: none of these policies judges it", reference).withHint("name an image that the patterns of a policy cover")
	}
	done := h.busy("reading the evidence of " + reference)
	found, err := fit.Look(ctx, h.registries(), reference)
	done()
	if err != nil {
		return nil, err
	}
	var findings []lint.Finding
	for _, j := range judges {
		wants, err := lint.Wants(j.document)
		if err != nil {
			return nil, err
		}
		remarks := found.Against(wants)
		if j.policy != nil && len(remarks) == 0 {
			if remarks, err = h.rehearsed(ctx, j, found); err != nil {
				return nil, err
			}
		}
		for _, r := range remarks {
			findings = append(findings, lint.Finding{Remark: r})
		}
	}
	return findings, nil
}

// judging is a policy that judges an image, or one that does not load and has no
// policy.
type judging struct {
	document strictyaml.Document
	policy   policy.Policy
	company  *rehearse.Company
}

// rehearsed makes the checks of a policy on the statements that were found, taken
// as signed by everyone whom the policy names.
func (h *Host) rehearsed(ctx context.Context, j judging, found fit.Found) ([]remark.Remark, error) {
	image := found.Image
	image.Platforms, image.Index = nil, false
	scene := rehearse.Scene{Policies: []policy.Policy{j.policy}, Image: image, Now: h.Now()}
	for _, signer := range j.company.Signers() {
		if found.Signed {
			e, err := j.company.Signature(signer, image.Name(), image.Digest, nil)
			if err != nil {
				return nil, err
			}
			scene.Evidence = append(scene.Evidence, e)
		}
		for _, s := range found.Statements {
			raw, err := rebind(s.Statement, s.Raw, image.Digest)
			if err != nil {
				return nil, err
			}
			e, err := j.company.Attestation(signer, raw)
			if err != nil {
				return nil, err
			}
			scene.Evidence = append(scene.Evidence, e)
		}
	}
	v, err := rehearse.Decide(ctx, scene)
	if fault := (*gate.FaultError)(nil); err != nil && !errors.As(err, &fault) || v.Decision == verdict.Fault {
		return nil, err
	}
	var remarks []remark.Remark
	for _, c := range slices.Concat(v.Failures(), v.Warnings()) {
		line, column, _ := j.document.Position("spec")
		r := remark.Remark{Rule: "evidence-fails", Level: remark.Error, File: j.document.File, Line: line, Column: column, Object: j.policy.Name(), Path: c.Name,
			Message: found.Image.Reference + ", taken as signed by whom the policy names: " + checkName(c) + ": expected " + c.Expected + ", found " + c.Found, Fix: c.Remedy}
		if len(c.Items) > 0 {
			r.Message += ": " + strings.Join(c.Items[:min(len(c.Items), 3)], "; ")
		}
		r.Message = explain.Clean(r.Message)
		remarks = append(remarks, r)
	}
	return remarks, nil
}

func checkName(c verdict.Check) string {
	if c.Name == "" {
		return c.Rule
	}
	return c.Rule + " " + c.Name
}
