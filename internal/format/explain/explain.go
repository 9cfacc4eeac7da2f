// Package explain writes verdicts for people.
//
// Entry points are [Write], [Fold] and [Brief] for a whole verdict, [Checks] for
// its checks alone, [Evidence] for one
// piece of evidence, [Wrap] for a paragraph, [Clean] for any text from outside
// and [Count] for numbers. A denial names everything
// that failed: which policy and check, what was expected, what was found, in
// which evidence by whom and when, and what would fix it. There is no colour,
// and no decision is taken here.
package explain

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
)

// label is how wide the words on the left are.
const label = 10

// Write writes a verdict as plain text, for files and logs: each thing on one
// line, however long. The error is w's.
func Write(w io.Writer, v verdict.Verdict) error { return Fold(w, v, 0) }

// Fold writes what Write writes, with lines folded between words at width
// columns; a width under 40 folds nothing.
func Fold(w io.Writer, v verdict.Verdict, width int) error {
	p := &page{width: width}
	p.fold(heading(v.Decision)+"  ", "  ", v.Reference)
	if !v.Subject.IsZero() {
		p.labelled("  ", "digest", v.Subject.String())
	}
	if v.Pinned != v.Reference && v.Pinned != "" && v.Decision.Admits() {
		p.labelled("  ", "run it as", v.Pinned)
	}
	if len(v.Policies) > 0 {
		p.labelled("  ", "policy", strings.Join(v.Policies, ", "))
	}
	if v.Reason != "" {
		p.labelled("  ", "reason", v.Reason)
	}
	p.checks(v)
	_, err := io.WriteString(w, p.b.String())
	return err
}

// Checks writes what Fold writes of the checks, without a decision: for checks
// that decide nothing.
func Checks(w io.Writer, v verdict.Verdict, width int) error {
	p := &page{width: width}
	p.checks(v)
	_, err := io.WriteString(w, strings.TrimPrefix(p.b.String(), "\n"))
	return err
}

func (p *page) checks(v verdict.Verdict) {
	failures := verdict.ToDo(v.Failures())
	for i, c := range failures {
		p.failure(c, fmt.Sprintf("%d of %d: ", i+1, len(failures)))
	}
	for _, c := range verdict.ToDo(v.Warnings()) {
		p.failure(c, c.Action.String()+": ")
	}
	p.passed(v.Checks)
}

// Wrap gives text, made safe to print, after first, folded between words at
// width columns into lines that begin with next; a width under 40 folds
// nothing. The last line ends too.
func Wrap(first, next, text string, width int) string {
	p := &page{width: width}
	p.fold(first, next, text)
	return p.b.String()
}

func heading(d verdict.Decision) string {
	switch d {
	case verdict.Allow:
		return "ALLOWED"
	case verdict.Warn:
		return "ALLOWED WITH A WARNING"
	case verdict.Fault:
		return "NO VERDICT, NOT ALLOWED"
	case verdict.Deny:
		return "DENIED"
	}
	return fmt.Sprintf("DENIED (%s)", d)
}

// page gathers lines.
type page struct {
	b     strings.Builder
	width int
}

// line writes text after an indent, folded between words; lines that follow
// are indented as far.
func (p *page) line(indent, text string) {
	p.fold(indent, strings.Repeat(" ", utf8.RuneCountInString(indent)), text)
}

func (p *page) labelled(indent, name, text string) {
	head := fmt.Sprintf("%s%-*s ", indent, label, name)
	p.fold(head, strings.Repeat(" ", len(head)), text)
}

func (p *page) fold(first, next, text string) {
	p.b.WriteString(first)
	column, begun := utf8.RuneCountInString(first), false
	for _, word := range strings.Fields(text) {
		word = Clean(word)
		length := utf8.RuneCountInString(word)
		switch {
		case !begun:
		case p.width >= 40 && column+1+length > p.width:
			p.b.WriteString("\n" + next)
			column = utf8.RuneCountInString(next)
		default:
			p.b.WriteByte(' ')
			column++
		}
		begun = true
		p.b.WriteString(word)
		column += length
	}
	p.b.WriteByte('\n')
}

// title names a check within its policy.
func title(c verdict.Check) string {
	name := c.Rule
	if c.Name != "" {
		name += " / " + c.Name
	}
	if c.Platform != "" {
		name += " (" + c.Platform + ")"
	}
	return name
}

func (p *page) failure(c verdict.Check, head string) {
	state := "failed"
	if c.Outcome == verdict.Broken {
		state = "could not be made"
	}
	p.b.WriteByte('\n')
	p.line("  ", fmt.Sprintf("%s%s %s, in %s", head, title(c), state, c.Policy))
	const indent = "    "
	for _, part := range []struct{ name, text string }{{"why", c.Message}, {"expected", c.Expected}, {"found", c.Found}, {"exception", c.Exception}} {
		if part.text != "" {
			p.labelled(indent, part.name, part.text)
		}
	}
	for _, item := range c.Items {
		p.line(indent+strings.Repeat(" ", label)+" - ", item)
	}
	for _, e := range c.Evidence {
		p.labelled(indent, "evidence", Evidence(e))
	}
	if c.Remedy != "" {
		p.labelled(indent, "fix", c.Remedy)
	}
}

// passed writes one line for each check that passed.
func (p *page) passed(checks []verdict.Check) {
	begun := false
	for _, c := range checks {
		if c.Outcome != verdict.Passed && c.Outcome != verdict.Skipped {
			continue
		}
		if !begun {
			begun = true
			p.b.WriteByte('\n')
		}
		text := title(c)
		if c.Found != "" {
			text += ": " + c.Found
		}
		if c.Name == "" {
			for _, e := range c.Evidence {
				text += " (" + Evidence(e) + ")"
			}
		}
		p.labelled("  ", c.Outcome.String(), text)
	}
}

// Evidence is one piece of evidence in one line: type, signer, time, digest,
// and why it does not count where it does not. It may need Clean.
func Evidence(e verdict.Evidence) string {
	var parts []string
	if e.Type != "" {
		parts = append(parts, e.Type)
	}
	if e.Signer != "" {
		parts = append(parts, "signed by "+e.Signer)
	}
	if !e.Time.IsZero() {
		parts = append(parts, e.Time.UTC().Format(time.RFC3339))
	}
	if !e.Digest.IsZero() {
		parts = append(parts, e.Digest.Short())
	}
	text := strings.Join(parts, ", ")
	if e.Rejected != "" {
		text += " does not count: " + e.Rejected
	}
	return strings.TrimSpace(text)
}

// Count is a number with its noun: Count(2, "entry", "entries") is "2 entries".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Clean spells out control characters, and characters that are invisible or
// reorder text, so that what a predicate says cannot write over a denial.
func Clean(text string) string {
	if strings.IndexFunc(text, control) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if control(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// control is C0, DEL and C1, Unicode's format characters (the bidirectional
// controls among them), its line separators, and bytes that are no UTF-8.
func control(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == 0x2028 || r == 0x2029 || r == utf8.RuneError
}
