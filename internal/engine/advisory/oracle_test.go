package advisory_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

// world is a set of versions and advisories of one package.
type world struct {
	r        *rand.Rand
	make     func(*rand.Rand) known
	versions map[string]known
	pool     []known
	ties     bool
}

func newWorld(r *rand.Rand, make func(*rand.Rand) known, ties bool) *world {
	w := &world{r: r, make: make, versions: map[string]known{}, ties: ties}
	for range 10 {
		w.pool = append(w.pool, w.remember(make(r)))
	}
	return w
}

func (w *world) remember(k known) known {
	w.versions[k.text] = k
	return k
}

// events come in any order. Without ties no two of a range are at one version.
func (w *world) events() []osv.Event {
	events := []osv.Event{}
	used := []known{}
	if w.r.IntN(2) == 0 {
		events = append(events, osv.Event{Introduced: "0"})
	}
	for range 1 + w.r.IntN(5) {
		k := pick(w.r, w.pool...)
		if !w.ties && slices.ContainsFunc(used, func(u known) bool { return u.public(k) == 0 }) {
			continue
		}
		used = append(used, k)
		switch w.r.IntN(9) {
		case 0, 1, 2:
			events = append(events, osv.Event{Introduced: k.text})
		case 3, 4, 5:
			events = append(events, osv.Event{Fixed: k.text})
		case 6, 7:
			events = append(events, osv.Event{LastAffected: k.text})
		default:
			events = append(events, osv.Event{Limit: pick(w.r, k.text, k.text, k.text, "*")})
		}
	}
	w.r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	return events
}

func (w *world) affected(p osv.Package) osv.Affected {
	a := osv.Affected{Package: p}
	for range w.r.IntN(4) {
		if w.r.IntN(3) == 0 {
			a.Ranges = append(a.Ranges, osv.Range{Type: "GIT", Events: []osv.Event{{Introduced: "0"}, {Fixed: strings.Repeat("0a", 20)}}})
			continue
		}
		a.Ranges = append(a.Ranges, osv.Range{Type: pick(w.r, "ECOSYSTEM", "ECOSYSTEM", "SEMVER"), Events: w.events()})
	}
	if w.r.IntN(3) == 0 {
		for range 1 + w.r.IntN(3) {
			a.Versions = append(a.Versions, pick(w.r, w.pool...).text)
		}
	}
	return a
}

func (w *world) records(ecosystem, name string) []osv.Record {
	p := osv.Package{Ecosystem: ecosystem, Name: name}
	var records []osv.Record
	for i := range 1 + w.r.IntN(5) {
		record := osv.Record{ID: fmt.Sprintf("PYSEC-2024-%d", i)}
		for range 1 + w.r.IntN(2) {
			record.Affected = append(record.Affected, w.affected(p))
		}
		if w.r.IntN(2) == 0 {
			record.Aliases = []string{fmt.Sprintf("CVE-2024-%d", w.r.IntN(4))}
		}
		if w.r.IntN(6) == 0 {
			record.Aliases = append(record.Aliases, fmt.Sprintf("PYSEC-2024-%d", w.r.IntN(5)))
		}
		records = append(records, record)
	}
	return records
}

// vulnerable is IncludedInRanges for one range; order says whether, among
// events at one version, the introduced comes first, which the schema leaves
// open.
func (w *world) vulnerable(events []osv.Event, v known, introducedFirst bool) bool {
	type at struct {
		bound known
		event osv.Event
	}
	var sorted []at
	before, limited, result := false, false, false
	for _, e := range events {
		switch {
		case e.Limit == "*":
			before, limited = true, true
		case e.Limit != "":
			before, limited = before || v.against(w.versions[e.Limit]) < 0, true
		case e.Introduced == "0":
			result = true
		default:
			sorted = append(sorted, at{w.versions[e.Introduced+e.Fixed+e.LastAffected], e})
		}
	}
	if limited && !before {
		return false
	}
	slices.SortStableFunc(sorted, func(a, b at) int {
		first := map[bool]int{introducedFirst: -1, !introducedFirst: 1}
		return cmp.Or(a.bound.full(b.bound), first[a.event.Introduced != ""]-first[b.event.Introduced != ""])
	})
	for _, s := range sorted {
		switch c := v.against(s.bound); {
		case s.event.Introduced != "" && c >= 0:
			result = true
		case s.event.Fixed != "" && c >= 0, s.event.LastAffected != "" && c > 0:
			result = false
		}
	}
	return result
}

// affects is IsVulnerable; sure is false where it depends on what the schema
// leaves open.
func (w *world) affects(record osv.Record, v known) (affected, sure bool) {
	sure = true
	for _, a := range record.Affected {
		spoken := len(a.Versions) > 0
		for _, listed := range a.Versions {
			affected = affected || v.against(w.versions[listed]) == 0
		}
		for _, ranged := range a.Ranges {
			if ranged.Type == "GIT" {
				continue
			}
			spoken = true
			first, last := w.vulnerable(ranged.Events, v, true), w.vulnerable(ranged.Events, v, false)
			sure = sure && first == last
			affected = affected || first
		}
		affected = affected || !spoken
	}
	return affected, sure
}

// groups puts records together that are the same vulnerability, the slow way.
func groups(records []osv.Record) [][]osv.Record {
	label := make([]int, len(records))
	for i := range label {
		label[i] = i
	}
	names := func(r osv.Record) []string { return append([]string{r.ID}, r.Aliases...) }
	for range records {
		for i, a := range records {
			for j, b := range records {
				if slices.ContainsFunc(names(a), func(name string) bool { return slices.Contains(names(b), name) }) {
					label[i], label[j] = min(label[i], label[j]), min(label[i], label[j])
				}
			}
		}
	}
	together := make([][]osv.Record, len(records))
	for i, r := range records {
		together[label[i]] = append(together[label[i]], r)
	}
	return slices.DeleteFunc(together, func(g []osv.Record) bool { return len(g) == 0 })
}

// smallest is the least version that records name as fixed, later than the
// installed one, and that the fewest of the groups affect; "" where that is
// no fewer than affect the installed one. Pre-releases stand back for a
// release.
func (w *world) smallest(installed known, records []osv.Record, groups [][]osv.Record) (best string, left int) {
	if installed.pre {
		return w.least(installed, records, groups, func(known) bool { return true })
	}
	if best, left = w.least(installed, records, groups, func(k known) bool { return !k.pre }); best == "" {
		return w.least(installed, records, groups, func(k known) bool { return k.pre })
	}
	return best, left
}

func (w *world) least(installed known, records []osv.Record, groups [][]osv.Record, wanted func(known) bool) (best string, left int) {
	count := func(v known) (n int) {
		for _, group := range groups {
			if slices.ContainsFunc(group, func(r osv.Record) bool { hit, _ := w.affects(r, v); return hit }) {
				n++
			}
		}
		return n
	}
	left = count(installed)
	for _, r := range records {
		for _, a := range r.Affected {
			for _, ranged := range a.Ranges {
				for _, e := range ranged.Events {
					candidate, found := w.versions[e.Fixed]
					if !found || !wanted(candidate) || ranged.Type == "GIT" || installed.against(candidate) >= 0 {
						continue
					}
					if n := count(candidate); n < left || n == left && best != "" && candidate.full(w.versions[best]) < 0 {
						best, left = candidate.text, n
					}
				}
			}
		}
	}
	return best, left
}

func orders() map[string]func(*rand.Rand) known {
	return map[string]func(*rand.Rand) known{"PyPI": pythonVersion, "Debian:12": debianVersion}
}

// TestRangesAgainstOracle: what is affected, with events at one version too.
func TestRangesAgainstOracle(t *testing.T) {
	for ecosystem, make := range orders() {
		sure, hits := 0, 0
		for seed := range uint64(6000) {
			w := newWorld(rand.New(rand.NewPCG(seed, 1)), make, true)
			record := w.records(ecosystem, "x")[0]
			installed := pick(w.r, pick(w.r, w.pool...), w.remember(make(w.r)))
			want, known := w.affects(record, installed)
			if !known {
				continue
			}
			sure++
			got := len(match(t, component.Component{Ecosystem: ecosystem, Name: "x", Version: installed.text}, record)) == 1
			if got != want {
				t.Fatalf("seed %d: %s %s: affected is %v, the oracle says %v:\n%s", seed, ecosystem, installed.text, got, want, asJSON(record))
			}
			if want {
				hits++
			}
		}
		if sure < 4000 || hits < sure/5 || hits > sure*4/5 {
			t.Errorf("%s: of %d sure cases %d are affected; the cases say too little", ecosystem, sure, hits)
		}
	}
}

// TestFindingsAgainstOracle: which findings, and the versions that heal.
func TestFindingsAgainstOracle(t *testing.T) {
	for ecosystem, make := range orders() {
		found, healed, upgraded, partly := 0, 0, 0, 0
		for seed := range uint64(4000) {
			w := newWorld(rand.New(rand.NewPCG(seed, 2)), make, false)
			records := w.records(ecosystem, "x")
			installed := pick(w.r, w.pool...)
			c := component.Component{Ecosystem: ecosystem, Name: "x", Version: installed.text}
			findings := match(t, c, records...)
			together := groups(records)
			for _, group := range together {
				hits := slices.DeleteFunc(slices.Clone(group), func(r osv.Record) bool { hit, _ := w.affects(r, installed); return !hit })
				var ids []string
				for _, r := range hits {
					ids = append(append(ids, r.ID), r.Aliases...)
				}
				slices.Sort(ids) // CVE before PYSEC
				at := slices.IndexFunc(findings, func(f finding) bool { return len(ids) > 0 && f.ID == ids[0] })
				if len(hits) == 0 {
					continue
				}
				if at < 0 {
					t.Fatalf("seed %d: %s %s: no finding %v in %+v:\n%s", seed, ecosystem, installed.text, ids, findings, asJSON(records))
				}
				found++
				fixed, left := w.smallest(installed, hits, [][]osv.Record{hits})
				if left > 0 {
					fixed = ""
				}
				if got := findings[at].Fixed; (got == "") != (fixed == "") || got != "" && w.versions[got].full(w.versions[fixed]) != 0 {
					t.Fatalf("seed %d: %s %s: %s is fixed in %q, the oracle says %q:\n%s", seed, ecosystem, installed.text, ids[0], got, fixed, asJSON(hits))
				}
				if fixed != "" {
					healed++
				}
				findings = slices.Delete(findings, at, at+1)
			}
			if len(findings) > 0 {
				t.Fatalf("seed %d: %s %s: findings that nothing says: %+v:\n%s", seed, ecosystem, installed.text, findings, asJSON(records))
			}
			want, left := w.smallest(installed, records, together)
			got, all, err := advisory.Upgrade(t.Context(), c, source{ecosystem: {"x": records}})
			if err != nil || all != (left == 0) || (got == "") != (want == "") || got != "" && w.versions[got].full(w.versions[want]) != 0 {
				t.Fatalf("seed %d: %s %s: upgrade to %q, all %v, error %v; the oracle says %q with %d left:\n%s", seed, ecosystem, installed.text, got, all, err, want, left, asJSON(records))
			}
			switch {
			case want != "" && all:
				upgraded++
			case want != "":
				partly++
			}
		}
		if found < 3000 || healed < 500 || upgraded < 100 || partly < 100 {
			t.Errorf("%s: %d findings, %d healed, %d upgrades, %d in part: the cases say too little", ecosystem, found, healed, upgraded, partly)
		}
	}
}
