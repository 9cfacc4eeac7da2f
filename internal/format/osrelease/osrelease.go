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
		}
	}
	if os.ID == "" {
		return component.OperatingSystem{}, fmt.Errorf("%s: says no ID", where)
	}
	return os, nil
}

func unquote(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	quote := raw[0]
	if quote != '"' && quote != '\'' {
		return raw, nil
	}
	if len(raw) < 2 || raw[len(raw)-1] != quote {
		return "", errors.New("a quotation is not closed")
	}
	body := raw[1 : len(raw)-1]
	if quote == '\'' {
		return body, nil
	}
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		if body[i] == '\\' && i+1 < len(body) && strings.IndexByte("\"\\`$", body[i+1]) >= 0 {
			i++
		}
		b.WriteByte(body[i])
	}
	return b.String(), nil
}
