package advisory_test

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

// realRecords are the advisories of testdata/real by normalised package, each
// with its entries of that package.
func realRecords(t *testing.T) source {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "real", "facts.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string][]osv.Record{}
	scanner := bufio.NewScanner(unzipped)
	scanner.Buffer(nil, 1<<20)
	records := 0
	for scanner.Scan() {
		record, err := osv.Decode(strings.NewReader(scanner.Text()), fmt.Sprintf("line %d", records+1))
		if err != nil {
			t.Fatal(err)
		}
		records++
		own := map[string][]osv.Affected{}
		for _, a := range record.Affected {
			if a.Package.Ecosystem == "PyPI" {
				name := separators.ReplaceAllString(strings.ToLower(a.Package.Name), "-")
				own[name] = append(own[name], a)
			}
		}
		for name, affected := range own {
			r := record
			r.Affected = affected
			packages[name] = append(packages[name], r)
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	if records != 2763 || len(packages) < 600 {
		t.Fatalf("%d records of %d packages; the facts are not whole", records, len(packages))
	}
	return source{"PyPI": packages}
}

var separators = regexp.MustCompile(`[-_.]+`)

// brute evaluates OSV's algorithm on the records of one package, one by one and
// event by event, and remembers what it found.
type brute struct {
	records []osv.Record
	keys    map[string]*pythonKey // nil for what is no version
	hits    map[string][]bool     // by version, for every record
	// together are the groups of one vulnerability, as indexes of records.
	together [][]int
	ties     int
}

func newBrute(records []osv.Record) *brute {
	b := &brute{keys: map[string]*pythonKey{}, hits: map[string][]bool{}}
	for _, r := range records {
		if r.Withdrawn.IsZero() {
			b.records = append(b.records, r)
		}
	}
	// From record to record over shared names, breadth first.
	named := map[string][]int{}
	for i, r := range b.records {
		for _, name := range append([]string{r.ID}, r.Aliases...) {
			named[name] = append(named[name], i)
		}
	}
	seen := make([]bool, len(b.records))
	for i := range b.records {
		group := []int{}
		for queue := []int{i}; len(queue) > 0; queue = queue[1:] {
			at := queue[0]
			if seen[at] {
				continue
			}
			seen[at] = true
			group = append(group, at)
			for _, name := range append([]string{b.records[at].ID}, b.records[at].Aliases...) {
				queue = append(queue, named[name]...)
			}
		}
		if len(group) > 0 {
			b.together = append(b.together, group)
		}
	}
	return b
}

func (b *brute) key(text string) *pythonKey {
	k, found := b.keys[text]
	if !found {
		if parsed, ok := keyOf(text); ok {
			k = &parsed
		}
		b.keys[text] = k
	}
	return k
}

// in is IncludedInRanges for one range of versions. The schema leaves open what
// comes first of a fixed and an introduced at one version; here the introduced
// opens the range again, and ties says how often that counted.
func (b *brute) in(events []osv.Event, v *pythonKey) bool {
	type at struct {
		key   *pythonKey
		event osv.Event
	}
	var sorted []at
	vulnerable := false
	for _, e := range events {
		k := b.key(e.Introduced + e.Fixed + e.LastAffected)
		switch {
		case e.Introduced == "0":
			vulnerable = true
		case k == nil && e.Introduced != "":
			return true // nobody knows since when
		case k != nil:
			sorted = append(sorted, at{k, e})
		}
	}
	slices.SortStableFunc(sorted, func(x, y at) int {
		if c := x.key.public(*y.key); c != 0 {
			return c
		}
		if (x.event.Introduced == "") != (y.event.Introduced == "") {
			b.ties++
			return map[bool]int{true: 1, false: -1}[x.event.Introduced != ""]
		}
		return 0
	})
	for _, s := range sorted {
		switch c := v.against(*s.key); {
		case s.event.Introduced != "" && c >= 0:
			vulnerable = true
		case s.event.Fixed != "" && c >= 0, s.event.LastAffected != "" && c > 0:
			vulnerable = false
		}
	}
	return vulnerable
}

func (b *brute) affects(r osv.Record, v *pythonKey) bool {
	hit := false
	for _, a := range r.Affected {
		said := len(a.Versions) > 0
		for _, listed := range a.Versions {
			if k := b.key(listed); k != nil && v.against(*k) == 0 {
				hit = true
			}
		}
		for _, ranged := range a.Ranges {
			if ranged.Type == "GIT" {
				continue
			}
			said = true
			if b.in(ranged.Events, v) && !b.after(a.Database.LastKnown, ranged.Events, v) {
				hit = true
			}
		}
		hit = hit || !said
	}
	return hit
}

// after says whether the version is later than GitHub's last known one, where
// no event ends the range.
func (b *brute) after(last string, events []osv.Event, v *pythonKey) bool {
	for _, e := range events {
		if e.Introduced == "" && b.key(e.Fixed+e.LastAffected) != nil {
			return false
		}
	}
	bound := b.key(strings.TrimLeft(last, "<= "))
	if last == "" || bound == nil {
		return false
	}
	c := v.against(*bound)
	return c > 0 || c == 0 && !strings.HasPrefix(last, "<=")
}

func (b *brute) at(version string) []bool {
	hits, found := b.hits[version]
	if !found {
		v := b.key(version)
		for _, r := range b.records {
			hits = append(hits, b.affects(r, v))
		}
		b.hits[version] = hits
	}
	return hits
}

// fixes are the versions that records name as fixed and that come after v, with
// releases before pre-releases unless v is one, in order.
func (b *brute) fixes(v *pythonKey, records []osv.Record) []string {
	var list []string
	for _, r := range records {
		for _, a := range r.Affected {
			for _, ranged := range a.Ranges {
				for _, e := range ranged.Events {
					if k := b.key(e.Fixed); ranged.Type != "GIT" && e.Fixed != "" && k != nil && v.against(*k) < 0 && !slices.Contains(list, e.Fixed) {
						list = append(list, e.Fixed)
					}
				}
			}
		}
	}
	slices.SortFunc(list, func(x, y string) int {
		kx, ky := b.key(x), b.key(y)
		if !v.isPre() && kx.isPre() != ky.isPre() {
			return map[bool]int{true: 1, false: -1}[kx.isPre()]
		}
		return cmp.Or(kx.public(*ky), strings.Compare(x, y))
	})
	return list
}

// findings are all findings of a version: the ids, sorted, and the fix.
func (b *brute) findings(version string) []string {
	hits, v := b.at(version), b.key(version)
	list := []string{}
	for _, group := range b.together {
		var ids []string
		var own []osv.Record
		for _, i := range group {
			if r := b.records[i]; hits[i] {
				ids, own = append(append(ids, r.ID), r.Aliases...), append(own, r)
			}
		}
		if len(own) == 0 {
			continue
		}
		fixed := ""
		for _, candidate := range b.fixes(v, own) {
			k := b.key(candidate)
			if !slices.ContainsFunc(own, func(r osv.Record) bool { return b.affects(r, k) }) {
				fixed = candidate
				break
			}
		}
		slices.Sort(ids)
		list = append(list, strings.Join(slices.Compact(ids), " ")+" fixed "+fixed)
	}
	slices.Sort(list)
	return list
}

// upgrade is the smallest version that the fewest vulnerabilities are left at.
func (b *brute) upgrade(version string) (best string, left int) {
	count := func(version string) (n int) {
		hits := b.at(version)
		for _, group := range b.together {
			if slices.ContainsFunc(group, func(i int) bool { return hits[i] }) {
				n++
			}
		}
		return n
	}
	if left = count(version); left == 0 {
		return "", 0
	}
	stable := false
	for _, candidate := range b.fixes(b.key(version), b.records) {
		pre := b.key(candidate).isPre() && !b.key(version).isPre()
		if pre && stable {
			break
		}
		if n := count(candidate); n < left {
			best, left, stable = candidate, n, stable || !pre
		}
	}
	return best, left
}

// around are versions near one that a record names.
func around(version string) []string {
	public, _, _ := strings.Cut(version, "+")
	list := []string{version, public + ".0", public + "+cpu"}
	if !strings.Contains(public, "dev") {
		list = append(list, public+".dev0")
		if !strings.Contains(public, "post") {
			list = append(list, public+".post1")
		}
		if k, ok := keyOf(public); ok && !k.isPre() {
			list = append(list, public+"rc1")
		}
	}
	return slices.DeleteFunc(list, func(v string) bool { _, ok := keyOf(v); return !ok })
}

// pinsOf are the boundaries around every event of a package, with their
// neighbours among the versions that any record lists, and those versions.
func pinsOf(records []osv.Record) (boundaries, listed []string) {
	var events []string
	seen := map[string]bool{}
	for _, r := range records {
		for _, a := range r.Affected {
			for _, v := range a.Versions {
				if _, ok := keyOf(v); ok && !seen[v] {
					seen[v], listed = true, append(listed, v)
				}
			}
			for _, ranged := range a.Ranges {
				for _, e := range ranged.Events {
					if v := e.Introduced + e.Fixed + e.LastAffected; ranged.Type != "GIT" && v != "0" {
						events = append(events, v)
					}
				}
			}
			if v := strings.TrimLeft(a.Database.LastKnown, "<= "); v != "" {
				events = append(events, v)
			}
		}
	}
	slices.SortFunc(listed, func(x, y string) int {
		kx, _ := keyOf(x)
		ky, _ := keyOf(y)
		return cmp.Or(kx.public(ky), strings.Compare(x, y))
	})
	added := map[string]bool{}
	add := func(v string) {
		if _, ok := keyOf(v); ok && !added[v] {
			added[v], boundaries = true, append(boundaries, v)
		}
	}
	for _, event := range events {
		if added[event] {
			continue
		}
		for _, v := range around(event) {
			add(v)
		}
		if k, ok := keyOf(event); ok {
			at, _ := slices.BinarySearchFunc(listed, k, func(v string, k pythonKey) int { o, _ := keyOf(v); return o.public(k) })
			for _, i := range []int{at - 1, at, at + 1} {
				if i >= 0 && i < len(listed) {
					add(listed[i])
				}
			}
		}
	}
	return boundaries, listed
}

// found is what the engine says, written as brute does.
func found(t *testing.T, db source, name, version string) []string {
	t.Helper()
	matched, err := advisory.Match(t.Context(), inventory(python(name, version)), db)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, f := range matched {
		ids := append([]string{f.ID}, f.Aliases...)
		slices.Sort(ids)
		list = append(list, strings.Join(ids, " ")+" fixed "+f.Fixed)
	}
	slices.Sort(list)
	return list
}

// TestRealPins: 500 versions that were released, of all packages, against the
// brute force: findings, fixes and upgrades.
func TestRealPins(t *testing.T) {
	db := realRecords(t)
	type pin struct{ name, version string }
	var all []pin
	names := sortedNames(db)
	for _, name := range names {
		_, listed := pinsOf(db["PyPI"][name])
		for _, v := range listed {
			all = append(all, pin{name, v})
		}
	}
	const pins = 500
	affected, unfixed, upgrades, partly := 0, 0, 0, 0
	brutes := map[string]*brute{}
	for i := range pins {
		p := all[i*len(all)/pins]
		b := brutes[p.name]
		if b == nil {
			b = newBrute(db["PyPI"][p.name])
			brutes[p.name] = b
		}
		got, want := found(t, db, p.name, p.version), b.findings(p.version)
		if !slices.Equal(got, want) {
			t.Fatalf("%s==%s:\n%s\nthe oracle says\n%s", p.name, p.version, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		affected += len(want)
		for _, f := range want {
			if strings.HasSuffix(f, "fixed ") {
				unfixed++
			}
		}
		version, whole, err := advisory.Upgrade(t.Context(), python(p.name, p.version), db)
		best, left := b.upgrade(p.version)
		if err != nil || version != best || whole != (left == 0) {
			t.Fatalf("%s==%s: upgrade to %q, all %v, error %v; the oracle says %q with %d left", p.name, p.version, version, whole, err, best, left)
		}
		switch {
		case best != "" && left == 0:
			upgrades++
		case best != "":
			partly++
		}
	}
	t.Logf("%d pins of %d packages (of %d versions of %d): %d findings, %d without a fix, %d upgrades that heal all, %d that heal some", pins, len(brutes), len(all), len(names), affected, unfixed, upgrades, partly)
	if len(brutes) < 250 || affected < 2000 || unfixed < 50 || upgrades < 300 || partly < 30 {
		t.Error("the pins say too little")
	}
}

func sortedNames(db source) []string {
	var names []string
	for name := range db["PyPI"] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestRealBoundaries: every event of every range, its neighbours among the
// released versions, and post, candidate, development and local versions of it.
func TestRealBoundaries(t *testing.T) {
	db := realRecords(t)
	pins, affected, ties := 0, 0, 0
	for _, name := range sortedNames(db) {
		b := newBrute(db["PyPI"][name])
		boundaries, _ := pinsOf(db["PyPI"][name])
		for i, version := range boundaries {
			if len(b.records) > 200 && i%6 > 0 {
				continue // the three tensorflows have nearly the same records
			}
			pins++
			got, want := found(t, db, name, version), b.findings(version)
			if !slices.Equal(got, want) {
				t.Fatalf("%s==%s:\n%s\nthe oracle says\n%s", name, version, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			affected += len(want)
		}
		ties += b.ties
	}
	t.Logf("%d versions, %d findings, %d times events at one version", pins, affected, ties)
	if pins < 12_000 || affected < 50_000 {
		t.Error("the boundaries say too little")
	}
}

// TestPeersDefects are versions that other scanners miss (osv-scanner 2.5.0
// offline finds 1, 0, 32, 0 and 0 here).
func TestPeersDefects(t *testing.T) {
	db := realRecords(t)
	same := func(name, plain string, others ...string) {
		t.Helper()
		want := found(t, db, name, plain)
		for i, f := range want {
			want[i], _, _ = strings.Cut(f, " fixed ")
		}
		for _, other := range others {
			got := found(t, db, name, other)
			for i, f := range got {
				got[i], _, _ = strings.Cut(f, " fixed ")
			}
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s==%s: %d findings, and %s has %d", name, other, len(got), plain, len(want))
			}
		}
	}
	same("torch", "1.13.0", "1.13.0+cpu", "1.13", "1.13.0+cu117.with.pypi.cudnn")
	same("tensorflow", "2.5.0", "2.5.0+nv21.7", "2.5")
	if n := len(found(t, db, "tensorflow", "2.5.0+nv21.7")); n < 32 {
		t.Errorf("tensorflow==2.5.0+nv21.7: %d findings", n)
	}
	// Contradicting sources: until both say fixed, it is not.
	if got := found(t, db, "numpy", "1.10.0"); !slices.ContainsFunc(got, func(f string) bool {
		return strings.Contains(f, "CVE-2021-33430") && strings.HasSuffix(f, "fixed 1.21")
	}) {
		t.Errorf("numpy==1.10.0: %q", got)
	}
	// A malformed fix closes nothing; what GitHub knew to be affected does.
	for version, want := range map[string]bool{"3.8.1": true, "3.8.2": false} {
		if got := slices.ContainsFunc(found(t, db, "nltk", version), func(f string) bool { return strings.Contains(f, "CVE-2024-39705") }); got != want {
			t.Errorf("nltk==%s: CVE-2024-39705 is %v", version, got)
		}
	}
}

// TestRealSeverity: PyPA's records alone are nearly all unrated; joined by
// alias, what GitHub rated is rated, and what nobody did is unknown.
func TestRealSeverity(t *testing.T) {
	db := realRecords(t)
	counts := map[string]int{}
	for _, name := range sortedNames(db) {
		_, listed := pinsOf(db["PyPI"][name])
		if len(listed) == 0 {
			continue
		}
		b := newBrute(db["PyPI"][name])
		// Of which ids GitHub rated the vulnerability, with any range.
		github := map[string]bool{}
		for _, group := range b.together {
			known := slices.ContainsFunc(group, func(i int) bool { return strings.HasPrefix(b.records[i].ID, "GHSA-") })
			for _, i := range group {
				github[b.records[i].ID] = known
			}
		}
		matched, err := advisory.Match(t.Context(), inventory(python(name, listed[0])), db)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range matched {
			counts[f.Severity.Source]++
			known := slices.ContainsFunc(append([]string{f.ID}, f.Aliases...), func(id string) bool { return github[id] })
			if known != (f.Severity.Source == "ghsa") {
				t.Errorf("%s %s: rated by %q, GitHub's record is there: %v", name, f.ID, f.Severity.Source, known)
			}
			if (f.Severity.Level == 0) != (f.Severity.Source == "") {
				t.Errorf("%s %s: %+v", name, f.ID, f.Severity)
			}
		}
	}
	if counts["ghsa"] < 40 || counts["pypa"] < 40 || counts[""] < 500 {
		t.Errorf("ratings are %v; they say too little", counts)
	}
}
