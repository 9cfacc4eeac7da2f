package distver

import (
	"cmp"
	"slices"
	"strings"
)

// The kinds of an apk version's tokens, in the order in which they may come.
// Where two versions part with tokens of different kinds, the earlier kind is
// of the later version.
const (
	apkFirst = iota
	apkNumber
	apkLetter
	apkSuffix
	apkSuffixNumber
	apkHash
	apkRevision
	apkEnd
)

// apkSuffixes is the order of suffixes; those up to "rc" come before a version
// without one.
func apkSuffixes() []string {
	return []string{"alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p"}
}

// APK compares as apk does (apk-package(5), "pkgver"): numbers with points
// between, a letter, suffixes such as _rc1, a hash, and -r with a revision.
// Numbers after the first are compared as text where either begins with a
// zero. ok is false where a text is no such version.
func APK(a, b string) (result int, ok bool) {
	tokensA, okA := apkTokens(a)
	tokensB, okB := apkTokens(b)
	if !okA || !okB {
		return 0, false
	}
	for i := range min(len(tokensA), len(tokensB)) {
		x, y := tokensA[i], tokensB[i]
		if x.kind != y.kind {
			return apkPart(x, y), true
		}
		if c := x.compare(y); c != 0 {
			return c, true
		}
	}
	return 0, true // both came to their end
}

// apkPart orders versions that go on with tokens of different kinds.
func apkPart(x, y apkToken) int {
	none := slices.Index(apkSuffixes(), "")
	switch {
	case x.kind == apkSuffix && x.suffix < none:
		return -1
	case y.kind == apkSuffix && y.suffix < none:
		return 1
	}
	return cmp.Compare(y.kind, x.kind)
}

// apkToken is a part of a version.
type apkToken struct {
	kind, suffix int
	text         string
}

func (x apkToken) compare(y apkToken) int {
	switch x.kind {
	case apkFirst, apkSuffixNumber, apkRevision:
		return compareDigits(x.text, y.text)
	case apkNumber:
		if x.text[0] != '0' && y.text[0] != '0' {
			return compareDigits(x.text, y.text)
		}
	case apkSuffix:
		return cmp.Compare(x.suffix, y.suffix)
	}
	return strings.Compare(x.text, y.text)
}

// apkTokens splits a version; the last token is its end.
func apkTokens(text string) (tokens []apkToken, ok bool) {
	number := func(kind int) bool {
		n := digits(text)
		tokens, text = append(tokens, apkToken{kind: kind, text: text[:n]}), text[n:]
		return n > 0
	}
	if !number(apkFirst) {
		return nil, false
	}
	for text != "" {
		last := tokens[len(tokens)-1].kind
		switch c := text[0]; {
		case c == '.' && last <= apkNumber:
			text = text[1:]
			if !number(apkNumber) {
				return nil, false
			}
		case c >= 'a' && c <= 'z' && last <= apkNumber:
			tokens, text = append(tokens, apkToken{kind: apkLetter, text: text[:1]}), text[1:]
		case c == '_' && last <= apkSuffixNumber:
			n := 1
			for n < len(text) && text[n] >= 'a' && text[n] <= 'z' {
				n++
			}
			suffix := slices.Index(apkSuffixes(), text[1:n])
			if suffix < 0 || n == 1 {
				return nil, false
			}
			tokens, text = append(tokens, apkToken{kind: apkSuffix, suffix: suffix}), text[n:]
			if digits(text) > 0 {
				number(apkSuffixNumber)
			}
		case c == '~' && last < apkHash:
			n := 1
			for n < len(text) && strings.IndexByte("0123456789abcdef", text[n]) >= 0 {
				n++
			}
			if n == 1 {
				return nil, false
			}
			tokens, text = append(tokens, apkToken{kind: apkHash, text: text[1:n]}), text[n:]
		case strings.HasPrefix(text, "-r") && last < apkRevision:
			text = text[2:]
			if !number(apkRevision) {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return append(tokens, apkToken{kind: apkEnd}), true
}
