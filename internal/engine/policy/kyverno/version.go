package kyverno

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/mod/semver"
)

// versionText is a whole semantic version (semver.org 2.0.0, section 2 and
// 9-10), without the "v" that Go puts before it; compiled at its first use, as
// quantityText is.
var versionText = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})\.(0|[1-9][0-9]{0,17})(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
})

// parseVersion gives the spelling that golang.org/x/mod/semver compares.
func parseVersion(text string) (string, bool) {
	if !versionText().MatchString(text) || !semver.IsValid("v"+text) {
		return "", false
	}
	return "v" + text, true
}

// versionRange is a list of alternatives, each a list of bounds that all hold:
// ">=1.2.0 <2.0.0 || 3.x".
type versionRange [][]versionBound

type versionBound struct {
	operator string
	version  string
}

var (
	comparator = regexp.MustCompile(`^(==|=|!=|!|>=|<=|>|<)?(.+)$`)
	// spaced joins an operator to the version after it.
	spaced       = regexp.MustCompile(`(==|=|!=|!|>=|<=|>|<)\s+`)
	wildcardPart = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(0|[1-9][0-9]{0,17})(?:\.(0|[1-9][0-9]{0,17}))?\.[xX*](?:\.[xX*])?$`)
	})
)

func parseRange(text string) (versionRange, error) {
	var alternatives versionRange
	for _, alternative := range strings.Split(text, "||") {
		var bounds []versionBound
		for _, word := range strings.Fields(spaced.ReplaceAllString(alternative, "$1")) {
			parsed, err := parseBound(word)
			if err != nil {
				return nil, fmt.Errorf("version range %q: %w", text, err)
			}
			bounds = append(bounds, parsed...)
		}
		if len(bounds) == 0 {
			return nil, fmt.Errorf("version range %q: an alternative is empty", text)
		}
		alternatives = append(alternatives, bounds)
	}
	return alternatives, nil
}

func parseBound(word string) ([]versionBound, error) {
	parts := comparator.FindStringSubmatch(word)
	if parts == nil {
		return nil, fmt.Errorf("%q is no bound", word)
	}
	operator := parts[1]
	switch operator {
	case "", "==":
		operator = "="
	case "!":
		operator = "!="
	}
	if version, ok := parseVersion(parts[2]); ok {
		return []versionBound{{operator, version}}, nil
	}
	wild := wildcardPart().FindStringSubmatch(parts[2])
	if wild == nil || operator != "=" {
		return nil, fmt.Errorf("%q: want a version such as 1.2.3, or 1.x without an operator", word)
	}
	major, minor := wild[1], wild[2]
	if minor == "" {
		return []versionBound{{">=", "v" + major + ".0.0"}, {"<", "v" + next(major) + ".0.0-0"}}, nil
	}
	return []versionBound{{">=", "v" + major + "." + minor + ".0"}, {"<", "v" + major + "." + next(minor) + ".0-0"}}, nil
}

func next(number string) string {
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return number
	}
	return strconv.FormatInt(n+1, 10)
}

// holds says whether a version that parseVersion gave is in the range.
func (r versionRange) holds(version string) bool {
	for _, bounds := range r {
		all := true
		for _, bound := range bounds {
			all = all && bound.holds(semver.Compare(version, bound.version))
		}
		if all {
			return true
		}
	}
	return false
}

func (b versionBound) holds(order int) bool {
	switch b.operator {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	}
	return ordered(b.operator, order)
}

// ordered says whether an order (-1, 0, 1) satisfies >, >=, < or <=.
func ordered(operator string, order int) bool {
	switch operator {
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	}
	return false
}
