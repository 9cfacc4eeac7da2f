package conda

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// unpinned is the reason why a specification names no version.
type unpinned struct {
	name, reason string
}

// Error is the reason.
func (e *unpinned) Error() string { return e.reason }

const (
	reasonRange = "a range names no single version; pin it with =="
	reasonNone  = "no version is given"
)

// enough is a version with three or more numbers, as an export without builds
// writes them.
var enough = regexp.MustCompile(`^(\d+!)?\d+\.\d+\.\d+[0-9A-Za-z.+_]*$`)

var bracketPair = regexp.MustCompile(`^\s*([A-Za-z0-9_-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^'",\s]+))\s*(?:,|$)?`)

// parseSpec reads a MatchSpec ("channel/subdir::name version build", "name=1.2",
// "name[version='1.2',build=x]") that names one version. exported says that
// every "=" is exact. Anything else is an *unpinned error.
func parseSpec(text string, exported bool) (record, error) {
	text, _, _ = strings.Cut(text, "#")
	text, _, _ = strings.Cut(text, " if ")
	text = strings.TrimSpace(text)
	if strings.HasSuffix(text, ".conda") || strings.HasSuffix(text, ".tar.bz2") {
		r, err := location(text)
		if err != nil {
			return record{}, &unpinned{reason: err.Error()}
		}
		return r, nil
	}
	text, keys, err := brackets(text)
	if err != nil {
		return record{}, &unpinned{reason: err.Error()}
	}
	if open := strings.IndexByte(text, '('); open >= 0 && strings.HasSuffix(text, ")") {
		text = strings.TrimSpace(text[:open]) // (optional,target=...)
	}
	var r record
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		channel := text[:i]
		text = strings.TrimSpace(text[i+1:])
		if j := strings.LastIndexByte(channel, ':'); j >= 0 { // the part between is the unused namespace
			r.place(strings.TrimSpace(channel[:j]))
		}
	}
	end := strings.IndexAny(text, " =<>!~")
	if end < 0 {
		end = len(text)
	}
	r.name = strings.ToLower(text[:end])
	if len(r.name) > 256 || !nameShape.MatchString(r.name) {
		return record{}, &unpinned{reason: "this is no specification that conda could read"}
	}
	version, build, exact := versionAndBuild(text[end:])
	if v, given := keys["version"]; given {
		version, _, exact = versionAndBuild(v)
	}
	if b, given := keys["build"]; given {
		build = b
	}
	if c, given := keys["channel"]; given {
		r.place(c)
	}
	if s, given := keys["subdir"]; given && isSubdir(s) {
		r.subdir = s
	}
	switch {
	case version == "" || version == "*":
		return record{}, &unpinned{r.name, reasonNone}
	case strings.ContainsAny(version, "<>!~|,*=^$") || !exact && build == "" && !exported && !enough.MatchString(version):
		return record{}, &unpinned{r.name, reasonRange}
	}
	r.version = version
	if !strings.ContainsAny(build, "*^$|") {
		r.build = build
	}
	if err := r.check(); err != nil {
		return record{}, &unpinned{r.name, err.Error()}
	}
	return r, nil
}

// versionAndBuild splits what stands behind a name. exact is false after a
// single "=". Of a range, only that it is one is told, by what stands in it.
func versionAndBuild(text string) (version, build string, exact bool) {
	text = strings.TrimSpace(text)
	if rest, found := strings.CutPrefix(text, "=="); found {
		text, exact = strings.TrimSpace(rest), true
	} else if rest, found := strings.CutPrefix(text, "="); found {
		text = strings.TrimSpace(rest)
	} else {
		exact = true
	}
	if strings.ContainsAny(text, "<>!~|,") {
		return text, "", false
	}
	if i := strings.IndexAny(text, "= "); i >= 0 {
		return text[:i], strings.Trim(text[i:], "= "), exact
	}
	return text, "", exact
}

// brackets takes the part in brackets off a specification.
func brackets(text string) (rest string, keys map[string]string, err error) {
	open := strings.IndexByte(text, '[')
	if open < 0 {
		return text, nil, nil
	}
	end := strings.LastIndexByte(text, ']')
	if end < open {
		return "", nil, errors.New("a bracket is not closed")
	}
	inside := text[open+1 : end]
	keys = map[string]string{}
	for strings.TrimSpace(inside) != "" {
		m := bracketPair.FindStringSubmatch(inside)
		if m == nil {
			return "", nil, fmt.Errorf("%.100q in brackets is no key=value", inside)
		}
		keys[m[1]] = m[2] + m[3] + m[4]
		inside = inside[len(m[0]):]
	}
	return strings.TrimSpace(text[:open] + text[end+1:]), keys, nil
}
