package kyverno

import (
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// glob is a pattern. "*" stands for any text, also across "/", and "?" for
// exactly one character, but only where the policy's own text says so: text
// that came out of a predicate or a request stands for itself. A dot is a dot.
type glob struct {
	// text is what is written, and all that counts where nothing is wild.
	text string
	// symbols are text, where wild says that something in it is a wildcard.
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
func literal(text string) glob { return glob{text: text} }

// pattern makes a glob in which wildcards of text count.
func pattern(text string) glob {
	var g glob
	g.add(text, true)
	return g
}

func (g *glob) add(text string, wild bool) {
	before := g.text
	g.text += text
	if wild = wild && strings.ContainsAny(text, "*?"); !wild && !g.wild {
		return
	}
	if !g.wild {
		g.spell(before, false)
		g.wild = true
	}
	g.spell(text, wild)
}

func (g *glob) spell(text string, wild bool) {
	for _, r := range text {
		s := symbol{r: r}
		switch {
		case wild && r == '*':
			s.kind = many
		case wild && r == '?':
			s.kind = one
		}
		g.symbols = append(g.symbols, s)
	}
}

// match holds text against the pattern in time of at most their product. A
// text over the bound matches no pattern with wildcards; [glob.fits] asks.
func (g glob) match(text string) bool {
	if !g.wild {
		return g.text == text
	}
	if !g.fits(text) {
		return false
	}
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

// fits says whether the text may be held against the pattern.
func (g glob) fits(text string) bool { return !g.wild || len(text) <= limit.WildcardText }

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
