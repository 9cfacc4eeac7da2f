package signingconfig_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/signingconfig"
)

var (
	year2025 = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	year2026 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now      = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
)

func service(name string, version uint32, operator string) signingconfig.Service {
	return signingconfig.Service{URL: "https://" + name + ".example.com", Version: version, Operator: operator, From: year2025}
}

func TestRoundTrip(t *testing.T) {
	c := signingconfig.Config{
		Authorities:   []signingconfig.Service{service("fulcio", 1, "a")},
		Providers:     []signingconfig.Service{service("oidc", 1, "a")},
		Logs:          []signingconfig.Service{service("log1", 1, "a"), service("log2", 2, "a")},
		Timestamps:    []signingconfig.Service{{URL: "http://127.0.0.1:1/api/v1/timestamp", Version: 1, From: year2025, Until: year2026}},
		LogRule:       signingconfig.Rule{Selector: signingconfig.Any},
		TimestampRule: signingconfig.Rule{Selector: signingconfig.Exact, Count: 1},
	}
	content, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Encode()
	if err != nil || !bytes.Equal(content, again) {
		t.Errorf("not the same bytes: %v", err)
	}
	got, err := signingconfig.Parse("test", content)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, got); diff != "" {
		t.Error(diff)
	}
	// Sigstore's own client reads it as well.
	theirs, err := root.NewSigningConfigFromJSON(content)
	if err != nil {
		t.Fatal(err)
	}
	if urls := theirs.RekorLogURLs(); len(urls) != 2 || urls[1].MajorAPIVersion != 2 || theirs.TimestampAuthorityURLsConfig().Count != 1 {
		t.Errorf("read elsewhere as %+v", urls)
	}
	empty, err := signingconfig.Config{}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := signingconfig.Parse("empty", empty); err != nil || len(got.Logs) != 0 {
		t.Errorf("empty: %+v, %v", got, err)
	}
}

func TestSelect(t *testing.T) {
	a1, a2, b2, c2 := service("a1", 1, "a"), service("a2", 2, "a"), service("b2", 2, "b"), service("c2", 2, "c")
	newer := service("a2-new", 2, "a")
	newer.From = year2026
	future, past, unknown := service("future", 2, "f"), service("past", 2, "p"), service("v3", 3, "v")
	future.From, past.Until = now.Add(time.Second), now.Add(-time.Second)
	exact := func(n int) signingconfig.Rule { return signingconfig.Rule{Selector: signingconfig.Exact, Count: n} }
	anyOne, all := signingconfig.Rule{Selector: signingconfig.Any}, signingconfig.Rule{Selector: signingconfig.All}
	for name, test := range map[string]struct {
		logs []signingconfig.Service
		rule signingconfig.Rule
		want string
	}{
		"none":                     {nil, signingconfig.Rule{}, ""},
		"none of any":              {nil, anyOne, ""},
		"none of exactly one":      {nil, exact(1), "error: none that is valid"},
		"newest version":           {[]signingconfig.Service{a1, a2}, anyOne, "a2"},
		"newest of an operator":    {[]signingconfig.Service{a2, newer}, all, "a2-new"},
		"old version alone":        {[]signingconfig.Service{a1, unknown}, anyOne, "a1"},
		"exactly two":              {[]signingconfig.Service{a2, newer, b2, c2}, exact(2), "a2-new b2"},
		"all":                      {[]signingconfig.Service{a1, a2, b2, c2}, all, "a2 b2 c2"},
		"too few operators":        {[]signingconfig.Service{a2, newer}, exact(2), "error: wants 2 of distinct operators, and has 1"},
		"not valid":                {[]signingconfig.Service{future, past, unknown}, anyOne, "error: none that is valid at 2026-03-04T05:06:07Z"},
		"the valid one":            {[]signingconfig.Service{future, past, b2}, anyOne, "b2"},
		"the last instant of time": {[]signingconfig.Service{{URL: "https://e.example.com", Version: 2, Until: now}}, anyOne, "e"},
	} {
		chosen, err := signingconfig.Config{Logs: test.logs, LogRule: test.rule}.Select(now)
		var names []string
		for _, s := range chosen.Logs {
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(s.URL, "https://"), ".example.com"))
		}
		got := strings.Join(names, " ")
		if want, failing := strings.CutPrefix(test.want, "error: "); failing {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "transparency log") {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		} else if err != nil || got != test.want {
			t.Errorf("%s: got %s (%v), want %s", name, got, err, test.want)
		}
	}
	one := signingconfig.Config{Authorities: []signingconfig.Service{service("old", 1, "x"), {URL: "https://ca.example.com", Version: 1, From: year2026}}}
	if chosen, err := one.Select(now); err != nil || chosen.Authority.URL != "https://ca.example.com" || chosen.Provider != nil {
		t.Errorf("authority %+v, %v", chosen, err)
	}
}

func TestParseRefuses(t *testing.T) {
	head := `"mediaType":"` + signingconfig.MediaType + `"`
	for name, test := range map[string]struct{ content, want string }{
		"nothing":          {``, "is empty"},
		"another version":  {`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.1+json"}`, "mediaType"},
		"a trusted root":   {`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[]}`, "mediaType"},
		"twice":            {`{` + head + `,` + head + `}`, "appears twice"},
		"no selector":      {`{` + head + `,"rekorTlogUrls":[{"url":"https://a"}]}`, "rekorTlogConfig: selector is missing"},
		"exactly none":     {`{` + head + `,"tsaConfig":{"selector":"EXACT"}}`, "tsaConfig: count 0"},
		"unknown selector": {`{` + head + `,"tsaConfig":{"selector":17}}`, "selector 17"},
		"no URL":           {`{` + head + `,"caUrls":[{"url":"fulcio"}]}`, `caUrls[0]: url "fulcio"`},
		"a password":       {`{` + head + `,"caUrls":[{"url":"https://a:b@c"}]}`, "without a password"},
		"another scheme":   {`{` + head + `,"caUrls":[{"url":"file:///etc/passwd"}]}`, "want https"},
		"no time":          {`{` + head + `,"caUrls":[{"url":"https://a","validFor":{"start":"soon"}}]}`, "no signing configuration"},
	} {
		if _, err := signingconfig.Parse("f.json", []byte(test.content)); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "f.json") {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	var over *limit.Error
	if _, err := signingconfig.Parse("f", make([]byte, limit.TrustedRoot+1)); !errors.As(err, &over) {
		t.Errorf("large: %v", err)
	}
	many := fmt.Sprintf(`{%s,"caUrls":[%s{"url":"https://a"}]}`, head, strings.Repeat(`{"url":"https://a"},`, limit.Authorities))
	if _, err := signingconfig.Parse("f", []byte(many)); !errors.As(err, &over) || over.Bound != limit.Authorities {
		t.Errorf("many: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	content, err := signingconfig.Config{Logs: []signingconfig.Service{service("a", 2, "o")}, LogRule: signingconfig.Rule{Selector: signingconfig.All}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte(`{"mediaType":"` + signingconfig.MediaType + `","tsaConfig":{"selector":"EXACT","count":2}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := signingconfig.Parse("fuzz", content)
		if err != nil {
			return
		}
		if _, err := c.Encode(); err != nil {
			t.Errorf("read, and not written: %v", err)
		}
		if chosen, err := c.Select(now); err == nil && len(chosen.Logs) == 0 && len(c.Logs) > 0 {
			t.Error("chose no log of some, without an error")
		}
	})
}
