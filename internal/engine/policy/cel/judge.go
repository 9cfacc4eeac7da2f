package cel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/predicate"
)

// require makes the checks of one requirement for one platform.
func (p *Policy) require(ctx context.Context, input policy.Input, scope policy.Scope, r requirement) ([]verdict.Check, error) {
	base := verdict.Check{Policy: p.name, Rule: r.name, Platform: scope.Platform}
	claims, rejected := r.claims(scope)
	deciding, _, future := trust.Newest(claims, input.Now)
	for _, claim := range future {
		evidence := claim.Evidence()
		evidence.Rejected = "it is dated after this door's clock (" + input.Now.UTC().Format(time.RFC3339) + ")"
		rejected = append(rejected, evidence)
	}
	if len(deciding) == 0 {
		return []verdict.Check{r.missing(base, rejected)}, nil
	}
	present := base
	present.Outcome, present.Expected = verdict.Passed, r.expected()
	for _, claim := range deciding {
		present.Evidence = append(present.Evidence, claim.Evidence())
	}
	present.Found = fmt.Sprintf("%s, signed by %s", plural(len(deciding), "piece"), signersOf(deciding))
	checks := []verdict.Check{present}
	for _, claim := range deciding {
		made, err := p.hold(ctx, input, scope, r, claim, base)
		if err != nil {
			return nil, err
		}
		checks = append(checks, made...)
	}
	return checks, nil
}

// claims verifies what could be evidence of this requirement. What claims to
// be of its type and does not verify comes back as rejected, for the denial.
func (r requirement) claims(scope policy.Scope) (claims []trust.Claim, rejected []verdict.Evidence) {
	for _, evidence := range scope.Evidence {
		claim, rejection := trust.Verify(evidence, r.signers, scope.Subjects)
		switch {
		case rejection != nil:
			if rejection.ClaimedType == "" || predicate.Family(rejection.ClaimedType) == r.family {
				rejected = append(rejected, rejection.Evidence)
			}
		case predicate.Family(claim.Type()) == r.family:
			claims = append(claims, claim)
		}
	}
	return claims, rejected
}

func (r requirement) expected() string {
	var names []string
	for _, s := range r.signers {
		names = append(names, s.Name)
	}
	what := "an attestation of type " + short(r.uri)
	if r.family == predicate.TypeCosignSign {
		what = "a signature of the image"
	}
	return what + " by " + strings.Join(names, " or ")
}

// missing is the check that fails when no evidence decides.
func (r requirement) missing(base verdict.Check, rejected []verdict.Evidence) verdict.Check {
	base.Expected = r.expected()
	base.Found = "none"
	if n := len(rejected); n > 0 {
		base.Found = fmt.Sprintf("none that counts; %s did not verify", plural(n, "piece"))
	}
	base.Evidence = rejected
	switch r.family {
	case predicate.TypeCosignSign:
		base.Remedy = "sign the image with a key of that signer: assay sign --key KEY IMAGE"
	case predicate.TypeCosignVuln:
		base.Remedy = "scan the image and attest the result with a key of that signer: assay run"
	default:
		base.Remedy = fmt.Sprintf("attest it with a key of that signer: assay attest --key KEY --type %s --predicate FILE IMAGE", short(r.uri))
	}
	return base
}

// hold makes the checks on one claim that decides.
func (p *Policy) hold(ctx context.Context, input policy.Input, scope policy.Scope, r requirement, claim trust.Claim, base verdict.Check) ([]verdict.Check, error) {
	base.Evidence = []verdict.Evidence{claim.Evidence()}
	var checks []verdict.Check
	if r.maxAge > 0 {
		checks = append(checks, r.fresh(input.Now, claim, base))
	}
	view, err := look(r.family, claim)
	if err != nil {
		base.Name, base.Outcome = "readable", verdict.Broken
		base.Expected, base.Found = "a predicate that its type allows", err.Error()
		base.Remedy = "attest it again with a tool that writes this type"
		return append(checks, base), nil
	}
	if view.report != nil {
		checks = append(checks, p.honest(view, base)...)
	}
	for _, c := range r.checks {
		made, err := c.make(ctx, c.variables(input, scope, claim, view), base)
		if err != nil {
			return nil, err
		}
		if made.Remedy == "" && made.Outcome == verdict.Failed {
			made.Remedy = view.remedy(made)
		}
		checks = append(checks, made)
	}
	return checks, nil
}

// fresh is the check of maxAge.
func (r requirement) fresh(now time.Time, claim trust.Claim, base verdict.Check) verdict.Check {
	base.Name, base.Expected = "max-age", "not older than "+r.maxAge.String()
	made, has := claim.Time()
	if !has {
		base.Found = "the evidence does not say when it was made"
		base.Remedy = "attest with a tool that writes the time"
		return base
	}
	age := now.Sub(made).Truncate(time.Second)
	base.Found = age.String() + " old, made " + made.Format(time.RFC3339)
	if now.Sub(made) <= r.maxAge {
		base.Outcome = verdict.Passed
		return base
	}
	base.Remedy = "make the evidence anew (a rescan, a rebuild) and attest it"
	return base
}

// honest holds a scan to what every scan must be: made from real advisories,
// about at least one package.
func (p *Policy) honest(view view, base verdict.Check) []verdict.Check {
	var checks []verdict.Check
	if view.report.Database.Sample && !p.allowSample {
		c := base
		c.Name, c.Expected = "advisory-sample", "a scan against real advisories"
		c.Found = "a scan against the sample that is built into Assay, which knows a handful of packages"
		c.Remedy = "import advisories (assay db import), scan and attest again; or, for trying things out, allowSample: true"
		checks = append(checks, c)
	}
	if view.report.Packages == 0 {
		c := base
		c.Name, c.Expected, c.Found = "something-tested", "a scan that tested at least one package", "a scan that found no package"
		c.Remedy = "see that the scanner finds the image's packages, and attest again"
		checks = append(checks, c)
	}
	return checks
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

func signersOf(claims []trust.Claim) string {
	var names []string
	for _, c := range claims {
		if !slices.Contains(names, c.Signer()) {
			names = append(names, c.Signer())
		}
	}
	return strings.Join(names, " and ")
}

// view is a predicate in the shape that its family has.
type view struct {
	report     *predicate.VulnerabilityReport
	findings   []Finding
	scan       Scan
	components []Component
	predicate  any
}

// look reads a predicate; a vulnerability report or an SBOM that cannot be
// read is an error, and no check is made on it.
func look(family string, claim trust.Claim) (view, error) {
	var v view
	var err error
	if v.predicate, err = decode(claim.Predicate()); err != nil {
		return view{}, err
	}
	switch family {
	case predicate.TypeCosignVuln:
		report, err := predicate.ReadVulnerabilities(claim.Type(), claim.Predicate())
		if err != nil {
			return view{}, err
		}
		v.report = &report
		v.findings, v.scan = findingsOf(report), scanOf(report)
	case predicate.TypeCycloneDX, predicate.TypeSPDX:
		list, err := predicate.ReadComponents(claim.Type(), claim.Predicate())
		if err != nil {
			return view{}, err
		}
		v.components = componentsOf(list)
	case predicate.TypeTestResult:
		if _, err := predicate.ReadTestResult(claim.Predicate()); err != nil {
			return view{}, err
		}
	}
	return v, nil
}

// remedy derives what would heal the findings that a failed check names.
func (v view) remedy(c verdict.Check) string {
	if v.report == nil {
		return ""
	}
	var upgrades []string
	for _, f := range v.findings {
		if f.Fixed == "" || !slices.ContainsFunc(c.Items, func(item string) bool {
			return strings.HasPrefix(item, f.ID+" ") && strings.Contains(item, " "+f.Package+" ")
		}) {
			continue
		}
		if upgrade := f.Package + " to " + f.Fixed; !slices.Contains(upgrades, upgrade) {
			upgrades = append(upgrades, upgrade)
		}
	}
	if len(upgrades) == 0 {
		return ""
	}
	if len(upgrades) > 10 {
		upgrades = append(upgrades[:10], "and more")
	}
	return "upgrade " + strings.Join(upgrades, ", ") + "; build, scan and attest again"
}

// errCost says that an expression went over its bound.
var errCost = errors.New("the expression is over its cost bound")

// bounded lists items up to limit.DenialItems.
func bounded(items []string) []string {
	if len(items) <= limit.DenialItems {
		return items
	}
	return append(items[:limit.DenialItems:limit.DenialItems], fmt.Sprintf("and %d more", len(items)-limit.DenialItems))
}
