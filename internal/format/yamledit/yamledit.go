// Package yamledit changes single values in YAML files and keeps every other
// byte: comments, order, quotes, indentation and line ends.
//
// Entry points are [SetScalar], which replaces a value, [EnsureScalar], which
// adds it where it is missing, [Remove], which takes an entry out of a
// mapping, and [Scalar] and [Len], which look. Places are named by a document,
// counted from 0, and a [Path]; [ParsePath] reads the dotted form.
//
// Only values on one line are changed. A block scalar (| or >), a value over
// several lines, an anchor, an alias, a tag or a merge key on the way is an
// error: to change what is written elsewhere, or in several places, is not
// this package's work. After each change the result is parsed again and
// compared with the original; anything that differs beside the place asked
// for is an error, and nothing is returned.
//
// The package formats nothing and knows no schema. It follows YAML 1.2 as
// go.yaml.in/yaml/v3 reads it, and quotes what YAML 1.1 would not read as a
// string.
package yamledit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// Step is one step of a Path: a key of a mapping, or an index of a sequence.
type Step struct {
	key      string
	index    int
	sequence bool
}

// Key is the step to a mapping's entry, Index to a sequence's, counted from 0.
func Key(name string) Step { return Step{key: name} }

// Index is the step to an element of a sequence, counted from 0.
func Index(i int) Step { return Step{index: i, sequence: true} }

// Path leads from the root of a document to a value.
type Path []Step

// String is the form that ParsePath reads.
func (p Path) String() string {
	var b strings.Builder
	for i, step := range p {
		switch {
		case step.sequence:
			fmt.Fprintf(&b, "[%d]", step.index)
			continue
		case i > 0:
			b.WriteByte('.')
		}
		b.WriteString(strings.NewReplacer(`\`, `\\`, ".", `\.`, "[", `\[`).Replace(step.key))
	}
	return b.String()
}

// ParsePath reads "image.repository" and "containers[0].image". A dot or an
// opening bracket that belongs to a key has a backslash before it.
func ParsePath(text string) (Path, error) {
	var path Path
	var key strings.Builder
	open := true // a key may or must come next
	wrong := func(why string) (Path, error) { return nil, fmt.Errorf("path %q: %s", text, why) }
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			if i+1 == len(text) {
				return wrong("ends in a backslash")
			}
			i++
			key.WriteByte(text[i])
		case '.':
			if key.Len() == 0 && open {
				return wrong("a key is empty")
			}
			if key.Len() > 0 {
				path = append(path, Key(key.String()))
				key.Reset()
			}
			open = true
		case '[':
			if key.Len() > 0 {
				path = append(path, Key(key.String()))
				key.Reset()
			} else if open && len(path) > 0 {
				return wrong("a key is empty")
			}
			end := strings.IndexByte(text[i:], ']')
			if end < 0 {
				return wrong("[ is not closed")
			}
			index, err := strconv.ParseUint(text[i+1:i+end], 10, 31)
			if err != nil {
				return wrong("want a number in [ ]")
			}
			path = append(path, Index(int(index)))
			i += end
			open = false
		default:
			if !open && key.Len() == 0 {
				return wrong("want . or [ after ]")
			}
			key.WriteByte(c)
		}
	}
	if key.Len() > 0 {
		path = append(path, Key(key.String()))
	} else if open {
		return wrong("a key is empty")
	}
	return path, nil
}

// Scalar is the value at a path. Found is false where the path leads nowhere;
// a mapping, a sequence or null there is an error.
func Scalar(content []byte, document int, path Path) (value string, found bool, err error) {
	f, err := parse(content, document)
	if err != nil {
		return "", false, err
	}
	node, err := f.follow(path)
	if errors.Is(err, errMissing) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		return "", false, fmt.Errorf("line %d: %s is no single value", node.Line, path)
	}
	return node.Value, true, nil
}

// Len is how many elements the sequence at a path has; 0 where the path leads
// nowhere. Anything but a sequence there is an error.
func Len(content []byte, document int, path Path) (int, error) {
	f, err := parse(content, document)
	if err != nil {
		return 0, err
	}
	node, err := f.follow(path)
	if errors.Is(err, errMissing) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if node.Kind != yaml.SequenceNode {
		return 0, fmt.Errorf("line %d: %s is no list", node.Line, path)
	}
	return len(node.Content), nil
}

// file is a parsed file with its bytes.
type file struct {
	content   []byte
	documents []*yaml.Node
	root      *yaml.Node
	// lines are the offsets at which lines start.
	lines []int
}

var errMissing = errors.New("is not there")

// parse reads a file and chooses a document of it.
func parse(content []byte, document int) (*file, error) {
	f, err := scan(content)
	if err != nil {
		return nil, err
	}
	if document < 0 || document >= len(f.documents) || len(f.documents[document].Content) == 0 {
		return nil, fmt.Errorf("the file has no document %d (counted from 0); it has %d", document, len(f.documents))
	}
	f.root = f.documents[document].Content[0]
	return f, nil
}

func scan(content []byte) (*file, error) {
	if int64(len(content)) > limit.Policy {
		return nil, &limit.Error{What: "the file", Bound: limit.Policy, Unit: "bytes"}
	}
	if !utf8.Valid(content) {
		return nil, errors.New("the file is not UTF-8")
	}
	// YAML breaks lines at these too, which editors do not show.
	for _, odd := range []string{"\ufeff", "\u0085", "\u2028", "\u2029"} {
		if i := bytes.Index(content, []byte(odd)); i >= 0 {
			return nil, fmt.Errorf("the file has a %U character at byte %d; it is not edited", []rune(odd)[0], i)
		}
	}
	if bytes.Contains(bytes.ReplaceAll(content, []byte("\r\n"), nil), []byte("\r")) {
		return nil, errors.New("the file has a carriage return without a line feed; it is not edited")
	}
	// Bounds, keys given twice and merge keys are strictyaml's to refuse.
	if _, err := strictyaml.Documents("the file", content); err != nil {
		return nil, err
	}
	f := &file{content: content, lines: []int{0}}
	for i, c := range content {
		if c == '\n' {
			f.lines = append(f.lines, i+1)
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return f, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the file: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
		f.documents = append(f.documents, &node)
	}
}

// follow finds the node at a path. Aliases are not followed.
func (f *file) follow(path Path) (*yaml.Node, error) {
	node := f.root
	for i, step := range path {
		at := path[:i+1]
		switch {
		case node.Kind == yaml.AliasNode:
			return nil, fmt.Errorf("line %d: %s is an alias; change what it stands for", node.Line, path[:i])
		case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
			return nil, fmt.Errorf("%s %w", at, errMissing)
		case step.sequence && node.Kind != yaml.SequenceNode:
			return nil, fmt.Errorf("line %d: %s is no list", node.Line, path[:i])
		case !step.sequence && node.Kind != yaml.MappingNode:
			return nil, fmt.Errorf("line %d: %s is no mapping", node.Line, path[:i])
		case step.sequence:
			if step.index < 0 || step.index >= len(node.Content) {
				return nil, fmt.Errorf("%s %w", at, errMissing)
			}
			node = node.Content[step.index]
		default:
			_, value := entry(node, step.key)
			if value == nil {
				return nil, fmt.Errorf("%s %w", at, errMissing)
			}
			node = value
		}
	}
	return node, nil
}

// entry is the key and the value of a mapping's entry, or nil.
func entry(node *yaml.Node, key string) (k, v *yaml.Node) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Kind == yaml.ScalarNode && node.Content[i].Value == key {
			return node.Content[i], node.Content[i+1]
		}
	}
	return nil, nil
}

// offset is where a node starts. Columns count characters.
func (f *file) offset(node *yaml.Node) (int, error) {
	if node.Line < 1 || node.Line > len(f.lines) {
		return 0, fmt.Errorf("line %d is not in the file", node.Line)
	}
	at := f.lines[node.Line-1]
	for range node.Column - 1 {
		if at >= len(f.content) {
			return 0, fmt.Errorf("line %d has no column %d", node.Line, node.Column)
		}
		_, size := utf8.DecodeRune(f.content[at:])
		at += size
	}
	return at, nil
}

// span is where a scalar on one line starts and ends.
func (f *file) span(node *yaml.Node) (start, end int, err error) {
	fail := func(why string) (int, int, error) {
		return 0, 0, fmt.Errorf("line %d: %s", node.Line, why)
	}
	switch {
	case node.Kind == yaml.AliasNode:
		return fail("the value is an alias; change what it stands for")
	case node.Kind != yaml.ScalarNode:
		return fail("there is a mapping or a list, not a single value")
	case node.Anchor != "":
		return fail("the value has an anchor; what refers to it would change too")
	case node.Style&yaml.TaggedStyle != 0:
		return fail("the value has a tag")
	case node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return fail("the value is a block of text, not a value on one line")
	}
	if start, err = f.offset(node); err != nil {
		return 0, 0, err
	}
	rest := f.content[start:]
	switch node.Style {
	case yaml.SingleQuotedStyle:
		end = closing(rest, '\'')
	case yaml.DoubleQuotedStyle:
		end = closing(rest, '"')
	default:
		if bytes.HasPrefix(rest, []byte(node.Value)) {
			end = len(node.Value)
		}
	}
	if end == 0 {
		return fail("the value does not stand on one line")
	}
	return start, start + end, nil
}

// closing is the length of a quoted scalar on one line, or 0.
func closing(text []byte, quote byte) int {
	if len(text) == 0 || text[0] != quote {
		return 0
	}
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\n':
			return 0
		case quote == '"' && text[i] == '\\':
			i++
			if i < len(text) && (text[i] == '\n' || text[i] == '\r') {
				return 0
			}
		case text[i] == quote && quote == '\'' && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return 0
}
