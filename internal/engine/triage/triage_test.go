package triage_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/vex"
	"github.com/seed-161fc314/assay/internal/engine/triage"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func day(n int) time.Time { return now.AddDate(0, 0, n) }

var (
	manifest = subject.Of([]byte("manifest"))
	index    = subject.Of([]byte("index"))
	stranger = subject.Of([]byte("stranger"))
)

func torch() finding.Finding {
	return finding.Finding{ID: "CVE-2022-45907", Aliases: []string{"GHSA-47fc-vmwq-366v", "PYSEC-2022-43015"}, Fixed: "1.13.1",
		Component: component.Component{Ecosystem: "PyPI", Name: "torch", Version: "1.13.0+cpu", PURL: "pkg:pypi/torch@1.13.0%2Bcpu",
			Locations: []component.Location{{Path: "services/a/requirements.txt", Line: 3}}}}
}

func ssl() finding.Finding {
	return finding.Finding{ID: "CVE-2024-1", Component: component.Component{Ecosystem: "Debian:12", Name: "libssl3", Version: "3.0.11-1~deb12u2", SourceName: "openssl", SourceVersion: "3.0.11-1",
		PURL: "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12", Locations: []component.Location{{Path: "var/lib/dpkg/status"}}}}
}

// image is a report on an image with the findings.
func image(findings ...finding.Finding) finding.Report {
	return finding.Report{Target: "registry.example.com/ml/app:v1@" + index.String(), Kind: finding.Container, Digest: manifest,
		Image: &finding.Image{Platform: "linux/amd64"}, Findings: findings}
}

func reference(names ...string) vex.Reference {
	var r vex.Reference
	for _, name := range names {
		if d, err := subject.Parse(name); err == nil {
			r.Digests = append(r.Digests, d)
		} else if strings.HasPrefix(name, "pkg:") {
			r.PURLs = append(r.PURLs, name)
		}
	}
	r.Label = names[0]
	return r
}

// product is a name, and behind it the names of subcomponents.
func product(name string, parts ...string) vex.Product {
	p := vex.Product{Reference: reference(name)}
	for _, part := range parts {
		p.Subcomponents = append(p.Subcomponents, reference(part))
	}
	return p
}

// statement says not_affected with a justification, before now.
func statement(id string, products ...vex.Product) vex.Statement {
	return vex.Statement{Place: "statements[0]", Vulnerability: []string{id}, Products: products, Status: vex.NotAffected, Justification: "component_not_present", Time: day(-1)}
}

func document(path string, statements ...vex.Statement) vex.Document {
	return vex.Document{Path: path, Author: "ML platform", Time: day(-1), Statements: statements}
}

func apply(report finding.Report, documents ...vex.Document) finding.Report {
	return triage.Apply(report, triage.Rules{Documents: documents}, now)
}

func TestProducts(t *testing.T) {
	const cve = "CVE-2022-45907"
	python, library := image(torch()), image(ssl())
	hub := image(torch())
	hub.Target = "python:3.11"
	local := image(torch())
	local.Target, local.Kind, local.Image, local.Digest = "registry.example.com/ml/app", finding.Filesystem, nil, subject.Digest{}
	layout := image(torch())
	layout.Target = "oci:registry.example.com/ml/app"
	tagged, chosen := image(torch()), image(torch())
	tagged.Target, chosen.Target, chosen.Index = "registry.example.com/ml/app:v1", "registry.example.com/ml/app:v1", index
	for name, c := range map[string]struct {
		report finding.Report
		id     string
		p      vex.Product
		want   bool
	}{
		"the manifest":                 {python, cve, product(manifest.String()), true},
		"the index that was named":     {python, cve, product(index.String()), true},
		"an index, named by tag":       {chosen, cve, product(index.String()), true},
		"an index that is none of it":  {tagged, cve, product(index.String()), false},
		"another image":                {python, cve, product(stranger.String()), false},
		"the manifest, by purl":        {python, cve, product("pkg:oci/app@" + strings.Replace(manifest.String(), ":", "%3A", 1)), true},
		"wherever it is mirrored":      {python, cve, product("pkg:oci/app@" + manifest.String() + "?repository_url=mirror.example.com/app&arch=arm64"), true},
		"another digest, this place":   {python, cve, product("pkg:oci/app@" + stranger.String() + "?repository_url=registry.example.com/ml/app"), false},
		"a docker purl":                {python, cve, product("pkg:docker/ml/app@" + manifest.String()), true},
		"a docker tag":                 {python, cve, product("pkg:docker/ml/app@v1"), false},
		"the repository":               {python, cve, product("pkg:oci/app?repository_url=registry.example.com/ml/app"), true},
		"the repository's parent":      {python, cve, product("pkg:oci/app?repository_url=registry.example.com/ml"), true},
		"another repository":           {python, cve, product("pkg:oci/app?repository_url=registry.example.com/other/app"), false},
		"its tag":                      {python, cve, product("pkg:oci/app?repository_url=registry.example.com/ml/app&tag=v1"), true},
		"another tag":                  {python, cve, product("pkg:oci/app?repository_url=registry.example.com/ml/app&tag=v2"), false},
		"its architecture":             {python, cve, product("pkg:oci/app?repository_url=registry.example.com/ml/app&arch=amd64&os=linux"), true},
		"another architecture":         {python, cve, product("pkg:oci/app?repository_url=registry.example.com/ml/app&arch=arm64"), false},
		"an unknown qualifier":         {python, cve, product("pkg:oci/app?repository_url=registry.example.com/ml/app&mood=good"), false},
		"a name alone":                 {python, cve, product("pkg:oci/app"), false},
		"no digest for a version":      {python, cve, product("pkg:oci/app@v1"), false},
		"Docker Hub":                   {hub, cve, product("pkg:oci/python?repository_url=index.docker.io/library/python&tag=3.11"), true},
		"Docker Hub, short":            {hub, cve, product("pkg:oci/python?repository_url=python"), true},
		"Docker Hub, somebody":         {hub, cve, product("pkg:oci/python?repository_url=docker.io/somebody/python"), false},
		"a directory of that name":     {local, cve, product("pkg:oci/app?repository_url=registry.example.com/ml/app"), false},
		"a directory without a digest": {local, cve, vex.Product{Reference: vex.Reference{Digests: []subject.Digest{{}}}}, false},
		"a layout of that name":        {layout, cve, product("pkg:oci/app?repository_url=registry.example.com/ml/app"), false},
		"a layout by digest":           {layout, cve, product(manifest.String()), true},

		"the component":               {local, cve, product("pkg:pypi/torch@1.13.0%2Bcpu"), true},
		"the component, spelt so":     {local, cve, product("pkg:pypi/Torch@v1.13+CPU"), true},
		"all versions of it":          {local, cve, product("pkg:pypi/torch"), true},
		"its public version":          {local, cve, product("pkg:pypi/torch@1.13.0"), false},
		"another version":             {local, cve, product("pkg:pypi/torch@1.12.0"), false},
		"another package":             {local, cve, product("pkg:pypi/torchvision"), false},
		"another type":                {local, cve, product("pkg:conda/torch"), false},
		"a qualifier that it has not": {local, cve, product("pkg:pypi/torch?file_name=x.whl"), false},
		"a part of it":                {local, cve, product("pkg:pypi/torch#jit"), false},
		"a namespace":                 {local, cve, product("pkg:pypi/x/torch"), false},
		"nothing to know it by":       {local, cve, product("torch"), false},
		"a part of the image":         {python, cve, product(manifest.String(), "pkg:pypi/torch"), true},
		"one of two parts":            {python, cve, product(manifest.String(), "pkg:pypi/six", "pkg:pypi/torch@1.13.0%2Bcpu"), true},
		"another part":                {python, cve, product(manifest.String(), "pkg:pypi/six"), false},
		"a part that cannot be known": {python, cve, product(manifest.String(), "torch"), false},
		"a part of another image":     {python, cve, product(stranger.String(), "pkg:pypi/torch"), false},
		"a part of a package":         {python, cve, product("pkg:pypi/lightning", "pkg:pypi/torch"), false},
		"a part of itself":            {python, cve, product("pkg:pypi/torch", "pkg:pypi/torch"), false},

		"an alias":              {local, "GHSA-47fc-vmwq-366v", product("pkg:pypi/torch"), true},
		"an alias in capitals":  {local, "ghsa-47FC-vmwq-366v", product("pkg:pypi/torch"), true},
		"another vulnerability": {local, "CVE-2022-4590", product("pkg:pypi/torch"), false},

		"a Debian package":       {library, "CVE-2024-1", product("pkg:deb/debian/libssl3"), true},
		"its version":            {library, "CVE-2024-1", product("pkg:deb/debian/libssl3@3.0.11-1~deb12u2?distro=debian-12"), true},
		"another release":        {library, "CVE-2024-1", product("pkg:deb/debian/libssl3?distro=debian-11"), false},
		"another distribution":   {library, "CVE-2024-1", product("pkg:deb/ubuntu/libssl3"), false},
		"versions by their text": {library, "CVE-2024-1", product("pkg:deb/debian/libssl3@3.0.11-01~deb12u2"), false},
		"its source":             {library, "CVE-2024-1", product("pkg:deb/debian/openssl@3.0.11-1?arch=source"), true},
		"its source, unsaid":     {library, "CVE-2024-1", product("pkg:deb/debian/openssl@3.0.11-1"), false},
		"another source":         {library, "CVE-2024-1", product("pkg:deb/debian/libssl3@3.0.11-1?arch=source"), false},
	} {
		got := apply(c.report, document("a.json", statement(c.id, c.p)))
		if len(got.Findings)+len(got.Suppressed) != 1 || (len(got.Suppressed) == 1) != c.want {
			t.Errorf("%s: suppressed %v, want %v; notes %q", name, len(got.Suppressed) == 1, c.want, got.Notes)
		}
		if c.want && len(got.Notes) > 0 {
			t.Errorf("%s: notes %q", name, got.Notes)
		}
	}
}

func TestStatements(t *testing.T) {
	at := func(s vex.Statement, status vex.Status, when time.Time) vex.Statement {
		s.Status, s.Time = status, when
		if status != vex.NotAffected {
			s.Justification = ""
		}
		return s
	}
	base := statement("CVE-2022-45907", product("pkg:pypi/torch@1.13.0+cpu"))
	loose := statement("CVE-2022-45907", product("pkg:pypi/torch"))
	unjustified, impact, blank := base, base, base
	unjustified.Justification = ""
	impact.Justification, impact.Impact = "", "never called"
	blank.Justification, blank.Impact = "", " "
	inImage := statement("CVE-2022-45907", product(manifest.String(), "pkg:pypi/torch"))
	inPlace := statement("CVE-2022-45907", product("pkg:oci/app?repository_url=registry.example.com/ml/app", "pkg:pypi/torch"))
	inPlaceExact := statement("CVE-2022-45907", product("pkg:oci/app?repository_url=registry.example.com/ml/app", "pkg:pypi/torch@1.13.0+cpu"))
	for name, c := range map[string]struct {
		statements []vex.Statement
		want       string // status
		note       string
	}{
		"not affected":                       {[]vex.Statement{base}, "not_affected", ""},
		"no reason":                          {[]vex.Statement{unjustified}, "", "without a justification"},
		"a blank reason":                     {[]vex.Statement{blank}, "", "without a justification"},
		"an impact statement":                {[]vex.Statement{impact}, "not_affected", ""},
		"affected":                           {[]vex.Statement{at(base, vex.Affected, day(-1))}, "", ""},
		"under investigation":                {[]vex.Statement{at(base, vex.UnderInvestigation, day(-1))}, "", ""},
		"a status that is none":              {[]vex.Statement{at(base, "fine", day(-1))}, "", ""},
		"fixed":                              {[]vex.Statement{at(base, vex.Fixed, day(-1))}, "fixed", ""},
		"fixed in every version":             {[]vex.Statement{at(loose, vex.Fixed, day(-1))}, "", "not every version can be fixed"},
		"fixed in this image":                {[]vex.Statement{at(inImage, vex.Fixed, day(-1))}, "fixed", ""},
		"fixed in every image":               {[]vex.Statement{at(inPlace, vex.Fixed, day(-1))}, "", "not every version can be fixed"},
		"this version fixed in every image":  {[]vex.Statement{at(inPlaceExact, vex.Fixed, day(-1))}, "fixed", ""},
		"dated tomorrow":                     {[]vex.Statement{at(base, vex.NotAffected, day(1))}, "", "in the future"},
		"dated by a fast clock":              {[]vex.Statement{at(base, vex.NotAffected, now.Add(time.Minute))}, "not_affected", ""},
		"affected after all":                 {[]vex.Statement{at(base, vex.NotAffected, day(-3)), at(base, vex.Affected, day(-2))}, "", ""},
		"not affected after all":             {[]vex.Statement{at(base, vex.Affected, day(-3)), at(base, vex.NotAffected, day(-2))}, "not_affected", ""},
		"in doubt again":                     {[]vex.Statement{at(base, vex.NotAffected, day(-3)), at(loose, vex.UnderInvestigation, day(-2))}, "", ""},
		"at one time, the worse":             {[]vex.Statement{at(base, vex.NotAffected, day(-2)), at(base, vex.Affected, day(-2))}, "", ""},
		"at one time, in doubt":              {[]vex.Statement{at(base, vex.Fixed, day(-2)), at(base, vex.UnderInvestigation, day(-2))}, "", ""},
		"at one time, fixed":                 {[]vex.Statement{at(base, vex.NotAffected, day(-2)), at(base, vex.Fixed, day(-2))}, "fixed", ""},
		"a later one without reason":         {[]vex.Statement{at(base, vex.Affected, day(-3)), at(unjustified, vex.NotAffected, day(-2))}, "", "without a justification"},
		"a later one of another product":     {[]vex.Statement{at(base, vex.Affected, day(-3)), at(statement("CVE-2022-45907", product("pkg:pypi/six")), vex.NotAffected, day(-2))}, "", ""},
		"an older one, the later tomorrow's": {[]vex.Statement{at(base, vex.Affected, day(-3)), at(base, vex.NotAffected, day(2))}, "", "in the future"},
	} {
		for turn := range 4 {
			statements := slices.Clone(c.statements)
			rand.New(rand.NewPCG(uint64(turn), 1)).Shuffle(len(statements), func(i, j int) { statements[i], statements[j] = statements[j], statements[i] })
			got := apply(image(torch()), document("a.json", statements...))
			status := ""
			if len(got.Suppressed) == 1 {
				status = got.Suppressed[0].Status
			}
			if status != c.want || len(got.Findings) != 1-len(got.Suppressed) {
				t.Errorf("%s: status %q, want %q", name, status, c.want)
			}
			if notes := strings.Join(got.Notes, "\n"); (notes == "") != (c.note == "") && c.note != "" || !strings.Contains(notes, c.note) {
				t.Errorf("%s: notes %q, want %q", name, notes, c.note)
			}
		}
	}
}

func TestDocuments(t *testing.T) {
	not := document("new.json", statement("CVE-2022-45907", product("pkg:pypi/torch")))
	old := document("old.json", statement("CVE-2022-45907", product("pkg:pypi/torch")))
	old.ID, not.ID = "https://example.com/1", "https://example.com/1"
	old.Time = day(-9)
	empty := not
	empty.Statements = []vex.Statement{statement("CVE-1", product("pkg:pypi/torch"))}
	future := not
	future.Path, future.Time = "future.json", day(1)
	other := empty
	other.ID = "https://example.com/2"
	nameless, namelessOld := empty, old
	nameless.ID, namelessOld.ID = "", ""
	for name, c := range map[string]struct {
		documents []vex.Document
		want      bool
		note      string
	}{
		"one":                         {[]vex.Document{old}, true, ""},
		"withdrawn by the next":       {[]vex.Document{old, empty}, false, "old.json is superseded by new.json"},
		"said again":                  {[]vex.Document{old, not}, true, "superseded"},
		"of another name":             {[]vex.Document{old, other}, true, ""},
		"of no name":                  {[]vex.Document{namelessOld, nameless}, true, ""},
		"dated tomorrow":              {[]vex.Document{future}, false, "future.json is dated"},
		"tomorrow replaces not today": {[]vex.Document{old, future}, true, "future.json is dated"},
	} {
		for range 2 {
			slices.Reverse(c.documents)
			got := apply(image(torch()), c.documents...)
			if (len(got.Suppressed) == 1) != c.want || !strings.Contains(strings.Join(got.Notes, "\n"), c.note) {
				t.Errorf("%s: %d suppressed, notes %q", name, len(got.Suppressed), got.Notes)
			}
		}
	}
	got := apply(image(torch()), not)
	want := finding.Suppressed{Finding: torch(), Status: "not_affected", Justification: "component_not_present", By: "ML platform", Source: component.Location{Path: "new.json"}}
	if s := got.Suppressed[0]; s.Status != want.Status || s.Justification != want.Justification || s.By != want.By || s.Source != want.Source || s.Finding.ID != want.Finding.ID || !s.Until.IsZero() {
		t.Errorf("suppressed is %+v", s)
	}
	// Whoever wrote of another product learns that it was not found.
	got = apply(image(torch()), document("a.json", statement("CVE-2022-45907", product("pkg:oci/other?repository_url=example.com/other")), statement("CVE-1", product("x"))))
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "a.json: 1 statement names vulnerabilities that were found") || !strings.Contains(got.Notes[0], "pkg:oci/other") {
		t.Errorf("notes are %q", got.Notes)
	}
}

func TestMalicious(t *testing.T) {
	evil := torch()
	evil.ID, evil.Aliases = "MAL-2024-1", []string{"GHSA-a"}
	twin := torch()
	twin.Aliases = append(twin.Aliases, "MAL-2024-1")
	for _, f := range []finding.Finding{evil, twin} {
		got := apply(image(f), document("a.json", statement(f.ID, product("pkg:pypi/torch"))))
		if len(got.Suppressed) != 0 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "malicious") {
			t.Errorf("%s: %d suppressed, notes %q", f.ID, len(got.Suppressed), got.Notes)
		}
	}
}

func TestNothingToApply(t *testing.T) {
	report := image(torch(), ssl())
	report.Findings = append(report.Findings, torch())
	got := triage.Apply(report, triage.Rules{}, now)
	if len(got.Findings) != 3 || got.Suppressed != nil || got.Notes != nil || got.Expired != nil {
		t.Errorf("%+v", got)
	}
	// Order stays, and the report that was given is not changed.
	got = apply(report, document("a.json", statement("CVE-2024-1", product("pkg:deb/debian/libssl3"))))
	if len(got.Findings) != 2 || len(report.Findings) != 3 || report.Findings[1].ID != "CVE-2024-1" || len(report.Suppressed) != 0 {
		t.Errorf("%+v", report.Findings)
	}
}

func TestNotesAreBounded(t *testing.T) {
	var statements []vex.Statement
	for i := range limit.Notes + 5 {
		s := statement("CVE-2022-45907", product("pkg:pypi/torch"))
		s.Place, s.Justification = fmt.Sprintf("statements[%d]", i), ""
		statements = append(statements, s)
	}
	got := apply(image(torch()), document("a.json", statements...))
	if len(got.Notes) != limit.Notes+1 || got.Notes[limit.Notes] != "and 5 more" || len(got.Findings) != 1 {
		t.Errorf("%d notes, the last %q", len(got.Notes), got.Notes[len(got.Notes)-1])
	}
}

// TestManyStatements: the work follows what was found, not what documents say
// of everything else.
func TestManyStatements(t *testing.T) {
	var statements []vex.Statement
	for i := range limit.VEXStatements {
		statements = append(statements, statement(fmt.Sprintf("CVE-1-%d", i), product("pkg:pypi/torch")))
	}
	statements = append(statements, statement("CVE-2022-45907", product("pkg:pypi/torch")))
	if got := apply(image(torch()), document("a.json", statements...)); len(got.Suppressed) != 1 {
		t.Errorf("%d suppressed", len(got.Suppressed))
	}
}
