package advisory_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

// ids lists what was found, "id fixed".
func ids(t *testing.T, db source, components ...component.Component) []string {
	t.Helper()
	findings, err := advisory.Match(t.Context(), component.Inventory{Components: components}, db)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, f := range findings {
		list = append(list, strings.TrimSpace(f.ID+" "+f.Fixed))
	}
	slices.Sort(list)
	return list
}

// Each distribution's versions are ordered by its own package manager's rules.
func TestOrderOfEachDistribution(t *testing.T) {
	for ecosystem, versions := range map[string][3]string{ // before, fixed, after
		"Debian:12":               {"1.0~rc1-1", "1.0-1", "1.0-1+b1"},
		"Ubuntu:22.04":            {"1.0-1ubuntu1~", "1.0-1ubuntu1", "1.0-1ubuntu1.1"},
		"Alpine:v3.20":            {"1.0_rc2-r5", "1.0-r2", "1.0-r10"},
		"Wolfi":                   {"1.9-r9", "1.10-r0", "1.10_p1-r0"},
		"Chainguard":              {"1.9-r9", "1.10-r0", "1.10a-r0"},
		"MinimOS":                 {"1.9-r9", "1.10-r0", "1.10.1-r0"},
		"Alpaquita:23":            {"1.9-r9", "1.10-r0", "1.10.1-r0"},
		"AlmaLinux:9":             {"3.0.7-24.el9", "3.0.7-25.el9_3", "3.0.7-25.el9_3.1"},
		"Rocky Linux:9":           {"2:1.0-1.el9", "3:0.1-1.el9", "3:0.1-1.el9^git"},
		"openSUSE:Leap 15.6":      {"1.1.1l-150500.17.34.1", "1.1.1l-150500.17.100.1", "1.1.1m-1"},
		"Mageia:9":                {"1.0-1~x.mga9", "1.0-1.mga9", "1.0-1.1.mga9"},
		"openEuler:22.03-LTS-SP3": {"1.0-9.oe2203", "1.0-10.oe2203", "1.0a-1.oe2203"},
		"Photon OS:5.0":           {"1.0-9.ph5", "1.0-10.ph5", "1.0.1-1.ph5"},
		"Azure Linux:3":           {"1.0-9.azl3", "1.0-10.azl3", "1.0.1-1.azl3"},
	} {
		record := ranged("X-1", "introduced 0, fixed "+versions[1])
		db := source{ecosystem: {"x": {record}}}
		for i, version := range versions {
			want := []string{}
			if i == 0 {
				want = []string{"X-1 " + versions[1]}
			}
			c := component.Component{Ecosystem: ecosystem, Name: "x", Version: version, SourceName: "x", SourceVersion: version}
			if diff := cmp.Diff(want, ids(t, db, c)); diff != "" {
				t.Errorf("%s, %s (-want +got)\n%s", ecosystem, version, diff)
			}
		}
	}
}

// What apk cannot order is affected: it could be anything.
func TestVersionThatHasNoOrder(t *testing.T) {
	db := source{"Alpine:v3.20": {"x": {ranged("X-1", "introduced 0, fixed 1.0-r0")}}}
	c := component.Component{Ecosystem: "Alpine:v3.20", Name: "x", Version: "not a version"}
	if diff := cmp.Diff([]string{"X-1"}, ids(t, db, c)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// An advisory of an rpm distribution may speak of the binary package or of its
// source; each is compared with its own version, and nothing is found twice.
func TestNamesOfAnRPM(t *testing.T) {
	c := component.Component{Ecosystem: "Rocky Linux:9", Name: "perl-Errno", Version: "1.30-481.el9", SourceName: "perl", SourceVersion: "4:5.32.1-481.el9"}
	binary, src := ranged("RLSA-1", "introduced 0, fixed 1.30-482.el9"), ranged("RLSA-1", "introduced 0, fixed 4:5.32.1-482.el9")
	old, other := ranged("RLSA-2", "introduced 0, fixed 4:5.32.1-480.el9"), ranged("RLSA-3", "introduced 0, fixed 4:5.32.1-490.el9")
	for _, test := range []struct {
		name string
		db   source
		want []string
	}{
		{"of the binary", source{"Rocky Linux:9": {"perl-Errno": {binary}}}, []string{"RLSA-1 1.30-482.el9"}},
		{"of the source", source{"Rocky Linux:9": {"perl": {src, old, other}}}, []string{"RLSA-1 4:5.32.1-482.el9", "RLSA-3 4:5.32.1-490.el9"}},
		{"of both", source{"Rocky Linux:9": {"perl-Errno": {binary}, "perl": {src, other}}}, []string{"RLSA-1 1.30-482.el9", "RLSA-3 4:5.32.1-490.el9"}},
		{"of neither", source{"Rocky Linux:9": {"perl-libs": {binary}}}, []string{}},
	} {
		if diff := cmp.Diff(test.want, ids(t, test.db, c)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.name, diff)
		}
	}
	version, all, err := advisory.Upgrade(t.Context(), c, source{"Rocky Linux:9": {"perl": {src, other}}})
	if err != nil || version != "4:5.32.1-490.el9" || !all {
		t.Errorf("the upgrade is %q, %v, %v", version, all, err)
	}
	// Debian's advisories are about sources, and a source may have the name of
	// another's binary.
	deb := component.Component{Ecosystem: "Debian:12", Name: "perl-base", Version: "1", SourceName: "perl", SourceVersion: "2"}
	if diff := cmp.Diff([]string{}, ids(t, source{"Debian:12": {"perl-base": {ranged("DSA-1", "introduced 0")}}}, deb)); diff != "" {
		t.Errorf("by the binary's name (-want +got)\n%s", diff)
	}
}

// Red Hat and SUSE publish by product; a release has the advisories of all its
// parts.
func TestStreams(t *testing.T) {
	record := ranged("RHSA-1", "introduced 0, fixed 2")
	c := func(ecosystem string) component.Component {
		return component.Component{Ecosystem: ecosystem, Name: "x", Version: "1"}
	}
	for ecosystem, part := range map[string]string{
		"Red Hat:enterprise_linux:9":          "Red Hat:enterprise_linux:9::appstream",
		"Red Hat:enterprise_linux:8":          "Red Hat:enterprise_linux:8::baseos",
		"Red Hat:enterprise_linux:7":          "Red Hat:enterprise_linux:7::server",
		"Red Hat:enterprise_linux:10.1":       "Red Hat:enterprise_linux:10.0",
		"SUSE:Linux Enterprise Server 15 SP5": "SUSE:Linux Enterprise Module for Basesystem 15 SP5",
		"SUSE:Linux Enterprise Server 12 SP5": "SUSE:Linux Enterprise Server 12 SP5-LTSS",
	} {
		if diff := cmp.Diff([]string{"RHSA-1 2"}, ids(t, source{part: {"x": {record}}}, c(ecosystem))); diff != "" {
			t.Errorf("%s by %s (-want +got)\n%s", ecosystem, part, diff)
		}
	}
	for ecosystem, other := range map[string]string{
		"Red Hat:enterprise_linux:9":          "Red Hat:enterprise_linux:8::baseos",
		"Red Hat:enterprise_linux:10.1":       "Red Hat:enterprise_linux:10.2",
		"SUSE:Linux Enterprise Server 15 SP5": "SUSE:Linux Enterprise Module for Basesystem 15 SP4",
		"Rocky Linux:9":                       "Rocky Linux:8",
	} {
		var missing *advisory.MissingEcosystemError
		_, err := advisory.Match(t.Context(), component.Inventory{Components: []component.Component{c(ecosystem)}}, source{other: {"x": {record}}})
		if !errors.As(err, &missing) || missing.Ecosystem != ecosystem {
			t.Errorf("%s with the advisories of %s only: %v", ecosystem, other, err)
		}
	}
}

// A distribution mends its Python packages without changing their version: of
// what its own advisories speak of they tell, and of all else PyPI's do.
func TestOwned(t *testing.T) {
	const purl = "pkg:deb/debian/python3-x@1.0%2Bdfsg-2"
	deb := component.Component{Ecosystem: "Debian:12", Name: "python3-x", Version: "1.0+dfsg-2", SourceName: "x", SourceVersion: "1.0+dfsg-2", PURL: purl}
	owned, free := python("x", "1.0"), python("x", "1.0")
	owned.Owner, owned.PURL = purl, "pkg:pypi/x@1.0"
	free.PURL = "pkg:pypi/x@1.0"
	foreign, own := owned, owned
	foreign.Owner, own.Owner = "pkg:deb/debian/python3-y@1.0", own.PURL
	newer, claimed := python("x", "9"), owned
	newer.PURL = "pkg:pypi/x@9"
	claimed.Owner = newer.PURL
	later, unlike := deb, owned
	later.Version, later.SourceVersion, later.PURL = "1.9-1", "1.9-1", "pkg:deb/debian/python3-x@1.9-1"
	unlike.Owner = later.PURL
	pypi, other := ranged("PYSEC-1", "introduced 0, fixed 1.1"), ranged("PYSEC-2", "introduced 0, fixed 1.2")
	pypi.Aliases, other.Aliases = []string{"CVE-1"}, []string{"CVE-2"}
	affected, mended := ranged("DEBIAN-CVE-1", "introduced 0, fixed 1.0+dfsg-3"), ranged("DEBIAN-CVE-1", "introduced 0, fixed 1.0+dfsg-1")
	affected.Upstream, mended.Upstream = []string{"CVE-1"}, []string{"CVE-1"}
	withdrawn := mended
	withdrawn.Withdrawn = time.Unix(1, 0)
	db := func(debian ...osv.Record) source {
		return source{"PyPI": {"x": {pypi, other}}, "Debian:12": {"x": debian}}
	}
	for _, test := range []struct {
		name string
		db   source
		of   []component.Component
		want []string
	}{
		{"affected: said once, by the distribution", db(affected), []component.Component{deb, owned}, []string{"CVE-1 1.0+dfsg-3", "CVE-2 1.2"}},
		{"mended by the distribution", db(mended), []component.Component{deb, owned}, []string{"CVE-2 1.2"}},
		{"the distribution speaks of nothing", db(), []component.Component{deb, owned}, []string{"CVE-1 1.1", "CVE-2 1.2"}},
		{"it took back what it said", db(withdrawn), []component.Component{deb, owned}, []string{"CVE-1 1.1", "CVE-2 1.2"}},
		{"owned by nobody", db(mended), []component.Component{deb, free}, []string{"CVE-1 1.1", "CVE-2 1.2"}},
		{"owned by one that is not there", db(mended), []component.Component{deb, foreign}, []string{"CVE-1 1.1", "CVE-2 1.2"}},
		{"owned by a Python package that nothing affects", db(), []component.Component{newer, claimed}, []string{"CVE-1 1.1", "CVE-2 1.2"}},
		{"owned by a package of another version", db(mended), []component.Component{later, unlike}, []string{"CVE-1 1.1", "CVE-2 1.2"}},
		{"owned by itself", db(mended), []component.Component{own}, []string{"CVE-1 1.1", "CVE-2 1.2"}},
	} {
		if diff := cmp.Diff(test.want, ids(t, test.db, test.of...)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.name, diff)
		}
	}
}

func TestPublished(t *testing.T) {
	for ecosystem, want := range map[string]bool{"PyPI": true, "Debian:12": true, "Alpine:v3.20": true, "Wolfi": true, "Red Hat:enterprise_linux:9": true, "SUSE:Linux Enterprise Server 15 SP5": true,
		"fedora": false, "debian": false, "unknown": false, "conda": false, "": false} {
		if got := advisory.Published(ecosystem); got != want {
			t.Errorf("Published(%q) is %v", ecosystem, got)
		}
	}
}
