package cel

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// action is what checks that do not pass do, and when.
type action struct {
	verdict.Action
	effective window
	// unavailable is the action where evidence cannot be read.
	unavailable verdict.Action
}

// at is the action at a time, and why it is not what the policy says at
// others.
func (a action) at(now time.Time) (verdict.Action, string) {
	if why := a.effective.outside(now); why != "" {
		return a.Action + 1, "the policy does not " + a.String() + " now, " + why
	}
	return a.Action, ""
}

// exception says for whom a check that does not pass warns.
type exception struct {
	digests            []subject.Digest
	images, namespaces []string
	// of are requirements and checks, REQUIREMENT or REQUIREMENT/CHECK.
	of            []string
	reason, owner string
	expires       time.Time
}

// covers says whether the exception is about a check on an image.
func (e exception) covers(input policy.Input, scope policy.Scope, c verdict.Check) bool {
	bare := input.Image
	bare.Tag = ""
	switch {
	case len(e.of) > 0 && !slices.Contains(e.of, c.Rule) && !slices.Contains(e.of, c.Rule+"/"+c.Name):
		return false
	case len(e.digests) > 0 && !slices.ContainsFunc(e.digests, func(d subject.Digest) bool { return d == input.Image.Digest || slices.Contains(scope.Subjects, d) }):
		return false
	case len(e.images) > 0 && !match(e.images, spellings(bare)...):
		return false
	case len(e.namespaces) > 0 && (!input.Request.Known || input.Request.Namespace == "" || !match(e.namespaces, input.Request.Namespace)):
		return false
	}
	return true
}

func (e exception) String() string {
	return fmt.Sprintf("%s (owner %s, until %s)", e.reason, e.owner, e.expires.UTC().Format(time.RFC3339))
}

// settle gives a check that did not pass the action that it has.
func (p *evidencePolicy) settle(c verdict.Check, input policy.Input, scope policy.Scope) verdict.Check {
	if c.Outcome == verdict.Passed || c.Outcome == verdict.Skipped {
		return c
	}
	c.Action, c.Exception = p.action.at(input.Now)
	for _, e := range p.exceptions {
		switch {
		case !e.covers(input, scope, c):
		case input.Now.Before(e.expires):
			c.Action, c.Exception = max(c.Action, verdict.WarnOnly), e.String()
			return c
		default:
			c.Found += "; an exception for it is over: " + e.String()
		}
	}
	return c
}

// OnFault says what a fault means.
func (p *evidencePolicy) OnFault(fault policy.Fault, _ time.Time) verdict.Action {
	if fault == policy.EvidenceUnavailable {
		return p.action.unavailable
	}
	return verdict.Enforce
}

func (l *loader) action(where place, spec v1alpha1.EvidencePolicySpec) action {
	var a action
	a.Action = l.word(where.at("action"), spec.Action, v1alpha1.ActionEnforce, v1alpha1.ActionWarn, v1alpha1.ActionAudit)
	a.unavailable = l.word(where.at("onFault", "evidenceUnavailable"), spec.OnFault.EvidenceUnavailable, v1alpha1.ActionEnforce, v1alpha1.ActionWarn)
	a.effective = window{l.moment(where.at("effectiveFrom"), spec.EffectiveFrom), l.moment(where.at("effectiveUntil"), spec.EffectiveUntil)}
	if !a.effective.notAfter.IsZero() && !a.effective.notBefore.Before(a.effective.notAfter) {
		l.fail(where.at("effectiveUntil"), "%s is not after effectiveFrom, so the policy is never in effect", spec.EffectiveUntil)
	}
	if a.Action == verdict.AuditOnly && a.effective != (window{}) {
		l.fail(where.at("action"), "Audit has nothing milder for the time outside of effectiveFrom and effectiveUntil; leave them out")
	}
	return a
}

// word is the action that a word names; words are in the order of the actions,
// and none is the first.
func (l *loader) word(where place, text string, words ...string) verdict.Action {
	at := slices.Index(words, text)
	if at < 0 && text != "" {
		l.fail(where, "%q is none of %s%s", text, strings.Join(words, ", "), strictyaml.Suggest(text, words))
	}
	return verdict.Action(max(0, at))
}

func (l *loader) exception(where place, e v1alpha1.Exception, requirements []requirement) exception {
	made := exception{images: e.Images, namespaces: e.Namespaces, of: e.Requirements, reason: e.Reason, owner: e.Owner, expires: l.moment(where.at("expires"), e.Expires)}
	for _, f := range []struct{ name, text string }{{"reason", e.Reason}, {"owner", e.Owner}, {"expires", e.Expires}} {
		if strings.TrimSpace(f.text) == "" {
			l.fail(where, "%s is missing; an exception says why it is made, whose it is and when it ends", f.name)
		}
	}
	if len(e.Digests)+len(e.Images)+len(e.Namespaces) == 0 {
		l.fail(where, "is about no image in particular; want digests, images or namespaces")
	}
	for i, text := range e.Digests {
		digest, err := subject.Parse(text)
		if err != nil {
			l.fail(where.at("digests", i), "%w", err)
		}
		made.digests = append(made.digests, digest)
	}
	l.untagged(where.at("images"), e.Images)
	l.patterns(where.at("namespaces"), e.Namespaces)
	var known []string
	for _, r := range requirements {
		known = append(known, r.name)
		for _, name := range r.checkNames() {
			known = append(known, r.name+"/"+name)
		}
	}
	for i, name := range e.Requirements {
		if !slices.Contains(known, name) {
			l.fail(where.at("requirements", i), "%q is no requirement of this policy, and no check of one%s", name, strictyaml.Suggest(name, known))
		}
	}
	return made
}
