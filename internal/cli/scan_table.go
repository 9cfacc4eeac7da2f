package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
)

// where is a component's place for people, with the line where there is one.
func where(c component.Component) string {
	var places []string
	for _, l := range c.Locations {
		place := l.Path
		if l.Line > 0 && c.Dependency == component.Declared {
			place = fmt.Sprintf("%s:%d", l.Path, l.Line)
		}
		places = append(places, place)
	}
	if len(places) > 2 {
		places = append(places[:2], fmt.Sprintf("and %d more", len(places)-2))
	}
	return strings.Join(places, ", ")
}

// reportTable prints a report for people: worst first, then what to do.
func (h *Host) reportTable(ctx context.Context, w io.Writer, report finding.Report, advisories advisory.Source) error {
	declared := 0
	for _, c := range report.Inventory.Components {
		if c.Dependency == component.Declared {
			declared++
		}
	}
	fmt.Fprintf(w, "%s: %d packages tested (%d declared, %d installed)\n", clean(report.Target), len(report.Inventory.Components), declared, len(report.Inventory.Components)-declared)
	if report.Database.Sample {
		fmt.Fprintf(w, "advisories: the built-in SAMPLE of %d, which knows a handful of packages; import real ones with `assay db import`\n", report.Database.Records)
	} else {
		fmt.Fprintf(w, "advisories: %d, newest of %s\n", report.Database.Records, report.Database.LastUpdate.Format("2006-01-02"))
	}
	if len(report.Findings) > 0 {
		fmt.Fprintln(w)
		if err := h.findingTable(w, report.Findings); err != nil {
			return err
		}
	}
	if err := h.upgrades(ctx, w, report.Findings, advisories); err != nil {
		return err
	}
	notTested(w, report.Inventory.Unresolved)
	fmt.Fprintf(w, "\n%s\n", summary(report.Findings))
	return nil
}

func (h *Host) findingTable(w io.Writer, findings []finding.Finding) error {
	var rows [][]string
	for _, f := range findings {
		fixed := f.Fixed
		if fixed == "" {
			fixed = "-"
		}
		title := clean(f.Title)
		if most := 60; len([]rune(title)) > most {
			title = string([]rune(title)[:most-1]) + "…"
		}
		rows = append(rows, []string{f.Severity.Level.String(), f.ID, f.Component.Name, clean(f.Component.Version), fixed, clean(where(f.Component)), title})
	}
	return h.table(w, []string{"SEVERITY", "ID", "PACKAGE", "INSTALLED", "FIXED IN", "WHERE", "TITLE"}, rows, func(row, column int, cell string) string {
		if column == 0 {
			return h.paintLevel(findings[row].Severity.Level, cell)
		}
		return cell
	})
}

func (h *Host) upgrades(ctx context.Context, w io.Writer, findings []finding.Finding, advisories advisory.Source) error {
	list, err := proposals(ctx, findings, advisories)
	if err != nil || len(list) == 0 {
		return err
	}
	fmt.Fprintln(w, "\nwhat heals it:")
	for _, p := range list {
		fmt.Fprintf(w, "  %s\n", p)
	}
	return nil
}

func notTested(w io.Writer, unresolved []component.Unresolved) {
	if len(unresolved) == 0 {
		return
	}
	fmt.Fprintf(w, "\nnot tested (%d):\n", len(unresolved))
	for _, u := range unresolved {
		place := u.Location.Path
		if u.Location.Line > 0 {
			place = fmt.Sprintf("%s:%d", place, u.Location.Line)
		}
		fmt.Fprintf(w, "  %s: %s: %s\n", clean(place), clean(u.Text), clean(u.Reason))
	}
}

func summary(findings []finding.Finding) string {
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
	word := "vulnerabilities"
	if len(findings) == 1 {
		word = "vulnerability"
	}
	return fmt.Sprintf("%d %s: %s", len(findings), word, strings.Join(parts, ", "))
}
