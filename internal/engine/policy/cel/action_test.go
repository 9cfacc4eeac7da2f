package cel_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
)

// with writes a policy about signatures with more in its spec.
func with(p party, spec string) string {
	return signed(keyed("ci", p), "signers: [ci]") + indent(spec, 2)
}

func TestAction(t *testing.T) {
	ci := newParty(t)
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	for name, test := range map[string]struct {
		spec string
		want verdict.Action
		why  string
	}{
		"not said":      {"", verdict.Enforce, ""},
		"Enforce":       {"action: Enforce", verdict.Enforce, ""},
		"Warn":          {"action: Warn", verdict.WarnOnly, ""},
		"Audit":         {"action: Audit", verdict.AuditOnly, ""},
		"in effect":     {"effectiveFrom: " + at(-time.Hour) + "\neffectiveUntil: " + at(time.Hour), verdict.Enforce, ""},
		"from now on":   {"effectiveFrom: " + at(0), verdict.Enforce, ""},
		"not yet":       {"effectiveFrom: " + at(time.Second), verdict.WarnOnly, "does not enforce now, only from " + at(time.Second)},
		"no longer":     {"effectiveUntil: " + at(-time.Second), verdict.WarnOnly, "does not enforce now, only until"},
		"warns not yet": {"action: Warn\neffectiveFrom: " + at(time.Hour), verdict.AuditOnly, "does not warn now"},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustLoad(t, with(ci, test.spec))
			allowed(t, p, input(ci.image(t)))
			c := denied(t, p, input(), "Found:none")
			if c.Action != test.want || !strings.Contains(c.Exception, test.why) || test.why == "" && c.Exception != "" {
				t.Errorf("action %s (%s), want %s (%s)", c.Action, c.Exception, test.want, test.why)
			}
		})
	}
}

func TestOnFault(t *testing.T) {
	ci := newParty(t)
	for spec, want := range map[string]verdict.Action{"": verdict.Enforce, "action: Warn": verdict.Enforce, "action: Audit": verdict.Enforce,
		"onFault: {evidenceUnavailable: Enforce}": verdict.Enforce, "onFault: {evidenceUnavailable: Warn}": verdict.WarnOnly} {
		p := mustLoad(t, with(ci, spec)).(policy.Tolerant)
		if got := p.OnFault(policy.EvidenceUnavailable, now); got != want {
			t.Errorf("%q: %s, want %s", spec, got, want)
		}
		if got := p.OnFault("Another", now); got != verdict.Enforce {
			t.Errorf("%q: another fault is %s", spec, got)
		}
	}
}

func TestException(t *testing.T) {
	ci := newParty(t)
	platform := subject.Of([]byte("linux/arm64"))
	until := now.Add(time.Hour).Format(time.RFC3339)
	workload := policy.Request{Known: true, Namespace: "legacy-a"}
	type question struct {
		image    policy.Image
		request  policy.Request
		subjects []subject.Digest
	}
	ours := question{image, workload, []subject.Digest{digest}}
	for name, test := range map[string]struct {
		about string
		ask   question
		holds bool
	}{
		"digest":                       {"digests: ['" + digest.String() + "']", ours, true},
		"another digest":               {"digests: ['" + other.String() + "']", ours, false},
		"the platform's digest":        {"digests: ['" + platform.String() + "']", question{image, workload, []subject.Digest{platform, digest}}, true},
		"another platform's":           {"digests: ['" + platform.String() + "']", question{image, workload, []subject.Digest{other, digest}}, false},
		"image":                        {"images: ['registry.example.com/ml/*']", ours, true},
		"another image":                {"images: ['registry.example.com/web/*']", ours, false},
		"namespace":                    {"namespaces: ['legacy-*']", ours, true},
		"another namespace":            {"namespaces: ['prod']", ours, false},
		"no workload":                  {"namespaces: ['*']", question{image, policy.Request{}, []subject.Digest{digest}}, false},
		"namespace not known":          {"namespaces: ['*']", question{image, policy.Request{Known: true}, []subject.Digest{digest}}, false},
		"all of it":                    {"namespaces: ['legacy-*']\nimages: ['registry.example.com/ml/*']", ours, true},
		"one of two":                   {"namespaces: ['prod']\nimages: ['registry.example.com/ml/*']", ours, false},
		"this requirement":             {"images: ['*']\nrequirements: [r]", ours, true},
		"a check of this requirement":  {"images: ['*']\nrequirements: [r/readable]", ours, false},
		"a tag that spells the digest": {"images: ['registry.example.com/ml/app@" + other.String() + "']", question{policy.Image{Registry: image.Registry, Repository: image.Repository, Tag: "x@" + other.String(), Digest: digest}, workload, []subject.Digest{digest}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			spec := "exceptions:\n- reason: moves away in June\n  owner: ml-team\n  expires: " + until + "\n" + indent(test.about, 2)
			p := mustLoad(t, with(ci, spec))
			in := policy.Input{Image: test.ask.image, Request: test.ask.request, Now: now, Scopes: []policy.Scope{{Subjects: test.ask.subjects}}}
			c := denied(t, p, in, "Found:none")
			if !test.holds {
				if c.Action != verdict.Enforce || c.Exception != "" {
					t.Errorf("excepted: %s, %q", c.Action, c.Exception)
				}
				return
			}
			if want := fmt.Sprintf("moves away in June (owner ml-team, until %s)", until); c.Action != verdict.WarnOnly || c.Exception != want {
				t.Errorf("action %s, exception %q, want %q", c.Action, c.Exception, want)
			}
			in.Now = now.Add(time.Hour)
			if c := denied(t, p, in, "an exception for it is over: moves away in June"); c.Action != verdict.Enforce {
				t.Errorf("after its end: %s", c.Action)
			}
		})
	}
	t.Run("an audit stays one", func(t *testing.T) {
		p := mustLoad(t, with(ci, "action: Audit\nexceptions: [{images: ['*'], reason: r, owner: o, expires: '"+until+"'}]"))
		if c := denied(t, p, input(), "Found:none"); c.Action != verdict.AuditOnly {
			t.Errorf("action %s", c.Action)
		}
	})
}

func TestSelectors(t *testing.T) {
	ci := newParty(t)
	p := mustLoad(t, strings.Replace(signed(keyed("ci", ci), "signers: [ci]"), `    images: ["*"]`, `    images: ["*"]
    namespaceSelector: {matchLabels: {env: prod}}
    objectSelector:
      matchExpressions: [{key: skip, operator: DoesNotExist}]`, 1))
	object := func(labels map[string]any) map[string]any {
		return map[string]any{"metadata": map[string]any{"labels": labels}}
	}
	prod, skip := map[string]string{"env": "prod"}, object(map[string]any{"skip": "yes"})
	for name, test := range map[string]struct {
		request policy.Request
		want    bool
	}{
		"no workload":             {policy.Request{}, true},
		"prod":                    {policy.Request{Known: true, NamespaceLabels: prod, Object: object(nil)}, true},
		"another environment":     {policy.Request{Known: true, NamespaceLabels: map[string]string{"env": "dev"}}, false},
		"no labels":               {policy.Request{Known: true, NamespaceLabels: map[string]string{}}, false},
		"labels not known":        {policy.Request{Known: true}, true},
		"skipped":                 {policy.Request{Known: true, NamespaceLabels: prod, Object: skip}, false},
		"labelled in the update":  {policy.Request{Known: true, NamespaceLabels: prod, Object: skip, Old: object(nil)}, true},
		"skipped before as well":  {policy.Request{Known: true, NamespaceLabels: prod, Object: skip, Old: skip}, false},
		"labels that are no text": {policy.Request{Known: true, NamespaceLabels: prod, Object: object(map[string]any{"skip": 1})}, true},
	} {
		if got := p.Match(image, test.request); got != test.want {
			t.Errorf("%s: match %v", name, got)
		}
	}
}
