package advisory_test

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// An order of Python versions that shares nothing with format/pep440: the
// sort key that the specification's reference implementation describes, as
// numbers.

// pythonKey orders public versions: epoch, release without trailing zeros,
// pre, post, dev; local is apart.
type pythonKey struct {
	epoch   int
	release []int
	// pre is letter and number; -inf for a development release of nothing
	// else, +inf for none.
	preLetter, preNumber float64
	post, dev            float64
	// local segments, numbers apart from words.
	local    []string
	hasLocal bool
}

var (
	leading  = regexp.MustCompile(`^v?(?:(\d+)!)?(\d+(?:\.\d+)*)(.*)$`)
	preText  = regexp.MustCompile(`^[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?(\d*)(.*)$`)
	postText = regexp.MustCompile(`^(?:-(\d+)|[-_.]?(?:post|rev|r)[-_.]?(\d*))(.*)$`)
	devText  = regexp.MustCompile(`^[-_.]?dev[-_.]?(\d*)$`)
	labels   = regexp.MustCompile(`^[a-z0-9]+([-_.][a-z0-9]+)*$`)
)

func numeric(text string) float64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// keyOf reads a version; ok is false for what is none.
func keyOf(text string) (k pythonKey, ok bool) {
	text = strings.ToLower(strings.TrimSpace(text))
	text, local, hasLocal := strings.Cut(text, "+")
	if hasLocal {
		if !labels.MatchString(local) {
			return k, false
		}
		k.hasLocal, k.local = true, strings.FieldsFunc(local, func(r rune) bool { return strings.ContainsRune("-_.", r) })
	}
	m := leading.FindStringSubmatch(text)
	if m == nil {
		return k, false
	}
	k.epoch = int(numeric(m[1]))
	for _, part := range strings.Split(m[2], ".") {
		k.release = append(k.release, int(numeric(part)))
	}
	for len(k.release) > 1 && k.release[len(k.release)-1] == 0 {
		k.release = k.release[:len(k.release)-1]
	}
	rest := m[3]
	k.preLetter, k.post, k.dev = math.Inf(1), math.Inf(-1), math.Inf(1)
	if m := preText.FindStringSubmatch(rest); m != nil {
		k.preLetter = map[byte]float64{'a': 1, 'b': 2, 'c': 3, 'r': 3, 'p': 3}[m[1][0]]
		k.preNumber, rest = numeric(m[2]), m[3]
	}
	if m := postText.FindStringSubmatch(rest); m != nil {
		k.post, rest = numeric(m[1]+m[2]), m[3]
	}
	if m := devText.FindStringSubmatch(rest); m != nil {
		k.dev, rest = numeric(m[1]), ""
		if math.IsInf(k.preLetter, 1) && math.IsInf(k.post, -1) {
			k.preLetter = math.Inf(-1)
		}
	}
	return k, rest == ""
}

func (k pythonKey) isPre() bool {
	return !math.IsInf(k.preLetter, 1) || !math.IsInf(k.dev, 1)
}

// public compares without local labels.
func (k pythonKey) public(o pythonKey) int {
	return cmp.Or(cmp.Compare(k.epoch, o.epoch), slices.Compare(k.release, o.release), cmp.Compare(k.preLetter, o.preLetter),
		cmp.Compare(k.preNumber, o.preNumber), cmp.Compare(k.post, o.post), cmp.Compare(k.dev, o.dev))
}

// against compares an installed version with a bound: local labels count only
// where the bound has one.
func (k pythonKey) against(bound pythonKey) int {
	if c := k.public(bound); c != 0 || !bound.hasLocal {
		return c
	}
	return known{local: k.local}.full(known{local: bound.local})
}
