package advisory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/component"
	domain "github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

type finding = domain.Finding

// source holds records by ecosystem and name.
type source map[string]map[string][]osv.Record

func (s source) Covers(ecosystem string) bool { return s[ecosystem] != nil }

func (s source) Lookup(_ context.Context, ecosystem, name string) ([]osv.Record, error) {
	return slices.Clone(s[ecosystem][name]), nil
}

// match matches one component against records of its package.
func match(t *testing.T, c component.Component, records ...osv.Record) []finding {
	t.Helper()
	findings, err := advisory.Match(t.Context(), component.Inventory{Components: []component.Component{c}}, source{c.Ecosystem: {c.Name: records}})
	if err != nil {
		t.Fatal(err)
	}
	return findings
}

func asJSON(value any) string {
	content, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(content)
}

func python(name, version string) component.Component {
	return component.Component{Ecosystem: "PyPI", Name: name, Version: version}
}

// ranged is a record of one package with one range for each list of events,
// written "introduced 0, fixed 1.0"; a list that starts with "GIT" is of that
// type.
func ranged(id string, ranges ...string) osv.Record {
	a := osv.Affected{Package: osv.Package{Ecosystem: "PyPI", Name: "x"}}
	for _, text := range ranges {
		r := osv.Range{Type: "ECOSYSTEM"}
		if rest, found := strings.CutPrefix(text, "GIT "); found {
			r.Type, text = "GIT", rest
		}
		for event := range strings.SplitSeq(text, ", ") {
			kind, version, _ := strings.Cut(event, " ")
			r.Events = append(r.Events, map[string]osv.Event{"introduced": {Introduced: version}, "fixed": {Fixed: version}, "last_affected": {LastAffected: version}, "limit": {Limit: version}}[kind])
		}
		a.Ranges = append(a.Ranges, r)
	}
	return osv.Record{ID: id, Affected: []osv.Affected{a}}
}

// listing is a record of one package that lists versions and has no range.
func listing(id string, versions ...string) osv.Record {
	return osv.Record{ID: id, Affected: []osv.Affected{{Package: osv.Package{Ecosystem: "PyPI", Name: "x"}, Versions: versions}}}
}

// lastKnown adds what GitHub knew to be affected to the record's entry.
func lastKnown(r osv.Record, bound string) osv.Record {
	r.Affected[0].Database.LastKnown = bound
	return r
}

func TestAffected(t *testing.T) {
	const commits = "GIT introduced 0, fixed 0123456789abcdef0123456789abcdef01234567"
	listed := func(versions ...string) osv.Record {
		r := ranged("X-1", commits)
		r.Affected[0].Versions = versions
		return r
	}
	for name, c := range map[string]struct {
		record   osv.Record
		yes, not []string
	}{
		// Defects of peers: a GIT range ends the evaluation, local labels hide.
		"GIT first":                   {ranged("X-1", commits, "introduced 0, fixed 1.13.1"), []string{"1.13.0", "1.13.0+cpu", "1.13", "1.13.1rc1", "0.1.dev0"}, []string{"1.13.1", "1.13.1+cpu", "1.14"}},
		"GIT last":                    {ranged("X-1", "introduced 0, fixed 1.13.1", commits), []string{"1.13.0", "1.13.0+cpu", "1.13", "1.13.1rc1"}, []string{"1.13.1", "1.13.1+cu118"}},
		"GIT between":                 {ranged("X-1", "introduced 0, fixed 1.0", commits, "introduced 2.0, fixed 2.5.1"), []string{"2.5.0+nv21.7", "2.5"}, []string{"1.0", "2.5.1"}},
		"GIT, listed":                 {listed("1.13.0", "2.5.0"), []string{"1.13.0", "1.13.0+cpu", "1.13", "v2.5.0", "2.5.0+nv21.7"}, []string{"1.13.1", "1.13.0.post1", "2.5.0rc1"}},
		"GIT alone names the package": {ranged("X-1", commits), []string{"0", "99!99"}, nil},
		"no range, no version":        {osv.Record{ID: "MAL-1", Affected: []osv.Affected{{Package: osv.Package{Ecosystem: "PyPI", Name: "x"}}}}, []string{"0", "1.0+cpu", "junk"}, nil},
		"no entry at all":             {osv.Record{ID: "X-1"}, nil, []string{"1.0"}},
		// Order, not specifiers.
		"after a post release":  {ranged("X-1", "introduced 1.0, last_affected 1.0"), []string{"1.0", "1.0.0", "1.0+cpu"}, []string{"1.0.post1", "1.0rc1", "1.1"}},
		"last affected, local":  {ranged("X-1", "introduced 0, last_affected 1.13.0"), []string{"1.13.0+cpu", "1.13.0"}, []string{"1.13.1", "1.13.0.post1"}},
		"bounds with labels":    {ranged("X-1", "introduced 1.0, fixed 1.0+cu118"), []string{"1.0", "1.0+cpu", "1.0+cu117"}, []string{"1.0+cu118", "1.0+cu118.1", "1.1"}},
		"a listed label":        {listed("1.0+cu118"), []string{"1.0+cu118", "1.0+CU118"}, []string{"1.0", "1.0+cpu"}},
		"an epoch":              {ranged("X-1", "introduced 0, fixed 1!1.0"), []string{"2024.1", "1!0.9"}, []string{"1!1.0"}},
		"events in any order":   {ranged("X-1", "fixed 2.1, last_affected 1.9, introduced 2.0, introduced 0"), []string{"0.1", "1.9", "2.0"}, []string{"1.9.1", "2.1", "2.0rc1"}},
		"one version alone":     {ranged("X-1", "introduced 1.2.3, last_affected 1.2.3"), []string{"1.2.3", "1.2.3+cpu"}, []string{"1.2.2", "1.2.4", "2.0"}},
		"the same, written so":  {ranged("X-1", "last_affected 1.2.3, introduced 1.2.3"), []string{"1.2.3"}, []string{"1.2.2", "1.2.4"}},
		"two alone":             {ranged("X-1", "introduced 1.0, introduced 2.0, last_affected 2.0, last_affected 1.0"), []string{"1.0", "2.0"}, []string{"1.5", "2.1"}},
		"ranges that meet":      {ranged("X-1", "introduced 0, last_affected 1.0, introduced 1.0, fixed 2.0"), []string{"0.5", "1.0", "1.5"}, []string{"2.0"}},
		"fixed, introduced":     {ranged("X-1", "introduced 0, fixed 1.0, introduced 1.0, fixed 2.0"), []string{"0.5", "1.0", "1.5"}, []string{"2.0"}},
		"introduced, fixed":     {ranged("X-1", "introduced 0, introduced 1.0, fixed 2.0, fixed 1.0"), []string{"0.5", "1.0", "1.5"}, []string{"2.0"}},
		"fixed and last":        {ranged("X-1", "introduced 0, fixed 1.0, last_affected 1.0"), []string{"0.9"}, []string{"1.0", "1.1"}},
		"branches":              {ranged("X-1", "introduced 0, fixed 1.5.3, introduced 2.0, fixed 2.0.4"), []string{"1.5.2", "2.0.0", "2.0.3"}, []string{"1.5.3", "1.9", "2.0.4", "3"}},
		"a limit":               {ranged("X-1", "introduced 0, limit 2.0"), []string{"1.9"}, []string{"2.0", "3.0"}},
		"limits: any will do":   {ranged("X-1", "introduced 0, limit 1.0, limit 3.0"), []string{"0.9", "2.0"}, []string{"3.0"}},
		"a limit goes over all": {ranged("X-1", "introduced 2.0, limit 1.0"), nil, []string{"0.9", "1.0", "2.0", "3.0"}},
		"no limit":              {ranged("X-1", "introduced 0, limit 1.0, limit *"), []string{"0.9", "2.0"}, nil},
		// What GitHub knew to be affected closes what nothing else does.
		"last known":                 {lastKnown(ranged("GHSA-a", "introduced 0"), "<= 1.5.10"), []string{"1.5.10", "1.5.10+cpu", "0.1"}, []string{"1.5.11", "1.5.10.post1", "2"}},
		"before the last known":      {lastKnown(ranged("GHSA-a", "introduced 1.0"), "< 2.0"), []string{"1.0", "1.9", "2.0rc1"}, []string{"0.9", "2.0", "2.0+cpu"}},
		"a fix says more":            {lastKnown(ranged("GHSA-a", "introduced 0, fixed 2.32.2"), "< 2.32.0"), []string{"2.31", "2.32.0", "2.32.1"}, []string{"2.32.2"}},
		"so does a last affected":    {lastKnown(ranged("GHSA-a", "introduced 0, last_affected 3.0"), "<= 2.0"), []string{"2.5", "3.0"}, []string{"3.1"}},
		"a fix of junk says nothing": {lastKnown(ranged("GHSA-a", "introduced 0, fixed >=3.8.2"), "<= 3.8.1"), []string{"3.8.1", "3.0"}, []string{"3.8.2", "99"}},
		"last known of junk":         {lastKnown(ranged("GHSA-a", "introduced 0"), "<= latest"), []string{"99"}, nil},
		"no bound":                   {lastKnown(ranged("GHSA-a", "introduced 0"), "1.5"), []string{"1.4", "99"}, nil},
		"a lower bound":              {lastKnown(ranged("GHSA-a", "introduced 0"), ">= 1.5"), []string{"1.4", "99"}, nil},
		"of which of two ranges":     {lastKnown(ranged("GHSA-a", "introduced 0", "introduced 2.0"), "<= 1.5"), []string{"1.4", "99"}, nil},
		"commits are no second":      {lastKnown(ranged("GHSA-a", "GIT introduced 0", "introduced 0"), "<= 1.5"), []string{"1.5"}, []string{"1.6"}},
		// What cannot be compared closes nothing and opens everything.
		"a fix of junk":           {ranged("X-1", "introduced 0, fixed >=3.8.2"), []string{"1.0", "3.8.2", "99"}, nil},
		"a last affected of junk": {ranged("X-1", "introduced 1.0, last_affected 2019-09-12"), []string{"1.0", "99"}, []string{"0.9"}},
		"a limit of junk":         {ranged("X-1", "introduced 0, limit latest"), []string{"99"}, nil},
		"introduced by junk":      {ranged("X-1", "introduced v2.x, fixed 1.0"), []string{"0.9", "1.0", "3.0"}, nil},
		"the same, written so 2":  {ranged("X-1", "fixed 1.0, introduced v2.x"), []string{"0.9", "1.0", "3.0"}, nil},
		"junk is listed":          {listed("2019-09-12"), []string{"2019-09-12"}, []string{"2019-09-13", "1.0"}},
		"junk is installed":       {ranged("X-1", "introduced 0"), []string{"2019-09-12", "", "latest", "1.0 or so"}, nil},
	} {
		for _, version := range c.yes {
			if len(match(t, python("x", version), c.record)) != 1 {
				t.Errorf("%s: %q is not affected", name, version)
			}
		}
		for _, version := range c.not {
			if len(match(t, python("x", version), c.record)) != 0 {
				t.Errorf("%s: %q is affected", name, version)
			}
		}
	}
}

func TestDistribution(t *testing.T) {
	record := ranged("DEBIAN-CVE-2024-1", "introduced 0, fixed 12.2.0-14+deb12u1")
	record.Upstream = []string{"CVE-2024-1"}
	several := ranged("DSA-5000-1", "introduced 0, fixed 12.2.0-15")
	several.Upstream = []string{"CVE-2024-1", "CVE-2024-2"}
	db := source{"Debian:12": {"gcc-12": {record, several}, "libstdc++6": {ranged("DSA-1-1", "introduced 0")}}}
	library := component.Component{Ecosystem: "Debian:12", Name: "libstdc++6", Version: "12.2.0-14+b9", SourceName: "gcc-12", SourceVersion: "12.2.0-14"}
	findings, err := advisory.Match(t.Context(), component.Inventory{Components: []component.Component{library}}, db)
	if err != nil {
		t.Fatal(err)
	}
	// By the source package's name and version; the CVE of the record about
	// one is its id, and a notice about several stays by itself.
	got := map[string]string{}
	for _, f := range findings {
		got[f.ID+" "+strings.Join(f.Aliases, ",")] = f.Fixed
	}
	want := map[string]string{"CVE-2024-1 DEBIAN-CVE-2024-1": "12.2.0-14+deb12u1", "DSA-5000-1 ": "12.2.0-15"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if version, all, err := advisory.Upgrade(t.Context(), library, db); version != "12.2.0-15" || !all || err != nil {
		t.Errorf("upgrade to %q, %v, %v", version, all, err)
	}
	// Without a source version, the package's own counts.
	library.SourceVersion, library.Version = "", "12.2.0-15~bpo1"
	if findings, err = advisory.Match(t.Context(), component.Inventory{Components: []component.Component{library}}, db); err != nil || len(findings) != 1 {
		t.Errorf("a backport: %+v, %v", findings, err)
	}
}

func aliased(r osv.Record, aliases ...string) osv.Record {
	r.Aliases = aliases
	return r
}

func TestAliases(t *testing.T) {
	hit, miss := "introduced 0", "introduced 9"
	for name, c := range map[string]struct {
		records []osv.Record
		want    []string
	}{
		"one record":                      {[]osv.Record{aliased(ranged("PYSEC-2024-1", hit), "GHSA-a", "CVE-2024-1")}, []string{"CVE-2024-1 GHSA-a PYSEC-2024-1"}},
		"an id of its own":                {[]osv.Record{ranged("OSV-2020-1", hit)}, []string{"OSV-2020-1"}},
		"no CVE":                          {[]osv.Record{aliased(ranged("PYSEC-2024-1", hit), "GHSA-a")}, []string{"GHSA-a PYSEC-2024-1"}},
		"malicious":                       {[]osv.Record{aliased(ranged("GHSA-a", hit), "MAL-2024-1")}, []string{"MAL-2024-1 GHSA-a"}},
		"twins":                           {[]osv.Record{aliased(ranged("GHSA-a", hit), "CVE-2024-1"), aliased(ranged("PYSEC-2024-1", hit), "CVE-2024-1")}, []string{"CVE-2024-1 GHSA-a PYSEC-2024-1"}},
		"one names the other":             {[]osv.Record{ranged("GHSA-a", hit), aliased(ranged("PYSEC-2024-1", hit), "GHSA-a")}, []string{"GHSA-a PYSEC-2024-1"}},
		"strangers":                       {[]osv.Record{aliased(ranged("GHSA-a", hit), "CVE-2024-1"), aliased(ranged("GHSA-b", hit), "CVE-2024-2")}, []string{"CVE-2024-1 GHSA-a", "CVE-2024-2 GHSA-b"}},
		"a chain":                         {[]osv.Record{aliased(ranged("A-1", hit), "B-1"), aliased(ranged("D-1", hit), "C-1"), aliased(ranged("B-1", hit), "C-1")}, []string{"A-1 B-1 C-1 D-1"}},
		"through one that does not apply": {[]osv.Record{ranged("A-1", hit), ranged("C-1", hit), aliased(ranged("B-1", miss), "A-1", "C-1")}, []string{"A-1 C-1"}},
		"a circle":                        {[]osv.Record{aliased(ranged("A-1", hit), "B-1"), aliased(ranged("B-1", hit), "A-1")}, []string{"A-1 B-1"}},
		"itself":                          {[]osv.Record{aliased(ranged("A-1", hit), "A-1", "A-1")}, []string{"A-1"}},
		"two CVEs":                        {[]osv.Record{aliased(ranged("GHSA-a", hit), "CVE-2024-2", "CVE-2024-1")}, []string{"CVE-2024-1 CVE-2024-2 GHSA-a"}},
		"the twin does not apply":         {[]osv.Record{aliased(ranged("GHSA-a", miss), "CVE-2024-1"), aliased(ranged("PYSEC-2024-1", hit), "CVE-2024-1")}, []string{"CVE-2024-1 PYSEC-2024-1"}},
	} {
		for turn := range 6 {
			rand.New(rand.NewPCG(uint64(turn), 3)).Shuffle(len(c.records), func(i, j int) { c.records[i], c.records[j] = c.records[j], c.records[i] })
			var got []string
			for _, f := range match(t, python("x", "1.0"), c.records...) {
				got = append(got, strings.Join(append([]string{f.ID}, f.Aliases...), " "))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

// TestAliasChain: a chain of aliases costs neither the stack nor the square.
func TestAliasChain(t *testing.T) {
	const length = 20_000
	records := make([]osv.Record, length)
	for i := range records {
		records[i] = aliased(ranged(fmt.Sprintf("A-%d", i), "introduced 0"), fmt.Sprintf("A-%d", i+1))
	}
	if findings := match(t, python("x", "1.0"), records...); len(findings) != 1 || len(findings[0].Aliases) != length {
		t.Errorf("%d findings", len(findings))
	}
	slices.Reverse(records)
	if findings := match(t, python("x", "1.0"), records...); len(findings) != 1 {
		t.Errorf("backwards: %d findings", len(findings))
	}
}

func TestWithdrawn(t *testing.T) {
	withdrawn := aliased(ranged("GHSA-a", "introduced 0"), "CVE-2024-1")
	withdrawn.Withdrawn = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	db := source{"PyPI": {"x": {withdrawn}}}
	if findings := match(t, python("x", "1.0"), withdrawn); len(findings) != 0 {
		t.Errorf("withdrawn, and still %+v", findings)
	}
	if version, all, err := advisory.Upgrade(t.Context(), python("x", "1.0"), db); version != "" || !all || err != nil {
		t.Errorf("nothing to heal: %q, %v, %v", version, all, err)
	}
	// The twin stands by itself.
	findings := match(t, python("x", "1.0"), withdrawn, ranged("PYSEC-2024-1", "introduced 0, fixed 2.0"))
	if len(findings) != 1 || findings[0].ID != "PYSEC-2024-1" || findings[0].Fixed != "2.0" {
		t.Errorf("the twin: %+v", findings)
	}
}

func TestFixed(t *testing.T) {
	reintroduced := ranged("A-1", "introduced 0, fixed 1.5, introduced 2.0")
	for name, c := range map[string]struct {
		version string
		records []osv.Record
		fixed   []string // by finding, in order of their ids
		upgrade string
		all     bool
	}{
		"one":                           {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.5")}, []string{"1.5"}, "1.5", true},
		"none known":                    {"1.0", []osv.Record{ranged("A-1", "introduced 0")}, []string{""}, "", false},
		"only a last affected":          {"1.0", []osv.Record{ranged("A-1", "introduced 0, last_affected 1.5")}, []string{""}, "", false},
		"the greatest of two":           {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.9"), ranged("B-1", "introduced 0, fixed 1.10")}, []string{"1.9", "1.10"}, "1.10", true},
		"own branch":                    {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.5.1, introduced 2.0, fixed 2.0.4")}, []string{"1.5.1"}, "1.5.1", true},
		"later branch":                  {"2.0.1", []osv.Record{ranged("A-1", "introduced 0, fixed 1.5.1, introduced 2.0, fixed 2.0.4")}, []string{"2.0.4"}, "2.0.4", true},
		"a fix that another breaks":     {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.5"), ranged("B-1", "introduced 1.5, fixed 1.6")}, []string{"1.5"}, "1.6", true},
		"a fix that the twin denies":    {"1.0", []osv.Record{aliased(ranged("GHSA-a", "introduced 0, fixed 1.5"), "CVE-2024-1"), aliased(ranged("PYSEC-1", "introduced 0, fixed 1.7"), "CVE-2024-1")}, []string{"1.7"}, "1.7", true},
		"a twin without a fix":          {"1.0", []osv.Record{aliased(ranged("GHSA-a", "introduced 0, fixed 1.5"), "CVE-2024-1"), aliased(ranged("PYSEC-1", "introduced 0"), "CVE-2024-1")}, []string{""}, "", false},
		"some heal":                     {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.5"), ranged("B-1", "introduced 0")}, []string{"1.5", ""}, "1.5", false},
		"never all at once":             {"1.0", []osv.Record{reintroduced, ranged("B-1", "introduced 0, fixed 2.5"), ranged("C-1", "introduced 0, fixed 2.1")}, []string{"1.5", "2.5", "2.1"}, "2.5", false},
		"no trap on the way":            {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.5"), ranged("B-1", "introduced 0"), ranged("MAL-1", "introduced 1.5, fixed 1.5.1")}, []string{"1.5", ""}, "1.5.1", false},
		"a local version":               {"1.13.0+cpu", []osv.Record{ranged("A-1", "introduced 0, fixed 1.13.1")}, []string{"1.13.1"}, "1.13.1", true},
		"never back":                    {"1.5", []osv.Record{ranged("A-1", "introduced 0, fixed 1.0, introduced 1.2")}, []string{""}, "", false},
		"a fix of junk":                 {"1.5", []osv.Record{ranged("A-1", "introduced 0, fixed >=2")}, []string{""}, "", false},
		"of commits no word":            {"1.5", []osv.Record{ranged("A-1", "GIT introduced 0, fixed 9.0", "introduced 0")}, []string{""}, "", false},
		"a release before a candidate":  {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.5rc1, introduced 1.5, fixed 1.6")}, []string{"1.6"}, "1.6", true},
		"a candidate, if nothing else":  {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.5rc1")}, []string{"1.5rc1"}, "1.5rc1", true},
		"a release that heals less":     {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.4"), ranged("B-1", "introduced 0, fixed 1.5.dev3")}, []string{"1.4", "1.5.dev3"}, "1.4", false},
		"a candidate for a candidate":   {"1.0rc1", []osv.Record{ranged("A-1", "introduced 0, fixed 1.0rc2, introduced 1.0, fixed 1.6")}, []string{"1.0rc2"}, "1.0rc2", true},
		"a candidate for a development": {"1.0.dev1", []osv.Record{ranged("A-1", "introduced 0, fixed 1.0a1")}, []string{"1.0a1"}, "1.0a1", true},
		"a post release is a release":   {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.0.post1")}, []string{"1.0.post1"}, "1.0.post1", true},
		"out of the frying pan":         {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.5"), ranged("B-1", "introduced 0, fixed 1.5"), ranged("MAL-1", "introduced 1.5")}, []string{"1.5", "1.5"}, "", false},
		"the same, by an alias":         {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.5"), ranged("B-1", "introduced 0, fixed 1.5"), aliased(ranged("GHSA-x", "introduced 1.5, fixed 1.7"), "MAL-1")}, []string{"1.5", "1.5"}, "1.7", true},
		"listed versions count":         {"1.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.5"), ranged("A-2", "introduced 0, fixed 1.6"), listing("B-1", "1.5", "1.6.0")}, []string{"1.5", "1.6"}, "1.6", false},
		"healthy":                       {"3.0", []osv.Record{ranged("A-1", "introduced 0, fixed 1.0")}, nil, "", true},
	} {
		db := source{"PyPI": {"x": c.records}}
		findings := match(t, python("x", c.version), c.records...)
		slices.SortFunc(findings, func(a, b finding) int { return strings.Compare(a.ID, b.ID) })
		var fixed []string
		for _, f := range findings {
			fixed = append(fixed, f.Fixed)
		}
		if diff := cmp.Diff(c.fixed, fixed); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if version, all, err := advisory.Upgrade(t.Context(), python("x", c.version), db); version != c.upgrade || all != c.all || err != nil {
			t.Errorf("%s: upgrade to %q, all %v, %v; want %q, %v", name, version, all, err, c.upgrade, c.all)
		}
	}
}
