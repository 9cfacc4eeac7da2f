package predicate_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gocvss31 "github.com/pandatix/go-cvss/31"

	"github.com/seed-161fc314/assay/predicate"
)

var scanned = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// What Assay writes as vulns v0.2 reads back as it was.
func TestVulnsRoundTrip(t *testing.T) {
	want := []predicate.Vulnerability{
		{ID: "CVE-2023-47248", Aliases: []string{"GHSA-5wvp-7f3h-6wmm"}, Package: "pyarrow", PURL: "pkg:pypi/pyarrow@13.0.0", Installed: "13.0.0", Fixed: "14.0.1",
			Severity: "CRITICAL", Score: 9.8, Dependency: "declared", Path: "requirements.txt", Line: 4},
		{ID: "PYSEC-2020-1", Package: "x", Installed: "1", Severity: "UNKNOWN"},
	}
	unresolved := []predicate.UnresolvedPackage{{Name: "y", Text: "y>=1", Reason: "a range", Path: "requirements.txt", Line: 2}}
	written := predicate.Vulns{
		Scanner: predicate.VulnsScanner{URI: "https://assay.sh", Version: "1", DB: predicate.VulnsDatabase{URI: "https://osv.dev", Version: "sha256:ab", LastUpdate: scanned}, Result: []predicate.VulnsResult{}},
		Metadata: predicate.VulnsMetadata{ScanStartedOn: scanned, ScanFinishedOn: scanned.Add(time.Second),
			Annotations: []map[string]any{predicate.ScanAnnotation(12, unresolved)}},
	}
	for _, v := range want {
		written.Scanner.Result = append(written.Scanner.Result, predicate.VulnsResult{ID: v.ID, Severity: []predicate.VulnsSeverity{}, Annotations: []map[string]any{v.Annotation()}})
	}
	raw, err := json.Marshal(written)
	if err != nil {
		t.Fatal(err)
	}
	got, err := predicate.ReadVulnerabilities(predicate.TypeVulnsV02, raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(predicate.VulnerabilityReport{Scanner: "https://assay.sh", ScannerVersion: "1",
		Database: predicate.DatabaseInfo{URI: "https://osv.dev", Version: "sha256:ab", LastUpdate: scanned},
		Started:  scanned, Finished: scanned.Add(time.Second), Packages: 12, Unresolved: unresolved, Vulnerabilities: want}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// found is "id severity" of everything in a report.
func found(report predicate.VulnerabilityReport) string {
	var list []string
	for _, v := range report.Vulnerabilities {
		list = append(list, v.ID+" "+v.Severity)
	}
	return strings.Join(list, ", ")
}

func v02(result string) string {
	return `{"scanner":{"uri":"x","db":{},"result":` + result + `},"metadata":{}}`
}

func trivy(report string) string {
	return `{"scanner":{"uri":"x","db":{},"result":` + report + `},"metadata":{}}`
}

func TestReadVulnerabilities(t *testing.T) {
	for _, test := range []struct {
		name, uri, raw, want string
	}{
		{"nothing found", predicate.TypeVulnsV02, v02(`[]`), ""},
		{"another tool's entry without annotations", predicate.TypeVulnsV02, v02(`[{"id":"CVE-1","severity":[{"method":"nvd","score":"HIGH"}]}]`), "CVE-1 HIGH"},
		{"a score", predicate.TypeVulnsV02, v02(`[{"id":"CVE-1","severity":[{"method":"nvd","score":"9.8"}]}]`), "CVE-1 CRITICAL"},
		{"the worst of several scores counts", predicate.TypeVulnsV02, v02(`[{"id":"CVE-1","severity":[{"method":"a","score":"9.8"},{"method":"b","score":"2.0"}]}]`), "CVE-1 CRITICAL"},
		{"the worst of word and score counts", predicate.TypeVulnsV02, v02(`[{"id":"CVE-1","severity":[{"method":"a","score":"low"},{"method":"b","score":"7.0"}]}]`), "CVE-1 HIGH"},
		{"a word that nobody knows is unknown", predicate.TypeVulnsV02, v02(`[{"id":"CVE-1","severity":[{"method":"a","score":"terrible"}]}]`), "CVE-1 UNKNOWN"},
		{"no severity is unknown, not low", predicate.TypeVulnsV02, v02(`[{"id":"CVE-1"}]`), "CVE-1 UNKNOWN"},
		{"moderate", predicate.TypeVulnsV02, v02(`[{"id":"CVE-1","severity":[{"score":"moderate"}]}]`), "CVE-1 MEDIUM"},
		{"v0.1 as its text has it", predicate.TypeVulnsV01, v02(`[{"vulnerability":{"id":"CVE-1","severity":[{"method":"nvd","score":"5.0"}]}}]`), "CVE-1 MEDIUM"},
		{"v0.1 as its example has it", predicate.TypeVulnsV01, v02(`[{"id":"CVE-1","severity":[{"score":"LOW"}]}]`), "CVE-1 LOW"},
		{"v0.1 as its protobuf has it", predicate.TypeVulnsV01, v02(`{"vulnerabilities":[{"id":"CVE-1","severity":[{"score":"LOW"}]}]}`), "CVE-1 LOW"},
		{"a Trivy report", predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Results":[{"Target":"a","Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"CRITICAL"}]},{"Target":"b","Vulnerabilities":[{"VulnerabilityID":"CVE-2","Severity":""}]}]}`), "CVE-1 CRITICAL, CVE-2 UNKNOWN"},
		{"the bare type", predicate.TypeCosignVulnBare, trivy(`{"SchemaVersion":2,"Results":[{"Target":"a","Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"HIGH"}]}]}`), "CVE-1 HIGH"},
		{"a Trivy report in a string", predicate.TypeCosignVuln, trivy(`"{\"SchemaVersion\":2,\"Results\":[{\"Vulnerabilities\":[{\"VulnerabilityID\":\"CVE-1\",\"Severity\":\"HIGH\"}]}]}"`), "CVE-1 HIGH"},
		{"a vector", predicate.TypeVulnsV02, v02(`[{"id":"CVE-1","severity":[{"method":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}]`), "CVE-1 CRITICAL"},
		{"an annotation does not talk a rating down", predicate.TypeVulnsV02, v02(`[{"id":"CVE-1","severity":[{"score":"critical"}],"annotations":[{"severity":"LOW"}]}]`), "CVE-1 CRITICAL"},
		{"Red Hat's word", predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"Important"}]}]}`), "CVE-1 HIGH"},
		{"a lower-case name is another name", predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"CRITICAL","severity":"LOW"}]}],"results":[]}`), "CVE-1 CRITICAL"},
		{"another list beside the list", predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"CRITICAL"}],"vulnerabilities":[]}]}`), "CVE-1 CRITICAL"},
		{"another scanner beside the scanner", predicate.TypeVulnsV02, `{"scanner":{"result":[{"id":"CVE-1"}]},"Scanner":{"result":[]}}`, "CVE-1 UNKNOWN"},
		{"a Trivy report that looked into something and found nothing", predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Results":[{"Target":"a"}]}`), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			report, err := predicate.ReadVulnerabilities(test.uri, []byte(test.raw))
			if err != nil || found(report) != test.want {
				t.Errorf("found %q, %v; want %q", found(report), err, test.want)
			}
		})
	}
}

// What is not understood is an error and never an empty list.
func TestUnreadableReportsAreErrors(t *testing.T) {
	for name, test := range map[string]struct{ uri, raw string }{
		"another type":                        {predicate.TypeSPDX, v02(`[]`)},
		"an unknown version":                  {"https://in-toto.io/attestation/vulns/v0.3", v02(`[]`)},
		"no JSON":                             {predicate.TypeVulnsV02, `<xml/>`},
		"a list":                              {predicate.TypeVulnsV02, `[]`},
		"null":                                {predicate.TypeVulnsV02, `null`},
		"no scanner":                          {predicate.TypeVulnsV02, `{"metadata":{}}`},
		"no result":                           {predicate.TypeVulnsV02, `{"scanner":{"uri":"x"},"metadata":{}}`},
		"a result that is an object":          {predicate.TypeVulnsV02, v02(`{"vulnerabilities":[]}`)},
		"a result that is text":               {predicate.TypeVulnsV02, v02(`"none"`)},
		"a null result":                       {predicate.TypeVulnsV02, v02(`null`)},
		"a null list of v0.1":                 {predicate.TypeVulnsV01, v02(`{"vulnerabilities":null}`)},
		"a null among the results":            {predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Results":[null]}`)},
		"a null vulnerability":                {predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Results":[{"Vulnerabilities":[null]}]}`)},
		"a name twice":                        {predicate.TypeVulnsV02, `{"scanner":{"result":[{"id":"CVE-1"}],"result":[]},"metadata":{}}`},
		"a name twice in a quoted report":     {predicate.TypeCosignVuln, trivy(`"{\"SchemaVersion\":2,\"Results\":[{\"Vulnerabilities\":[{\"VulnerabilityID\":\"CVE-1\"}]}],\"Results\":[]}"`)},
		"something after the report":          {predicate.TypeVulnsV02, v02(`[]`) + `{}`},
		"an entry without id":                 {predicate.TypeVulnsV02, v02(`[{"severity":[]}]`)},
		"an entry that is a number":           {predicate.TypeVulnsV02, v02(`[7]`)},
		"a database date that is none":        {predicate.TypeVulnsV02, `{"scanner":{"db":{"lastUpdate":"monday"},"result":[]},"metadata":{}}`},
		"a scan date that is none":            {predicate.TypeVulnsV02, `{"scanner":{"result":[]},"metadata":{"scanFinishedOn":"monday"}}`},
		"v0.1 with an object of another kind": {predicate.TypeVulnsV01, v02(`{"findings":[]}`)},
		"cosign without a result":             {predicate.TypeCosignVuln, `{"scanner":{"uri":"x"},"metadata":{}}`},
		"cosign with a null result":           {predicate.TypeCosignVuln, trivy(`null`)},
		"cosign with an empty string":         {predicate.TypeCosignVuln, trivy(`""`)},
		"grype's report":                      {predicate.TypeCosignVuln, trivy(`{"matches":[]}`)},
		"Trivy's first schema":                {predicate.TypeCosignVuln, trivy(`[{"Target":"a","Vulnerabilities":[]}]`)},
		"Trivy's schema 3":                    {predicate.TypeCosignVuln, trivy(`{"SchemaVersion":3,"Results":[]}`)},
		"Results of another shape":            {predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Results":{"a":[]}}`)},
		"Vulnerabilities of another shape":    {predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Results":[{"Vulnerabilities":{"a":1}}]}`)},
		"a vulnerability without id":          {predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Results":[{"Vulnerabilities":[{"Severity":"LOW"}]}]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			if report, err := predicate.ReadVulnerabilities(test.uri, []byte(test.raw)); err == nil {
				t.Errorf("read as %+v, want an error", report)
			}
		})
	}
}

// A report of nothing is told from a report that found nothing.
func TestPackagesTested(t *testing.T) {
	for raw, want := range map[string]int{
		`{"SchemaVersion":2}`:                0,
		`{"SchemaVersion":2,"Results":null}`: 0,
		`{"SchemaVersion":2,"Results":[]}`:   0,
		`{"SchemaVersion":2,"Results":[{"Target":"a","Class":"config","Type":"dockerfile"}]}`:              0,
		`{"SchemaVersion":2,"Results":[{}]}`:                                                               0,
		`{"SchemaVersion":2,"Results":[{"Target":"a","Class":"lang-pkgs"}]}`:                               -1,
		`{"SchemaVersion":2,"Results":[{"Target":"a","Class":"secret"},{"Target":"b","Class":"os-pkgs"}]}`: -1,
		`{"SchemaVersion":2,"Results":[{"Target":"a"}]}`:                                                   0,
		`{"SchemaVersion":2,"Results":[],"Assay":{"packages":3}}`:                                          3,
	} {
		report, err := predicate.ReadVulnerabilities(predicate.TypeCosignVuln, []byte(trivy(raw)))
		if err != nil || report.Packages != want {
			t.Errorf("%s: %d packages, %v; want %d", raw, report.Packages, err, want)
		}
	}
}

// The sample is a sample whichever place says so.
func TestSampleIsSeenInEveryPlace(t *testing.T) {
	for name, test := range map[string]struct {
		uri, raw string
		want     bool
	}{
		"v0.2, its database":         {predicate.TypeVulnsV02, `{"scanner":{"db":{"uri":"` + predicate.SampleURI + `"},"result":[]},"metadata":{}}`, true},
		"v0.2, another database":     {predicate.TypeVulnsV02, `{"scanner":{"db":{"uri":"https://osv.dev"},"result":[]},"metadata":{}}`, false},
		"cosign, outside":            {predicate.TypeCosignVuln, `{"scanner":{"db":{"uri":"` + predicate.SampleURI + `"},"result":{"SchemaVersion":2,"Assay":{"database":{"sample":false,"uri":"https://osv.dev"}}}},"metadata":{}}`, true},
		"cosign, inside":             {predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Assay":{"database":{"sample":true}}}`), true},
		"cosign, inside by its name": {predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Assay":{"database":{"uri":"` + predicate.SampleURI + `"}}}`), true},
		"cosign, neither":            {predicate.TypeCosignVuln, trivy(`{"SchemaVersion":2,"Assay":{"database":{"uri":"https://osv.dev"}}}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := predicate.ReadVulnerabilities(test.uri, []byte(test.raw))
			if err != nil || report.Database.Sample != test.want {
				t.Errorf("sample is %v, %v; want %v", report.Database.Sample, err, test.want)
			}
		})
	}
}

// A rating in words has a score all the same, where another source gives one.
func TestScore(t *testing.T) {
	for cvss, want := range map[string]float64{
		`{"nvd":{"V3Score":9.8},"debian":{"V3Score":5}}`:              5,
		`{"nvd":{"V3Score":9.8,"V40Score":8.1},"ghsa":{"V3Score":7}}`: 9.8,
		`{"debian":{"V3Score":5,"V40Score":6}}`:                       6,
		`{}`:                                                          0,
	} {
		raw := trivy(`{"SchemaVersion":2,"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-1","SeveritySource":"debian","CVSS":` + cvss + `}]}]}`)
		report, err := predicate.ReadVulnerabilities(predicate.TypeCosignVuln, []byte(raw))
		if err != nil || report.Vulnerabilities[0].Score != want {
			t.Errorf("%s: %+v, %v; want %v", cvss, report.Vulnerabilities, err, want)
		}
	}
}

// Every v3 vector is in the band that go-cvss computes.
func TestVectorsAgreeWithGoCVSS(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(letters string) string { return string(letters[random.IntN(len(letters))]) }
	for range 3000 {
		vector := "CVSS:3.1/AV:" + pick("NALP") + "/AC:" + pick("LH") + "/PR:" + pick("NLH") + "/UI:" + pick("NR") + "/S:" + pick("UC") + "/C:" + pick("HLN") + "/I:" + pick("HLN") + "/A:" + pick("HLN")
		oracle, err := gocvss31.ParseVector(vector)
		if err != nil {
			t.Fatal(err)
		}
		want := "UNKNOWN"
		switch score := oracle.BaseScore(); {
		case score >= 9:
			want = "CRITICAL"
		case score >= 7:
			want = "HIGH"
		case score >= 4:
			want = "MEDIUM"
		case score > 0:
			want = "LOW"
		}
		report, err := predicate.ReadVulnerabilities(predicate.TypeVulnsV02, []byte(v02(`[{"id":"CVE-1","severity":[{"score":"`+vector+`"}]}]`)))
		if err != nil || report.Vulnerabilities[0].Severity != want {
			t.Fatalf("%s is %s, %v; want %s", vector, report.Vulnerabilities[0].Severity, err, want)
		}
	}
}

func FuzzReadVulnerabilities(f *testing.F) {
	f.Add(v02(`[{"id":"CVE-1","severity":[{"method":"nvd","score":"9.8"}],"annotations":[{"package":"x"}]}]`))
	f.Add(v02(`{"vulnerabilities":[{"vulnerability":{"id":"CVE-1"}}]}`))
	f.Add(trivy(`{"SchemaVersion":2,"Results":[{"Target":"a","Vulnerabilities":[{"VulnerabilityID":"CVE-1"}]}],"Assay":{"packages":1,"unresolved":[{"text":"x"}]}}`))
	f.Add(trivy(`"{\"SchemaVersion\":2}"`))
	f.Fuzz(func(t *testing.T, raw string) {
		for _, uri := range []string{predicate.TypeVulnsV02, predicate.TypeVulnsV01, predicate.TypeCosignVuln} {
			report, err := predicate.ReadVulnerabilities(uri, []byte(raw))
			if err != nil {
				continue
			}
			for _, v := range report.Vulnerabilities {
				if v.ID == "" || !strings.Contains(" UNKNOWN LOW MEDIUM HIGH CRITICAL ", " "+v.Severity+" ") {
					t.Errorf("%s: a vulnerability without id or severity: %+v", uri, v)
				}
			}
		}
	})
}
