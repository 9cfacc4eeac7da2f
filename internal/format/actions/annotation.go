// Package actions writes scan reports for GitHub Actions.
//
// Entry points are [Annotate] and, for remarks about files, [Mark], workflow
// commands that mark lines of a pull request, and [Summarise], Markdown for a step's summary. Names, paths and
// titles come from the target and from advisories; none of them can become
// another workflow command, a parameter of one, markup or a link. The package
// knows neither files nor environment.
package actions

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/format/explain"
)

// GitHub percent-decodes workflow commands: these are the characters that end
// a message, or a parameter.
var (
	data     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// command is one workflow command: file and line may be absent.
func command(w io.Writer, level, file string, line int, title string, message []string) error {
	var parameters []string
	if file != "" {
		parameters = append(parameters, "file="+property.Replace(explain.Clean(file)))
		if line > 0 {
			parameters = append(parameters, fmt.Sprintf("line=%d", line))
		}
	}
	parameters = append(parameters, "title="+property.Replace(explain.Clean(title)))
	for i, text := range message {
		message[i] = explain.Clean(text)
	}
	_, err := fmt.Fprintf(w, "::%s %s::%s\n", level, strings.Join(parameters, ","), data.Replace(strings.Join(message, "\n")))
	return err
}

// Mark writes one workflow command for each remark, errors first: GitHub shows
// ten of a level in a step.
func Mark(w io.Writer, remarks []remark.Remark) error {
	sorted := slices.Clone(remarks)
	slices.SortStableFunc(sorted, func(a, b remark.Remark) int { return int(b.Level) - int(a.Level) })
	for _, r := range sorted {
		level := r.Level.String()
		if r.Level == remark.Note {
			level = "notice"
		}
		message := []string{r.Message}
		if r.Fix != "" {
			message = append(message, "Fix: "+r.Fix)
		}
		if err := command(w, level, r.File, r.Line, r.Rule, message); err != nil {
			return err
		}
	}
	return nil
}

// most is how many vulnerabilities one annotation lists; its summary, and every
// other output, lists all.
const most = 10

// Annotate writes one workflow command for each vulnerable package at each
// place of it, the most urgent first: GitHub shows ten of a level in a step.
// Critical and high are errors, medium ones warnings, all others notices. An
// ignore whose time is over is an error in its file. What could not be tested is
// one notice, and one error where the report requires pins. Findings in an image
// mark no file.
func Annotate(w io.Writer, report finding.Report) error {
	for _, p := range packages(report) {
		c := p.component
		title := fmt.Sprintf("%s %s is vulnerable", c.Name, c.Version)
		if p.upgrade != "" {
			title = fmt.Sprintf("%s %s: upgrade to %s", c.Name, c.Version, p.upgrade)
		}
		places := []component.Location{{}}
		if report.Kind != finding.Container && len(c.Locations) > 0 {
			places = c.Locations
		}
		for _, l := range places {
			if c.Dependency != component.Declared {
				l.Line = 0
			}
			if err := command(w, p.level(), l.Path, l.Line, title, p.lines(report)); err != nil {
				return err
			}
		}
	}
	for _, x := range report.Expired {
		if err := command(w, "error", x.Source.Path, x.Source.Line, "the ignore of "+x.ID+" is over", []string{x.String() + ": " + x.Consequence()}); err != nil {
			return err
		}
	}
	unresolved := report.Inventory.Unresolved
	if len(unresolved) == 0 {
		return nil
	}
	var message []string
	for i, u := range unresolved {
		if i == most && len(unresolved) > most+1 {
			message = append(message, fmt.Sprintf("and %d more", len(unresolved)-most))
			break
		}
		message = append(message, u.Location.String()+": "+u.String())
	}
	if len(report.Unpinned()) > 0 {
		return command(w, "error", "", 0, explain.Count(len(unresolved), "not tested, which counts", "not tested, which count"), message)
	}
	return command(w, "notice", "", 0, fmt.Sprintf("%d not tested", len(unresolved)), message)
}

// affected is a package with its findings, the most urgent first.
type affected struct {
	component component.Component
	upgrade   string
	findings  []finding.Finding
}

// packages groups findings by package and place, the most urgent first.
func packages(report finding.Report) []*affected {
	findings := slices.Clone(report.Findings)
	slices.SortStableFunc(findings, finding.Urgency)
	var list []*affected
	for _, f := range findings {
		i := slices.IndexFunc(list, func(p *affected) bool {
			c := p.component
			return c.PURL == f.Component.PURL && c.Name == f.Component.Name && c.Version == f.Component.Version && slices.Equal(c.Locations, f.Component.Locations)
		})
		if i < 0 {
			i = len(list)
			list = append(list, &affected{component: f.Component})
			if u := report.Upgrade(f.Component); u != nil {
				list[i].upgrade = u.To
			}
		}
		list[i].findings = append(list[i].findings, f)
	}
	return list
}

// level is GitHub's word for the worst finding.
func (p *affected) level() string {
	worst := finding.Unknown
	for _, f := range p.findings {
		worst = max(worst, f.Severity.Level)
	}
	switch {
	case worst >= finding.High:
		return "error"
	case worst == finding.Medium:
		return "warning"
	}
	return "notice"
}

func (p *affected) lines(report finding.Report) []string {
	var lines []string
	for i, f := range p.findings {
		if i == most && len(p.findings) > most+1 {
			lines = append(lines, fmt.Sprintf("and %d more", len(p.findings)-most))
			break
		}
		lines = append(lines, f.Line())
	}
	if image := report.Image; image.InBase(p.component) {
		text := "It came with the base image"
		if image.Base != "" {
			text += " (" + image.Base + ")"
		}
		lines = append(lines, text+".")
	}
	if owner := p.component.Owner; owner != "" {
		lines = append(lines, "Its files belong to "+owner+".")
	}
	return lines
}
