// Package advisory matches an inventory against advisories.
//
// Entry points are [Match] and [Upgrade]. Versions are compared by order, as
// OSV's events mean it, never by installer rules. A local label
// ("1.13.0+cpu") is compared by its public part, unless the event has a label
// of its own. What cannot be compared counts as affected: a scanner that
// shrugs is worse than one that errs on the loud side.
//
// The package fetches nothing. An ecosystem that the source does not cover is
// an error, never "no findings".
package advisory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

// Source is where advisories come from.
type Source interface {
	// Covers says whether advisories of the ecosystem are there at all.
	Covers(ecosystem string) bool
	// Lookup lists the advisories that name a package, with their affected
	// entries of that package alone; the name is spelled as the ecosystem
	// normalises it.
	Lookup(ctx context.Context, ecosystem, name string) ([]osv.Record, error)
}

// Describer is a Source that reads what matching needs first, and the rest only
// of what was found.
type Describer interface {
	Source
	// Brief is Lookup without dates, texts, references and ratings.
	Brief(ctx context.Context, ecosystem, name string) ([]osv.Record, error)
	// Describe fills them in, for records that Brief listed of the package.
	Describe(ctx context.Context, ecosystem, name string, records []osv.Record) error
}

// ThreatSource is a Source that knows of attacks. No entry is no error.
type ThreatSource interface {
	// Threat is what is known of a vulnerability with these ids.
	Threat(ctx context.Context, ids []string) (finding.Threat, error)
}

// MissingEcosystemError says that components could not be tested because the
// source has no advisories of their ecosystem.
type MissingEcosystemError struct {
	Ecosystem string
	// Packages is how many components are concerned.
	Packages int
}

// Error names the ecosystem and what to do.
func (e *MissingEcosystemError) Error() string {
	return fmt.Sprintf("no advisories of %s are there, and %d packages need them: nothing was decided; import them with `assay db import`", e.Ecosystem, e.Packages)
}

// Match finds the advisories that affect the components, one finding for each
// component and vulnerability, worst first. An uncovered ecosystem is a
// *MissingEcosystemError.
func Match(ctx context.Context, inventory component.Inventory, source Source) ([]finding.Finding, error) {
	missing := map[string]int{}
	for _, c := range inventory.Components {
		if !source.Covers(c.Ecosystem) {
			missing[c.Ecosystem]++
		}
	}
	for _, c := range inventory.Components {
		if n := missing[c.Ecosystem]; n > 0 {
			return nil, &MissingEcosystemError{Ecosystem: c.Ecosystem, Packages: n}
		}
	}
	findings := []finding.Finding{}
	for _, c := range inventory.Components {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found, err := match(ctx, c, source)
		if err != nil {
			return nil, err
		}
		findings = append(findings, found...)
	}
	Sort(findings)
	return findings, nil
}

// Sort puts findings into their order: worst first, then package, version, id
// and place.
func Sort(findings []finding.Finding) {
	slices.SortStableFunc(findings, func(a, b finding.Finding) int {
		return cmp.Or(cmp.Compare(b.Severity.Level, a.Severity.Level), cmp.Compare(a.Component.Name, b.Component.Name),
			cmp.Compare(a.Component.Version, b.Component.Version), cmp.Compare(a.ID, b.ID), comparePlaces(a.Component, b.Component))
	})
}

func comparePlaces(a, b component.Component) int {
	return cmp.Or(cmp.Compare(a.Architecture, b.Architecture), cmp.Compare(a.Dependency, b.Dependency),
		slices.CompareFunc(a.Locations, b.Locations, func(a, b component.Location) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Layer.String(), b.Layer.String()))
		}))
}

// names is how advisories call a component: distributions speak of source
// packages.
func names(c component.Component) (name, version string) {
	if c.SourceName == "" {
		return c.Name, c.Version
	}
	return c.SourceName, cmp.Or(c.SourceVersion, c.Version)
}

// affecting lists the advisories that affect the component, and all that name
// its package; those of a Describer are not described yet.
func affecting(ctx context.Context, c component.Component, source Source) (hits, all []osv.Record, err error) {
	name, version := names(c)
	lookup := source.Lookup
	if describer, ok := source.(Describer); ok {
		lookup = describer.Brief
	}
	all, err = lookup(ctx, c.Ecosystem, name)
	if err != nil {
		return nil, nil, fmt.Errorf("looking up %s %s: %w", c.Ecosystem, name, err)
	}
	all = slices.DeleteFunc(all, func(r osv.Record) bool { return !r.Withdrawn.IsZero() })
	order := orderOf(c.Ecosystem)
	for _, r := range all {
		if affects(r, order, version) {
			hits = append(hits, r)
		}
	}
	return hits, all, nil
}

func affects(r osv.Record, order order, version string) bool {
	return slices.ContainsFunc(r.Affected, func(a osv.Affected) bool { return order.affected(a, version) })
}

func match(ctx context.Context, c component.Component, source Source) ([]finding.Finding, error) {
	hits, all, err := affecting(ctx, c, source)
	if err != nil {
		return nil, err
	}
	order := orderOf(c.Ecosystem)
	name, version := names(c)
	if describer, ok := source.(Describer); ok && len(hits) > 0 {
		if err := describer.Describe(ctx, c.Ecosystem, name, hits); err != nil {
			return nil, fmt.Errorf("reading the advisories of %s %s: %w", c.Ecosystem, name, err)
		}
	}
	var findings []finding.Finding
	root := roots(all)
	families := map[string][]osv.Record{}
	for _, r := range all {
		families[root(r.ID)] = append(families[root(r.ID)], r)
	}
	for _, group := range merge(hits, root) {
		f := describe(group, families[root(group[0].ID)])
		f.Component = c
		f.Fixed = heal(order, version, group)
		if threats, ok := source.(ThreatSource); ok {
			if f.Threat, err = threats.Threat(ctx, append([]string{f.ID}, f.Aliases...)); err != nil {
				return nil, fmt.Errorf("looking up attacks on %s: %w", f.ID, err)
			}
		}
		findings = append(findings, f)
	}
	return findings, nil
}

// roots gives, by union-find, one id for all that are of one vulnerability:
// those of records that share an id or an alias, directly or through any record
// of the package.
func roots(all []osv.Record) func(id string) string {
	parent := map[string]string{}
	var root func(string) string
	root = func(id string) string {
		up, known := parent[id]
		if !known || up == id {
			return id
		}
		top := root(up)
		parent[id] = top
		return top
	}
	for _, r := range all {
		for _, alias := range aliases(r) {
			parent[root(alias)] = root(r.ID)
		}
	}
	return root
}

// merge puts records of one vulnerability together. Groups come in the order of
// their first record.
func merge(hits []osv.Record, root func(string) string) [][]osv.Record {
	groups := map[string][]osv.Record{}
	var keys []string
	for _, r := range hits {
		key := root(r.ID)
		if groups[key] == nil {
			keys = append(keys, key)
		}
		groups[key] = append(groups[key], r)
	}
	merged := make([][]osv.Record, 0, len(keys))
	for _, key := range keys {
		merged = append(merged, groups[key])
	}
	return merged
}

// aliases are the other ids of a record's vulnerability. A distribution's
// record of one CVE ("DEBIAN-CVE-2024-1") has it under upstream instead; other
// advisories of distributions are about several.
func aliases(r osv.Record) []string {
	list := slices.Clone(r.Aliases)
	for _, upstream := range r.Upstream {
		if strings.HasSuffix(r.ID, "-"+upstream) {
			list = append(list, upstream)
		}
	}
	return list
}

// describe merges what the records of one vulnerability say about it. How bad
// it is, and its title, the whole family knows: also a record whose range does
// not reach the version.
func describe(group, family []osv.Record) finding.Finding {
	var ids []string
	for _, r := range group {
		ids = append(append(ids, r.ID), aliases(r)...)
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(idRank(a), idRank(b)), cmp.Compare(a, b)) })
	ids = slices.Compact(ids)
	f := finding.Finding{ID: ids[0], Aliases: slices.Clone(ids[1:])}
	slices.Sort(f.Aliases)
	for _, r := range family {
		for _, rating := range r.Ratings() {
			if !slices.Contains(f.Ratings, rating) {
				f.Ratings = append(f.Ratings, rating)
			}
		}
	}
	for _, r := range append(group[:len(group):len(group)], family...) {
		f.Title = cmp.Or(f.Title, r.Summary)
	}
	for _, r := range group {
		f.Details = cmp.Or(f.Details, r.Details)
		f.Weaknesses = append(f.Weaknesses, r.Database.Weaknesses...)
		for _, reference := range r.References {
			f.References = append(f.References, reference.URL)
		}
		if f.Published.IsZero() || !r.Published.IsZero() && r.Published.Before(f.Published) {
			f.Published = r.Published
		}
		if r.Modified.After(f.Modified) {
			f.Modified = r.Modified
		}
	}
	slices.Sort(f.Weaknesses)
	slices.Sort(f.References)
	f.Weaknesses, f.References = slices.Compact(f.Weaknesses), slices.Compact(f.References)
	f.Severity = severity(f.Ratings)
	if slices.ContainsFunc(group, malicious) {
		// Also where the record of the malicious package itself is not there.
		f.Severity = finding.Severity{Level: finding.Critical, Source: osv.Source("MAL-")}
	}
	return f
}

// malicious says whether a record is about a malicious package, by its id or an
// alias.
func malicious(r osv.Record) bool {
	return strings.HasPrefix(r.ID, "MAL-") || slices.ContainsFunc(r.Aliases, func(id string) bool { return strings.HasPrefix(id, "MAL-") })
}

// idRank puts the CVE first, then GitHub's id, then the rest.
func idRank(id string) int {
	switch {
	case strings.HasPrefix(id, "CVE-"):
		return 0
	case strings.HasPrefix(id, "MAL-"):
		return 1
	case strings.HasPrefix(id, "GHSA-"):
		return 2
	case strings.HasPrefix(id, "PYSEC-"):
		return 3
	}
	return 4
}

// severity chooses the rating that counts. A reviewed word or vector of
// GitHub's goes before one that was copied; a malicious package before all.
func severity(ratings []finding.Severity) finding.Severity {
	rank := func(s finding.Severity) int {
		at := slices.Index([]string{"malicious-packages", "ghsa", "nvd", "debian", "ubuntu", "pypa"}, s.Source)
		if at < 0 {
			at = 9
		}
		// A vector says more than a word; version 4 comes after 3, which is
		// what other tools show.
		switch {
		case strings.HasPrefix(s.Vector, "CVSS:3"):
			return at * 4
		case strings.HasPrefix(s.Vector, "CVSS:4"):
			return at*4 + 1
		case s.Vector != "":
			return at*4 + 2
		}
		return at*4 + 3
	}
	best := finding.Severity{}
	for _, rating := range ratings {
		// Two of the same rank: the worse one, in whatever order they came.
		if c := cmp.Compare(rank(rating), rank(best)); best.Source == "" || c < 0 || c == 0 && worse(rating, best) {
			best = rating
		}
	}
	return best
}

func worse(a, b finding.Severity) bool {
	return cmp.Or(cmp.Compare(a.Score, b.Score), cmp.Compare(a.Level, b.Level), cmp.Compare(b.Vector, a.Vector)) > 0
}
