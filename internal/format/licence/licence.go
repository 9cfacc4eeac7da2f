// Package licence turns what packages state of their licence into SPDX licence
// expressions.
//
// Entry points are [Parse] for texts that must be expressions, [Expression] for
// what Python and conda packages state in their own words, and [Debian],
// [Alpine] and [RPM] for distributions' packages; [Allow] makes a list that
// expressions are held against. The grammar is Annex D of the
// SPDX specification 2.3; identifiers are those of the SPDX licence list.
//
// A text that does not say which licence it means ("BSD", "GPL") gives no
// expression: callers keep the text itself. Nothing is guessed, with two
// exceptions that are no guesses in practice: "Apache Software License" without
// a version, as the trove classifier has it, is version 2.0, which replaced the
// others in 2004; and a GNU licence with a number and no "or later" is that
// number only. Several statements whose relation nobody wrote down (two
// classifiers) give none either. The package reads no licence texts.
package licence

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/github/go-spdx/v2/spdxexp/spdxlicenses"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Parse reads an SPDX expression and gives it with identifiers spelled as the
// licence list has them, operators in capitals, and no needless parentheses.
// The deprecated names of GNU licences become the current ones. A text over
// limit.LicenceText bytes or that is no expression is an error.
func Parse(text string) (string, error) { return parse(text, identifier) }

// Expression is what the statements of one package come to; "" where they do
// not name one licence or expression.
func Expression(statements []string) string {
	found := ""
	for _, statement := range statements {
		statement = strings.TrimSpace(statement)
		if statement == "" || statement == "OSI Approved" { // the classifier's first half says nothing
			continue
		}
		expression := fromWords(statement)
		if expression == "" || found != "" && expression != found {
			return ""
		}
		found = expression
	}
	return found
}

func fromWords(text string) string {
	if expression, err := parse(text, identifier); err == nil {
		return expression
	}
	if expression := spelled(text); expression != "" {
		return expression
	}
	expression, err := parse(text, func(name string) string {
		if id := identifier(name); id != "" {
			return id
		}
		return spelled(name)
	})
	if err != nil {
		return ""
	}
	return expression
}

var reference = regexp.MustCompile(`^(DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+$`)

// identifier is the canonical spelling of "ID", "ID+" or "ID WITH exception",
// or "".
func identifier(name string) string {
	name, exception, with := cutFold(name, " with ")
	plus := strings.HasSuffix(name, "+")
	id := strings.TrimSuffix(name, "+")
	if reference.MatchString(id) && !plus {
		// The exceptions of a licence that is not on the list are its own.
		if with {
			return ""
		}
		return id
	}
	active, canonical := spdxlicenses.IsActiveLicense(id)
	if !active {
		var deprecated bool
		if deprecated, canonical = spdxlicenses.IsDeprecatedLicense(id); !deprecated {
			return ""
		}
		if gnu.MatchString(canonical) {
			canonical = strings.TrimSuffix(canonical, "+")
			if plus || strings.HasSuffix(id, "+") {
				canonical += "-or-later"
			} else {
				canonical += "-only"
			}
			plus = false
		}
	}
	if plus {
		canonical += "+"
	}
	if with {
		known, spelling := spdxlicenses.IsException(exception)
		if !known {
			return ""
		}
		canonical += " WITH " + spelling
	}
	return canonical
}

// gnu are deprecated identifiers whose successors say "only" or "or later".
var gnu = regexp.MustCompile(`^(A|L)?GPL-\d\.\d\+?$|^GFDL-\d\.\d$`)

// cutFold is strings.Cut in any case.
func cutFold(text, separator string) (before, after string, found bool) {
	if i := strings.Index(strings.ToLower(text), separator); i >= 0 && len(strings.ToLower(text)) == len(text) {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}

// node is a licence, or what an operator joins.
type node struct {
	operator string // "AND", "OR", "" for a licence
	licence  string
	kids     []node
}

// depth bounds parentheses.
const depth = 64

type parser struct {
	words  []string
	depth  int
	lookup func(string) string
}

// parse is tree, written again.
func parse(text string, lookup func(string) string) (string, error) {
	n, err := tree(text, lookup)
	if err != nil {
		return "", err
	}
	return n.text(false), nil
}

// tree reads licences joined by and, or and parentheses. lookup gives a
// licence's expression by its words, or "".
func tree(text string, lookup func(string) string) (node, error) {
	if len(text) > limit.LicenceText {
		return node{}, &limit.Error{What: "a licence statement", Bound: limit.LicenceText, Unit: "bytes"}
	}
	text = strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text)
	p := &parser{words: strings.Fields(text), lookup: lookup}
	n, err := p.or()
	if err != nil {
		return node{}, err
	}
	if len(p.words) > 0 {
		return node{}, fmt.Errorf("%q is left over", p.words[0])
	}
	return n, nil
}

func (p *parser) operator(upper string) bool {
	if len(p.words) == 0 || p.words[0] != upper && p.words[0] != strings.ToLower(upper) {
		return false
	}
	p.words = p.words[1:]
	return true
}

func (p *parser) or() (node, error)  { return p.joined("OR", p.and) }
func (p *parser) and() (node, error) { return p.joined("AND", p.term) }

func (p *parser) joined(operator string, operand func() (node, error)) (node, error) {
	joined := node{operator: operator}
	for {
		n, err := operand()
		if err != nil {
			return node{}, err
		}
		if n.operator == operator {
			joined.kids = append(joined.kids, n.kids...)
		} else {
			joined.kids = append(joined.kids, n)
		}
		if !p.operator(operator) {
			break
		}
	}
	if len(joined.kids) == 1 {
		return joined.kids[0], nil
	}
	return joined, nil
}

func (p *parser) term() (node, error) {
	if len(p.words) == 0 {
		return node{}, errors.New("a licence is wanted at the end")
	}
	if p.words[0] == "(" {
		if p.depth++; p.depth > depth {
			return node{}, fmt.Errorf("more than %d parentheses", depth)
		}
		p.words = p.words[1:]
		n, err := p.or()
		if err != nil {
			return node{}, err
		}
		if len(p.words) == 0 || p.words[0] != ")" {
			return node{}, errors.New("a parenthesis is not closed")
		}
		p.words = p.words[1:]
		p.depth--
		return n, nil
	}
	end := slices.IndexFunc(p.words, func(w string) bool {
		return slices.Contains([]string{"(", ")", "and", "AND", "or", "OR"}, w)
	})
	if end < 0 {
		end = len(p.words)
	}
	name := strings.Join(p.words[:end], " ")
	expression := p.lookup(name)
	if expression == "" {
		return node{}, fmt.Errorf("%.100q is no licence of the SPDX list", name)
	}
	p.words = p.words[end:]
	return node{licence: expression}, nil
}

// text writes a node; inside an AND, an OR stands in parentheses. What stands
// there twice is written once.
func (n node) text(inside bool) string {
	if n.operator == "" {
		if inside && strings.Contains(n.licence, " OR ") {
			return "(" + n.licence + ")"
		}
		return n.licence
	}
	var parts []string
	for _, kid := range n.kids {
		if part := kid.text(n.operator == "AND"); !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	joined := strings.Join(parts, " "+n.operator+" ")
	if inside && n.operator == "OR" && len(parts) > 1 {
		return "(" + joined + ")"
	}
	return joined
}
