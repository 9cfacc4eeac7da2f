package osv_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

// pysec has the shape of most records of the Python advisory database: a GIT
// range before the range of versions, the events of two branches mixed, a
// database_specific of its own.
const pysec = `{
  "schema_version": "1.6.0",
  "id": "PYSEC-2024-1",
  "modified": "2024-03-02T10:00:00.123456Z",
  "published": "2024-03-01T12:00:00+02:00",
  "aliases": ["CVE-2024-1000", "GHSA-aaaa-bbbb-cccc"],
  "related": ["CVE-2023-9"],
  "details": "A crafted file runs code.",
  "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
  "affected": [{
    "package": {"ecosystem": "PyPI", "name": "Example_Pkg", "purl": "pkg:pypi/example-pkg"},
    "ranges": [
      {"type": "GIT", "repo": "https://git.example.com/x", "events": [{"introduced": "0"}, {"fixed": "0123456789abcdef0123456789abcdef01234567"}, {"limit": "*"}]},
      {"type": "ECOSYSTEM", "events": [{"fixed": "2.1"}, {"introduced": "2.0rc1"}, {"introduced": "0"}, {"last_affected": "1.9.post1"}]},
      {"type": "SEMVER", "events": [{"introduced": "3.0.0"}], "database_specific": {"x": 1}}
    ],
    "versions": ["1.0", "1.9.post1", "2.0"],
    "ecosystem_specific": {"urgency": "low"},
    "database_specific": {"source": "https://example.com"}
  }],
  "references": [{"type": "WEB", "url": "https://example.com/a"}, {"url": "https://example.com/b"}],
  "credits": [{"name": "nobody"}],
  "database_specific": {"severity": "HIGH", "cwe_ids": ["CWE-20", "CWE-94"], "github_reviewed": true}
}`

func decode(t *testing.T, text string) osv.Record {
	t.Helper()
	record, err := osv.Decode(strings.NewReader(text), "record.json")
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return record
}

func TestDecode(t *testing.T) {
	want := osv.Record{
		ID:        "PYSEC-2024-1",
		Modified:  time.Date(2024, 3, 2, 10, 0, 0, 123456000, time.UTC),
		Published: time.Date(2024, 3, 1, 10, 0, 0, 0, time.UTC),
		Aliases:   []string{"CVE-2024-1000", "GHSA-aaaa-bbbb-cccc"},
		Details:   "A crafted file runs code.",
		Severity:  []osv.Severity{{Type: "CVSS_V3", Score: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}},
		Affected: []osv.Affected{{
			Package: osv.Package{Ecosystem: "PyPI", Name: "Example_Pkg"},
			Ranges: []osv.Range{
				{Type: "GIT", Events: []osv.Event{{Introduced: "0"}, {Fixed: "0123456789abcdef0123456789abcdef01234567"}, {Limit: "*"}}},
				{Type: "ECOSYSTEM", Events: []osv.Event{{Fixed: "2.1"}, {Introduced: "2.0rc1"}, {Introduced: "0"}, {LastAffected: "1.9.post1"}}},
				{Type: "SEMVER", Events: []osv.Event{{Introduced: "3.0.0"}}},
			},
			Versions: []string{"1.0", "1.9.post1", "2.0"},
		}},
		References: []osv.Reference{{Type: "WEB", URL: "https://example.com/a"}, {URL: "https://example.com/b"}},
		Database:   osv.Database{Severity: "HIGH", Weaknesses: []string{"CWE-20", "CWE-94"}},
	}
	got := decode(t, pysec)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// What is kept survives being written and read again.
	content, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, decode(t, string(content))); diff != "" {
		t.Error("written and read again:", diff)
	}
}

func TestDecodeShapes(t *testing.T) {
	withdrawn := decode(t, `{"id":"GHSA-1","withdrawn":"2024-01-01T00:00:00Z"}`)
	if !withdrawn.Withdrawn.Equal(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("withdrawn is %v", withdrawn.Withdrawn)
	}
	if r := decode(t, `{"id":"GHSA-1","withdrawn":null,"aliases":null,"affected":null,"severity":null,"database_specific":null}`); !r.Withdrawn.IsZero() || r.Affected != nil || r.Ratings() != nil {
		t.Errorf("nulls read as %+v", r)
	}
	malicious := decode(t, `{"id":"MAL-2024-1","affected":[{"package":{"ecosystem":"PyPI","name":"evil"}}]}`)
	if len(malicious.Affected) != 1 || malicious.Affected[0].Ranges != nil {
		t.Errorf("a record without ranges read as %+v", malicious)
	}
	commits := decode(t, `{"id":"OSV-2020-1","affected":[{"ranges":[{"type":"GIT","repo":"https://git.example.com/x","events":[{"introduced":"abc"},{"limit":"def"}]}]}]}`)
	if diff := cmp.Diff([]osv.Event{{Introduced: "abc"}, {Limit: "def"}}, commits.Affected[0].Ranges[0].Events); diff != "" {
		t.Error(diff)
	}
	if r := decode(t, `{"id":"DEBIAN-CVE-2024-1","upstream":["CVE-2024-1"]}`); !cmp.Equal(r.Upstream, []string{"CVE-2024-1"}) {
		t.Errorf("upstream is %v", r.Upstream)
	}
	if r := decode(t, "\n {\"id\":\"X-1\"}\r\n\t"); r.ID != "X-1" {
		t.Errorf("white space around: %+v", r)
	}
	// database_specific is free-form: what is not understood is left out.
	for _, c := range []struct {
		raw  string
		want osv.Database
	}{
		{`"text"`, osv.Database{}},
		{`[1,2]`, osv.Database{}},
		{`{"severity":7,"cwe_ids":["CWE-1"]}`, osv.Database{Weaknesses: []string{"CWE-1"}}},
		{`{"severity":"LOW","cwe_ids":"CWE-1"}`, osv.Database{Severity: "LOW"}},
		{`{"severity":{"a":1},"cwe_ids":["CWE-1",5]}`, osv.Database{}},
	} {
		if r := decode(t, `{"id":"X-1","database_specific":`+c.raw+`}`); !cmp.Equal(r.Database, c.want) {
			t.Errorf("database_specific %s read as %+v", c.raw, r.Database)
		}
	}
}

func TestDecodeMalformed(t *testing.T) {
	affected := func(text string) string { return `{"id":"X-1","affected":[{},` + text + `]}` }
	events := func(text string) string {
		return affected(`{"package":{"ecosystem":"PyPI","name":"x"},"ranges":[{"type":"ECOSYSTEM","events":` + text + `}]}`)
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":                 {"", "unexpected end"},
		"white space":           {" \n", "unexpected end"},
		"cut short":             {pysec[:len(pysec)-2], "unexpected end"},
		"not JSON":              {"id: X-1\n", "invalid character"},
		"a list":                {`[{"id":"X-1"}]`, "cannot unmarshal array"},
		"a string":              {`"X-1"`, "cannot unmarshal string"},
		"null":                  {"null", `id ""`},
		"no id":                 {`{"aliases":["CVE-2024-1"]}`, `id ""`},
		"id of the wrong type":  {`{"id":7}`, "cannot unmarshal number"},
		"id with a line break":  {`{"id":"X-1\nY"}`, `id "X-1\nY"`},
		"id with a space":       {`{"id":"X 1"}`, `id "X 1"`},
		"id with an escape":     {`{"id":"X\u001b[31m"}`, "no advisory's id"},
		"id with a wide space":  {`{"id":"X\u00a01"}`, "no advisory's id"},
		"endless id":            {`{"id":"` + strings.Repeat("x", 257) + `"}`, "no advisory's id"},
		"two values":            {`{"id":"X-1"} {"id":"X-2"}`, "after top-level value"},
		"a brace too many":      {`{"id":"X-1"}}`, "after top-level value"},
		"a bracket too many":    {`{"id":"X-1"}]`, "after top-level value"},
		"text behind":           {`{"id":"X-1"}x`, "after top-level value"},
		"empty alias":           {`{"id":"X-1","aliases":[""]}`, `alias ""`},
		"alias with a break":    {`{"id":"X-1","aliases":["CVE-1","a\nb"]}`, `alias "a\nb"`},
		"empty upstream":        {`{"id":"X-1","upstream":[""]}`, `alias ""`},
		"aliases no list":       {`{"id":"X-1","aliases":"CVE-1"}`, "aliases"},
		"affected no list":      {`{"id":"X-1","affected":{}}`, "affected"},
		"package without name":  {affected(`{"package":{"ecosystem":"PyPI"}}`), "affected[1].package"},
		"package of nothing":    {affected(`{"package":{"name":"x"}}`), "affected[1].package"},
		"versions no list":      {affected(`{"versions":"1.0"}`), "versions"},
		"version of a number":   {affected(`{"versions":[1.0]}`), "versions"},
		"ranges no list":        {affected(`{"ranges":{}}`), "ranges"},
		"events no list":        {events(`{}`), "events"},
		"event of a string":     {events(`["0"]`), "events"},
		"introduced a number":   {events(`[{"introduced":0}]`), "introduced"},
		"no events":             {events(`[]`), "affected[1].ranges[0].events: no introduced"},
		"no introduced":         {events(`[{"fixed":"1.0"}]`), "affected[1].ranges[0].events: no introduced"},
		"an event of nothing":   {events(`[{"introduced":"0"},{}]`), "affected[1].ranges[0].events[1]: want one"},
		"a misspelled event":    {events(`[{"introducd":"0"}]`), "affected[1].ranges[0].events[0]: want one"},
		"an empty bound":        {events(`[{"introduced":""}]`), "affected[1].ranges[0].events[0]: want one"},
		"two bounds in one":     {events(`[{"introduced":"0","fixed":"1.0"}]`), "affected[1].ranges[0].events[0]: want one of introduced, fixed, last_affected and limit, found 2"},
		"modified no time":      {`{"id":"X-1","modified":"yesterday"}`, "yesterday"},
		"withdrawn no time":     {`{"id":"X-1","withdrawn":true}`, "Time"},
		"withdrawn empty":       {`{"id":"X-1","withdrawn":""}`, "parsing time"},
		"severity no list":      {`{"id":"X-1","severity":"HIGH"}`, "severity"},
		"severity score number": {`{"id":"X-1","severity":[{"type":"CVSS_V3","score":9.8}]}`, "score"},
		"deeply nested":         {`{"id":"X-1","x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "max depth"},
	} {
		record, err := osv.Decode(strings.NewReader(c.text), "all.zip: X-1.json")
		if err == nil {
			t.Errorf("%s: read as %+v", name, record)
			continue
		}
		if !strings.HasPrefix(err.Error(), "all.zip: X-1.json: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the error is %q, want the place and %q", name, err, c.want)
		}
	}
}

// spaces is endless white space, so that a bound is met without the memory.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestDecodeBound(t *testing.T) {
	const text = `{"id":"X-1"}`
	at := func(size int64) error {
		_, err := osv.Decode(io.LimitReader(io.MultiReader(strings.NewReader(text), spaces{}), size), "big.json")
		return err
	}
	if err := at(limit.Advisory); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	var over *limit.Error
	if err := at(limit.Advisory + 1); !errors.As(err, &over) || over.Bound != limit.Advisory || over.What != "big.json" {
		t.Errorf("over the bound: %v", err)
	}
	broken := errors.New("the disk is gone")
	if _, err := osv.Decode(io.MultiReader(strings.NewReader(text), failing{broken}), "x.json"); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestRatings(t *testing.T) {
	const (
		v2  = "AV:N/AC:L/Au:N/C:P/I:P/A:P"
		v30 = "CVSS:3.0/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:L/A:N"
		v31 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
		v4  = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
	)
	for name, c := range map[string]struct {
		text string
		want []finding.Severity
	}{
		"none": {`{"id":"PYSEC-1"}`, nil},
		"version 2": {`{"id":"CVE-2010-1","severity":[{"type":"CVSS_V2","score":"` + v2 + `"}]}`,
			[]finding.Severity{{Level: finding.High, Score: 7.5, Vector: v2, Source: "nvd"}}},
		"version 3.0": {`{"id":"PYSEC-1","severity":[{"type":"CVSS_V3","score":"` + v30 + `"}]}`,
			[]finding.Severity{{Level: finding.Medium, Score: 4.2, Vector: v30, Source: "pypa"}}},
		"3.1, 4.0 and a word": {`{"id":"GHSA-1","severity":[{"type":"CVSS_V3","score":"` + v31 + `"},{"type":"CVSS_V4","score":"` + v4 + `"}],"database_specific":{"severity":"MODERATE"}}`,
			[]finding.Severity{
				{Level: finding.Critical, Score: 9.8, Vector: v31, Source: "ghsa"},
				{Level: finding.Critical, Score: 9.3, Vector: v4, Source: "ghsa"},
				{Level: finding.Medium, Source: "ghsa"},
			}},
		"of an affected entry": {`{"id":"OSV-1","affected":[{"package":{"ecosystem":"PyPI","name":"x"},"severity":[{"type":"CVSS_V3","score":"` + v31 + `"}]}]}`,
			[]finding.Severity{{Level: finding.Critical, Score: 9.8, Vector: v31, Source: "osv"}}},
		"a word of Ubuntu's": {`{"id":"UBUNTU-CVE-2024-1","severity":[{"type":"Ubuntu","score":"medium"}]}`,
			[]finding.Severity{{Level: finding.Medium, Source: "ubuntu"}}},
		"the least of Ubuntu's": {`{"id":"UBUNTU-CVE-2024-1","severity":[{"type":"Ubuntu","score":"negligible"}]}`, []finding.Severity{{Level: finding.Low, Source: "ubuntu"}}},
		"a word of Red Hat's":   {`{"id":"RHSA-2024:1","database_specific":{"severity":"Important"}}`, []finding.Severity{{Level: finding.High, Source: "osv"}}},
		"a word nobody knows":   {`{"id":"UBUNTU-CVE-2024-1","severity":[{"type":"Ubuntu","score":"untriaged"}],"database_specific":{"severity":"dire"}}`, nil},
		"unknown is no rating":  {`{"id":"GHSA-1","database_specific":{"severity":"UNKNOWN"}}`, nil},
		"a score of nought":     {`{"id":"GHSA-1","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"}]}`, nil},
		"a vector cut short":    {`{"id":"GHSA-1","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L"}]}`, nil},
		"a vector of version 9": {`{"id":"GHSA-1","severity":[{"type":"CVSS_V9","score":"CVSS:9.0/AV:N"}]}`, nil},
		"a malicious package":   {`{"id":"MAL-2024-1"}`, []finding.Severity{{Level: finding.Critical, Source: "malicious-packages"}}},
		"malicious whatever else": {`{"id":"MAL-2024-1","severity":[{"type":"CVSS_V3","score":"` + v30 + `"}],"database_specific":{"severity":"LOW"}}`,
			[]finding.Severity{{Level: finding.Critical, Source: "malicious-packages"}}},
	} {
		if diff := cmp.Diff(c.want, decode(t, c.text).Ratings()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestRatingsLeaveTheRecord: asking must not write into the record's slices,
// which the built-in sample shares between callers.
func TestRatingsLeaveTheRecord(t *testing.T) {
	vectors := make([]osv.Severity, 1, 8)
	vectors[0] = osv.Severity{Type: "CVSS_V3", Score: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
	record := osv.Record{ID: "GHSA-1", Severity: vectors, Affected: []osv.Affected{{Severity: []osv.Severity{{Score: "HIGH"}}}}}
	if got := len(record.Ratings()); got != 2 {
		t.Errorf("%d ratings", got)
	}
	if left := vectors[:2][1]; left != (osv.Severity{}) {
		t.Errorf("Ratings wrote %+v behind the record's severities", left)
	}
}

// TestLastKnown: GitHub's bound is kept in a record that is written back, and
// other shapes of database_specific are passed over.
func TestLastKnown(t *testing.T) {
	for text, want := range map[string]string{
		`{"last_known_affected_version_range": "<= 1.5.10", "source": "x"}`: "<= 1.5.10",
		`{"last_known_affected_version_range": ["1.5.10"]}`:                 "",
		`{"source": "x"}`: "", `[]`: "", `"x"`: "", `null`: "",
	} {
		record := decode(t, `{"id":"GHSA-1","affected":[{"package":{"ecosystem":"PyPI","name":"x"},"database_specific":`+text+`}]}`)
		written, err := json.Marshal(record.Slim(func(osv.Package) bool { return true }))
		if err != nil {
			t.Fatal(err)
		}
		if got := decode(t, string(written)).Affected[0].Database.LastKnown; got != want || record.Affected[0].Database.LastKnown != want || strings.Contains(string(written), "database_specific") != (want != "") {
			t.Errorf("%s: %q, written %s", text, got, written)
		}
	}
}

func TestSource(t *testing.T) {
	for id, want := range map[string]string{
		"GHSA-47fc-vmwq-366v": "ghsa", "PYSEC-2024-1": "pypa", "CVE-2024-1": "nvd", "MAL-2024-1": "malicious-packages",
		"DSA-1-1": "debian", "DLA-1": "debian", "DTSA-1-1": "debian", "DEBIAN-CVE-2024-1": "debian", "USN-1-1": "ubuntu", "UBUNTU-CVE-2024-1": "ubuntu",
		"OSV-2020-1": "osv", "GHSAX-1": "osv", "": "osv",
	} {
		if got := osv.Source(id); got != want {
			t.Errorf("%q is of %q, want %q", id, got, want)
		}
	}
}

func TestSlim(t *testing.T) {
	record := decode(t, pysec)
	record.Affected = append(record.Affected, osv.Affected{Package: osv.Package{Ecosystem: "npm", Name: "other"}})
	record.Details = strings.Repeat("ü", 400) // 800 bytes, and 600 of them end inside no letter
	record.Summary = "one line"
	for range 10 {
		record.References = append(record.References, osv.Reference{URL: "https://example.com/more"})
	}
	slim := record.Slim(func(p osv.Package) bool { return p.Ecosystem == "PyPI" })
	if len(slim.Affected) != 1 || slim.Affected[0].Package.Name != "Example_Pkg" {
		t.Errorf("affected is %+v", slim.Affected)
	}
	if !cmp.Equal(slim.Affected[0], record.Affected[0]) {
		t.Error("ranges and versions must stay whole")
	}
	if len(record.Affected) != 2 || len(record.References) != 12 {
		t.Error("Slim changed the record that it was asked of")
	}
	if len(slim.Details) > 610 || !strings.HasSuffix(slim.Details, "…") || len(slim.References) != 8 {
		t.Errorf("%d bytes of details, %d references", len(slim.Details), len(slim.References))
	}
	record.Details = "a" + strings.Repeat("ü", 400) // 600 bytes cut a letter
	if cut := record.Slim(func(osv.Package) bool { return false }); !utf8.ValidString(cut.Details) || len(cut.Affected) != 0 {
		t.Errorf("cut is %q", cut.Details)
	}
	if short := decode(t, pysec).Slim(func(osv.Package) bool { return true }); !cmp.Equal(short, decode(t, pysec)) {
		t.Error("a short record must stay as it is")
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		pysec, "", "null", "{}", `{"id":"X"}`, `{"id":"X"}}`, `[]`,
		`{"id":"MAL-2024-1","affected":[{"package":{"ecosystem":"PyPI","name":"evil"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]}]}`,
		`{"id":"X","severity":[{"score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"},{"score":"AV:N/AC:L/Au:N/C:P/I:P/A:P"},{"score":"CVSS:3.0/"}]}`,
		`{"id":"X","database_specific":[{"severity":1}],"withdrawn":"2024-01-01T00:00:00Z"}`,
		"{\"id\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		record, err := osv.Decode(strings.NewReader(string(content)), "where")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "where") {
				t.Fatalf("no place in %q", err)
			}
			return
		}
		if record.ID == "" || strings.ContainsAny(record.ID, "\n\r\t ") {
			t.Fatalf("id %q", record.ID)
		}
		for _, rating := range record.Ratings() {
			if rating.Level == finding.Unknown || rating.Source == "" || rating.Score < 0 || rating.Score > 10 {
				t.Fatalf("rating %+v", rating)
			}
		}
		slim := record.Slim(func(osv.Package) bool { return true })
		if len(slim.Affected) != len(record.Affected) {
			t.Fatal("Slim lost an entry")
		}
		written, err := json.Marshal(record)
		if err != nil {
			t.Fatalf("read, but cannot be written: %v", err)
		}
		again, err := osv.Decode(strings.NewReader(string(written)), "again")
		if err != nil {
			t.Fatalf("%s\nread once, but not again: %v", written, err)
		}
		if diff := cmp.Diff(record, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("changed by writing: %s", diff)
		}
	})
}
