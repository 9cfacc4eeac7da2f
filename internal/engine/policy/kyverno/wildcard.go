package kyverno

import "strings"

// wildcardBytes is the longest text, in bytes, that a pattern with wildcards
// is held against; longer texts match no pattern and fail no pattern either.
const wildcardBytes = 1 << 20

// glob is a pattern. "*" stands for any text, also across "/", and "?" for
// exactly one character, but only where the policy's own text says so: text
// that came out of a predicate or a request stands for itself. A dot is a dot.
type glob struct {
	symbols []symbol
	wild    bool
}

type symbol struct {
	r    rune
	kind symbolKind
}

type symbolKind uint8

const (
	exact symbolKind = iota
	one
	many
)

// literal makes a glob that matches text alone.
func literal(text string) glob {
	var g glob
	g.add(text, false)
	return g
}

// pattern makes a glob in which wildcards of text count.
func pattern(text string) glob {
	var g glob
	g.add(text, true)
	return g
}

func (g *glob) add(text string, wild bool) {
	for _, r := range text {
		s := symbol{r: r}
		if wild && r == '*' {
			s.kind, g.wild = many, true
		}
		if wild && r == '?' {
			s.kind, g.wild = one, true
		}
		g.symbols = append(g.symbols, s)
	}
}

// match holds text against the pattern in time of at most their product.
func (g glob) match(text string) bool {
	runes := []rune(text)
	at, back, star := 0, 0, -1
	i := 0
	for i < len(runes) {
		switch {
		case at < len(g.symbols) && g.symbols[at].kind == many:
			star, back = at, i
			at++
		case at < len(g.symbols) && (g.symbols[at].kind == one || g.symbols[at].r == runes[i]):
			at++
			i++
		case star >= 0:
			back++
			at, i = star+1, back
		default:
			return false
		}
	}
	for at < len(g.symbols) && g.symbols[at].kind == many {
		at++
	}
	return at == len(g.symbols)
}

// matchAny says whether one of the patterns matches one of the texts.
func matchAny(patterns []glob, texts []string) bool {
	for _, g := range patterns {
		for _, text := range texts {
			if g.match(text) {
				return true
			}
		}
	}
	return false
}

// dockerSpellings adds to each spelling of an image on Docker Hub those that
// people write: "docker.io/library/python", "docker.io/python".
func dockerSpellings(spellings []string) []string {
	all := spellings
	for _, spelling := range spellings {
		rest, hub := strings.CutPrefix(spelling, "index.docker.io/")
		if !hub {
			rest, hub = strings.CutPrefix(spelling, "docker.io/")
		}
		if !hub {
			continue
		}
		all = append(all, "docker.io/"+rest)
		if short, official := strings.CutPrefix(rest, "library/"); official {
			all = append(all, "docker.io/"+short, "index.docker.io/"+short)
		}
	}
	return all
}
