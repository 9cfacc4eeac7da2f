package triage

import (
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/ignorefile"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// entry is an ignore at work.
type entry struct {
	ignorefile.Entry
	path     string
	legacy   bool
	paths    []*regexp.Regexp
	expired  bool
	findings int
}

func (j *judge) entries(files []ignorefile.File) []entry {
	var list []entry
	for _, f := range files {
		unexplained := 0
		for _, note := range f.Notes {
			j.note("%s", note)
		}
		for _, e := range f.Entries {
			at := entry{Entry: e, path: f.Path, legacy: f.Legacy, expired: !e.Expires.IsZero() && !j.now.Before(e.Expires)}
			for _, pattern := range e.Paths {
				at.paths = append(at.paths, glob(pattern))
			}
			if e.Reason == "" {
				unexplained++
			}
			list = append(list, at)
		}
		if unexplained > 0 {
			j.note("%s: %s no reason; %s wants one for each", f.Path, explain.Count(unexplained, "entry says", "entries say"), ignorefile.DefaultName)
		}
	}
	return list
}

// fits says whether every condition of the entry holds for the finding.
func (e *entry) fits(j *judge, f finding.Finding) bool {
	if !strings.EqualFold(e.ID, f.ID) && !slices.ContainsFunc(f.Aliases, func(id string) bool { return strings.EqualFold(id, e.ID) }) {
		return false
	}
	c := f.Component
	if e.Package != "" && normal(c.Ecosystem, e.Package) != normal(c.Ecosystem, c.Name) {
		return false
	}
	if len(e.PURLs) > 0 && !slices.ContainsFunc(e.PURLs, func(text string) bool { return j.parse(text).names(c, j.parse(c.PURL)) }) {
		return false
	}
	if !e.Versions.Empty() {
		v, err := pep440.Parse(c.Version)
		if c.Ecosystem != pydist.Ecosystem || err != nil || !e.Versions.Contains(v) {
			return false
		}
	}
	if len(e.paths) > 0 && (len(c.Locations) == 0 || slices.ContainsFunc(c.Locations, func(l component.Location) bool { return !e.covers(l.Path) })) {
		return false
	}
	if f.Malicious() && (e.legacy || e.Package == "" && len(e.PURLs) == 0) {
		j.note("%s:%d: %s does not suppress the malicious package %s: that takes an entry of %s that names the package", e.path, e.Line, e.words(), c.Name, ignorefile.DefaultName)
		return false
	}
	return true
}

func (e *entry) covers(place string) bool {
	return slices.ContainsFunc(e.paths, func(p *regexp.Regexp) bool { return p.MatchString(place) })
}

func (e *entry) suppressed(f finding.Finding) *finding.Suppressed {
	return &finding.Suppressed{Finding: f, Status: "ignored", Statement: e.Reason, By: e.Owner,
		Source: component.Location{Path: e.path, Line: e.Line}, Until: e.Expires}
}

func (e *entry) report() finding.Expired {
	return finding.Expired{ID: e.ID, Scope: e.scope(), Reason: e.Reason, Owner: e.Owner, Ended: e.Expires,
		Source: component.Location{Path: e.path, Line: e.Line}, Findings: e.findings}
}

// words is what the entry asks for.
func (e *entry) words() string {
	return strings.TrimSuffix(e.ID+" "+e.scope(), " ")
}

func (e *entry) scope() string {
	var words []string
	switch {
	case e.Package != "":
		words = append(words, "of "+e.Package)
	case len(e.PURLs) > 0:
		words = append(words, "of "+strings.Join(e.PURLs, " or "))
	}
	if len(e.Paths) > 0 {
		words = append(words, "in "+strings.Join(e.Paths, " or "))
	}
	return strings.Join(words, " ")
}

// glob is a pattern of paths: * and ? stay within a directory, ** does not.
func glob(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A`)
	for i := 0; i < len(pattern); {
		switch rest := pattern[i:]; {
		case strings.HasPrefix(rest, "**/"):
			b.WriteString(`(?:.*/)?`)
			i += 3
		case strings.HasPrefix(rest, "**"):
			b.WriteString(`.*`)
			i += 2
		case rest[0] == '*':
			b.WriteString(`[^/]*`)
			i++
		case rest[0] == '?':
			b.WriteString(`[^/]`)
			i++
		default:
			end := strings.IndexAny(rest, "*?")
			if end < 0 {
				end = len(rest)
			}
			b.WriteString(regexp.QuoteMeta(rest[:end]))
			i += end
		}
	}
	// Every part is quoted or one of the four above, so it compiles.
	return regexp.MustCompile(`(?s)` + b.String() + `\z`)
}
