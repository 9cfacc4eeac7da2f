package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/engine/policy/shape"
	"github.com/seed-161fc314/assay/predicate"
)

// predicateType holds a type against those that are known; uri is what it means.
// Words are the short names that the kind of policy understands.
func (l *linter) predicateType(at place, uri string, words bool) {
	switch {
	case uri == "":
	case !words && !strings.Contains(uri, "/"):
		if meant, ok := predicate.TypeOf(uri); ok {
			l.edit(l.say("type-unknown", at, "write "+meant, "%q is a short name of cosign's, and Kyverno compares the type as it is written", uri), at, uri, meant)
			return
		}
		l.say("type-unknown", at, "write the URI of the type", "%q is no predicate type", uri)
	default:
		if _, known := shape.Of(uri); known || predicate.Family(uri) == predicate.TypeCosignSign {
			return
		}
		if near := nearType(uri); near != "" {
			l.edit(l.say("type-unknown", at, "write "+near, "nothing writes evidence of type %q; there is %s", uri, near), at, uri, near)
		}
	}
}

// nearType is the known type that differs by a few letters, or in its scheme or
// its slashes.
func nearType(uri string) string {
	bare := func(text string) string {
		return strings.Trim(strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(text, "https://"), "http://")), "/")
	}
	for _, known := range append(shape.Types(), predicate.TypeCosignSign) {
		if bare(known) == bare(uri) || distance(bare(known), bare(uri)) <= 2 && digits(known) == digits(uri) {
			return known
		}
	}
	return ""
}

// digits are the figures of a text: another version is another type.
func digits(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, text)
}

// distance is Levenshtein's.
func distance(a, b string) int {
	if len(a) > 200 || len(b) > 200 {
		return 200
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			next := min(row[j]+1, row[j-1]+1, diagonal+1)
			if a[i-1] == b[j-1] {
				next = min(next, diagonal)
			}
			diagonal, row[j] = row[j], next
		}
	}
	return row[len(b)]
}

// reads holds what an expression reads against the types that the evidence may
// have; prefix is what stands before a path where the policy writes one.
func (l *linter) reads(at place, types []string, reads []shape.Read, prefix string) {
	for _, read := range reads {
		l.read(at, types, read, prefix)
	}
}

func (l *linter) read(at place, types []string, read shape.Read, prefix string) {
	var best shape.Place
	kind := ""
	for _, uri := range types {
		s, known := shape.Of(uri)
		if !known {
			l.wantRead(at, read, prefix, false) // nothing is known of what may stand there
			return
		}
		found := s.Follow(read.Path)
		if kind == "" || found.Found && (!best.Found || best.Foreign != "" && found.Foreign == "") {
			best, kind = found, uri
		}
	}
	switch {
	case kind == "":
	case !best.Found:
		l.missing(at, kind, read, best, prefix)
	case best.Foreign != "":
		l.wantRead(at, read, prefix, true)
		why := ""
		if strings.Contains(best.Foreign, ".CVSS.redhat") {
			why = ": advisories of OSV, from which `assay scan` judges, do not carry Red Hat's scores; nvd and ghsa are there"
		}
		l.say("path-foreign", at, "read what every scanner writes, such as Severity, or keep this for the tool that writes it",
			"%s is written by other tools, and is not in evidence that Assay makes%s", prefix+best.Foreign, why)
	case best.Words != nil:
		l.words(at, read, best, prefix)
	}
}

// words says which of the compared words never stand there.
func (l *linter) words(at place, read shape.Read, found shape.Place, prefix string) {
	for _, word := range read.Compared {
		if slices.Contains(found.Words, word) {
			continue
		}
		meant := ""
		for _, known := range found.Words {
			if strings.EqualFold(known, word) {
				meant = known
			}
		}
		fix := "compare with one of these words"
		if meant != "" {
			fix = "write " + meant
		}
		f := l.say("value-impossible", at, fix, "%s is never %q; it is one of %s", prefix+read.Path.String(), word, strings.Join(found.Words, ", "))
		if meant != "" {
			for _, quote := range []string{"'", "`\"", `\"`, `"`} {
				if f.Edits == nil {
					l.edit(f, at, quote+word+closingOf(quote), quote+meant+closingOf(quote))
				}
			}
		}
	}
}

func closingOf(quote string) string {
	if quote == "`\"" {
		return "\"`"
	}
	return quote
}

// missing says that a path cannot be there, and what may have been meant.
func (l *linter) missing(at place, uri string, read shape.Read, found shape.Place, prefix string) {
	s, _ := shape.Of(uri)
	rest := read.Path[min(1, len(read.Path)):]
	if prefix == "" && read.Path.Name() == "predicate" && len(rest) > 0 {
		if s.Follow(rest).Found {
			f := l.say("predicate-prefix", at, "write "+rest.String(), "%s: the fields of the predicate stand at the top level, and none is called predicate", read.Path)
			l.edit(f, at, "predicate."+rest[:1].String(), rest[:1].String())
			return
		}
		shorter := shape.Read{Path: rest, Optional: read.Optional, Compared: read.Compared}
		l.missing(at, uri, shorter, s.Follow(rest), prefix)
		last := &l.findings[len(l.findings)-1]
		last.Message = strings.Replace(last.Message, rest.String(), read.Path.String(), 1)
		last.Fix += "; and leave out \"predicate.\": the fields of the predicate stand at the top level"
		return
	}
	level := levelOf("path-impossible")
	who := "no predicate of type " + uri + " has " + prefix + found.Missing
	if found.Loose {
		level, who = remark.Warning, "no report of a scanner that is known has "+prefix+found.Missing
	}
	if found.Reason != "" {
		who = fmt.Sprintf("%s %s (predicate type %s)", prefix+found.Missing, found.Reason, uri)
	}
	message := who
	if full := read.Path.String(); full != found.Missing {
		message = fmt.Sprintf("%s%s: %s", prefix, full, who)
	}
	if read.Optional {
		message += "; what stands for a missing field always decides"
	}
	fix := "the type has at its top level: " + strings.Join(s.Fields(), ", ")
	switch other, place, ok := shape.Elsewhere(uri, read.Path); {
	case found.Near != "" && strings.Contains(strings.ToLower(found.Near), strings.ToLower(lastName(read.Path))):
		fix = "did you mean " + prefix + found.Near + "?"
	case ok && other == s.Type:
		fix = "did you mean " + prefix + place + "?"
	case ok:
		fix = fmt.Sprintf("evidence of type %s says that: %s", other, prefix+place)
	case found.Near != "":
		fix = "did you mean " + prefix + found.Near + "?"
	}
	l.sayAs("path-impossible", level, at, fix, "%s", message)
}

// lastName is the last field of a path.
func lastName(path shape.Path) string {
	text := strings.TrimRight(path.String(), "[]")
	return text[strings.LastIndex(text, ".")+1:]
}

// holdsAnyway recognises comparisons of a count that say nothing.
var count = regexp.MustCompile(`^\{\{.*(\|\s*length\(@\)|^\{\{\s*length\(.*\))\s*\}\}$`)

// comparison looks for a condition of Kyverno's that says nothing.
func (l *linter) comparison(at place, constant, holds bool) {
	key, operator, value := at.at("key"), strings.ToLower(at.at("operator").text()), at.at("value")
	always := func(format string, arguments ...any) {
		l.say("condition-always", at, "compare something that the evidence says", format, arguments...)
	}
	_, isNumber := value.value.(float64)
	switch {
	case constant && holds:
		always("neither key nor value is an expression, and the condition always holds")
	case constant:
		l.say("condition-never", at, "put what the evidence says in double braces: {{ … }}", "neither key nor value is an expression, and the condition never holds")
	case key.text() != "" && key.text() == value.text() && slices.Contains([]string{"equals", "equal", "anyin", "allin", "in", "greaterthanorequals", "lessthanorequals"}, operator):
		always("%s is compared with itself", key.text())
	case (operator == "equals" || operator == "equal" || operator == "anyin" || operator == "allin" || operator == "in") && slices.ContainsFunc(append(value.texts(), value.text()), func(text string) bool { return text == "*" }):
		always("* matches everything")
	case count.MatchString(key.text()) && isNumber && (operator == "greaterthanorequals" && value.number() <= 0 || operator == "greaterthan" && value.number() < 0):
		always("a number of things is always at least 0")
	case count.MatchString(key.text()) && isNumber && operator == "lessthan" && value.number() <= 0:
		l.say("condition-never", at, "compare with what is meant", "a number of things is never below 0")
	}
}
