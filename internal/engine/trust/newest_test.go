package trust_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
)

const vulnsType = "https://in-toto.io/attestation/vulns/v0.2"

// TestNewestOfIndexAndPlatform: what is known of one platform is not healed by
// newer evidence on the index.
func TestNewestOfIndexAndPlatform(t *testing.T) {
	ci := newParty(t, "ci")
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	index := subject.Of([]byte("index"))
	scan := func(source string, age time.Duration, about ...subject.Digest) trust.Claim {
		e := ci.bundle(t, ci.seal(t, dsse.InToto, statement(t, vulnType, vulnerabilities("a", now.Add(-age).Format(time.RFC3339)), about...)))
		e.Source = source
		claim, rejection := trust.Verify(e, []trust.Signer{ci.signer}, []subject.Digest{image, index}, verifyTime)
		if rejection != nil {
			t.Fatal(rejection)
		}
		return claim
	}
	for name, test := range map[string]struct {
		claims   []trust.Claim
		deciding []string
	}{
		"a newer one on the index":    {[]trust.Claim{scan("platform", 2*time.Hour, image), scan("index", time.Hour, index)}, []string{"platform", "index"}},
		"a newer one on the platform": {[]trust.Claim{scan("platform", time.Hour, image), scan("index", 2*time.Hour, index)}, []string{"platform", "index"}},
		"both newer":                  {[]trust.Claim{scan("platform old", 2*time.Hour, image), scan("index old", 2*time.Hour, index), scan("platform", time.Hour, image), scan("index", time.Hour, index)}, []string{"platform", "index"}},
		"one about both":              {[]trust.Claim{scan("platform old", 2*time.Hour, image), scan("both", time.Hour, index, image)}, []string{"both"}},
	} {
		t.Run(name, func(t *testing.T) {
			deciding, _, _ := trust.Newest(test.claims, now)
			if diff := cmp.Diff(test.deciding, sources(deciding)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNewestInYearNought: the oldest time there is, is a time.
func TestNewestInYearNought(t *testing.T) {
	ci := newParty(t, "ci")
	e := ci.bundle(t, ci.seal(t, dsse.InToto, statement(t, vulnType, vulnerabilities("a", "0000-01-01T00:00:00Z"), image)))
	deciding, superseded, future := trust.Newest([]trust.Claim{accept(t, e, ci.signer)}, time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	if len(deciding) != 1 || len(superseded)+len(future) != 0 {
		t.Errorf("deciding %d, superseded %d, future %d", len(deciding), len(superseded), len(future))
	}
}

func TestNewest(t *testing.T) {
	ci, lab := newParty(t, "ci"), newParty(t, "lab")
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	old, recent, ahead, far := now.Add(-48*time.Hour), now.Add(-time.Hour), now.Add(4*time.Minute), now.Add(6*time.Minute)
	claim := func(p party, source, predicateType string, content json.RawMessage) trust.Claim {
		e := p.bundle(t, p.seal(t, dsse.InToto, statement(t, predicateType, content, image)))
		e.Source = source
		return accept(t, e, p.signer)
	}
	scan := func(p party, source, tool string, at time.Time) trust.Claim {
		return claim(p, source, vulnType, vulnerabilities(tool, at.Format(time.RFC3339)))
	}
	plain := func(p party, source, content string) trust.Claim {
		return claim(p, source, "https://example.com/undated/v1", json.RawMessage(content))
	}
	intotoScan := claim(ci, "in-toto old", vulnsType, json.RawMessage(
		`{"scanner":{"uri":"a","version":"1","db":{"uri":"d","version":"1","lastUpdate":"2026-04-01T00:00:00Z"},"result":[]},"metadata":{"scanStartedOn":"2026-04-01T00:00:00Z","scanFinishedOn":"2026-04-01T00:00:00Z"}}`))
	signature := accept(t, ci.simple(t, simplesigning.Encode("r", image, nil)), ci.signer)
	annotated := accept(t, ci.simple(t, simplesigning.Encode("r", image, map[string]string{"a": "b"})), ci.signer)

	for name, test := range map[string]struct {
		claims                       []trust.Claim
		deciding, superseded, future []string
	}{
		"nothing":                   {},
		"a rescan replaces":         {[]trust.Claim{scan(ci, "old", "a", old), scan(ci, "new", "a", recent)}, []string{"new"}, []string{"old"}, nil},
		"in any order":              {[]trust.Claim{scan(ci, "new", "a", recent), scan(ci, "old", "a", old)}, []string{"new"}, []string{"old"}, nil},
		"per tool":                  {[]trust.Claim{scan(ci, "a", "a", old), scan(ci, "b", "b", recent)}, []string{"a", "b"}, nil, nil},
		"per signer":                {[]trust.Claim{scan(ci, "ci", "a", old), scan(lab, "lab", "a", recent)}, []string{"ci", "lab"}, nil, nil},
		"two types of one family":   {[]trust.Claim{intotoScan, scan(ci, "new", "a", recent)}, []string{"new"}, []string{"in-toto old"}, nil},
		"the future is refused":     {[]trust.Claim{scan(ci, "old", "a", old), scan(ci, "far", "a", far)}, []string{"old"}, nil, []string{"far"}},
		"alone in the future":       {[]trust.Claim{scan(ci, "far", "a", far)}, nil, nil, []string{"far"}},
		"a clock a little ahead":    {[]trust.Claim{scan(ci, "old", "a", old), scan(ci, "ahead", "a", ahead)}, []string{"ahead"}, []string{"old"}, nil},
		"undated all decide":        {[]trust.Claim{plain(ci, "1", `{"n":1}`), plain(ci, "2", `{"n":2}`)}, []string{"1", "2"}, nil, nil},
		"stored twice appears once": {[]trust.Claim{plain(ci, "1", `{"n":1}`), plain(ci, "again", `{"n":1}`), plain(lab, "lab", `{"n":1}`)}, []string{"1", "lab"}, nil, nil},
		"annotations tell apart":    {[]trust.Claim{signature, annotated, signature}, []string{"test", "test"}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			deciding, superseded, future := trust.Newest(test.claims, now)
			for i, pair := range [][2][]string{
				{test.deciding, sources(deciding)}, {test.superseded, sources(superseded)}, {test.future, sources(future)},
			} {
				if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
					t.Errorf("list %d: %s", i, diff)
				}
			}
		})
	}

	t.Run("a tie keeps both", func(t *testing.T) {
		one := scan(ci, "one", "a", recent)
		worse := vulnerabilities("a", recent.Format(time.RFC3339))
		two := claim(ci, "two", vulnType, append(worse[:len(worse)-1:len(worse)-1], `,"more":1}`...))
		deciding, superseded, _ := trust.Newest([]trust.Claim{one, two, scan(ci, "old", "a", old)}, now)
		if diff := cmp.Diff([]string{"one", "two"}, sources(deciding)); diff != "" || len(superseded) != 1 {
			t.Error(diff, sources(superseded))
		}
	})
	t.Run("subjects tell apart", func(t *testing.T) {
		e := ci.bundle(t, ci.seal(t, dsse.InToto, statement(t, spdxType, spdx, image, other)))
		both, rejection := trust.Verify(e, []trust.Signer{ci.signer}, []subject.Digest{image, other}, verifyTime)
		if rejection != nil {
			t.Fatal(rejection.Detail)
		}
		deciding, _, _ := trust.Newest([]trust.Claim{accept(t, e, ci.signer), both}, now)
		if len(deciding) != 2 {
			t.Errorf("got %d claims", len(deciding))
		}
	})
}

func sources(claims []trust.Claim) []string {
	var names []string
	for _, claim := range claims {
		names = append(names, claim.Evidence().Source)
	}
	return names
}
