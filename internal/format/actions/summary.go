package actions

import (
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/markdown"
	"github.com/seed-161fc314/assay/internal/format/remedy"
)

// maxRows is how many lines of a list a summary shows: GitHub refuses a
// summary over 1 MiB. What is left out is counted.
const maxRows = 300

// Summarise writes a report as GitHub-flavoured Markdown: findings by urgency,
// what heals them, what was suppressed and what could not be tested. The error
// is w's.
func Summarise(w io.Writer, report finding.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### assay: %s\n\n", markdown.Escape(report.Target))
	notTested := "not tested"
	if report.RequirePinned {
		notTested = "not tested, which count"
	}
	fmt.Fprintf(&b, "Packages tested: %d, vulnerabilities: %d, suppressed: %d, %s: %d.\n",
		report.Tested(), len(report.Findings), len(report.Suppressed), notTested, len(report.Inventory.Unresolved))
	for _, s := range report.SBOMs {
		fmt.Fprintf(&b, "Packages as listed by: %s.\n", markdown.Escape(s.String()))
	}
	if report.Database.Sample {
		fmt.Fprintf(&b, "**Only the built-in sample of %d advisories was asked.**\n", report.Database.Records)
	} else {
		fmt.Fprintf(&b, "Advisories: %d of %s, the newest of %s", report.Database.Records, markdown.Escape(strings.Join(report.Database.Ecosystems, ", ")), report.Database.LastUpdate.Format("2006-01-02"))
		if current := report.Database.Current; !current.IsZero() {
			b.WriteString(", known to be current on " + current.Format("2006-01-02"))
		}
		b.WriteString(".\n")
	}
	findings := slices.Clone(report.Findings)
	slices.SortStableFunc(findings, finding.Urgency)
	var rows []string
	for _, f := range findings {
		rows = append(rows, row(report, f))
	}
	list(&b, "\n| Severity | Vulnerability | Package | Installed | Fixed in | Where |\n|---|---|---|---|---|---|\n", rows)
	var lines []string
	for _, step := range remedy.Steps(report) {
		lines = append(lines, step.Lines()...)
	}
	if len(lines) > 0 {
		if over := len(lines) - maxRows; over > 0 {
			lines = append(lines[:maxRows], fmt.Sprintf("and %d lines more", over))
		}
		b.WriteString("\nWhat heals it:\n\n" + markdown.Block(lines...))
	}
	rows = nil
	for _, s := range report.Suppressed {
		rows = append(rows, suppression(s))
	}
	list(&b, "\nSuppressed:\n\n", rows)
	rows = nil
	for _, x := range report.Expired {
		rows = append(rows, fmt.Sprintf("- %s: %s: %s\n", markdown.Code(x.Source.String()), markdown.Escape(x.String()), markdown.Escape(x.Consequence())))
	}
	list(&b, "\nExpired ignores, which count:\n\n", rows)
	rows = nil
	for _, u := range report.Inventory.Unresolved {
		text := ""
		if u.String() != u.Reason {
			text = markdown.Code(u.Text) + ": "
		}
		rows = append(rows, fmt.Sprintf("- %s: %s%s\n", markdown.Code(u.Location.String()), text, markdown.Escape(u.Reason)))
	}
	list(&b, "\n"+strings.ToUpper(notTested[:1])+notTested[1:]+":\n\n", rows)
	rows = nil
	for _, n := range report.Inventory.Notes {
		rows = append(rows, fmt.Sprintf("- %s: %s\n", markdown.Code(n.Location.String()), markdown.Escape(n.Text)))
	}
	for _, text := range report.Notes {
		rows = append(rows, "- "+markdown.Escape(text)+"\n")
	}
	list(&b, "\nNotes:\n\n", rows)
	_, err := io.WriteString(w, b.String())
	return err
}

// list writes rows under a head, and nothing where there are none.
func list(b *strings.Builder, head string, rows []string) {
	if len(rows) == 0 {
		return
	}
	b.WriteString(head)
	for _, row := range rows[:min(len(rows), maxRows)] {
		b.WriteString(row)
	}
	if over := len(rows) - maxRows; over > 0 {
		fmt.Fprintf(b, "\nand %d more.\n", over)
	}
}

func row(report finding.Report, f finding.Finding) string {
	c := f.Component
	severity := f.Severity.Level.String()
	if f.Threat.Exploited != nil {
		severity += ", **exploited**"
	}
	if f.Threat.EPSS != nil {
		severity += fmt.Sprintf(", EPSS %.0f%%", 100*f.Threat.EPSS.Probability)
	}
	place := ""
	if len(c.Locations) > 0 {
		place = markdown.Code(c.Locations[0].String())
		if more := len(c.Locations) - 1; more > 0 {
			place += fmt.Sprintf(" and %d more", more)
		}
	}
	if report.Image.InBase(c) {
		place += " (base image)"
	}
	if c.Owner != "" {
		place += ", of " + markdown.Code(c.OwnerName())
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", severity, link(f.ID), markdown.Escape(c.Name), markdown.Escape(c.Version), markdown.Escape(f.Fixed), place)
}

var identifier = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*$`)

// link names a vulnerability; only what looks like an id becomes a link.
func link(id string) string {
	if !identifier.MatchString(id) {
		return markdown.Escape(id)
	}
	return "[" + id + "](https://osv.dev/vulnerability/" + url.PathEscape(id) + ")"
}

func suppression(s finding.Suppressed) string {
	at := ""
	if places := s.Finding.Component.Locations; len(places) > 0 {
		at = " at " + markdown.Code(places[0].String())
	}
	text := fmt.Sprintf("- %s in %s%s: %s", link(s.Finding.ID), markdown.Escape(s.Finding.Component.Name+" "+s.Finding.Component.Version), at, markdown.Escape(s.Status))
	for _, reason := range []string{s.Justification, s.Statement} {
		if reason != "" {
			text += ", " + markdown.Escape(reason)
		}
	}
	text += " (" + markdown.Escape(s.Source.String())
	if !s.Until.IsZero() {
		text += ", until " + s.Until.UTC().Format("2006-01-02")
	}
	return text + ")\n"
}
