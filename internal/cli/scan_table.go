package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/remedy"
)

// maxListed is how many lines the short lists of a table have; what is left
// out is counted, and stands in every other output.
const maxListed = 40

// reportTable prints a report for people: what is wrong, the most urgent
// first, then what could not be tested, and last what to do.
func (h *Host) reportTable(w io.Writer, v view) error {
	fmt.Fprintf(w, "%s: %s\n", clean(v.Target), packages(v.Report))
	for _, s := range v.SBOMs {
		fmt.Fprintf(w, "packages as listed by: %s\n", clean(s.String()))
	}
	fmt.Fprintf(w, "advisories: %s\n", clean(asked(v.Database)))
	if err := h.findings(w, v.Report); err != nil {
		return err
	}
	var suppressed, expired, untested, notes []string
	for _, s := range v.Suppressed {
		suppressed = append(suppressed, suppression(s))
	}
	for _, u := range v.Inventory.Unresolved {
		untested = append(untested, u.Location.String()+": "+u.String())
	}
	for _, e := range v.Expired {
		expired = append(expired, e.Source.String()+": "+e.String()+": "+e.Consequence())
	}
	for _, n := range v.Inventory.Notes {
		notes = append(notes, fmt.Sprintf("%s: %s", n.Location, n.Text))
	}
	head := "not tested"
	if v.RequirePinned {
		head = "not tested, which count (--require-pinned)"
	}
	listed(w, "suppressed", suppressed)
	listed(w, "expired ignores, which count", expired)
	listed(w, head, untested)
	listed(w, "notes", append(notes, v.Notes...))
	heal(w, v.Report)
	_, err := fmt.Fprintf(w, "\n%s\n", v.summary())
	return err
}

// findings prints the tables: one, or for an image whose base is known one of
// what its own layers brought and one of the rest.
func (h *Host) findings(w io.Writer, report finding.Report) error {
	var own, base []finding.Finding
	for _, f := range report.Findings {
		if report.Image.InBase(f.Component) {
			base = append(base, f)
		} else {
			own = append(own, f)
		}
	}
	if len(own) > 0 {
		fmt.Fprintln(w)
		if len(base) > 0 {
			fmt.Fprintln(w, "in this image's own layers:")
		}
		if err := h.findingTable(w, own); err != nil {
			return err
		}
	}
	if len(base) == 0 {
		return nil
	}
	name := ""
	if report.Image.Base != "" {
		name = " (" + clean(report.Image.Base) + ")"
	}
	fmt.Fprintf(w, "\nfrom the base image%s:\n", name)
	return h.findingTable(w, base)
}

// byPackage orders findings by urgency, and keeps those of one package
// together, where its most urgent one stands.
func byPackage(findings []finding.Finding) []finding.Finding {
	sorted := slices.Clone(findings)
	slices.SortStableFunc(sorted, finding.Urgency)
	at := map[string]int{}
	var groups [][]finding.Finding
	for _, f := range sorted {
		k := packageKey(f.Component)
		i, found := at[k]
		if !found {
			i = len(groups)
			at[k] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], f)
	}
	return slices.Concat(groups...)
}

func packageKey(c component.Component) string {
	return strings.Join([]string{c.PURL, c.Name, c.Version, string(c.Dependency), where(c)}, "\x00")
}

// column is one column of the table of findings.
type column struct {
	head string
	cell func(finding.Finding) string
}

// columns are those that say something of some finding.
func columns(findings []finding.Finding) []column {
	list := []column{
		{"SEVERITY", func(f finding.Finding) string { return f.Severity.Level.String() }},
		{"ID", func(f finding.Finding) string { return f.ID }},
	}
	if slices.ContainsFunc(findings, func(f finding.Finding) bool { return f.Threat.Exploited != nil }) {
		list = append(list, column{"KEV", exploited})
	}
	if slices.ContainsFunc(findings, func(f finding.Finding) bool { return f.Threat.EPSS != nil }) {
		list = append(list, column{"EPSS", epss})
	}
	return append(list,
		column{"PACKAGE", func(f finding.Finding) string { return f.Component.Name }},
		column{"INSTALLED", func(f finding.Finding) string { return f.Component.Version }},
		column{"FIXED IN", func(f finding.Finding) string {
			if f.Fixed == "" {
				return "-"
			}
			return f.Fixed
		}},
		column{"WHERE", func(f finding.Finding) string { return where(f.Component) }},
		column{"TITLE", func(f finding.Finding) string { return f.Headline() }})
}

// exploited marks what CISA's catalogue of known exploited vulnerabilities has.
func exploited(f finding.Finding) string {
	switch x := f.Threat.Exploited; {
	case x == nil:
		return ""
	case x.Ransomware:
		return "KEV, ransomware"
	}
	return "KEV"
}

func epss(f finding.Finding) string {
	if f.Threat.EPSS == nil {
		return ""
	}
	return fmt.Sprintf("%.1f%%", 100*f.Threat.EPSS.Probability)
}

func (h *Host) findingTable(w io.Writer, findings []finding.Finding) error {
	sorted := byPackage(findings)
	shown := columns(sorted)
	var header []string
	for _, c := range shown {
		header = append(header, c.head)
	}
	var rows [][]string
	for i, f := range sorted {
		var row []string
		for _, c := range shown {
			cell := clean(c.cell(f))
			repeated := h.OutTerminal && i > 0 && packageKey(f.Component) == packageKey(sorted[i-1].Component)
			if repeated && (c.head == "PACKAGE" || c.head == "INSTALLED" || c.head == "WHERE") {
				cell = ""
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	header, rows = h.fit(header, rows)
	return h.table(w, header, rows, func(row, column int, cell string) string {
		switch header[column] {
		case "SEVERITY":
			return h.paintLevel(sorted[row].Severity.Level, cell)
		case "KEV":
			return h.colour("1;31", cell)
		}
		return cell
	})
}

// Widths of the columns that give way.
const (
	pipedTitle = 100 // where there is no terminal
	leastTitle = 16
	leastPlace = 14
)

// fit cuts titles, and on a narrow terminal places, to the terminal's width,
// each with a mark; a title that has no room at all has no column.
func (h *Host) fit(header []string, rows [][]string) ([]string, [][]string) {
	title, place := len(header)-1, len(header)-2
	if !h.OutTerminal {
		for _, row := range rows {
			row[title] = shorten(row[title], pipedTitle)
		}
		return header, rows
	}
	widths := make([]int, len(header))
	used := 0
	for i := range header {
		for _, row := range append([][]string{header}, rows...) {
			widths[i] = max(widths[i], len([]rune(row[i])))
		}
		if i != title {
			used += widths[i] + 2
		}
	}
	if over := used + leastTitle - h.Width; over > 0 {
		most := max(widths[place]-over, leastPlace)
		for _, row := range rows {
			if text := []rune(row[place]); len(text) > most { // the end of a path says more
				row[place] = "…" + string(text[len(text)-most+1:])
			}
		}
		used -= widths[place] - min(widths[place], most)
	}
	room := h.Width - used
	for i, row := range rows {
		if room < leastTitle {
			rows[i] = row[:title]
		} else {
			row[title] = shorten(row[title], room)
		}
	}
	if room < leastTitle {
		header = header[:title]
	}
	return header, rows
}

func shorten(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return strings.TrimRight(string(runes[:most-1]), " ") + "…"
	}
	return text
}

// listed prints a short list under a head that counts all of it. A line never
// begins with text from outside, which a CI system may take for a command.
func listed(w io.Writer, head string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s (%d):\n", head, len(lines))
	for i, line := range lines {
		if i == maxListed && len(lines) > maxListed+1 {
			fmt.Fprintf(w, "  - and %d more; -o json lists all\n", len(lines)-maxListed)
			return
		}
		fmt.Fprintf(w, "  - %s\n", clean(line))
	}
}

// heal prints the commands and edits that heal the findings.
func heal(w io.Writer, report finding.Report) {
	steps := remedy.Steps(report)
	if len(steps) == 0 {
		return
	}
	fmt.Fprintln(w, "\nwhat heals it:")
	for _, step := range steps {
		for _, line := range step.Lines() {
			fmt.Fprintf(w, "  %s\n", clean(line))
		}
	}
}
