package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// Edit is one change of a line: the first Old at Column or behind it becomes New;
// without Old, New is a line of its own below.
type Edit struct {
	Line, Column int
	Old, New     string
}

// Fix makes the edits of findings in the file's content; everything else stays as
// it is, comments too. It gives the findings that were healed; two that would
// change the same text are not both. An error means that the result would be no
// YAML, or that an edit does not fit the content.
func Fix(name string, content []byte, findings []Finding) (fixed []byte, healed []Finding, err error) {
	lines := strings.Split(string(content), "\n")
	type change struct {
		Edit
		finding int
	}
	var changes []change
	for i, f := range findings {
		for _, e := range f.Edits {
			if slices.ContainsFunc(changes, func(c change) bool { return c.Line == e.Line && (c.Old != "") == (e.Old != "") && c.finding != i }) {
				continue
			}
			changes = append(changes, change{e, i})
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(b.Line, a.Line) })
	done := map[int]bool{}
	for _, c := range changes {
		if c.Line < 1 || c.Line > len(lines) {
			return nil, nil, fmt.Errorf("%s: there is no line %d to change", name, c.Line)
		}
		line := lines[c.Line-1]
		if c.Old == "" {
			lines = slices.Insert(lines, c.Line, c.New)
			done[c.finding] = true
			continue
		}
		start := min(len(line), max(0, c.Column-1))
		at := strings.Index(line[start:], c.Old)
		if at < 0 {
			return nil, nil, fmt.Errorf("%s:%d: %q is not where it should be", name, c.Line, c.Old)
		}
		lines[c.Line-1] = line[:start+at] + c.New + line[start+at+len(c.Old):]
		done[c.finding] = true
	}
	for i, f := range findings {
		if done[i] {
			healed = append(healed, f)
		}
	}
	fixed = []byte(strings.Join(lines, "\n"))
	before, err := strictyaml.Documents(name, content)
	if err != nil {
		return nil, nil, err
	}
	after, err := strictyaml.Documents(name, fixed)
	if err != nil {
		return nil, nil, fmt.Errorf("what --fix would write is not read: %w", err)
	}
	if len(before) != len(after) {
		return nil, nil, fmt.Errorf("%s: --fix would make %d documents of %d", name, len(after), len(before))
	}
	return fixed, healed, nil
}

// edit adds an edit to a finding where the text stands alone on the line of the
// place; elsewhere there is none, and a person has to do it.
func (l *linter) edit(f *Finding, at place, was, now string) {
	line, column, found := l.document.Position(at.path...)
	if !found || was == now {
		return
	}
	l.editAt(f, line, column, was, now)
}

func (l *linter) editAt(f *Finding, line, column int, was, now string) {
	if line < 1 || line > len(l.lines) {
		return
	}
	text := l.lines[line-1]
	start := byteOf(text, column)
	if start < 0 || strings.Count(text[start:], was) != 1 {
		return
	}
	f.Edits = append(f.Edits, Edit{line, start + 1, was, now})
	f.Fixable = true
}

// quoted says whether what stands at a place is in double quotes.
func (l *linter) quoted(at place) bool {
	line, column, found := l.document.Position(at.path...)
	if !found || line < 1 || line > len(l.lines) {
		return false
	}
	start := byteOf(l.lines[line-1], column)
	return start >= 0 && strings.HasPrefix(l.lines[line-1][start:], `"`)
}

// byteOf is the offset of a column, which counts characters; -1 where the line is
// shorter.
func byteOf(line string, column int) int {
	n := 1
	for i := range line {
		if n == column {
			return i
		}
		n++
	}
	if n == column {
		return len(line)
	}
	return -1
}

// beside adds an edit that writes another element below one of a list of plain
// values that stand on lines of their own.
func (l *linter) beside(f *Finding, at place, now string) {
	line, column, found := l.document.Position(at.path...)
	if !found || line < 1 || line > len(l.lines) {
		return
	}
	text := l.lines[line-1]
	start := byteOf(text, column)
	if start < 0 || strings.TrimSpace(text[:start]) != "-" || at.text() == "" {
		return
	}
	written := strings.TrimSpace(strings.SplitN(text[start:], " #", 2)[0])
	quote := ""
	switch written {
	case at.text():
		if strings.HasPrefix(now, "*") {
			quote = `"`
		}
	case `"` + at.text() + `"`:
		quote = `"`
	case "'" + at.text() + "'":
		quote = "'"
	default:
		return
	}
	f.Edits = append(f.Edits, Edit{Line: line, New: text[:start] + quote + now + quote + carriage(text)})
	f.Fixable = true
}

// carriage is the first half of a line end as Windows writes it.
func carriage(line string) string {
	if strings.HasSuffix(line, "\r") {
		return "\r"
	}
	return ""
}
