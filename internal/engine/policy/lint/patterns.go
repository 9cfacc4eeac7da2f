package lint

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// hostDot is a dot of a host name that is written as an expression's dot.
var hostDot = regexp.MustCompile(`[A-Za-z0-9-]\.(com|org|io|net|dev|sh|internal|local|example|cloud|co|eu|gov)\b`)

// regexp looks into an expression for what must match; unanchored says that it
// is enough where a part of the text matches.
func (l *linter) regexp(at place, unanchored bool) {
	if at.text() != "" {
		l.expression(at, at.text(), unanchored, true)
	}
}

// expression looks into an expression that stands at a place; whole says that
// nothing else does.
func (l *linter) expression(at place, expression string, unanchored, whole bool) {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		l.say("regexp-broken", at, "correct the expression", "%v", err)
		return
	}
	if everything(expression, unanchored) {
		l.say("regexp-always", at, "write what is meant", "%s matches everything", expression)
		return
	}
	if unanchored {
		start, end := anchored(parsed, false), anchored(parsed, true)
		switch {
		case !start:
			f := l.say("regexp-unanchored", at, "begin with ^", "%s matches anywhere in the text: what stands before it is free", expression)
			if whole && parsed.Op != syntax.OpAlternate {
				l.editStart(f, at, expression)
			}
		case !end && !strings.HasSuffix(expression, "/") && !strings.HasSuffix(expression, "@"):
			l.say("regexp-unanchored", at, "end with $, or with the / or @ that must follow", "%s also matches what goes on: %s", expression, goesOn(expression))
		}
	}
	if dot := looseDot(expression); dot != "" {
		f := l.say("regexp-dot", at, `write \. for the dot`, "the dot in %s stands for any character", dot)
		if whole {
			l.edit(f, at, dot, strings.Replace(dot, ".", l.escaped(at), 1))
		}
	}
}

func goesOn(expression string) string {
	return strings.TrimPrefix(strings.ReplaceAll(expression, `\`, ""), "^") + "-of-somebody-else"
}

// escaped is an escaped dot as the quotes of the place need it.
func (l *linter) escaped(at place) string {
	if l.quoted(at) {
		return `\\.`
	}
	return `\.`
}

// editStart puts ^ before an expression.
func (l *linter) editStart(f *Finding, at place, expression string) {
	if l.quoted(at) {
		expression = strings.ReplaceAll(expression, `\`, `\\`)
	}
	l.edit(f, at, expression, "^"+expression)
}

// looseDot is a host name in an expression whose last dot is not escaped.
func looseDot(expression string) string {
	found := hostDot.FindStringIndex(expression)
	if found == nil {
		return ""
	}
	start := found[0]
	for start > 0 && isHost(expression[start-1]) {
		start--
	}
	return expression[start:found[1]]
}

func isHost(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
}

// anchored says whether every way through an expression begins (or ends) at the
// beginning (or end) of the text, or is open there on purpose: .*
func anchored(e *syntax.Regexp, end bool) bool {
	switch e.Op {
	case syntax.OpBeginText, syntax.OpBeginLine:
		return !end
	case syntax.OpEndText, syntax.OpEndLine:
		return end
	case syntax.OpStar, syntax.OpPlus:
		return e.Sub[0].Op == syntax.OpAnyChar || e.Sub[0].Op == syntax.OpAnyCharNotNL
	case syntax.OpCapture:
		return anchored(e.Sub[0], end)
	case syntax.OpConcat:
		if end {
			return anchored(e.Sub[len(e.Sub)-1], end)
		}
		return anchored(e.Sub[0], end)
	case syntax.OpAlternate:
		return !slices.ContainsFunc(e.Sub, func(sub *syntax.Regexp) bool { return !anchored(sub, end) })
	}
	return false
}

// dockerHosts are names of Docker Hub that no normalised reference has.
var dockerHosts = []string{"registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com", "www.docker.com"}

// imagePattern looks into a pattern of images that are judged; all are those of
// its list.
func (l *linter) imagePattern(at place, all []string, kyverno bool) {
	pattern := at.text()
	host, rest, hasRepository := strings.Cut(pattern, "/")
	switch {
	case pattern == "" || strings.Contains(pattern, "{{"):
		return
	case strings.HasPrefix(pattern, "*"):
	case slices.Contains(dockerHosts, host) || kyverno && host == "index.docker.io":
		f := l.say("pattern-never", at, "write docker.io/"+rest, "images of Docker Hub are called docker.io/…, and not %s/…", host)
		l.edit(f, at, host+"/", "docker.io/")
		return
	case !hasRepository || !strings.ContainsAny(host, ".:*?") && host != "localhost":
		meant := "docker.io/" + pattern
		if !hasRepository && !kyverno {
			meant = "docker.io/library/" + pattern
		}
		if hasRepository {
			l.say("pattern-never", at, "begin with the host of the registry; on Docker Hub it is "+meant, "%s names no registry, and a reference always begins with one", pattern)
			return
		}
		f := l.say("pattern-never", at, "write "+meant, "%s names no registry, and a reference always begins with one", pattern)
		l.edit(f, at, pattern, meant)
		return
	}
	repository, tag := tagOf(pattern)
	if tag == "" || slices.ContainsFunc(all, func(other string) bool {
		return glob(other, strings.ReplaceAll(repository, "*", "x")+"@sha256:"+strings.Repeat("0", 64))
	}) {
		return
	}
	if tag == "*" && !kyverno {
		return // an EvidencePolicy takes this for every reference
	}
	f := l.say("tag-pattern", at, "add "+repository+"@* to the list", "%s has a tag, and %s@sha256:… does not match it", pattern, repository)
	l.beside(f, at, repository+"@*")
}

// tagOf splits a pattern at its tag; "" where it has none, or a digest.
func tagOf(pattern string) (repository, tag string) {
	slash := strings.LastIndex(pattern, "/")
	if strings.Contains(pattern[slash+1:], "@") {
		return pattern, ""
	}
	name, tag, found := strings.Cut(pattern[slash+1:], ":")
	if !found {
		return pattern, ""
	}
	return pattern[:slash+1] + name, tag
}

// exemption looks into a pattern of images that are left alone.
func (l *linter) exemption(at place) {
	pattern := at.text()
	host, _, hasRepository := strings.Cut(pattern, "/")
	switch {
	case pattern == "" || strings.Trim(pattern, "*") == "":
		return // said as unreachable
	case !hasRepository && strings.HasSuffix(host, "*") && strings.ContainsAny(host, ".:"):
		f := l.say("pattern-open", at, "write "+strings.TrimRight(host, "*")+"/*", "%s also matches %s.evil.example/image", pattern, strings.TrimRight(host, "*"))
		l.edit(f, at, pattern, strings.TrimRight(host, "*")+"/*")
	case strings.HasPrefix(pattern, "*") && pattern != "*":
		l.say("pattern-open", at, "begin with the registry", "%s matches images of every registry, also of one that a stranger runs", pattern)
	case strings.Contains(host, "*") && hasRepository && strings.Contains(strings.TrimLeft(host, "*"), "*"):
		l.say("pattern-open", at, "write the registry in full", "the star in %s runs over slashes, so that another registry can match", pattern)
	}
	if _, tag := tagOf(pattern); tag != "" {
		l.say("skip-by-tag", at, "name the digest, or the repository without a tag", "%s exempts whatever the tag is moved to", pattern)
	}
}

// covered says whether every pattern of a list is inside one of others.
func covered(patterns, by []string) bool {
	return len(patterns) > 0 && !slices.ContainsFunc(patterns, func(p string) bool {
		return !slices.ContainsFunc(by, func(b string) bool { return glob(b, p) })
	})
}

// glob matches a text, which may be a pattern itself, with * and ?.
func glob(pattern, text string) bool {
	star, mark, i, j := -1, 0, 0, 0
	for j < len(text) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, j
			i++
		case i < len(pattern) && (pattern[i] == text[j] || pattern[i] == '?' && text[j] != '*'):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}
