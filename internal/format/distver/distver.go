// Package distver orders the versions of distributions' packages, as the
// package managers themselves do.
//
// Entry points are [Debian], [APK] and [RPM]. Each works on the two texts as
// they are, without a parsed form, and in time that grows with their length.
// The package knows nothing of advisories, and does not say whether a version
// is well-formed beyond what an order needs.
package distver

import (
	"cmp"
	"strings"
)

// Debian compares as dpkg does (deb-version(7)): the epoch as a number, then
// the upstream version, then the revision. ok is false where an epoch is no
// number.
func Debian(a, b string) (result int, ok bool) {
	epochA, a, okA := debianEpoch(strings.TrimSpace(a))
	epochB, b, okB := debianEpoch(strings.TrimSpace(b))
	if !okA || !okB {
		return 0, false
	}
	upstreamA, revisionA := debianParts(a)
	upstreamB, revisionB := debianParts(b)
	return cmp.Or(compareDigits(epochA, epochB), debianPart(upstreamA, upstreamB), debianPart(revisionA, revisionB)), true
}

func debianEpoch(text string) (epoch, rest string, ok bool) {
	epoch, rest, found := strings.Cut(text, ":")
	if !found {
		return "", text, true
	}
	return epoch, rest, epoch != "" && digits(epoch) == len(epoch)
}

// debianParts splits at the last hyphen; no revision compares like "0".
func debianParts(text string) (upstream, revision string) {
	if at := strings.LastIndexByte(text, '-'); at >= 0 {
		return text[:at], text[at+1:]
	}
	return text, ""
}

// debianPart compares words and numbers in turn. In words a tilde comes before
// the end, the end before letters, letters before all else.
func debianPart(a, b string) int {
	weight := func(text string, i int) int {
		switch {
		case i >= len(text) || isDigit(text[i]):
			return 0
		case text[i] == '~':
			return -1
		case isLetter(text[i]):
			return int(text[i])
		}
		return int(text[i]) + 256
	}
	for a != "" || b != "" {
		i := 0
		for ; i < len(a) && !isDigit(a[i]) || i < len(b) && !isDigit(b[i]); i++ {
			if c := cmp.Compare(weight(a, i), weight(b, i)); c != 0 {
				return c
			}
		}
		a, b = a[min(i, len(a)):], b[min(i, len(b)):]
		n, m := digits(a), digits(b)
		if c := compareDigits(a[:n], b[:m]); c != 0 {
			return c
		}
		a, b = a[n:], b[m:]
	}
	return 0
}

// RPM compares as rpm's rpmverCmp does: the epoch (none is 0), the version, and
// the release; a release comes after none.
func RPM(a, b string) int {
	epochA, a := rpmEpoch(a)
	epochB, b := rpmEpoch(b)
	versionA, releaseA, releasedA := rpmRelease(a)
	versionB, releaseB, releasedB := rpmRelease(b)
	if c := cmp.Or(compareDigits(epochA, epochB), rpmPart(versionA, versionB)); c != 0 {
		return c
	}
	switch {
	case releasedA && releasedB:
		return rpmPart(releaseA, releaseB)
	case releasedA:
		return 1
	case releasedB:
		return -1
	}
	return 0
}

func rpmEpoch(text string) (epoch, rest string) {
	if n := digits(text); n < len(text) && text[n] == ':' {
		return text[:n], text[n+1:]
	}
	return "", text
}

func rpmRelease(text string) (version, release string, found bool) {
	if at := strings.LastIndexByte(text, '-'); at >= 0 {
		return text[:at], text[at+1:], true
	}
	return text, "", false
}

// rpmPart is rpmvercmp: segments of digits or of letters, with anything else
// only between them. A tilde comes before the end of a version, a caret after
// it and before anything that goes on.
func rpmPart(a, b string) int {
	between := func(c byte) bool { return !isDigit(c) && !isLetter(c) && c != '~' && c != '^' }
	for a != "" || b != "" {
		for a != "" && between(a[0]) {
			a = a[1:]
		}
		for b != "" && between(b[0]) {
			b = b[1:]
		}
		if tildeA, tildeB := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~"); tildeA || tildeB {
			if tildeA != tildeB {
				return sign(tildeB)
			}
			a, b = a[1:], b[1:]
			continue
		}
		if caretA, caretB := strings.HasPrefix(a, "^"), strings.HasPrefix(b, "^"); caretA || caretB {
			switch {
			case caretA && caretB:
				a, b = a[1:], b[1:]
				continue
			case caretA:
				return sign(b == "")
			}
			return sign(a != "")
		}
		if a == "" || b == "" {
			break
		}
		numeric := isDigit(a[0])
		n, m := segment(a, numeric), segment(b, numeric)
		if m == 0 { // numbers come after letters
			return sign(numeric)
		}
		c := strings.Compare(a[:n], b[:m])
		if numeric {
			c = compareDigits(a[:n], b[:m])
		}
		if c != 0 {
			return c
		}
		a, b = a[n:], b[m:]
	}
	return cmp.Compare(len(a), len(b)) // one of them is at its end
}

func segment(text string, numeric bool) int {
	if numeric {
		return digits(text)
	}
	n := 0
	for n < len(text) && isLetter(text[n]) {
		n++
	}
	return n
}

func sign(after bool) int {
	if after {
		return 1
	}
	return -1
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// digits counts the digits that a text begins with.
func digits(text string) int {
	n := 0
	for n < len(text) && isDigit(text[n]) {
		n++
	}
	return n
}

// compareDigits compares numbers of any length; none is 0.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}
