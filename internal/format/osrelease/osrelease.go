// Package osrelease reads /etc/os-release.
//
// Entry point is [Parse]. It follows os-release(5): assignments with shell-like
// quoting, later ones win. It looks at no other file.
package osrelease

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// maxSize bounds the file; real ones have under a kilobyte.
const maxSize = 64 << 10

// Parse reads the file. One without an ID is an error: os-release(5) gives
// "linux" as its default, which no advisory is about.
func Parse(r io.Reader, where string) (component.OperatingSystem, error) {
	content, err := limit.ReadAll(r, where, maxSize)
	if err != nil {
		return component.OperatingSystem{}, err
	}
	os := component.OperatingSystem{Location: component.Location{Path: where}}
	for number, line := range strings.Split(string(content), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, raw, found := strings.Cut(line, "=")
		if !found {
			continue
		}
		value, err := unquote(raw)
		if err != nil {
			return component.OperatingSystem{}, fmt.Errorf("%s:%d: %w", where, number+1, err)
		}
		switch key {
		case "ID":
			os.ID = strings.ToLower(value)
		case "VERSION_ID":
			os.VersionID = value
		case "PRETTY_NAME":
			os.PrettyName = value
		case "VERSION_CODENAME":
			os.Codename = strings.ToLower(value)
		}
	}
	if os.ID == "" {
		return component.OperatingSystem{}, fmt.Errorf("%s: says no ID", where)
	}
	return os, nil
}

// unquote reads a value: bare, or one quotation and nothing behind it, since
// "it is not supported to concatenate multiple individually quoted strings".
func unquote(raw string) (string, error) {
	if raw == "" || raw[0] != '"' && raw[0] != '\'' {
		return raw, nil
	}
	quote := raw[0]
	var b strings.Builder
	for i := 1; i < len(raw); i++ {
		switch {
		case raw[i] == quote && i < len(raw)-1:
			return "", errors.New("text behind a quotation")
		case raw[i] == quote:
			return b.String(), nil
		case raw[i] == '\\' && quote == '"' && i+1 < len(raw) && strings.IndexByte("\"\\`$", raw[i+1]) >= 0:
			i++
		}
		b.WriteByte(raw[i])
	}
	return "", errors.New("a quotation is not closed")
}
