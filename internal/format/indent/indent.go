// Package indent lays JSON out in lines while it is written.
//
// Entry points are [Encode], for a whole value, and [Writer], for a large one
// that is written in pieces. The bytes are those of encoding/json with an indent
// of two spaces and without escaped HTML; encoding/json would hold the document
// twice. The package checks nothing: it lays out what it is given.
package indent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// Encode writes a value as indented JSON with a newline at its end. Errors are
// the encoder's and the writer's.
func Encode(w io.Writer, value any) error {
	out := NewWriter(w)
	out.Value(value)
	return out.Close()
}

// Writer writes a JSON text piece by piece. It keeps the first error, and Close
// gives it.
type Writer struct {
	layout  layout
	buffer  bytes.Buffer
	encoder *json.Encoder
	comma   bool // the next piece follows another one
	err     error
}

// NewWriter begins a text.
func NewWriter(w io.Writer) *Writer {
	out := &Writer{layout: layout{w: bufio.NewWriterSize(w, 1<<16)}}
	out.encoder = json.NewEncoder(&out.buffer)
	out.encoder.SetEscapeHTML(false)
	return out
}

// Close ends the text with a newline. It does not close the writer below.
func (w *Writer) Close() error {
	w.layout.write([]byte("\n"))
	return errors.Join(w.err, w.layout.w.Flush())
}

// Object writes an object with the members that fill writes.
func (w *Writer) Object(fill func()) { w.nest('{', '}', fill) }

// Array writes an array of the values that fill writes.
func (w *Writer) Array(fill func()) { w.nest('[', ']', fill) }

func (w *Writer) nest(opens, closes byte, fill func()) {
	w.separate()
	w.layout.write([]byte{opens})
	fill()
	w.layout.write([]byte{closes})
	w.comma = true
}

// Name writes the name of a member; its value comes next.
func (w *Writer) Name(name string) {
	w.separate()
	w.layout.write(w.encode(name))
	w.layout.write([]byte{':'})
}

// Value writes a value.
func (w *Writer) Value(value any) {
	w.separate()
	w.layout.write(w.encode(value))
	w.comma = true
}

// Members writes the members of a struct or map into the object that is open.
func (w *Writer) Members(value any) {
	content := w.encode(value)
	if len(content) < 2 || content[0] != '{' {
		w.err = errors.Join(w.err, errors.New("indent: Members wants what encodes as an object"))
		return
	}
	if content = content[1 : len(content)-1]; len(content) > 0 {
		w.separate()
		w.layout.write(content)
		w.comma = true
	}
}

func (w *Writer) separate() {
	if w.comma {
		w.layout.write([]byte{','})
	}
	w.comma = false
}

// encode gives the compact text of a value, until the next call.
func (w *Writer) encode(value any) []byte {
	w.buffer.Reset()
	if err := w.encoder.Encode(value); err != nil {
		w.err = errors.Join(w.err, err)
		return nil
	}
	return bytes.TrimSuffix(w.buffer.Bytes(), []byte{'\n'})
}

// layout breaks compact JSON into lines. Errors of a bufio.Writer stay until
// Flush.
type layout struct {
	w            *bufio.Writer
	depth        int
	text, escape bool // inside a string, behind a backslash
	opened       bool // the last byte was { or [
}

// write takes any piece of a compact JSON text.
func (l *layout) write(p []byte) {
	for _, b := range p {
		switch {
		case l.text:
			l.inText(b)
		case b == '}' || b == ']':
			l.depth--
			if !l.opened {
				l.line()
			}
			l.opened = false
			l.w.WriteByte(b)
		case b == '\n':
			l.w.WriteByte(b)
		default:
			l.open(b)
		}
	}
}

func (l *layout) inText(b byte) {
	l.w.WriteByte(b)
	switch {
	case l.escape:
		l.escape = false
	case b == '\\':
		l.escape = true
	case b == '"':
		l.text = false
	}
}

func (l *layout) open(b byte) {
	if l.opened {
		l.line()
		l.opened = false
	}
	l.w.WriteByte(b)
	switch b {
	case '"':
		l.text = true
	case '{', '[':
		l.depth++
		l.opened = true
	case ',':
		l.line()
	case ':':
		l.w.WriteByte(' ')
	}
}

// line begins a line.
func (l *layout) line() {
	l.w.WriteByte('\n')
	for range l.depth {
		l.w.WriteString("  ")
	}
}
