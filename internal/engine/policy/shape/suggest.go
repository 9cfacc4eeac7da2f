package shape

import (
	"slices"
	"strings"
	"unicode"

	"github.com/seed-161fc314/assay/predicate"
)

// deepest is how far into a shape suggestions look, most how many places.
const (
	deepest = 8
	most    = 4000
)

// walk gives every path of a shape, definitions once on each way down.
func (s Shape) walk(visit func(path Path, n *node)) {
	count := 0
	var down func(path Path, n *node, links []string)
	down = func(path Path, n *node, links []string) {
		if n.link != "" {
			if slices.Contains(links, n.link) {
				return
			}
			links = append(slices.Clone(links), n.link)
			n = s.follow(n)
		}
		count++
		if count > most || len(path) > deepest {
			return
		}
		visit(path, n)
		for _, name := range sortedFields(n) {
			down(path.With(Field(name)), n.fields[name], links)
		}
		if n.element != nil {
			down(path.With(Each()), n.element, links)
		}
	}
	down(nil, s.root, nil)
}

func sortedFields(n *node) []string {
	var names []string
	for name := range n.fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// near is the nearest path to one whose step at position i leads nowhere: the
// same fields with a list between them, a name that is written nearly so, or
// one that has the same words.
func (s Shape) near(path Path, i int) string {
	if corrected := s.corrected(path, i); corrected != "" {
		return corrected
	}
	wanted := names(path)
	best, bestScore := "", 0
	s.walk(func(p Path, n *node) {
		if len(p) == 0 {
			return
		}
		have := names(p)
		score := 0
		switch last := have[len(have)-1]; {
		case p[len(p)-1].kind != field:
			return
		case slices.Equal(have, wanted):
			score = 1000 // a list is missing between
		case strings.EqualFold(strings.Join(have, "."), strings.Join(wanted, ".")):
			score = 900
		case last == wanted[len(wanted)-1]:
			score = 500 + 20*shared(have, wanted) - len(p)
		case strings.EqualFold(last, wanted[len(wanted)-1]) || i == len(path)-1 && edits(last, wanted[len(wanted)-1]) <= 2:
			score = 300 + 20*shared(have, wanted) - len(p)
		}
		if score > bestScore {
			best, bestScore = p.String(), score
		}
	})
	if bestScore == 0 {
		return ""
	}
	return best
}

// corrected is the path with the step at position i written otherwise, where
// all of it can then be there.
func (s Shape) corrected(path Path, i int) string {
	parent := s.follow(s.root)
	for _, step := range path[:i] {
		next, _ := s.step(parent, step)
		parent = s.follow(next)
	}
	if parent.kind == list && path[i].kind == field {
		longer := path[:i].With(Each()).With(path[i:]...)
		if s.leads(longer) {
			return longer.String()
		}
	}
	if parent.kind == object && path[i].kind == each && i > 0 {
		shorter := path[:i].With(path[i+1:]...)
		if s.leads(shorter) {
			return shorter.String()
		}
	}
	best, distance := "", 3
	for _, name := range sortedFields(parent) {
		d := edits(name, path[i].name)
		if strings.EqualFold(name, path[i].name) {
			d = 0
		}
		if d >= distance {
			continue
		}
		renamed := path[:i].With(Field(name)).With(path[i+1:]...)
		if s.leads(renamed) {
			best, distance = renamed.String(), d
		}
	}
	return best
}

// names are the fields of a path.
func names(path Path) []string {
	var list []string
	for _, step := range path {
		if step.kind == field {
			list = append(list, step.name)
		}
	}
	return list
}

func shared(a, b []string) int {
	n := 0
	for _, name := range a {
		if slices.Contains(b, name) {
			n++
		}
	}
	return n
}

// Elsewhere finds the type whose predicates say what a path asks for: most of the
// words of the path, in names or in the words that a text there can be; where two
// say as much, it is the type that is given. ok is false where nothing is near.
func Elsewhere(uri string, path Path) (other string, place string, ok bool) {
	wanted := tokens(strings.Join(names(path), " "))
	if len(wanted) == 0 {
		return "", "", false
	}
	best := 0
	types := append([]string{canonical(uri), predicate.TypeCosignVuln, predicate.TypeVulnsV02, predicate.TypeProvenanceV1}, Types()...)
	for _, candidateType := range types {
		s, known := Of(candidateType)
		if !known {
			continue
		}
		s.walk(func(p Path, n *node) {
			if n.kind != scalar || len(p) == 0 || s.Follow(p).Foreign != "" {
				return
			}
			have := tokens(strings.Join(append(names(p), n.words...), " "))
			score := 0
			for _, token := range wanted {
				if slices.Contains(have, token) {
					score += 10
				}
			}
			if score < 20 && score < 10*len(wanted) {
				return
			}
			if among := tokens(strings.Join(n.words, " ")); slices.ContainsFunc(wanted, func(token string) bool { return slices.Contains(among, token) }) {
				score++ // a word that can stand there says more than a name
			}
			if score > best || score == best && candidateType == other && len(p.String()) < len(place) {
				best, other, place, ok = score, candidateType, p.String(), true
			}
		})
	}
	return other, place, ok
}

// tokens are the words of names, in small letters and without a plural's s.
func tokens(text string) []string {
	var list []string
	var word strings.Builder
	flush := func() {
		w := strings.ToLower(word.String())
		word.Reset()
		switch {
		case strings.HasSuffix(w, "ies"):
			w = strings.TrimSuffix(w, "ies") + "y"
		case len(w) > 3 && strings.HasSuffix(w, "s") && !strings.HasSuffix(w, "ss"):
			w = strings.TrimSuffix(w, "s")
		}
		switch w {
		case "", "predicate", "summary", "count", "result", "id", "data", "of", "the", "is":
			return
		case "vuln":
			w = "vulnerability"
		}
		if !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	previous := rune(0)
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush()
		} else {
			if unicode.IsUpper(r) && unicode.IsLower(previous) {
				flush()
			}
			word.WriteRune(r)
		}
		previous = r
	}
	flush()
	return list
}

// edits is the number of letters that differ, up to 3.
func edits(a, b string) int {
	if max(len(a), len(b)) > 64 || len(a)-len(b) > 2 || len(b)-len(a) > 2 || min(len(a), len(b)) < 4 {
		return 3
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
