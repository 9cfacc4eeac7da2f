// Package explain writes verdicts for people.
//
// Entry point is [Write]. A denial names everything that failed: which policy
// and check, what was expected, what was found, in which evidence by whom and
// when, and what would fix it. Text from outside is made harmless for a
// terminal. There is no colour, and no decision is taken here.
package explain

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
)

// Write writes a verdict as plain text.
func Write(w io.Writer, v verdict.Verdict) error {
	b := &strings.Builder{}
	heading := map[verdict.Decision]string{verdict.Allow: "ALLOWED", verdict.Warn: "ALLOWED, WITH WARNINGS", verdict.Deny: "DENIED", verdict.Fault: "NO VERDICT"}[v.Decision]
	fmt.Fprintf(b, "%s  %s\n", heading, Clean(v.Reference))
	if !v.Subject.IsZero() {
		fmt.Fprintf(b, "  digest   %s\n", v.Subject)
	}
	if len(v.Policies) > 0 {
		fmt.Fprintf(b, "  policy   %s\n", Clean(strings.Join(v.Policies, ", ")))
	}
	if v.Reason != "" {
		fmt.Fprintf(b, "  reason   %s\n", Clean(v.Reason))
	}
	failures := v.Failures()
	for i, c := range failures {
		failure(b, c, i+1, len(failures))
	}
	passed(b, v.Checks)
	_, err := io.WriteString(w, b.String())
	return err
}

func failure(b *strings.Builder, c verdict.Check, number, of int) {
	name := c.Rule
	if c.Name != "" {
		name += " / " + c.Name
	}
	if c.Platform != "" {
		name += " (" + c.Platform + ")"
	}
	state := "failed"
	if c.Outcome == verdict.Broken {
		state = "could not be made"
	}
	fmt.Fprintf(b, "\n  %d of %d  %s %s, in %s\n", number, of, Clean(name), state, Clean(c.Policy))
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(b, "    %-9s %s\n", label, Clean(text))
		}
	}
	line("why", c.Message)
	line("expected", c.Expected)
	line("found", c.Found)
	for _, item := range c.Items {
		fmt.Fprintf(b, "              - %s\n", Clean(item))
	}
	for _, e := range c.Evidence {
		line("evidence", Evidence(e))
	}
	line("fix", c.Remedy)
}

// Evidence is one piece of evidence in one line.
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
	parts = append(parts, e.Digest.Short())
	if e.Rejected != "" {
		parts = append(parts, "does not count: "+e.Rejected)
	}
	return strings.Join(parts, ", ")
}

func passed(b *strings.Builder, checks []verdict.Check) {
	first := true
	for _, c := range checks {
		if c.Outcome != verdict.Passed && c.Outcome != verdict.Skipped {
			continue
		}
		if first {
			b.WriteString("\n  passed:\n")
			first = false
		}
		name := c.Rule
		if c.Name != "" {
			name += " / " + c.Name
		}
		if c.Platform != "" {
			name += " (" + c.Platform + ")"
		}
		fmt.Fprintf(b, "    %s", Clean(name))
		if c.Name == "" && len(c.Evidence) > 0 {
			fmt.Fprintf(b, ": %s", Clean(Evidence(c.Evidence[0])))
		}
		b.WriteString("\n")
	}
}

// Clean shows control characters and characters that reorder text as what
// they are, so that a predicate cannot write over a denial.
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

// control is C0, DEL, C1, and the bidirectional controls of Unicode.
func control(r rune) bool {
	return r < 0x20 || r >= 0x7f && r <= 0x9f || r == 0x200e || r == 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
