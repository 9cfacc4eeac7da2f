package requirement

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
)

// flag is one option of a line: its full name, and its value.
type flag struct{ name, value string }

// valued are pip's options that take a value, bare those that take none, in a
// requirements file ("Requirements File Format", pip 25).
var (
	valued = []string{"--requirement", "--constraint", "--editable", "--index-url", "--pypi-url", "--extra-index-url", "--find-links",
		"--no-binary", "--only-binary", "--trusted-host", "--use-feature", "--hash", "--global-option", "--install-option",
		"--config-settings", "--config-setting"}
	bare  = []string{"--no-index", "--prefer-binary", "--require-hashes", "--pre", "--always-unzip"}
	short = map[byte]string{'r': "--requirement", 'c': "--constraint", 'e': "--editable", 'i': "--index-url", 'f': "--find-links",
		'C': "--config-settings", 'Z': "--always-unzip"}
)

// splitFlags cuts a line where pip does: at the first word that begins with a
// dash. The error is a sentence.
func splitFlags(line string) (body string, flags []flag, err error) {
	at := 0
	for at < len(line) && line[at] != '-' {
		next := strings.IndexAny(line[at:], " \t")
		if next < 0 {
			return line, nil, nil
		}
		at += next
		for at < len(line) && (line[at] == ' ' || line[at] == '\t') {
			at++
		}
	}
	words, err := shellWords(line[at:])
	if err != nil {
		return "", nil, err
	}
	for i := 0; i < len(words); i++ {
		name, value, has, err := option(words[i])
		if err != nil {
			return "", nil, err
		}
		if slices.Contains(bare, name) {
			flags = append(flags, flag{name: name})
			continue
		}
		if !has {
			if i++; i >= len(words) {
				return "", nil, fmt.Errorf("%s has no value", name)
			}
			value = words[i]
		}
		flags = append(flags, flag{name, value})
	}
	return strings.TrimSpace(line[:at]), flags, nil
}

// option reads "-rfile", "-r", "--requirement=file", and a long option's
// beginning where it is that of no other, as optparse does.
func option(word string) (name, value string, has bool, err error) {
	if long, found := strings.CutPrefix(word, "--"); found {
		long, value, has = strings.Cut(long, "=")
		if name := "--" + long; slices.Contains(valued, name) || slices.Contains(bare, name) {
			return name, value, has, nil
		}
		var match []string
		for _, known := range slices.Concat(valued, bare) {
			if long != "" && strings.HasPrefix(known, "--"+long) {
				match = append(match, known)
			}
		}
		if len(match) != 1 {
			return "", "", false, fmt.Errorf("pip has no option --%s in a requirements file", long)
		}
		return match[0], value, has, nil
	}
	if len(word) < 2 || word[0] != '-' || short[word[1]] == "" {
		return "", "", false, fmt.Errorf("%q is no option that pip has in a requirements file", word)
	}
	value = strings.TrimPrefix(word[2:], "=")
	return short[word[1]], value, value != "", nil
}

// shellWords splits at white space outside of quotation marks.
func shellWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inside, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != '\'' && c == '\\' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
			inside = true
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, inside = c, true
		case c == ' ' || c == '\t':
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteByte(c)
			inside = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quotation among its options is not closed")
	}
	if inside {
		words = append(words, word.String())
	}
	return words, nil
}

// option does what an option on a line of its own says.
func (r *reader) option(file string, line physical, f flag, constraint bool, unresolved func(name, reason string)) error {
	where := component.Location{Path: file, Line: line.number}
	switch f.name {
	case "--requirement", "--constraint":
		switch target := path.Join(path.Dir(file), f.value); {
		case variable.MatchString(f.value):
			unresolved("", "an environment variable is not expanded here")
		case f.value == "":
			unresolved("", f.name+" names no file")
		case r.fsys == nil:
			unresolved("", "what it includes is not read here")
		case strings.Contains(f.value, "://"):
			unresolved("", "a requirements file at a URL is not fetched")
		case path.IsAbs(f.value) || target == ".." || strings.HasPrefix(target, "../"):
			unresolved("", "the included file is outside the scanned directory")
		default:
			return r.file(target, constraint || f.name == "--constraint", fmt.Sprintf("%s:%d", file, line.number))
		}
		return nil
	case "--editable":
		unresolved(eggName(f.value), "an editable install of a directory or repository has no fixed version")
		return nil
	}
	r.result.Options = append(r.result.Options, Option{Name: f.name, Value: Mask(f.value), Text: strings.TrimSpace(f.name + " " + Mask(f.value)), Location: where})
	return nil
}
