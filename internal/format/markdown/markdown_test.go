package markdown_test

import (
	"html"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/format/markdown"
)

var hostile = []string{
	"a|b", "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](http://evil/i.png)", "`code`", "**bold** _x_ ~~y~~", "# head", "@someone", "&lt;",
	"http://evil.example", "www.evil.example", "WWW.evil.example", "a@b.example", "\\|", "</pre><b>", "</code>", "$x$", "{{x}}", "^1", ":smile:", "<!-- x",
}

func TestEscape(t *testing.T) {
	for _, text := range hostile {
		got := markdown.Escape(text)
		if strings.ContainsAny(got, "|<>[]`*_~@:\\!{}^$\"") || strings.Contains(strings.ToLower(got), "www.") {
			t.Errorf("%q is written %q", text, got)
		}
		if shown := html.UnescapeString(got); shown != text {
			t.Errorf("%q is shown as %q", text, shown)
		}
	}
	for text, want := range map[string]string{"a\nb\r\n# c": "a b &#35; c", "pyarrow 14.0.1 - (é)": "pyarrow 14.0.1 - (é)", "a\u202eb\x1b": `a&#92;u202eb&#92;u001b`} {
		if got := markdown.Escape(text); got != want {
			t.Errorf("%q is written %q, want %q", text, got, want)
		}
	}
	if got := markdown.Code("a|b"); got != "<code>a&#124;b</code>" {
		t.Errorf("got %q", got)
	}
}

func TestBlock(t *testing.T) {
	if got, want := markdown.Block("a == 'b'", "</pre>\n\n<b>"), "<pre>a == &#39;b&#39;\n&lt;/pre&gt;\\u000a\\u000a&lt;b&gt;</pre>\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzEscape(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := markdown.Escape(text)
		if strings.ContainsAny(got, "|<>[]`*_~@:\\!\n\r") || strings.Contains(strings.ToLower(got), "www.") {
			t.Errorf("%q is written %q", text, got)
		}
	})
}
