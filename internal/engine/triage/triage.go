// Package triage takes findings out of what counts, where VEX statements and
// ignore files say so, and keeps them in the report.
//
// Entry point is [Apply]. It is suspicious: what it cannot tie to exactly this
// target, or what has no effect for another reason, leaves the finding where it
// is, and a note in the report says so. The rules, in order:
//
//   - A statement is about a finding if it names the vulnerability by any alias,
//     and a product that is this target (by digest, or by a pkg:oci package URL
//     with a digest or with the repository's URL), with the component among its
//     subcomponents if it has any; or if the component itself is the product.
//   - A package URL without version fits every version; each qualifier that it
//     has must be the component's.
//   - Of several statements the newest decides, and of those of one time the one
//     that suppresses least. Of several versions of a document only the newest is
//     read. What is dated in the future is not read.
//   - not_affected needs a justification or an impact statement, fixed a version
//     or a digest. affected and under_investigation suppress nothing.
//   - An ignore fits if each of its conditions does; its path must fit all places
//     of the component. After its time it suppresses nothing and is reported as
//     [finding.Expired].
//   - A malicious package (MAL-) is suppressed only by an entry of Assay's own
//     ignore file that names the package; VEX is about vulnerabilities.
//
// What documents say is data; the package opens nothing and has no clock.
package triage

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/vex"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/ignorefile"
)

// skew is how far ahead of ours an author's clock may run.
const skew = 5 * time.Minute

// Rules are what is said about findings; the zero value says nothing.
type Rules struct {
	Documents []vex.Document
	Ignores   []ignorefile.File
}

// Empty says whether there is nothing to apply.
func (r Rules) Empty() bool { return len(r.Documents)+len(r.Ignores) == 0 }

// Apply gives the report with what the rules take out of its findings moved to
// Suppressed, and with Expired and Notes filled. The order of findings stays;
// now is the time of the scan.
func Apply(report finding.Report, rules Rules, now time.Time) finding.Report {
	if rules.Empty() {
		return report
	}
	j := &judge{target: targetOf(report), now: now, seen: map[string]bool{}, purls: map[string]*purl{}}
	statements := j.index(rules.Documents)
	entries := j.entries(rules.Ignores)
	kept := []finding.Finding{}
	for _, f := range report.Findings {
		out := j.vex(f, statements)
		for i := range entries {
			entry := &entries[i]
			if !entry.fits(j, f) {
				continue
			}
			entry.findings++
			if out == nil && !entry.expired {
				out = entry.suppressed(f)
			}
		}
		if out == nil {
			kept = append(kept, f)
		} else {
			report.Suppressed = append(report.Suppressed, *out)
		}
	}
	report.Findings = kept
	for _, entry := range entries {
		switch {
		case entry.expired:
			report.Expired = append(report.Expired, entry.report())
		case entry.findings == 0:
			j.note("%s:%d: %s fits no finding of this scan; remove it, or correct it", entry.path, entry.Line, entry.words())
		}
	}
	j.strangers(statements)
	report.Notes = append(report.Notes, j.all()...)
	return report
}

// judge goes over the findings of one report.
type judge struct {
	target target
	now    time.Time
	notes  []string
	seen   map[string]bool
	purls  map[string]*purl
}

// note keeps a sentence once.
func (j *judge) note(format string, arguments ...any) {
	text := fmt.Sprintf(format, arguments...)
	if !j.seen[text] {
		j.seen[text] = true
		j.notes = append(j.notes, text)
	}
}

// all are the notes, with those over the bound as a number.
func (j *judge) all() []string {
	if more := len(j.notes) - limit.Notes; more > 0 {
		return append(j.notes[:limit.Notes:limit.Notes], fmt.Sprintf("and %d more", more))
	}
	return j.notes
}

// said is a statement with the document that it stands in.
type said struct {
	document  *vex.Document
	statement *vex.Statement
	// named says that its vulnerability was found, used that it was about a
	// finding.
	named, used bool
}

func (s *said) place() string { return s.document.Path + ": " + s.statement.Place }

// index lists statements by every id, in lower case, that they give the
// vulnerability.
func (j *judge) index(documents []vex.Document) map[string][]*said {
	byID := map[string][]*said{}
	for i := range documents {
		d := &documents[i]
		if d.Time.After(j.now.Add(skew)) {
			j.note("%s is dated %s, which is in the future; it is not read", d.Path, d.Time.Format(time.RFC3339))
			continue
		}
		if newer := slices.IndexFunc(documents, func(o vex.Document) bool {
			return o.ID == d.ID && o.ID != "" && o.Time.After(d.Time) && !o.Time.After(j.now.Add(skew))
		}); newer >= 0 {
			j.note("%s is superseded by %s, a later version of the same document; it is not read", d.Path, documents[newer].Path)
			continue
		}
		for k := range d.Statements {
			s := &said{document: d, statement: &d.Statements[k]}
			for _, id := range s.statement.Vulnerability {
				id = strings.ToLower(id)
				if list := byID[id]; len(list) == 0 || list[len(list)-1] != s {
					byID[id] = append(list, s)
				}
			}
		}
	}
	return byID
}

// rank orders statuses from what suppresses to what does not.
func rank(s vex.Status) int {
	return slices.Index([]vex.Status{vex.NotAffected, vex.Fixed, vex.UnderInvestigation, vex.Affected}, s)
}

// vex is what the statements make of a finding, nil where it stays.
func (j *judge) vex(f finding.Finding, statements map[string][]*said) *finding.Suppressed {
	var about []*said
	for _, id := range append([]string{f.ID}, f.Aliases...) {
		for _, s := range statements[strings.ToLower(id)] {
			s.named = true
			if slices.Contains(about, s) || !j.about(s, f.Component) {
				continue
			}
			s.used = true
			if j.counts(s) {
				about = append(about, s)
			}
		}
	}
	if len(about) == 0 {
		return nil
	}
	decides := slices.MaxFunc(about, func(a, b *said) int {
		return cmp.Or(a.statement.Time.Compare(b.statement.Time), cmp.Compare(rank(a.statement.Status), rank(b.statement.Status)))
	})
	s := decides.statement
	switch {
	case s.Status != vex.NotAffected && s.Status != vex.Fixed:
		return nil
	case f.Malicious():
		j.note("%s says %s of %s; a malicious package is no vulnerability, and VEX does not suppress it", decides.place(), s.Status, f.ID)
		return nil
	}
	return &finding.Suppressed{Finding: f, Status: string(s.Status), Justification: s.Justification, Statement: s.Impact,
		By: decides.document.Author, Source: component.Location{Path: decides.document.Path}}
}

// counts says whether a statement that is about a finding may be listened to.
func (j *judge) counts(s *said) bool {
	switch {
	case s.statement.Time.After(j.now.Add(skew)):
		j.note("%s is dated %s, which is in the future; it does not count", s.place(), s.statement.Time.Format(time.RFC3339))
	case s.statement.Status == vex.NotAffected && s.statement.Justification == "" && strings.TrimSpace(s.statement.Impact) == "":
		j.note("%s says not_affected without a justification or an impact statement; it does not count", s.place())
	default:
		return true
	}
	return false
}

// about says whether a statement is about the component in this target.
func (j *judge) about(s *said, c component.Component) bool {
	exact := s.statement.Status == vex.Fixed
	for _, p := range s.statement.Products {
		switch {
		case len(p.Subcomponents) > 0:
			if j.isTarget(p.Reference, false) && slices.ContainsFunc(p.Subcomponents, func(r vex.Reference) bool { return j.isComponent(r, c, false) }) {
				// That the part is fixed in this product needs one of the two to
				// be a version.
				if !exact || j.isTarget(p.Reference, true) || slices.ContainsFunc(p.Subcomponents, func(r vex.Reference) bool { return j.isComponent(r, c, true) }) {
					return true
				}
				j.versionless(s)
			}
		case j.isTarget(p.Reference, exact) || j.isComponent(p.Reference, c, exact):
			return true
		case exact && (j.isTarget(p.Reference, false) || j.isComponent(p.Reference, c, false)):
			j.versionless(s)
		}
	}
	return false
}

func (j *judge) versionless(s *said) {
	s.used = true
	j.note("%s says fixed of a product without a version or a digest; it does not count, because not every version can be fixed", s.place())
}

// strangers notes documents that name vulnerabilities which were found, and
// products that were not.
func (j *judge) strangers(statements map[string][]*said) {
	type stray struct {
		statements int
		label      string
	}
	documents := map[string]*stray{}
	counted := map[*said]bool{}
	for _, list := range statements {
		for _, s := range list {
			if !s.named || s.used || counted[s] {
				continue
			}
			counted[s] = true
			d := documents[s.document.Path]
			if d == nil {
				d = &stray{}
				documents[s.document.Path] = d
			}
			d.statements++
			if label := s.statement.Products[0].Label; d.label == "" || label < d.label {
				d.label = label
			}
		}
	}
	var paths []string
	for path := range documents {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		j.note("%s: %s vulnerabilities that were found, but products that are not this target or its packages, such as %.200q", path, explain.Count(documents[path].statements, "statement names", "statements name"), documents[path].label)
	}
}
