// Package pep440 reads, orders and matches Python versions.
//
// Entry points are [Parse], [Version.Compare] and [ParseSpecifiers]. It follows
// "Version specifiers" of the Python Packaging Authority (PEP 440 and its
// amendments), appendix B for what is a version. Texts that are none are
// errors; ordering of legacy versions is somebody else's job.
//
// Order and specifiers are different things: 1.0.post1 comes after 1.0, and
// ">1.0" does not contain it. Advisory ranges mean order.
package pep440

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxLength bounds a version's text; the longest on the public index are under
// a hundred characters.
const maxLength = 512

// Version is one version. Two versions that differ only in spelling ("1.0",
// "v1.0.0-0") compare equal; == on the struct is not that comparison.
type Version struct {
	epoch   string
	release []string
	// pre is "a", "b" or "rc" with its number; post and dev likewise. has*
	// says that the part is there.
	pre                      string
	preN, postN, devN        string
	hasPre, hasPost, hasDev  bool
	local                    []string
	hasLocal                 bool
	normalised, publicNormal string
}

var pattern = regexp.MustCompile(`(?i)^v?(?:(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)([-_.]?(alpha|beta|preview|pre|a|b|c|rc)[-_.]?([0-9]+)?)?(?:-([0-9]+)|([-_.]?(?:post|rev|r)[-_.]?([0-9]+)?))?([-_.]?dev[-_.]?([0-9]+)?)?)(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)

// Parse reads a version; surrounding white space is allowed, as the
// specification says.
func Parse(text string) (Version, error) {
	trimmed := strings.TrimSpace(text)
	if len(trimmed) > maxLength {
		return Version{}, fmt.Errorf("version of %d characters: more than %d", len(trimmed), maxLength)
	}
	if v, ok := plain(trimmed); ok {
		return v, nil
	}
	m := pattern.FindStringSubmatch(trimmed)
	if m == nil {
		return Version{}, fmt.Errorf("%q is no version by PEP 440", text)
	}
	v := Version{epoch: number(m[1])}
	for _, part := range strings.Split(m[2], ".") {
		v.release = append(v.release, number(part))
	}
	if m[3] != "" {
		v.hasPre, v.preN = true, number(m[5])
		switch strings.ToLower(m[4]) {
		case "a", "alpha":
			v.pre = "a"
		case "b", "beta":
			v.pre = "b"
		default:
			v.pre = "rc"
		}
	}
	if m[6] != "" || m[7] != "" {
		v.hasPost, v.postN = true, number(m[6]+m[8])
	}
	if m[9] != "" {
		v.hasDev, v.devN = true, number(m[10])
	}
	if m[11] != "" {
		v.hasLocal = true
		for _, part := range strings.FieldsFunc(strings.ToLower(m[11]), func(r rune) bool { return r == '-' || r == '_' || r == '.' }) {
			if digits(part) {
				part = number(part)
			}
			v.local = append(v.local, part)
		}
	}
	v.publicNormal = v.spell()
	v.normalised = v.publicNormal
	if v.hasLocal {
		v.normalised += "+" + strings.Join(v.local, ".")
	}
	return v, nil
}

// plain reads what nearly all versions are, numbers with dots between them,
// without the pattern: advisories list them by the thousand.
func plain(text string) (Version, bool) {
	parts := 1
	for i := range len(text) {
		switch c := text[i]; {
		case c == '.' && i > 0 && text[i-1] != '.':
			parts++
		case c < '0' || c > '9':
			return Version{}, false
		}
	}
	if text == "" || text[len(text)-1] == '.' {
		return Version{}, false
	}
	v := Version{epoch: "0", release: make([]string, 0, parts)}
	for part := range strings.SplitSeq(text, ".") {
		v.release = append(v.release, number(part))
	}
	v.publicNormal = v.spell()
	v.normalised = v.publicNormal
	return v, true
}

// number drops leading zeros, so that numbers of any size compare by length
// and then by text.
func number(text string) string {
	if text = strings.TrimLeft(text, "0"); text == "" {
		return "0"
	}
	return text
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func (v Version) spell() string {
	var b strings.Builder
	if v.epoch != "0" {
		b.WriteString(v.epoch + "!")
	}
	b.WriteString(strings.Join(v.release, "."))
	if v.hasPre {
		b.WriteString(v.pre + v.preN)
	}
	if v.hasPost {
		b.WriteString(".post" + v.postN)
	}
	if v.hasDev {
		b.WriteString(".dev" + v.devN)
	}
	return b.String()
}

// String is the normalised spelling, with the local label.
func (v Version) String() string { return v.normalised }

// Public is the version without its local label: what indexes publish and
// advisories speak of.
func (v Version) Public() Version {
	v.local, v.hasLocal, v.normalised = nil, false, v.publicNormal
	return v
}

// HasLocal says whether there is a local label ("+cpu").
func (v Version) HasLocal() bool { return v.hasLocal }

// IsPrerelease says whether this is an alpha, beta, candidate or development
// release.
func (v Version) IsPrerelease() bool { return v.hasPre || v.hasDev }

// Compare orders versions as the specification's "Summary of permitted
// suffixes and relative ordering" says, local labels included: negative,
// zero or positive.
func (v Version) Compare(o Version) int {
	if c := v.ComparePublic(&o); c != 0 {
		return c
	}
	return v.compareLocal(o)
}

// ComparePublic is Compare of both without their local labels.
func (v *Version) ComparePublic(o *Version) int {
	if c := compareNumbers(v.epoch, o.epoch); c != 0 {
		return c
	}
	for i := range max(len(v.release), len(o.release)) {
		if c := compareNumbers(at(v.release, i), at(o.release, i)); c != 0 {
			return c
		}
	}
	if c := cmp.Compare(v.preRank(), o.preRank()); c != 0 {
		return c
	}
	if v.hasPre && o.hasPre {
		if c := compareNumbers(v.preN, o.preN); c != 0 {
			return c
		}
	}
	if v.hasPost != o.hasPost {
		return truth(v.hasPost) - truth(o.hasPost)
	}
	if v.hasPost {
		if c := compareNumbers(v.postN, o.postN); c != 0 {
			return c
		}
	}
	if v.hasDev != o.hasDev {
		return truth(o.hasDev) - truth(v.hasDev)
	}
	if v.hasDev {
		return compareNumbers(v.devN, o.devN)
	}
	return 0
}

// preRank puts 1.0.dev1 before 1.0a1, and 1.0 after 1.0rc1.
func (v *Version) preRank() int {
	switch {
	case v.hasPre:
		return 1 + strings.Index("abr", v.pre[:1]) // a, b, rc
	case v.hasDev && !v.hasPost:
		return 0
	}
	return 4
}

func (v Version) compareLocal(o Version) int {
	if v.hasLocal != o.hasLocal {
		return truth(v.hasLocal) - truth(o.hasLocal)
	}
	for i := range max(len(v.local), len(o.local)) {
		if i >= len(v.local) {
			return -1
		}
		if i >= len(o.local) {
			return 1
		}
		a, b := v.local[i], o.local[i]
		var c int
		switch {
		case digits(a) && digits(b):
			c = compareNumbers(a, b)
		case digits(a) != digits(b):
			c = truth(digits(a)) - truth(digits(b))
		default:
			c = cmp.Compare(a, b)
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "0"
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Specifiers is a set of clauses that must all hold, such as ">=1.0,!=1.5".
// The empty set contains every version.
type Specifiers struct {
	clauses []clause
}

type clause struct {
	operator string
	text     string
	version  Version
	wildcard bool
}

var operators = []string{"===", "~=", "==", "!=", "<=", ">=", "<", ">"}

// ParseSpecifiers reads a set; white space around clauses is allowed, and so is
// one pair of parentheses around all of them, as older metadata writes it.
func ParseSpecifiers(text string) (Specifiers, error) {
	body := strings.TrimSpace(text)
	if strings.HasPrefix(body, "(") && strings.HasSuffix(body, ")") {
		body = strings.TrimSpace(body[1 : len(body)-1])
	}
	if body == "" {
		return Specifiers{}, nil
	}
	if len(body) > 64*maxLength {
		return Specifiers{}, errors.New("version specifier is longer than 32 KiB")
	}
	var set Specifiers
	for i, part := range strings.Split(body, ",") {
		part = strings.TrimSpace(part)
		if part == "" && i > 0 {
			continue // a trailing comma
		}
		c, err := parseClause(part)
		if err != nil {
			return Specifiers{}, err
		}
		set.clauses = append(set.clauses, c)
	}
	return set, nil
}

func parseClause(part string) (clause, error) {
	for _, operator := range operators {
		rest, found := strings.CutPrefix(part, operator)
		if !found {
			continue
		}
		c := clause{operator: operator, text: strings.TrimSpace(rest)}
		if operator == "===" {
			if c.text == "" || strings.ContainsAny(c.text, " \t") {
				return clause{}, fmt.Errorf("%q: === wants one version", part)
			}
			return c, nil
		}
		text := c.text
		if operator == "==" || operator == "!=" {
			text, c.wildcard = strings.CutSuffix(text, ".*")
		}
		var err error
		if c.version, err = Parse(text); err != nil {
			return clause{}, fmt.Errorf("%q: %w", part, err)
		}
		switch {
		case c.wildcard && (c.version.hasLocal || c.version.hasDev):
			return clause{}, fmt.Errorf("%q: .* does not go with a local label or a development release", part)
		case c.version.hasLocal && operator != "==" && operator != "!=":
			return clause{}, fmt.Errorf("%q: a local label goes only with == and !=", part)
		case operator == "~=" && len(c.version.release) < 2:
			return clause{}, fmt.Errorf("%q: ~= wants at least two numbers", part)
		}
		return c, nil
	}
	return clause{}, fmt.Errorf("%q is no version specifier", part)
}

// Empty says whether the set has no clause.
func (s Specifiers) Empty() bool { return len(s.clauses) == 0 }

// Pin is the one version that the set asks for, as it was written: that of a ==
// without wildcard or a ===, if all other clauses hold for it ("==1.0,>=1").
func (s Specifiers) Pin() (string, bool) {
	for _, c := range s.clauses {
		if c.wildcard || c.operator != "==" && c.operator != "===" {
			continue
		}
		if len(s.clauses) == 1 {
			return c.text, true // also where it is no version (===)
		}
		if v, err := Parse(c.text); err == nil && s.Contains(v) {
			return c.text, true
		}
	}
	return "", false
}

// Contains says whether every clause holds. Pre-releases are contained when
// their order says so; whether an installer would choose them is not asked.
func (s Specifiers) Contains(v Version) bool {
	for _, c := range s.clauses {
		if !c.contains(v) {
			return false
		}
	}
	return true
}

func (c clause) contains(v Version) bool {
	switch c.operator {
	case "===":
		return strings.EqualFold(c.text, v.String())
	case "==":
		return c.equal(v)
	case "!=":
		return !c.equal(v)
	case "<=":
		return v.ComparePublic(&c.version) <= 0
	case ">=":
		return v.ComparePublic(&c.version) >= 0
	case "<":
		// "<V must not allow a pre-release of the specified version unless
		// the specified version is itself a pre-release."
		if v.ComparePublic(&c.version) >= 0 {
			return false
		}
		return c.version.IsPrerelease() || !v.IsPrerelease() || !sameBase(v, c.version)
	case ">":
		// ">V must not allow a post-release of the given version unless V
		// itself is a post release", nor a local version of it.
		if v.ComparePublic(&c.version) <= 0 {
			return false
		}
		return c.version.hasPost || !v.hasPost || !sameBase(v, c.version)
	case "~=":
		prefix := c.version
		prefix.release = prefix.release[:len(prefix.release)-1]
		return v.ComparePublic(&c.version) >= 0 && hasPrefix(v, Version{epoch: prefix.epoch, release: prefix.release})
	}
	return false
}

func (c clause) equal(v Version) bool {
	if c.wildcard {
		return hasPrefix(v, c.version)
	}
	if !c.version.hasLocal {
		return v.ComparePublic(&c.version) == 0
	}
	return v.Compare(c.version) == 0
}

// sameBase says whether two versions have the same epoch and release.
func sameBase(a, b Version) bool {
	a, b = Version{epoch: a.epoch, release: a.release}, Version{epoch: b.epoch, release: b.release}
	return a.ComparePublic(&b) == 0
}

// hasPrefix is the prefix match of "==V.*": release numbers, padded with
// zeros, then the suffixes that V has.
func hasPrefix(v, prefix Version) bool {
	if compareNumbers(v.epoch, prefix.epoch) != 0 {
		return false
	}
	for i, part := range prefix.release {
		if compareNumbers(at(v.release, i), part) != 0 {
			return false
		}
	}
	if !prefix.hasPre && !prefix.hasPost {
		return true
	}
	for i := len(prefix.release); i < len(v.release); i++ {
		if v.release[i] != "0" {
			return false
		}
	}
	if prefix.hasPre && (!v.hasPre || v.pre != prefix.pre || compareNumbers(v.preN, prefix.preN) != 0) {
		return false
	}
	if !prefix.hasPost {
		return true
	}
	return v.hasPre == prefix.hasPre && v.hasPost && compareNumbers(v.postN, prefix.postN) == 0
}
