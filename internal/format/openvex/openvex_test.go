package openvex_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/vex"
	"github.com/seed-161fc314/assay/internal/format/openvex"
)

const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

const full = `{
 "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.com/vex/1", "author": "ML platform", "role": "supplier",
 "timestamp": "2025-01-02T03:04:05+01:00", "last_updated": "2025-03-01T00:00:00Z", "version": 2, "tooling": "by hand",
 "statements": [
  {"@id": "s", "vulnerability": {"@id": "https://example.com/CVE-2022-45907", "name": "CVE-2022-45907", "description": "d", "aliases": ["GHSA-47fc-vmwq-366v"]},
   "products": [{"@id": "pkg:oci/app@sha256%3A` + hex + `", "identifiers": {"cpe23": "cpe:2.3:a:x:y:1:*:*:*:*:*:*:*"},
     "hashes": {"sha-256": "` + hex + `", "md5": "00"}, "subcomponents": [{"@id": "pkg:pypi/torch@1.13.0%2Bcpu"}, {"identifiers": {"purl": "pkg:pypi/six"}}]}],
   "status": "not_affected", "justification": "vulnerable_code_not_in_execute_path", "impact_statement": "never called", "status_notes": "n"},
  {"vulnerability": {"name": "CVE-2024-1"}, "timestamp": "2024-01-01T00:00:00Z", "last_updated": "2025-06-01T00:00:00Z",
   "products": [{"@id": "https://example.com/app"}], "status": "affected", "action_statement": "update", "action_statement_timestamp": "2024-01-01T00:00:00Z"}
 ]}`

func TestDecode(t *testing.T) {
	got, err := openvex.Decode(strings.NewReader(full), "a.json")
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := subject.Parse("sha256:" + hex)
	want := vex.Document{Path: "a.json", Format: "OpenVEX", ID: "https://example.com/vex/1", Author: "ML platform", Time: time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC),
		Statements: []vex.Statement{
			{Place: "statements[0]", Vulnerability: []string{"CVE-2022-45907", "GHSA-47fc-vmwq-366v"}, Status: vex.NotAffected,
				Justification: "vulnerable_code_not_in_execute_path", Impact: "never called", Time: time.Date(2025, 1, 2, 2, 4, 5, 0, time.UTC),
				Products: []vex.Product{{Reference: vex.Reference{PURLs: []string{"pkg:oci/app@sha256%3A" + hex}, Digests: []subject.Digest{digest}, Label: "pkg:oci/app@sha256%3A" + hex},
					Subcomponents: []vex.Reference{{PURLs: []string{"pkg:pypi/torch@1.13.0%2Bcpu"}, Label: "pkg:pypi/torch@1.13.0%2Bcpu"}, {PURLs: []string{"pkg:pypi/six"}, Label: "pkg:pypi/six"}}}}},
			{Place: "statements[1]", Vulnerability: []string{"CVE-2024-1"}, Status: vex.Affected, Time: time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC),
				Products: []vex.Product{{Reference: vex.Reference{Label: "https://example.com/app"}}}},
		}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(subject.Digest{})); diff != "" {
		t.Error(diff)
	}
	if got.Statements[1].Products[0].Usable() || !got.Statements[0].Products[0].Usable() {
		t.Error("usable is what a scan could know")
	}
}

func TestIs(t *testing.T) {
	for content, want := range map[string]bool{full: true, `{"@context":"https://openvex.dev/ns"}`: true, `{"@context":"https://example.com"}`: false, `{}`: false, `[`: false, "": false} {
		if openvex.Is([]byte(content)) != want {
			t.Errorf("%.40s: want %v", content, want)
		}
	}
}

func TestBad(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"an older draft":           {"/v0.2.0", "/v0.0.1", "@context"},
		"no time":                  {`"timestamp": "2025-01-02T03:04:05+01:00", `, "", "timestamp is missing"},
		"no date":                  {"2025-01-02T03:04:05+01:00", "yesterday", "want a date and time"},
		"nothing said":             {`"statements": [`, `"statements": [], "supplier": [`, "statements is missing or empty"},
		"a misspelt subcomponents": {`"subcomponents"`, `"sub_components"`, `statements[0].products[0]: unknown member "sub_components"`},
		"another case":             {`"subcomponents"`, `"Subcomponents"`, `unknown member "Subcomponents"`},
		"a stranger at the top":    {`"role"`, `"rolle"`, `unknown member "rolle"`},
		"a stranger in between":    {`"status_notes"`, `"notes"`, `statements[0]: unknown member "notes"`},
		"no status":                {`"status": "affected"`, `"status": "exploitable"`, "statements[1].status"},
		"a justification of words": {"vulnerable_code_not_in_execute_path", "we looked", "statements[0].justification"},
		"no name":                  {`"name": "CVE-2024-1"`, `"description": "x"`, "statements[1].vulnerability"},
		"an old vulnerability":     {`{"name": "CVE-2024-1"}`, `"CVE-2024-1"`, "want a JSON object"},
		"no product":               {`[{"@id": "https://example.com/app"}]`, `[]`, "statements[1].products is missing"},
		"an old product":           {`{"@id": "https://example.com/app"}`, `"https://example.com/app"`, "want a JSON object"},
		"a broken package URL":     {"pkg:pypi/six", "pkg:pypi", "statements[0].products[0].subcomponents[1]: package URL"},
		"a broken id":              {"pkg:pypi/torch@1.13.0%2Bcpu", "pkg:pypi/", "package URL"},
		"a short hash":             {`"sha-256": "0`, `"sha-256": "`, "hashes"},
		"an alias that is none":    {`["GHSA-47fc-vmwq-366v"]`, `[{}]`, "aliases: want strings"},
		"aliases that are none":    {`["GHSA-47fc-vmwq-366v"]`, `"x"`, "want an array"},
		"said twice":               {`"status": "affected"`, `"status": "affected", "status": "fixed"`, "appears twice"},
		"no UTF-8":                 {"by hand", "\xff", "UTF-8"},
		"not JSON":                 {`{`, ``, "x.json"},
	} {
		content := strings.Replace(full, c.old, c.new, 1)
		if content == full {
			t.Fatalf("%s: nothing was changed", name)
		}
		_, err := openvex.Decode(strings.NewReader(content), "x.json")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "x.json") {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

func TestBounds(t *testing.T) {
	var over *limit.Error
	if _, err := openvex.Decode(bytes.NewReader(bytes.Repeat([]byte(" "), limit.VEX+1)), "x"); !errors.As(err, &over) || over.Bound != limit.VEX {
		t.Errorf("bytes: %v", err)
	}
	many := `{"@context":"https://openvex.dev/ns/v0.2.0","timestamp":"2025-01-01T00:00:00Z","statements":[` + strings.Repeat("0,", limit.VEXStatements) + `0]}`
	if _, err := openvex.Decode(strings.NewReader(many), "x"); !errors.As(err, &over) || over.Bound != limit.VEXStatements {
		t.Errorf("statements: %v", err)
	}
	products := fmt.Sprintf(`{"@context":"https://openvex.dev/ns/v0.2.0","timestamp":"2025-01-01T00:00:00Z","statements":[{"vulnerability":{"name":"x"},"status":"fixed","products":[%s{}]}]}`, strings.Repeat("{},", limit.VEXStatements))
	if _, err := openvex.Decode(strings.NewReader(products), "x"); !errors.As(err, &over) {
		t.Errorf("products: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`{"@context":"https://openvex.dev/ns","timestamp":"2025-01-01T00:00:00Z","statements":[{}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := openvex.Decode(bytes.NewReader(content), "x")
		if err != nil {
			return
		}
		if len(d.Statements) == 0 || d.Time.IsZero() {
			t.Fatalf("a document that says nothing: %+v", d)
		}
		for _, s := range d.Statements {
			if len(s.Vulnerability) == 0 || len(s.Products) == 0 || !s.Status.Known() || s.Time.IsZero() {
				t.Fatalf("half a statement: %+v", s)
			}
		}
	})
}
