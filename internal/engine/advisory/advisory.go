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
	"github.com/seed-161fc314/assay/internal/format/explain"
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
	return fmt.Sprintf("no advisories of %s are there, and %s them: nothing was decided; import them with `assay db import`", e.Ecosystem, explain.Count(e.Packages, "package needs", "packages need"))
}

// Match finds the advisories that affect the components, one finding for each
// component and vulnerability, worst first. An uncovered ecosystem is a
// *MissingEcosystemError. Of a Python package that a package of the distribution
// owns, what the distribution's own advisories speak of is left to them: it is
// mended there without changing the version that PyPI's advisories speak of. Who
// owns what may be the word of an SBOM: only a package of a distribution that is
// of the same upstream version is believed to.
func Match(ctx context.Context, inventory component.Inventory, source Source) ([]finding.Finding, error) {
	missing := map[string]int{}
	owners := map[string]component.Component{}
	for _, c := range inventory.Components {
		if !Covers(source, c.Ecosystem) {
			missing[c.Ecosystem]++
		} else if c.Owner == "" && c.PURL != "" && component.Manager(c.Ecosystem) != "" {
			owners[c.PURL] = c
		}
	}
	for _, c := range inventory.Components {
		if n := missing[c.Ecosystem]; n > 0 {
			return nil, &MissingEcosystemError{Ecosystem: c.Ecosystem, Packages: n}
		}
	}
	var parts [][]finding.Finding
	for _, c := range inventory.Components {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found, err := match(ctx, c, source)
		if err != nil {
			return nil, err
		}
		if owner, owned := owners[c.Owner]; owned && len(found) > 0 && component.Repackages(owner.Version, c.Version) {
			spoken, err := spokenOf(ctx, owner, source)
			if err != nil {
				return nil, err
			}
			found = slices.DeleteFunc(found, func(f finding.Finding) bool {
				return spoken[f.ID] || slices.ContainsFunc(f.Aliases, func(id string) bool { return spoken[id] })
			})
		}
		parts = append(parts, found)
	}
	findings := slices.Concat(parts...)
	if findings == nil {
		findings = []finding.Finding{}
	}
	Sort(findings)
	return findings, nil
}

// Sort puts findings into their order: worst first, then package, version, id
// and place.
func Sort(findings []finding.Finding) {
	// Findings are large: pointers are sorted, and each finding moves once.
	sorted := make([]*finding.Finding, len(findings))
	for i := range findings {
		sorted[i] = &findings[i]
	}
	slices.SortStableFunc(sorted, func(a, b *finding.Finding) int {
		if c := cmp.Or(cmp.Compare(b.Severity.Level, a.Severity.Level), cmp.Compare(a.Component.Name, b.Component.Name)); c != 0 {
			return c
		}
		if c := cmp.Or(cmp.Compare(a.Component.Version, b.Component.Version), cmp.Compare(a.ID, b.ID)); c != 0 {
			return c
		}
		return comparePlaces(a.Component, b.Component)
	})
	moved := make([]finding.Finding, len(findings))
	for i, f := range sorted {
		moved[i] = *f
	}
	copy(findings, moved)
}

func comparePlaces(a, b component.Component) int {
	return cmp.Or(cmp.Compare(a.Architecture, b.Architecture), cmp.Compare(a.Dependency, b.Dependency),
		slices.CompareFunc(a.Locations, b.Locations, func(a, b component.Location) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Layer.String(), b.Layer.String()))
		}))
}

// affecting lists the advisories that affect a package, and all that name it;
// those of a Describer are not described.
func affecting(ctx context.Context, ecosystem string, q question, source Source) (hits, all []osv.Record, err error) {
	parts, err := lookup(ctx, source, ecosystem, q.name)
	if err != nil {
		return nil, nil, err
	}
	order := orderOf(ecosystem)
	for _, p := range parts {
		for _, r := range p.records {
			all = append(all, r)
			if affects(r, order, q.version) {
				hits = append(hits, r)
			}
		}
	}
	return hits, all, nil
}

func affects(r osv.Record, order order, version string) bool {
	return slices.ContainsFunc(r.Affected, func(a osv.Affected) bool { return order.affected(a, version) })
}

func match(ctx context.Context, c component.Component, source Source) ([]finding.Finding, error) {
	order := orderOf(c.Ecosystem)
	var findings []finding.Finding
	known := map[string]bool{}
	for _, q := range questions(c) {
		hits, families, root, err := described(ctx, c.Ecosystem, q, source)
		if err != nil {
			return nil, err
		}
		for _, group := range merge(hits, root) {
			f := describe(group, families[root(group[0].ID)])
			if known[f.ID] {
				continue // found by another of its names
			}
			known[f.ID] = true
			f.Component = c
			f.Fixed = heal(order, q.version, group)
			if threats, ok := source.(ThreatSource); ok {
				if f.Threat, err = threats.Threat(ctx, append([]string{f.ID}, f.Aliases...)); err != nil {
					return nil, fmt.Errorf("looking up attacks on %s: %w", f.ID, err)
				}
			}
			findings = append(findings, f)
		}
	}
	return findings, nil
}

// described lists the advisories that affect a package, and by their root those
// about the same vulnerabilities, whether they reach the version or not: one may
// rate what another only reports. All of them are described; the others that
// name the package are not even read in full.
func described(ctx context.Context, ecosystem string, q question, source Source) (hits []osv.Record, families map[string][]osv.Record, root func(string) string, err error) {
	parts, err := lookup(ctx, source, ecosystem, q.name)
	if err != nil {
		return nil, nil, nil, err
	}
	order := orderOf(ecosystem)
	var all []osv.Record
	for _, p := range parts {
		all = append(all, p.records...)
	}
	root = roots(all)
	reached := map[string]bool{}
	for _, r := range all {
		if affects(r, order, q.version) {
			reached[root(r.ID)] = true
		}
	}
	families = map[string][]osv.Record{}
	describer, brief := source.(Describer)
	for _, p := range parts {
		records := slices.DeleteFunc(p.records, func(r osv.Record) bool { return !reached[root(r.ID)] })
		if brief && len(records) > 0 {
			if err := describer.Describe(ctx, p.stream, q.name, records); err != nil {
				return nil, nil, nil, fmt.Errorf("reading the advisories of %s %s: %w", p.stream, q.name, err)
			}
		}
		for _, r := range records {
			families[root(r.ID)] = append(families[root(r.ID)], r)
			if affects(r, order, q.version) {
				hits = append(hits, r)
			}
		}
	}
	return hits, families, root, nil
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
