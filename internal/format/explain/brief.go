package explain

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
)

// Essentials is how many characters at the beginning of Brief say the
// essentials: the decision, the image, the first thing that is wrong and what
// heals it. Tools that show little show that much.
const Essentials = 200

// Brief is a verdict in a few lines for a message with a bound, such as what an
// API server says of a denial. The first line is at most Essentials characters;
// then each failure has a line of its own, in the order of verdict.ToDo. Text
// over most bytes is left out, and the end says how much.
func Brief(v verdict.Verdict, most int) string {
	failures := verdict.ToDo(v.Failures())
	if len(failures) == 0 {
		failures = verdict.ToDo(v.Warnings())
	}
	lines := []string{essentials(v, failures)}
	if v.Reason != "" && len(failures) > 0 {
		lines = append(lines, oneLine(v.Reason))
	}
	for i, c := range failures {
		line := fmt.Sprintf("%d. %s, in %s: %s", i+1, title(c), c.Policy, found(c, len(c.Items)))
		if c.Message != "" {
			line += " (" + c.Message + ")"
		}
		if c.Remedy != "" {
			line += "; fix: " + c.Remedy
		}
		lines = append(lines, oneLine(line))
	}
	var b strings.Builder
	for i, line := range lines {
		rest := fmt.Sprintf("\n… and %s; `assay check` shows everything", Count(len(lines)-i, "more line", "more lines"))
		if b.Len()+1+len(line)+len(rest) > most && i > 0 {
			b.WriteString(rest)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(line)
	}
	return clipBytes(b.String(), most)
}

// essentials is the first line.
func essentials(v verdict.Verdict, failures []verdict.Check) string {
	head := heading(v.Decision) + " " + tail(oneLine(v.Reference), 64) + ": "
	if len(failures) == 0 {
		return clip(strings.TrimSuffix(head+oneLine(v.Reason), ": "), Essentials)
	}
	c, more, fix := failures[0], "", ""
	if len(failures) > 1 {
		more = fmt.Sprintf(" (1 of %d problems)", len(failures))
	}
	if c.Remedy != "" {
		fix = "; fix: " + clip(oneLine(c.Remedy), 60)
	}
	room := Essentials - utf8.RuneCountInString(head+fix+more)
	return head + clip(oneLine(title(c)+": "+found(c, 2)), room) + fix + more
}

// found is what a check saw, by name where there are names.
func found(c verdict.Check, items int) string {
	switch {
	case len(c.Items) > items:
		return strings.Join(c.Items[:items], "; ") + fmt.Sprintf("; and %d more", len(c.Items)-items)
	case len(c.Items) > 0:
		return strings.Join(c.Items, "; ")
	case c.Outcome == verdict.Broken:
		return c.Found
	case c.Found == "none":
		return "there is no " + strings.TrimPrefix(strings.TrimPrefix(c.Expected, "an "), "a ")
	}
	return c.Found + ", want " + c.Expected
}

// oneLine is text made safe to print, with single spaces.
func oneLine(text string) string { return Clean(strings.Join(strings.Fields(text), " ")) }

// clip shortens text to some characters, at its end.
func clip(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:max(most-1, 0)]) + "…"
}

// tail shortens text to some characters, at its beginning.
func tail(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return "…" + string(runes[len(runes)-most+1:])
}

// clipBytes shortens text to some bytes, between characters.
func clipBytes(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:max(most-len("…"), 0)], "") + "…"
}
