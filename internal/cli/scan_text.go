package cli

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/explain"
)

// packages says how many packages were found and tested, and how they are known.
func packages(report finding.Report) string {
	components := report.Inventory.Components
	known := map[component.Dependency]int{}
	for _, c := range components {
		known[c.Dependency]++
	}
	var kinds []string
	for _, kind := range []struct {
		dependency component.Dependency
		text       string
	}{{component.Declared, "declared"}, {component.Installed, "installed"}, {component.Packaged, "as files"}} {
		if n := known[kind.dependency]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%d %s", n, kind.text))
		}
	}
	text, in := explain.Count(len(components), "package", "packages"), ""
	if len(kinds) > 0 {
		in = " (" + strings.Join(kinds, ", ") + ")"
	}
	switch untested := len(components) - report.Tested(); {
	case untested == 0:
		return text + " tested" + in
	case untested == len(components):
		return text + in + ", none of them tested"
	default:
		return fmt.Sprintf("%s%s, %d of them not tested", text, in, untested)
	}
}

// asked says which advisories were asked, and how current it was.
func asked(db finding.Database) string {
	if db.Sample {
		return fmt.Sprintf("the built-in SAMPLE of %d, which knows a handful of packages; `assay db update` fetches real ones", db.Records)
	}
	text := fmt.Sprintf("%d of %s, newest of %s", db.Records, strings.Join(db.Ecosystems, ", "), db.LastUpdate.Format(time.DateOnly))
	if !db.Current.IsZero() {
		text += ", known to be current on " + db.Current.Format(time.DateOnly)
	}
	for _, feed := range db.Feeds {
		text += fmt.Sprintf("; %s of %s", feed.Name, feed.Date.Format(time.DateOnly))
	}
	return text
}

// where is a component's place for people, with the line where there is one.
// An installed Python package is where it was installed to.
func where(c component.Component) string {
	var places []string
	for _, l := range c.Locations {
		switch base := path.Base(l.Path); {
		case c.Dependency == component.Declared:
			places = append(places, l.String())
		case base == "METADATA" || base == "PKG-INFO":
			places = append(places, path.Dir(path.Dir(l.Path)))
		default:
			places = append(places, l.Path)
		}
	}
	if len(places) > 2 {
		places = append(places[:2], fmt.Sprintf("and %d more", len(places)-2))
	}
	text := strings.Join(places, ", ")
	if len(c.Groups) > 0 {
		text += " (" + strings.Join(c.Groups, ", ") + ")"
	}
	if c.Owner != "" {
		text += ", of " + c.OwnerName()
	}
	return text
}

func suppression(s finding.Suppressed) string {
	c := s.Finding.Component
	words := []string{s.Status}
	for _, word := range []string{s.Justification, s.Statement} {
		if word != "" {
			words = append(words, word)
		}
	}
	source := s.Source.String()
	if s.By != "" {
		source += ", " + s.By
	}
	if !s.Until.IsZero() {
		source += ", until " + s.Until.UTC().Format("2006-01-02")
	}
	at := where(c)
	if at != "" {
		at = " at " + at
	}
	return fmt.Sprintf("%s %s in %s %s%s: %s (%s)", s.Finding.Severity.Level, s.Finding.ID, c.Name, c.Version, at, strings.Join(words, ", "), source)
}

// summary is the last line: how many, how bad, what was left out, and why the
// command ends as it does.
func (v view) summary() string {
	var notes []string
	exploited := 0
	for _, f := range v.Findings {
		if f.Threat.Exploited != nil {
			exploited++
		}
	}
	untested := "not tested"
	if v.RequirePinned {
		untested = "not tested, " + map[bool]string{true: "which counts", false: "which count"}[len(v.Unpinned()) == 1]
	}
	for _, n := range []struct {
		count int
		text  string
	}{{exploited, "known to be exploited"}, {v.hidden, "left out by --severity or --ignore-unfixed"}, {len(v.Suppressed), "suppressed"},
		{len(v.Expired), "expired"}, {len(v.Inventory.Unresolved), untested}} {
		switch {
		case n.count == 0:
		case n.text == "expired":
			notes = append(notes, explain.Count(n.count, "expired ignore, which counts", "expired ignores, which count"))
		default:
			notes = append(notes, fmt.Sprintf("%d %s", n.count, n.text))
		}
	}
	if v.counted == 0 && len(v.Findings) > 0 {
		notes = append(notes, "none counts (--fail-on "+v.threshold.String()+")")
	}
	text := counts(v.Findings)
	if v.Tested() == 0 {
		text = "nothing was tested"
	}
	if len(v.Findings) == 0 && v.hidden > 0 {
		text = "no vulnerability of those that were asked for"
	}
	return strings.Join(append([]string{text}, notes...), "; ")
}

// counts says how many findings there are of each severity.
func counts(findings []finding.Finding) string {
	if len(findings) == 0 {
		return "no known vulnerability in what was tested"
	}
	var counts [5]int
	for _, f := range findings {
		counts[f.Severity.Level]++
	}
	var parts []string
	for level := finding.Critical; ; level-- {
		if counts[level] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[level], strings.ToLower(level.String())))
		}
		if level == finding.Unknown {
			break
		}
	}
	return explain.Count(len(findings), "vulnerability", "vulnerabilities") + ": " + strings.Join(parts, ", ")
}
