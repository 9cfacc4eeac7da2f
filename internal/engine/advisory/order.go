package advisory

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/google/osv-scalibr/semantic"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/format/osv"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// order compares versions of one ecosystem. It serves one goroutine.
type order struct {
	ecosystem string
	python    bool
	// distribution orders texts as a package manager does; nil for others.
	distribution func(a, b string) (result int, ok bool)
	// known keeps what was parsed: the records of a package repeat the same
	// versions a hundredfold.
	known map[string]*reading
}

// reading is a version that was parsed; one of valid and other is set, or
// neither where the text is no version.
type reading struct {
	python pep440.Version
	valid  bool // python is set
	other  semantic.Version
}

func orderOf(ecosystem string) order {
	base, _, _ := strings.Cut(ecosystem, ":")
	return order{ecosystem: base, python: base == pydist.Ecosystem, distribution: distributionOrder(base), known: map[string]*reading{}}
}

func (o order) parse(text string) *reading {
	if r := o.known[text]; r != nil {
		return r
	}
	r := &reading{}
	if o.python {
		v, err := pep440.Parse(text)
		r.python, r.valid = v, err == nil
	}
	if !r.valid {
		if v, err := semantic.Parse(text, o.ecosystem); err == nil {
			r.other = v
		}
	}
	o.known[text] = r
	return r
}

// compare orders the installed version against a bound; ok is false where
// they cannot be compared. A bound without a local label is compared with the
// public part of the installed version.
func (o order) compare(installed, bound string) (result int, ok bool) {
	if o.distribution != nil {
		return o.distribution(installed, bound)
	}
	return o.compareTo(o.parse(installed), bound)
}

func (o order) compareTo(installed *reading, bound string) (result int, ok bool) {
	b := o.parse(bound)
	if installed.valid && b.valid && !b.python.HasLocal() {
		return installed.python.ComparePublic(&b.python), true
	}
	return o.compareParsed(installed, b, bound)
}

// compareBounds orders two bounds, local labels included.
func (o order) compareBounds(a, b string) int {
	if o.distribution != nil {
		c, _ := o.distribution(a, b)
		return c
	}
	c, _ := o.compareParsed(o.parse(a), o.parse(b), b)
	return c
}

func (o order) compareParsed(a, b *reading, bound string) (result int, ok bool) {
	switch {
	case a.valid && b.valid:
		return a.python.Compare(b.python), true
	case o.python && !b.valid:
		return 0, false // ">=3.8.2" and the like: the bound means nothing
	case a.other == nil:
		return 0, false
	case b.other == nil:
		result, err := a.other.CompareStr(bound)
		return result, err == nil
	}
	result, err := a.other.Compare(b.other)
	return result, err == nil
}

// affected says whether an entry of a record covers the version: it is listed,
// or lies in any of the ranges that speak of versions.
func (o order) affected(a osv.Affected, version string) bool {
	if o.listed(a.Versions, version) {
		return true
	}
	spoken := false
	for _, r := range a.Ranges {
		if r.Type != "ECOSYSTEM" && r.Type != "SEMVER" {
			continue // commits say nothing about versions
		}
		spoken = true
		if o.inRange(r.Events, version) && !o.beyond(a, version) {
			return true
		}
	}
	// A record without versions and without ranges of versions names the
	// package as such: a malicious one, for example.
	return !spoken && len(a.Versions) == 0
}

// listed says whether a version is one of a list, in whatever spelling.
func (o order) listed(versions []string, version string) bool {
	if slices.Contains(versions, version) {
		return true
	}
	if o.distribution != nil {
		return slices.ContainsFunc(versions, func(one string) bool {
			c, ok := o.distribution(version, one)
			return ok && c == 0
		})
	}
	installed := o.parse(version)
	return slices.ContainsFunc(versions, func(one string) bool {
		c, ok := o.compareTo(installed, one)
		return ok && c == 0
	})
}

// beyond says whether the version lies after the last one that GitHub knew to
// be affected. That counts only where the entry's one range has no end that can
// be compared: a fix says more.
func (o order) beyond(a osv.Affected, version string) bool {
	if a.Database.LastKnown == "" {
		return false
	}
	ranges := 0
	for _, r := range a.Ranges {
		if r.Type != "ECOSYSTEM" && r.Type != "SEMVER" {
			continue
		}
		ranges++
		for _, e := range r.Events {
			if end := e.Fixed + e.LastAffected; end != "" {
				if _, ok := o.compare(version, end); ok {
					return false
				}
			}
		}
	}
	last, inclusive := strings.CutPrefix(a.Database.LastKnown, "<=")
	if !inclusive {
		var found bool
		if last, found = strings.CutPrefix(a.Database.LastKnown, "<"); !found {
			return false
		}
	}
	c, ok := o.compare(version, strings.TrimSpace(last))
	return ranges == 1 && ok && (c > 0 || c == 0 && !inclusive)
}

// bound is an event that counts for a version: it lies at or before it.
type bound struct {
	text                string
	opens, closes, last bool // introduced, fixed, last_affected
}

// inRange follows "Evaluation" of the OSV schema: events in version order, the
// last one at or before the version decides. Bounds that cannot be compared
// close nothing and open everything.
func (o order) inRange(events []osv.Event, version string) bool {
	if !o.beforeLimits(events, version) {
		return false
	}
	var bounds []bound
	open := false
	for _, e := range events {
		switch {
		case e.Introduced == "0":
			open = true // before every version
		case e.Introduced != "":
			c, ok := o.compare(version, e.Introduced)
			if !ok {
				return true
			}
			if c >= 0 {
				bounds = append(bounds, bound{text: e.Introduced, opens: true})
			}
		case e.Fixed != "":
			if c, ok := o.compare(version, e.Fixed); ok && c >= 0 {
				bounds = append(bounds, bound{text: e.Fixed, closes: true})
			}
		case e.LastAffected != "":
			if c, ok := o.compare(version, e.LastAffected); ok && c > 0 {
				bounds = append(bounds, bound{text: e.LastAffected, last: true})
			}
		}
	}
	slices.SortStableFunc(bounds, func(a, b bound) int { return o.compareBounds(a.text, b.text) })
	for i := 0; i < len(bounds); {
		at := bounds[i]
		for i++; i < len(bounds) && o.compareBounds(at.text, bounds[i].text) == 0; i++ {
			at.opens, at.closes, at.last = at.opens || bounds[i].opens, at.closes || bounds[i].closes, at.last || bounds[i].last
		}
		// Introduced and last affected at once is one affected version alone,
		// or two ranges that meet: what held before it holds after it. An
		// introduced at the same version as a fixed opens again.
		if !at.opens || !at.last || at.closes {
			open = at.opens
		}
	}
	return open
}

// beforeLimits is BeforeLimits of the OSV schema: without limits, or before
// any of them. A limit that cannot be compared ends nothing.
func (o order) beforeLimits(events []osv.Event, version string) bool {
	limited := false
	for _, e := range events {
		if e.Limit == "" {
			continue
		}
		if c, ok := o.compare(version, e.Limit); !ok || c < 0 || strings.Contains(e.Limit, "*") {
			return true
		}
		limited = true
	}
	return !limited
}

// fixes lists the versions after the installed one that records name as fixed,
// in order.
func (o order) fixes(version string, records []osv.Record) []string {
	var candidates []string
	seen := map[string]bool{}
	for _, r := range records {
		for _, a := range r.Affected {
			for _, ranged := range a.Ranges {
				if ranged.Type != "ECOSYSTEM" && ranged.Type != "SEMVER" {
					continue
				}
				for _, e := range ranged.Events {
					if e.Fixed == "" || seen[e.Fixed] {
						continue
					}
					seen[e.Fixed] = true
					if c, ok := o.compare(version, e.Fixed); ok && c < 0 {
						candidates = append(candidates, e.Fixed)
					}
				}
			}
		}
	}
	slices.SortFunc(candidates, func(a, b string) int { return cmp.Or(o.compareBounds(a, b), cmp.Compare(a, b)) })
	return candidates
}

// heal is the smallest version after the installed one at which none of the
// records affects the package any more; "" where no record names one. One that
// is no pre-release goes before one that is, unless the installed one is.
func heal(o order, version string, records []osv.Record) string {
	for _, candidates := range o.byStability(version, o.fixes(version, records)) {
		for _, candidate := range candidates {
			if !slices.ContainsFunc(records, func(r osv.Record) bool { return affects(r, o, candidate) }) {
				return candidate
			}
		}
	}
	return ""
}

// byStability splits candidates into those to try first and those to try when
// none of the first will do: a release is not healed by a release candidate
// while there is anything else.
func (o order) byStability(installed string, candidates []string) [][]string {
	if i := o.parse(installed); !i.valid || i.python.IsPrerelease() {
		return [][]string{candidates}
	}
	var stable, pre []string
	for _, c := range candidates {
		if r := o.parse(c); r.valid && r.python.IsPrerelease() {
			pre = append(pre, c)
		} else {
			stable = append(stable, c)
		}
	}
	return [][]string{stable, pre}
}

// Upgrade is the smallest version of the component's package at which none of
// its advisories applies, among the versions that they name as fixed. all is
// false where there is none: then the version is the smallest of those at
// which the fewest apply, or "" where none is better than the installed one. A
// pre-release is proposed for a release only where no release is better than
// the installed one, and a malicious version never.
func Upgrade(ctx context.Context, c component.Component, source Source) (version string, all bool, err error) {
	var hits, every []osv.Record
	var installed string
	for _, q := range questions(c) {
		if hits, every, err = affecting(ctx, c.Ecosystem, q, source); err != nil {
			return "", false, err
		}
		if installed = q.version; len(hits) > 0 {
			break
		}
	}
	if len(hits) == 0 {
		return "", true, nil
	}
	o := orderOf(c.Ecosystem)
	root := roots(every)
	groups := merge(every, root)
	fewest := len(merge(hits, root))
	for _, candidates := range o.byStability(installed, o.fixes(installed, every)) {
		for _, candidate := range candidates {
			if left := o.left(candidate, groups, fewest); left < fewest {
				version, fewest = candidate, left
			}
			if fewest == 0 {
				break
			}
		}
		if version != "" {
			break
		}
	}
	return version, fewest == 0, nil
}

// left counts the groups of which a record affects the version, up to most. A
// malicious version is as bad as it gets: nothing is healed by it.
func (o order) left(version string, groups [][]osv.Record, most int) int {
	left := 0
	for _, group := range groups {
		if !slices.ContainsFunc(group, func(r osv.Record) bool { return affects(r, o, version) }) {
			continue
		}
		if left++; left >= most || slices.ContainsFunc(group, malicious) {
			return most
		}
	}
	return left
}
