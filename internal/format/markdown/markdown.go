// Package markdown makes text from outside safe to put into GitHub-flavoured
// Markdown.
//
// Entry points are [Escape] for running text and table cells, and [Block] for
// text that keeps its lines. What comes out shows the same characters and
// means nothing: no emphasis, link, mention, image, HTML, table cell or new
// line. The package writes no documents.
package markdown

import (
	"fmt"
	"html"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/explain"
)

// quiet is the ASCII punctuation that has no meaning inside a line.
const quiet = " ,-/+=%();'"

// Escape is text for the inside of a line or of a table cell. Newlines become
// spaces. CommonMark takes no character reference for structure (0.31, 2.5),
// so that every other sign is written as one.
func Escape(text string) string {
	text = explain.Clean(strings.Join(strings.Fields(text), " "))
	var b strings.Builder
	for i, r := range text {
		switch {
		case r >= 0x80, r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', strings.ContainsRune(quiet, r):
			b.WriteRune(r)
		case r == '.' && !strings.HasSuffix(strings.ToLower(text[:i]), "www"): // www. begins a link
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "&#%d;", r)
		}
	}
	return b.String()
}

// Code is Escape in the typeface of code.
func Code(text string) string { return "<code>" + Escape(text) + "</code>" }

// Block is lines of text, shown as they are, in a block of its own. A line
// that holds a newline becomes one line.
func Block(lines ...string) string {
	var b strings.Builder
	b.WriteString("<pre>")
	for i, line := range lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(html.EscapeString(explain.Clean(line)))
	}
	b.WriteString("</pre>\n")
	return b.String()
}
