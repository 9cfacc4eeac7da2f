package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// SetScalar replaces the value at a path, which must be there, with a string.
// The value is quoted as the old one was, or where it has to be. An empty
// place ("key:") is filled.
func SetScalar(content []byte, document int, path Path, value string) ([]byte, error) {
	if err := checkValue(path, value); err != nil {
		return nil, err
	}
	f, err := parse(content, document)
	if err != nil {
		return nil, err
	}
	node, err := f.follow(path)
	if err != nil {
		return nil, err
	}
	if node.Kind == yaml.ScalarNode && node.Value == value && node.Tag == "!!str" {
		return slices.Clone(content), nil
	}
	var result []byte
	if node.Kind == yaml.ScalarNode && node.Value == "" && node.Style == 0 && node.Anchor == "" {
		result, err = f.fill(path, value)
	} else {
		var start, end int
		if start, end, err = f.span(node); err == nil {
			result = splice(content, start, end, quote(value, node.Style))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	*node = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
	return f.verify(result, path)
}

// EnsureScalar sets the value at a path, and adds its key where the mapping
// does not have it yet. The mapping itself must be there and not be empty.
func EnsureScalar(content []byte, document int, path Path, value string) ([]byte, error) {
	if err := checkValue(path, value); err != nil {
		return nil, err
	}
	f, err := parse(content, document)
	if err != nil {
		return nil, err
	}
	last := path[len(path)-1]
	parent, err := f.follow(path[:len(path)-1])
	if err != nil {
		return nil, err
	}
	if last.sequence || parent.Kind != yaml.MappingNode {
		return SetScalar(content, document, path, value)
	}
	if key, _ := entry(parent, last.key); key != nil {
		return SetScalar(content, document, path, value)
	}
	result, err := f.insert(parent, quote(last.key, 0)+": "+quote(value, 0))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	added := []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: last.key}, {Kind: yaml.ScalarNode, Tag: "!!str", Value: value}}
	parent.Content = append(parent.Content, added...)
	return f.verify(result, path)
}

// Remove takes an entry with a value on one line out of a mapping, with the
// comment behind it. An entry that is not there is no error; the last entry
// of a mapping is.
func Remove(content []byte, document int, path Path) ([]byte, error) {
	if len(path) == 0 || path[len(path)-1].sequence {
		return nil, fmt.Errorf("path %q: want the key of an entry of a mapping", path)
	}
	f, err := parse(content, document)
	if err != nil {
		return nil, err
	}
	node, err := f.follow(path)
	if errors.Is(err, errMissing) {
		return slices.Clone(content), nil
	}
	if err != nil {
		return nil, err
	}
	parent, err := f.follow(path[:len(path)-1])
	if err != nil {
		return nil, err
	}
	i := slices.Index(parent.Content, node) - 1
	result, err := f.cut(parent, i)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	parent.Content = slices.Delete(parent.Content, i, i+2)
	return f.verify(result, path)
}

func checkValue(path Path, value string) error {
	if len(path) == 0 {
		return errors.New("the path is empty")
	}
	if !utf8.ValidString(value) || strings.ContainsAny(value, "\x00\u0085\u2028\u2029\ufeff") {
		return fmt.Errorf("%s: the value %q cannot be written", path, value)
	}
	return nil
}

func splice(content []byte, start, end int, text string) []byte {
	return slices.Concat(content[:start], []byte(text), content[end:])
}

// fill writes a value behind a key that has none.
func (f *file) fill(path Path, value string) ([]byte, error) {
	last := path[len(path)-1]
	if last.sequence {
		return nil, errors.New("the element is empty; write a value there first")
	}
	parent, err := f.follow(path[:len(path)-1])
	if err != nil {
		return nil, err
	}
	key, _ := entry(parent, last.key)
	_, end, err := f.span(key)
	if err != nil {
		return nil, err
	}
	if end >= len(f.content) || f.content[end] != ':' {
		return nil, fmt.Errorf("line %d: there is no colon behind the key", key.Line)
	}
	return splice(f.content, end+1, end+1, " "+quote(value, 0)), nil
}

// insert adds an entry, "key: value", to a mapping.
func (f *file) insert(parent *yaml.Node, text string) ([]byte, error) {
	if len(parent.Content) == 0 {
		return nil, fmt.Errorf("line %d: the mapping is empty; write an entry there first", parent.Line)
	}
	first := parent.Content[0]
	if parent.Style&yaml.FlowStyle != 0 {
		at, err := f.offset(first)
		if err != nil {
			return nil, err
		}
		return splice(f.content, at, at, text+", "), nil
	}
	for i := len(parent.Content) - 2; i >= 0; i -= 2 {
		key, value := parent.Content[i], parent.Content[i+1]
		if _, _, err := f.span(value); err != nil || key.Line != value.Line || value.Value == "" && value.Style == 0 {
			continue
		}
		end, newline := f.lineEnd(key.Line)
		return splice(f.content, end, end, newline+strings.Repeat(" ", first.Column-1)+text), nil
	}
	at, err := f.offset(first)
	if err != nil {
		return nil, err
	}
	_, newline := f.lineEnd(first.Line)
	return splice(f.content, at, at, text+newline+strings.Repeat(" ", first.Column-1)), nil
}

// lineEnd is where the text of a line ends, and how lines end there.
func (f *file) lineEnd(line int) (end int, newline string) {
	end = len(f.content)
	if line < len(f.lines) {
		end = f.lines[line] - 1
	}
	if end > 0 && end < len(f.content) && f.content[end-1] == '\r' {
		return end - 1, "\r\n"
	}
	if end == len(f.content) && bytes.Contains(f.content, []byte("\r\n")) {
		return end, "\r\n"
	}
	return end, "\n"
}

// cut takes the entry at i out of a mapping.
func (f *file) cut(parent *yaml.Node, i int) ([]byte, error) {
	key, value := parent.Content[i], parent.Content[i+1]
	if len(parent.Content) == 2 {
		return nil, errors.New("is the only entry of its mapping")
	}
	start, err := f.offset(key)
	if err != nil {
		return nil, err
	}
	if key.Anchor != "" || value.Anchor != "" || value.Kind != yaml.ScalarNode || value.Line != key.Line {
		return nil, fmt.Errorf("line %d: the entry does not stand on one line by itself", key.Line)
	}
	end := start
	if value.Value != "" || value.Style != 0 {
		if _, end, err = f.span(value); err != nil {
			return nil, err
		}
	}
	if i+2 < len(parent.Content) { // up to the next key, if that is near
		next, err := f.offset(parent.Content[i+2])
		if err != nil {
			return nil, err
		}
		behind := f.content[end:next]
		if parent.Style&yaml.FlowStyle != 0 || strings.TrimSpace(string(f.content[f.lines[key.Line-1]:start])) != "" {
			if bytes.Contains(behind, []byte("#")) {
				return nil, fmt.Errorf("line %d: a comment stands behind the entry; take the entry out by hand", key.Line)
			}
			return splice(f.content, start, next, ""), nil
		}
	}
	if parent.Style&yaml.FlowStyle != 0 { // the last entry: from the end of the one before
		_, before, err := f.span(parent.Content[i-1])
		if err != nil {
			return nil, err
		}
		if bytes.Contains(f.content[before:start], []byte("#")) {
			return nil, fmt.Errorf("line %d: a comment stands before the entry; take the entry out by hand", key.Line)
		}
		return splice(f.content, before, end, ""), nil
	}
	line := f.lines[key.Line-1]
	if strings.TrimSpace(string(f.content[line:start])) != "" {
		return nil, fmt.Errorf("line %d: the entry does not stand on a line by itself", key.Line)
	}
	after := len(f.content)
	if key.Line < len(f.lines) {
		after = f.lines[key.Line]
	}
	return splice(f.content, line, after, ""), nil
}

// verify parses the result, and compares it with the tree that was changed
// the same way.
func (f *file) verify(result []byte, path Path) ([]byte, error) {
	changed, err := scan(result)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot be changed without breaking the file: %w", path, err)
	}
	if len(changed.documents) != len(f.documents) {
		return nil, fmt.Errorf("%s: cannot be changed without changing other parts of the file", path)
	}
	for i := range f.documents {
		if !same(f.documents[i], changed.documents[i]) {
			return nil, fmt.Errorf("%s: cannot be changed without changing other parts of the file", path)
		}
	}
	return result, nil
}

// same compares trees; a mapping's entries may stand in another order, since
// an entry may be added in the middle.
func same(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.ShortTag() != b.ShortTag() || a.Value != b.Value || a.Anchor != b.Anchor || len(a.Content) != len(b.Content) {
		return false
	}
	if a.Kind != yaml.MappingNode {
		for i := range a.Content {
			if !same(a.Content[i], b.Content[i]) {
				return false
			}
		}
		return true
	}
	index := map[string]int{}
	for i := 0; i+1 < len(b.Content); i += 2 {
		index[b.Content[i].Value] = i
	}
	for i := 0; i+1 < len(a.Content); i += 2 {
		j, found := index[a.Content[i].Value]
		if !found || !same(a.Content[i], b.Content[j]) || !same(a.Content[i+1], b.Content[j+1]) {
			return false
		}
	}
	return true
}

// bare is text that needs no quotes anywhere, in block and in flow style.
var bare = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./@:+-]*$`)

// sexagesimal and words are no strings in YAML 1.1.
var (
	sexagesimal = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$`)
	words       = []string{"y", "n", "yes", "no", "on", "off"}
)

// quote writes a string as the style asks, or more strictly if it must.
func quote(value string, style yaml.Style) string {
	control := strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
	switch {
	case style == yaml.SingleQuotedStyle && !control:
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	case style != yaml.DoubleQuotedStyle && bare.MatchString(value) && !strings.HasSuffix(value, ":") && isString(value):
		return value
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// isString says whether YAML, old and new, reads bare text as a string.
func isString(value string) bool {
	if slices.Contains(words, strings.ToLower(value)) || sexagesimal.MatchString(value) {
		return false
	}
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(value), &node); err != nil || len(node.Content) != 1 {
		return false
	}
	return node.Content[0].Kind == yaml.ScalarNode && node.Content[0].Tag == "!!str" && node.Content[0].Value == value
}
