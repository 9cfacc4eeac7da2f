package requirement

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// declared is PEP 263's comment that names a file's encoding.
var declared = regexp.MustCompile(`coding[:=]\s*([-\w.]+)`)

// decode gives text in UTF-8 as pip finds its encoding: by a byte order mark,
// by a comment in one of the first two lines, or else UTF-8.
func decode(name string, content []byte) (string, error) {
	switch {
	case bytes.HasPrefix(content, []byte("\ufeff")):
		content = content[len("\ufeff"):]
	case bytes.HasPrefix(content, []byte{0xff, 0xfe}), bytes.HasPrefix(content, []byte{0xfe, 0xff}):
		if len(content)%2 != 0 {
			return "", fmt.Errorf("%s: begins as UTF-16 and has an odd number of bytes", name)
		}
		content = fromUTF16(content[2:], content[0] == 0xfe)
	default:
		var err error
		if content, err = fromDeclared(name, content); err != nil {
			return "", err
		}
	}
	for number, line := range bytes.Split(content, []byte("\n")) {
		if bytes.IndexByte(line, 0) >= 0 {
			return "", fmt.Errorf("%s:%d: a NUL byte; this is no requirements file", name, number+1)
		}
		if !utf8.Valid(line) {
			return "", fmt.Errorf("%s:%d: not UTF-8; save the file as UTF-8", name, number+1)
		}
	}
	return string(content), nil
}

func fromUTF16(content []byte, big bool) []byte {
	units := make([]uint16, 0, len(content)/2)
	for i := 0; i+1 < len(content); i += 2 {
		if big {
			units = append(units, uint16(content[i])<<8|uint16(content[i+1]))
		} else {
			units = append(units, uint16(content[i+1])<<8|uint16(content[i]))
		}
	}
	return []byte(string(utf16.Decode(units)))
}

func fromDeclared(name string, content []byte) ([]byte, error) {
	for number, line := range bytes.SplitN(content, []byte("\n"), 3) {
		m := declared.FindSubmatch(line)
		if number > 1 || m == nil || line[0] != '#' {
			continue
		}
		switch coding := strings.ReplaceAll(strings.ToLower(string(m[1])), "_", "-"); coding {
		case "utf-8", "utf8", "utf-8-sig", "ascii", "us-ascii":
			return content, nil
		case "latin-1", "latin1", "iso-8859-1", "iso8859-1", "l1":
			var b bytes.Buffer
			for _, c := range content {
				b.WriteRune(rune(c))
			}
			return b.Bytes(), nil
		default:
			return nil, fmt.Errorf("%s:%d: the encoding %q is not read; save the file as UTF-8, and say so or nothing", name, number+1, coding)
		}
	}
	return content, nil
}

// physical is a logical line and the number of its first physical line.
type physical struct {
	text   string
	number int
}

// lines splits where Python's str.splitlines does, which is how pip sees a
// file, and counts as editors do: a form feed ends a line for pip, and the
// next one has the same number.
func lines(text string) []physical {
	var list []physical
	number, start := 1, 0
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		if !ends(r) {
			at += size
			continue
		}
		list = append(list, physical{text[start:at], number})
		at += size
		if r == '\r' && strings.HasPrefix(text[at:], "\n") {
			at++
		}
		if r == '\r' || r == '\n' {
			number++
		}
		start = at
	}
	return append(list, physical{text[start:], number})
}

func ends(r rune) bool {
	switch r {
	case '\n', '\r', '\v', '\f', 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029:
		return true
	}
	return false
}

// comment is a # at the start of a line or after white space.
var comment = regexp.MustCompile(`(^|\s+)#.*$`)

// logical joins continuation lines and removes comments, in pip's order: a
// comment line ends a continuation.
func logical(text string) []physical {
	var joined []physical
	var current strings.Builder
	start := 0
	flush := func() {
		if start > 0 {
			if line := strings.TrimSpace(comment.ReplaceAllString(current.String(), "")); line != "" {
				joined = append(joined, physical{line, start})
			}
		}
		current.Reset()
		start = 0
	}
	for _, line := range lines(text) {
		if start == 0 {
			start = line.number
		}
		isComment := strings.HasPrefix(strings.TrimSpace(line.text), "#")
		if strings.HasSuffix(line.text, `\`) && !isComment {
			current.WriteString(strings.Trim(line.text, `\`))
			continue
		}
		if isComment {
			current.WriteByte(' ') // ends the continuation, and is no part of a word
		}
		current.WriteString(line.text)
		flush()
	}
	flush()
	return joined
}
