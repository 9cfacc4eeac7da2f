package pyproject

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// setting is one key of an INI file, with the lines of its value.
type setting struct {
	section, key string
	line         int
	values       []requirement.Line
}

// setupCfg reads setup.cfg ("Configuring setuptools using setup.cfg files").
func (c *collector) setupCfg(content []byte) error {
	settings, err := c.settings(string(content))
	if err != nil {
		return err
	}
	for _, s := range settings {
		if s.section == "metadata" && s.key == "name" && len(s.values) == 1 {
			c.own = pydist.Normalise(s.values[0].Text)
		}
	}
	for _, s := range settings {
		group := s.key
		switch {
		case s.section == "options" && s.key == "install_requires":
			group = ""
		case s.section == "options" && s.key == "tests_require":
			group = "tests_require"
		case s.section == "options" && s.key == "setup_requires":
			group = buildGroup
		case s.section == "options.extras_require":
		default:
			continue
		}
		if err := c.setting(group, s); err != nil {
			return err
		}
	}
	return nil
}

// setting reads a list of requirements: one a line, or on one line with
// semicolons between, or in files.
func (c *collector) setting(group string, s setting) error {
	if len(s.values) == 0 {
		return nil
	}
	if files, found := strings.CutPrefix(s.values[0].Text, "file:"); found {
		for _, more := range s.values[1:] {
			files += "," + more.Text
		}
		return c.include(group, strings.Split(files, ","), s.line)
	}
	lines := s.values
	if len(lines) == 1 && lines[0].Location.Line == s.line {
		lines = nil
		for _, text := range strings.Split(s.values[0].Text, ";") {
			lines = append(lines, requirement.Line{Text: text, Location: s.values[0].Location})
		}
	}
	var asked []requirement.Line
	for _, line := range lines {
		line.Text, _, _ = strings.Cut(line.Text, " #")
		switch line.Text = strings.TrimSpace(line.Text); {
		case line.Text == "":
		case strings.HasPrefix(line.Text, "-"):
			c.unresolved("", line.Text, "an option is no requirement in this file", line.Location.Line)
		default:
			asked = append(asked, line)
		}
	}
	return c.resolve(group, asked)
}

// settings reads an INI file as Python's configparser does, without
// interpolation.
func (c *collector) settings(content string) ([]setting, error) {
	var list []setting
	section, number, open := "", 0, false
	for line := range strings.Lines(strings.TrimPrefix(content, "\ufeff")) {
		number++
		text := strings.TrimSpace(line)
		switch {
		case !utf8.ValidString(line):
			return nil, fmt.Errorf("%s:%d: not UTF-8", c.name, number)
		case text == "" || text[0] == '#' || text[0] == ';':
		case line[0] == ' ' || line[0] == '\t':
			if !open {
				return nil, fmt.Errorf("%s:%d: an indented line that belongs to no key", c.name, number)
			}
			last := &list[len(list)-1]
			last.values = append(last.values, requirement.Line{Text: text, Location: c.where(number)})
		case text[0] == '[':
			name, _, closed := strings.Cut(text[1:], "]")
			if !closed {
				return nil, fmt.Errorf("%s:%d: a section's name is not closed with ]", c.name, number)
			}
			section, open = name, false
		default:
			at := strings.IndexAny(text, "=:")
			if at < 1 || section == "" {
				return nil, fmt.Errorf("%s:%d: neither a section nor key = value", c.name, number)
			}
			s := setting{section: section, key: strings.ToLower(strings.TrimSpace(text[:at])), line: number}
			if section == "options" {
				s.key = strings.ReplaceAll(s.key, "-", "_")
			}
			if value := strings.TrimSpace(text[at+1:]); value != "" {
				s.values = []requirement.Line{{Text: value, Location: c.where(number)}}
			}
			list, open = append(list, s), true
		}
	}
	return list, nil
}
