package cel

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/predicate"
)

// judge makes the checks of one platform.
type judge struct {
	policy *evidencePolicy
	input  policy.Input
	scope  policy.Scope
	// verified is all evidence against each list of signers.
	verified map[string]verified
	// memory is that of all scopes.
	memory *trust.Memory
}

// verified is what became of the evidence, of whatever type.
type verified struct {
	claims   []trust.Claim
	rejected []rejected
}

// rejected is evidence that did not verify.
type rejected struct {
	evidence    verdict.Evidence
	claimedType string
	// word is the kind of reason, why the reason in full.
	word, why string
}

// named is the evidence with its reason: in full, or in a word where the full
// reason stands beside it.
func (r rejected) named(full bool) verdict.Evidence {
	named := r.evidence
	named.Rejected = r.word
	if full {
		named.Rejected += ": " + r.why
	}
	return named
}

// verify holds all evidence against some signers, once for each list of them.
// Where several must have signed, it is held against each of them, so that
// what two signed together counts for both.
func (j *judge) verify(ctx context.Context, r requirement) (verified, error) {
	key := strconv.FormatBool(r.threshold > 1)
	for _, s := range r.signers {
		key += "\x00" + s.Name
	}
	if known, done := j.verified[key]; done {
		return known, nil
	}
	parties := r.parties()
	asked := [][]trust.Signer{parties}
	if r.threshold > 1 {
		asked = slices.Collect(slices.Chunk(parties, 1))
	}
	var v verified
	for _, evidence := range j.scope.Evidence {
		if err := ctx.Err(); err != nil {
			return verified{}, err
		}
		var late *rejected
		var last *trust.Rejection
		counted := false
		for _, some := range asked {
			claim, rejection := j.memory.Verify(evidence, some, j.scope.Subjects, j.input.Now)
			if rejection != nil {
				last = rejection
				continue
			}
			if why := r.retired(claim, j.input.Now); why != "" {
				named := claim.Evidence()
				named.Signer = ""
				late = &rejected{named, claim.Type(), string(trust.KeyOutOfTime), why}
				continue
			}
			counted = true
			v.claims = append(v.claims, claim)
		}
		if !counted && late == nil && len(asked) > 1 {
			_, last = j.memory.Verify(evidence, parties, j.scope.Subjects, j.input.Now) // for a reason that names them all
		}
		switch {
		case counted:
		case late != nil:
			v.rejected = append(v.rejected, *late)
		default:
			v.rejected = append(v.rejected, rejected{last.Evidence, last.ClaimedType, string(last.Reason), reason(evidence, *last, r)})
		}
	}
	j.verified[key] = v
	return v, nil
}

// retired says why the signer of a claim was none when it signed with its
// certificate, or "". What keys sign is held against their times by trust.
func (r requirement) retired(claim trust.Claim, now time.Time) string {
	if claim.Certificate().IsZero() {
		return ""
	}
	at := slices.IndexFunc(r.signers, func(s signer) bool { return s.Name == claim.Signer() })
	if at < 0 {
		return "it is signed by nobody who was asked for"
	}
	var times []time.Time
	for _, entry := range claim.Witnesses().Logs {
		if !entry.Time.IsZero() {
			times = append(times, entry.Time)
		}
	}
	for _, stamp := range claim.Witnesses().Timestamps {
		times = append(times, stamp.Time)
	}
	if len(times) == 0 {
		times = append(times, now)
	}
	for _, when := range times {
		if why := r.signers[at].validity.outside(when); why != "" {
			return fmt.Sprintf("%s signs %s, and this was signed %s", claim.Signer(), why, when.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// reason is why evidence was rejected. A bundle that names another key is the
// mistake that people make most; the key is spelled as keys are elsewhere.
func reason(evidence trust.Evidence, rejection trust.Rejection, r requirement) string {
	if rejection.Reason != trust.UnknownKey || evidence.Form != trust.Bundle {
		return rejection.Detail
	}
	decoded, err := bundle.Decode(evidence.Content)
	if err != nil || len(decoded.Certificates) > 0 {
		return rejection.Detail
	}
	sum, err := base64.StdEncoding.DecodeString(decoded.KeyHint)
	if err != nil || len(sum) != 32 {
		return rejection.Detail
	}
	return fmt.Sprintf("signed by key sha256:%s, as it says, which is not %s (%s)", hex.EncodeToString(sum), r.who(), r.keys())
}

// keys spells the keys of the signers, up to three.
func (r requirement) keys() string {
	var ids []string
	for _, s := range r.signers {
		for _, k := range s.Keys {
			ids = append(ids, k.ID.String())
		}
	}
	if len(ids) > 3 {
		return strings.Join(ids[:3], ", ") + " and more"
	}
	return strings.Join(ids, ", ")
}

// require makes the checks of one requirement.
func (j *judge) require(ctx context.Context, r requirement) ([]verdict.Check, error) {
	base := verdict.Check{Policy: j.policy.name, Rule: r.name, Platform: j.scope.Platform, Expected: r.expected()}
	v, err := j.verify(ctx, r)
	if err != nil {
		return nil, err
	}
	var claims []trust.Claim
	for _, claim := range v.claims {
		if predicate.Family(claim.Type()) == r.family {
			claims = append(claims, claim)
		}
	}
	chosen, unclear, err := j.choose(ctx, r, claims, base)
	if err != nil {
		return nil, err
	}
	deciding, superseded, future := trust.Newest(chosen, j.input.Now)
	if r.selection.all {
		deciding, superseded = append(deciding, superseded...), nil
	}
	var refused []rejected
	for _, claim := range future {
		made, _ := claim.Time()
		refused = append(refused, rejected{claim.Evidence(), claim.Type(), "future date",
			fmt.Sprintf("it is dated %s, which is after this door's clock (%s)", made.UTC().Format(time.RFC3339), j.input.Now.UTC().Format(time.RFC3339))})
	}
	if len(deciding) == 0 {
		for _, other := range v.rejected {
			if other.claimedType == "" || predicate.Family(other.claimedType) == r.family {
				refused = append(refused, other)
			}
		}
		missing := r.missing(base, refused)
		if left := len(claims) - len(chosen); left > 0 {
			missing.Found += fmt.Sprintf("; select leaves out %s of this type", plural(left, "piece"))
		}
		return append([]verdict.Check{missing}, unclear...), nil
	}
	present := base
	if r.met(deciding) {
		present.Outcome = verdict.Passed
	} else {
		present.Remedy = r.remedy()
	}
	present.Found = plural(len(deciding), "piece") + ", signed by " + signersOf(deciding)
	if len(superseded) > 0 {
		present.Found += fmt.Sprintf("; older evidence that this replaces: %d", len(superseded))
	}
	for _, claim := range deciding {
		present.Evidence = append(present.Evidence, claim.Evidence())
	}
	for _, other := range refused {
		present.Evidence = append(present.Evidence, other.named(true))
	}
	return j.weigh(ctx, r, deciding, base, append([]verdict.Check{present}, unclear...))
}

// weigh makes the checks on all evidence that decides, after those that are
// made already.
func (j *judge) weigh(ctx context.Context, r requirement, deciding []trust.Claim, base verdict.Check, checks []verdict.Check) ([]verdict.Check, error) {
	together := base
	var views []*view
	for _, claim := range deciding {
		base.Evidence = []verdict.Evidence{claim.Evidence()}
		together.Evidence = append(together.Evidence, claim.Evidence())
		v, made := j.read(r, claim, base)
		for _, c := range made {
			checks = merge(checks, c)
		}
		if v != nil {
			views = append(views, v)
		}
	}
	shared := &scene{judge: j, views: views}
	for _, v := range views {
		base.Evidence = []verdict.Evidence{v.claim.Evidence()}
		one := shared.of(v)
		for _, c := range r.checks {
			if !c.each {
				continue
			}
			result, err := c.make(ctx, one, base)
			if err != nil {
				return nil, err
			}
			checks = merge(checks, result)
		}
	}
	for _, c := range r.checks {
		if c.each || len(views) < len(deciding) { // what cannot be read denies already
			continue
		}
		result, err := c.make(ctx, shared, together)
		if err != nil {
			return nil, err
		}
		checks = append(checks, result)
	}
	return checks, nil
}

// choose leaves out what a requirement does not count. Where it cannot be said
// of a piece whether it counts, that is a check that denies.
func (j *judge) choose(ctx context.Context, r requirement, claims []trust.Claim, base verdict.Check) (chosen []trust.Claim, unclear []verdict.Check, err error) {
	for _, claim := range claims {
		if len(r.selection.tools) > 0 && !match(r.selection.tools, claim.Tool()) {
			continue
		}
		if r.selection.counts == nil {
			chosen = append(chosen, claim)
			continue
		}
		base.Name, base.Expected, base.Evidence = "select", "evidence of which "+r.selection.text+" says whether it counts", []verdict.Evidence{claim.Evidence()}
		v, err := look(r.family, claim)
		if err != nil {
			unclear = merge(unclear, broken(base, err.Error()))
			continue
		}
		shared := &scene{judge: j}
		value, err := r.selection.counts.evaluate(ctx, shared.of(v))
		switch {
		case ctx.Err() != nil:
			return nil, nil, ctx.Err()
		case err != nil:
			unclear = merge(unclear, broken(base, err.Error()))
		case value == types.True:
			chosen = append(chosen, claim)
		case value != types.False:
			unclear = merge(unclear, broken(base, fmt.Sprintf("the expression gives %v, and not true or false", value.Type())))
		}
	}
	return chosen, unclear, nil
}

// met says whether enough signers signed, each with another key or identity.
func (r requirement) met(deciding []trust.Claim) bool {
	set := trust.Set{Required: r.threshold}
	for _, s := range r.signers {
		var member trust.Member
		for _, claim := range deciding {
			if claim.Signer() == s.Name {
				member.Claims = append(member.Claims, claim)
			}
		}
		set.Members = append(set.Members, member)
	}
	return len(trust.Compose(set)) >= r.threshold
}

// merge adds a check to a list. One that ended just as another did, on other
// evidence (a scan is often stored in both vulnerability types), adds its
// evidence to that.
func merge(checks []verdict.Check, c verdict.Check) []verdict.Check {
	for i := range checks {
		known, same := checks[i], c
		known.Evidence, same.Evidence = nil, nil
		if reflect.DeepEqual(known, same) {
			checks[i].Evidence = append(checks[i].Evidence, c.Evidence...)
			return checks
		}
	}
	return append(checks, c)
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

func (r requirement) expected() string {
	if r.family == predicate.TypeCosignSign {
		return "a signature of the image by " + r.who()
	}
	return "an attestation of type " + short(r.uri) + " by " + r.who()
}

// named bounds how many pieces of rejected evidence a denial names, and how
// many reasons it spells beside them.
const (
	named   = 10
	reasons = 3
)

// missing is the check that fails when no evidence decides.
func (r requirement) missing(base verdict.Check, refused []rejected) verdict.Check {
	base.Found = "none"
	var why []string
	if len(refused) > 0 {
		what := "attestation"
		if r.family == predicate.TypeCosignSign {
			what = "signature"
		}
		for _, other := range refused {
			if !slices.Contains(why, other.why) && len(why) < reasons {
				why = append(why, other.why)
			}
		}
		base.Found = fmt.Sprintf("%s of this type, and none that counts: %s", plural(len(refused), what), strings.Join(why, "; "))
	}
	for i, other := range refused {
		if i == named {
			base.Found += fmt.Sprintf(" (%d more are not named)", len(refused)-named)
			break
		}
		base.Evidence = append(base.Evidence, other.named(!slices.Contains(why, other.why)))
	}
	base.Remedy = r.remedy()
	return base
}

// remedy says how evidence that is missing is made.
func (r requirement) remedy() string {
	key, flag := "with a key of "+r.who(), "--key KEY "
	if !slices.ContainsFunc(r.signers, func(s signer) bool { return len(s.Keys) > 0 }) {
		key, flag = "as "+r.who(), ""
	}
	switch r.family {
	case predicate.TypeCosignSign:
		return fmt.Sprintf("sign the image %s: assay sign %sIMAGE", key, flag)
	case predicate.TypeCosignVuln:
		return fmt.Sprintf("scan the image, and attest the result %s: assay run", key)
	}
	return fmt.Sprintf("attest it %s: assay attest %s--type %s --predicate FILE IMAGE", key, flag, short(r.uri))
}

// read gives the view of a claim that decides, nil where it cannot be read, and
// makes the checks that are always made.
func (j *judge) read(r requirement, claim trust.Claim, base verdict.Check) (*view, []verdict.Check) {
	var checks []verdict.Check
	if r.maxAge > 0 {
		checks = append(checks, r.fresh(j.input.Now, claim, base))
	}
	v, err := look(r.family, claim)
	if err != nil {
		base.Name, base.Outcome = "readable", verdict.Broken
		base.Expected, base.Found = "a predicate of its type's shape", cut(err.Error())
		base.Remedy = "attest it again with a tool that writes this type"
		return nil, append(checks, base)
	}
	if v.report != nil {
		checks = append(checks, j.sample(*v.report, base), tested(*v.report, base))
	}
	if v.components != nil {
		checks = append(checks, lists(v.components, base))
	}
	return v, checks
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
	base.Found = fmt.Sprintf("%s old, made %s", now.Sub(made).Truncate(time.Second), made.UTC().Format(time.RFC3339))
	if now.Sub(made) <= r.maxAge {
		base.Outcome = verdict.Passed
		return base
	}
	base.Remedy = "make the evidence anew (a rescan, a rebuild) and attest it"
	return base
}

// sample is the check that a scan knew real advisories.
func (j *judge) sample(report predicate.VulnerabilityReport, base verdict.Check) verdict.Check {
	base.Name, base.Expected = "advisory-sample", "a scan against real advisories"
	switch {
	case !report.Database.Sample:
		base.Outcome, base.Found = verdict.Passed, "a scan that does not say it used the built-in sample"
	case j.policy.allowSample:
		base.Outcome, base.Found = verdict.Passed, "a scan against the sample that is built into Assay, which this policy accepts (allowSample)"
	default:
		base.Found = "a scan against the sample that is built into Assay, which knows a handful of packages"
		base.Remedy = "import advisories (assay db import), scan and attest again; or, for trying things out, set allowSample: true"
	}
	return base
}

// tested is the check that a scan saw something. A scanner that does not count
// says -1, and is taken at its word.
func tested(report predicate.VulnerabilityReport, base verdict.Check) verdict.Check {
	base.Name, base.Expected = "something-tested", "a scan that tested at least one package"
	switch {
	case report.Packages > 0:
		base.Outcome, base.Found = verdict.Passed, plural(report.Packages, "package")+" tested"
	case report.Packages == -1:
		base.Outcome, base.Found = verdict.Passed, "a scan that does not count its packages"
	default:
		base.Found = "a scan that found no package is unresolved, not clean"
		base.Remedy = "see that the scanner finds the image's packages, and attest again"
	}
	return base
}

// lists is the check that an SBOM has something in it: of nothing, everything
// is true.
func lists(components []Component, base verdict.Check) verdict.Check {
	base.Name, base.Expected = "something-listed", "an SBOM that lists at least one component"
	if len(components) > 0 {
		base.Outcome, base.Found = verdict.Passed, plural(len(components), "component")
		return base
	}
	base.Found = "an SBOM without a component"
	base.Remedy = "see that the SBOM tool finds what is in the image, and attest again"
	return base
}
