package advisory

import (
	"context"
	"slices"
	"strings"

	"github.com/google/osv-scalibr/semantic"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/format/osv"
	"github.com/seed-161fc314/assay/internal/format/pep440"
)

// order compares versions of one ecosystem.
type order struct {
	ecosystem string
	python    bool
}

func orderOf(ecosystem string) order {
	base, _, _ := strings.Cut(ecosystem, ":")
	return order{ecosystem: base, python: base == "PyPI"}
}

// compare orders the installed version against a bound; ok is false where
// they cannot be compared.
func (o order) compare(installed, bound string) (result int, ok bool) {
	if o.python {
		a, errA := pep440.Parse(installed)
		b, errB := pep440.Parse(bound)
		if errB != nil {
			return 0, false // ">=3.8.2" and the like: the bound means nothing
		}
		if errA == nil {
			if !b.HasLocal() {
				a = a.Public()
			}
			return a.Compare(b), true
		}
	}
	v, err := semantic.Parse(installed, o.ecosystem)
	if err != nil {
		return 0, false
	}
	result, err = v.CompareStr(bound)
	return result, err == nil
}

// affected says whether an entry of a record covers the version: it is listed,
// or lies in any of the ranges that speak of versions.
func (o order) affected(a osv.Affected, version string) bool {
	for _, listed := range a.Versions {
		if listed == version {
			return true
		}
		if c, ok := o.compare(version, listed); ok && c == 0 {
			return true
		}
	}
	spoken := false
	for _, r := range a.Ranges {
		if r.Type != "ECOSYSTEM" && r.Type != "SEMVER" {
			continue // commits say nothing about versions
		}
		spoken = true
		if o.inRange(r.Events, version) {
			return true
		}
	}
	// A record without versions and without ranges of versions names the
	// package as such: a malicious one, for example.
	return !spoken && len(a.Versions) == 0
}

// inRange follows "Evaluation" of the OSV schema: events in version order, the
// last one at or before the version decides. Bounds that cannot be compared
// close nothing and open everything.
func (o order) inRange(events []osv.Event, version string) bool {
	type bound struct {
		text  string
		opens bool
		last  bool // last_affected: the bound itself is affected
	}
	var bounds []bound
	opened := false
	for _, e := range events {
		switch {
		case e.Introduced == "0":
			opened = true
		case e.Introduced != "":
			if c, ok := o.compare(version, e.Introduced); !ok || c >= 0 {
				bounds = append(bounds, bound{text: e.Introduced, opens: true})
			}
		case e.Fixed != "":
			if c, ok := o.compare(version, e.Fixed); ok && c >= 0 {
				bounds = append(bounds, bound{text: e.Fixed})
			}
		case e.LastAffected != "":
			if c, ok := o.compare(version, e.LastAffected); ok && c > 0 {
				bounds = append(bounds, bound{text: e.LastAffected, last: true})
			}
		case e.Limit != "" && e.Limit != "*":
			if c, ok := o.compare(version, e.Limit); ok && c >= 0 {
				bounds = append(bounds, bound{text: e.Limit})
			}
		}
	}
	if len(bounds) == 0 {
		return opened
	}
	// Of all bounds at or before the version the greatest decides; an
	// introduced at the same version as a fixed opens again.
	slices.SortStableFunc(bounds, func(a, b bound) int {
		c, ok := o.compare(a.text, b.text)
		if !ok || c != 0 {
			return c
		}
		switch {
		case a.opens == b.opens:
			return 0
		case a.last, b.opens: // [.., 1.0 last_affected] then [1.0 introduced ..]: open
			return -1
		}
		return 1
	})
	return bounds[len(bounds)-1].opens
}

// heal is the smallest version after the installed one at which none of the
// records affects the package any more; "" where no record names one.
func heal(o order, version string, records []osv.Record) string {
	var candidates []string
	for _, r := range records {
		for _, a := range r.Affected {
			for _, ranged := range a.Ranges {
				if ranged.Type != "ECOSYSTEM" && ranged.Type != "SEMVER" {
					continue
				}
				for _, e := range ranged.Events {
					if e.Fixed == "" {
						continue
					}
					if c, ok := o.compare(version, e.Fixed); ok && c < 0 {
						candidates = append(candidates, e.Fixed)
					}
				}
			}
		}
	}
	slices.SortStableFunc(candidates, func(a, b string) int {
		c, _ := o.compare(a, b)
		return c
	})
	for _, candidate := range candidates {
		if !slices.ContainsFunc(records, func(r osv.Record) bool { return affects(r, o, candidate) }) {
			return candidate
		}
	}
	return ""
}

// Upgrade is the smallest version of the component's package at which none of
// its advisories applies; all is false, and the version "" or only better,
// where some have no healing version: then the version heals as many as one
// version can.
func Upgrade(ctx context.Context, c component.Component, source Source) (version string, all bool, err error) {
	hits, every, err := affecting(ctx, c, source)
	if err != nil || len(hits) == 0 {
		return "", err == nil, err
	}
	o := orderOf(c.Ecosystem)
	_, installed := names(c)
	if version := healAmong(o, installed, hits, every); version != "" {
		return version, true, nil
	}
	var healable []osv.Record
	for _, group := range merge(hits, every) {
		if heal(o, installed, group) != "" {
			healable = append(healable, group...)
		}
	}
	return heal(o, installed, healable), false, nil
}

// healAmong is heal, for a version that no other advisory of the package
// affects either.
func healAmong(o order, installed string, hits, every []osv.Record) string {
	if version := heal(o, installed, hits); version == "" || !slices.ContainsFunc(every, func(r osv.Record) bool { return affects(r, o, version) }) {
		return version
	}
	return heal(o, installed, every)
}
