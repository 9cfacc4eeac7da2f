package csaf_test

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
	"github.com/seed-161fc314/assay/internal/format/csaf"
)

const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

const full = `{
 "document": {"category": "csaf_vex", "csaf_version": "2.0", "title": "t", "publisher": {"category": "vendor", "name": "Example", "namespace": "https://example.com"},
  "tracking": {"id": "EX-1", "status": "final", "version": "2", "current_release_date": "2025-01-02T03:04:05Z", "initial_release_date": "2024-01-02T03:04:05Z", "revision_history": []}},
 "product_tree": {
  "branches": [{"category": "vendor", "name": "Example", "branches": [
    {"category": "product_name", "name": "App", "branches": [
     {"category": "product_version", "name": "1.2", "product": {"name": "App 1.2", "product_id": "app", "product_identification_helper": {"purl": "pkg:oci/app?repository_url=example.com/app",
       "hashes": [{"filename": "x", "file_hashes": [{"algorithm": "sha256", "value": "` + hex + `"}, {"algorithm": "md5", "value": "00"}]}]}}},
     {"category": "product_version_range", "name": "<1", "product": {"name": "App below 1", "product_id": "old", "product_identification_helper": {"purl": "pkg:oci/app?repository_url=example.com/app"}}}]},
    {"category": "product_name", "name": "torch", "product": {"name": "torch", "product_id": "torch", "product_identification_helper": {"purl": "pkg:pypi/torch"}}}]}],
  "full_product_names": [{"name": "numpy 1.20", "product_id": "numpy", "product_identification_helper": {"purl": "pkg:pypi/numpy@1.20"}}, {"name": "RHEL", "product_id": "rhel", "product_identification_helper": {"cpe": "cpe:/o:redhat:enterprise_linux:9"}}],
  "relationships": [
   {"category": "default_component_of", "product_reference": "torch", "relates_to_product_reference": "app", "full_product_name": {"name": "torch in App", "product_id": "app:torch"}},
   {"category": "external_component_of", "product_reference": "numpy", "relates_to_product_reference": "app", "full_product_name": {"name": "numpy beside App", "product_id": "app:numpy"}},
   {"category": "default_component_of", "product_reference": "numpy", "relates_to_product_reference": "app:torch", "full_product_name": {"name": "deep", "product_id": "deep"}}],
  "product_groups": [{"group_id": "g", "product_ids": ["numpy", "rhel"]}]},
 "vulnerabilities": [
  {"cve": "CVE-2022-45907", "ids": [{"system_name": "GitHub", "text": "GHSA-47fc-vmwq-366v"}],
   "product_status": {"known_not_affected": ["app:torch", "numpy", "rhel", "old", "app:numpy", "deep"], "known_affected": ["app"], "recommended": ["torch"]},
   "flags": [{"label": "component_not_present", "product_ids": ["app:torch"]}],
   "threats": [{"category": "impact", "details": "not called", "group_ids": ["g"]}, {"category": "impact", "details": "of nobody"}, {"category": "exploit_status", "details": "none", "product_ids": ["old"]}]},
  {"cve": "CVE-2024-1", "product_status": {"fixed": ["torch"], "first_fixed": ["numpy"], "under_investigation": ["app"]}},
  {"cve": "CVE-2024-2"}]}`

func TestDecode(t *testing.T) {
	d, err := csaf.Decode(strings.NewReader(full), "a.json")
	if err != nil {
		t.Fatal(err)
	}
	if d.Path != "a.json" || d.Format != "CSAF" || d.ID != "https://example.com EX-1" || d.Author != "Example" || !d.Time.Equal(time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("document is %+v", d)
	}
	digest, _ := subject.Parse("sha256:" + hex)
	app := vex.Reference{PURLs: []string{"pkg:oci/app@1.2?repository_url=example.com%2Fapp"}, Digests: []subject.Digest{digest}, Label: "App 1.2"}
	torch := vex.Reference{PURLs: []string{"pkg:pypi/torch"}, Label: "torch"}
	numpy := vex.Reference{PURLs: []string{"pkg:pypi/numpy@1.20"}, Label: "numpy 1.20"}
	inApp := app
	inApp.Label = "torch in App"
	plain := func(r vex.Reference) vex.Product { return vex.Product{Reference: r} }
	named := func(label string) vex.Product { return plain(vex.Reference{Label: label}) }
	both, one := []string{"CVE-2022-45907", "GHSA-47fc-vmwq-366v"}, []string{"CVE-2024-1"}
	v := "vulnerabilities[%d].product_status.%s"
	want := []vex.Statement{
		{Place: fmt.Sprintf(v, 0, "known_affected"), Vulnerability: both, Products: []vex.Product{plain(app)}, Status: vex.Affected},
		{Place: fmt.Sprintf(v, 0, "known_not_affected"), Vulnerability: both, Products: []vex.Product{{Reference: inApp, Subcomponents: []vex.Reference{torch}}}, Status: vex.NotAffected, Justification: "component_not_present"},
		{Place: fmt.Sprintf(v, 0, "known_not_affected"), Vulnerability: both, Products: []vex.Product{plain(numpy), named("RHEL")}, Status: vex.NotAffected, Impact: "not called"},
		{Place: fmt.Sprintf(v, 0, "known_not_affected"), Vulnerability: both, Products: []vex.Product{named("App below 1"), named("numpy beside App"), named("deep")}, Status: vex.NotAffected},
		{Place: fmt.Sprintf(v, 1, "under_investigation"), Vulnerability: one, Products: []vex.Product{plain(app)}, Status: vex.UnderInvestigation},
		{Place: fmt.Sprintf(v, 1, "first_fixed"), Vulnerability: one, Products: []vex.Product{plain(numpy)}, Status: vex.Fixed},
		{Place: fmt.Sprintf(v, 1, "fixed"), Vulnerability: one, Products: []vex.Product{plain(torch)}, Status: vex.Fixed},
	}
	for i := range want {
		want[i].Time = d.Time
	}
	if diff := cmp.Diff(want, d.Statements, cmpopts.EquateComparable(subject.Digest{})); diff != "" {
		t.Error(diff)
	}
}

func TestIs(t *testing.T) {
	for content, want := range map[string]bool{full: true, `{"document":{"csaf_version":"2.1"}}`: true, `{"document":{}}`: false, `{"document":[]}`: false, `{`: false} {
		if csaf.Is([]byte(content)) != want {
			t.Errorf("%.40s: want %v", content, want)
		}
	}
}

func TestBad(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"another version":         {`"csaf_version": "2.0"`, `"csaf_version": "2.1"`, "csaf_version"},
		"another profile":         {`"csaf_vex"`, `"csaf_base"`, "document.category"},
		"a draft":                 {`"final"`, `"draft"`, "a draft says nothing"},
		"no date":                 {"2025-01-02T03:04:05Z", "soon", "current_release_date"},
		"no id":                   {`"id": "EX-1", `, "", "tracking.id"},
		"an id twice":             {`"product_id": "numpy"`, `"product_id": "torch"`, "given twice"},
		"a relation to nothing":   {`"relates_to_product_reference": "app",`, `"relates_to_product_reference": "nothing",`, "not in the tree"},
		"a status of nothing":     {`"known_affected": ["app"]`, `"known_affected": ["nothing"]`, "is not in the product_tree"},
		"a group of nothing":      {`"group_ids": ["g"]`, `"group_ids": ["h"]`, "product group"},
		"no justification":        {"component_not_present", "we_looked", "flags[0].label"},
		"a broken package URL":    {"pkg:pypi/numpy@1.20", "pkg:pypi/", "package URL"},
		"a broken hash":           {`"value": "0`, `"value": "`, "hex digits"},
		"which vulnerability":     {`{"cve": "CVE-2024-1",`, `{`, "vulnerabilities[1]: neither cve nor ids"},
		"another shape":           {`"flags": [`, `"flags": 3, "x": [`, "a.json"},
		"said twice":              {`"cve": "CVE-2024-2"`, `"cve": "CVE-2024-2", "cve": "x"`, "appears twice"},
		"nothing said of anybody": {`"product_status"`, `"product_state"`, ""},
	} {
		content := strings.Replace(full, c.old, c.new, 1)
		if c.want == "" {
			content, c.want = strings.ReplaceAll(full, c.old, c.new), "the document says nothing"
		}
		if content == full {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := csaf.Decode(strings.NewReader(content), "a.json"); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "a.json") {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

func TestBounds(t *testing.T) {
	var over *limit.Error
	if _, err := csaf.Decode(bytes.NewReader(bytes.Repeat([]byte(" "), limit.VEX+1)), "x"); !errors.As(err, &over) || over.Bound != limit.VEX {
		t.Errorf("bytes: %v", err)
	}
	deep := strings.Replace(full, `"branches": [{`, `"branches": [`+strings.Repeat(`{"branches":[`, limit.JSONDepth)+strings.Repeat(`]}`, limit.JSONDepth)+`,{`, 1)
	if _, err := csaf.Decode(strings.NewReader(deep), "x"); !errors.As(err, &over) || over.Bound != limit.JSONDepth {
		t.Errorf("branches: %v", err)
	}
	many := strings.Replace(full, `{"cve": "CVE-2024-2"}`, strings.Repeat(`{"cve": "C", "product_status": {"fixed": ["app"]}},`, limit.VEXStatements)+`{"cve": "CVE-2024-2"}`, 1)
	if _, err := csaf.Decode(strings.NewReader(many), "x"); !errors.As(err, &over) || over.Bound != limit.VEXStatements {
		t.Errorf("statements: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(strings.Replace(full, `"relates_to_product_reference": "app",`, `"relates_to_product_reference": "app:torch",`, 1)))
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := csaf.Decode(bytes.NewReader(content), "x")
		if err != nil {
			return
		}
		for _, s := range d.Statements {
			if len(s.Vulnerability) == 0 || len(s.Products) == 0 || !s.Status.Known() || s.Time.IsZero() {
				t.Fatalf("half a statement: %+v", s)
			}
		}
	})
}
