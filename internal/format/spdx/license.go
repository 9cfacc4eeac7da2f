package spdx

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// identifiers are the entries of the SPDX licence list that Python and Debian
// packages commonly state. Any other text is written as a LicenseRef with the
// text itself, which is always valid.
const identifiers = " 0BSD AFL-2.1 AGPL-3.0-only AGPL-3.0-or-later Apache-2.0 Artistic-2.0 BSD-2-Clause BSD-3-Clause BSD-3-Clause-LBNL " +
	"BSL-1.0 CC-BY-4.0 CC0-1.0 CNRI-Python EPL-2.0 GPL-2.0-only GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later HPND ISC " +
	"LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later MIT MIT-0 MIT-CMU MPL-2.0 NCSA OFL-1.1 PSF-2.0 Python-2.0 " +
	"Unicode-3.0 Unlicense WTFPL X11 ZPL-2.1 Zlib bzip2-1.0.6 curl "

// licenses collects the texts that are no SPDX identifiers, by their reference.
type licenses map[string]string

// reference finds the licences of an SPDX expression that stand in its own
// document.
var reference = regexp.MustCompile(`LicenseRef-[A-Za-z0-9.-]+`)

// expression is a component's SPDX expression where it has one, else what its
// own words come to. Of a reference in it the words are the only text known.
func (l licenses) expression(c component.Component) string {
	if c.Expression == "" {
		return l.declare(c.Licenses)
	}
	for _, name := range reference.FindAllString(c.Expression, -1) {
		text := strings.Join(c.Licenses, "\n")
		if text == "" {
			text = name
		}
		l[name] = text
	}
	return c.Expression
}

// declare turns a package's own licence texts into one SPDX expression (Annex
// D), in which all apply; NOASSERTION where there is none.
func (l licenses) declare(texts []string) string {
	var terms []string
	for _, text := range texts {
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		term := text
		if !known(text) {
			term = "LicenseRef-" + subject.Of([]byte(text)).Hex()[:16]
			l[term] = text
		}
		if !slices.Contains(terms, term) {
			terms = append(terms, term)
		}
	}
	if len(terms) == 0 {
		return noAssertion
	}
	if len(terms) > 1 {
		for i, term := range terms {
			if strings.Contains(term, " OR ") {
				terms[i] = "(" + term + ")"
			}
		}
	}
	return strings.Join(terms, " AND ")
}

// known says whether text is known identifiers joined by AND and OR,
// without parentheses.
func known(text string) bool {
	words := strings.Split(text, " ")
	for i, word := range words {
		operator := word == "AND" || word == "OR"
		listed := word != "" && strings.Contains(identifiers, " "+word+" ")
		if i%2 == 0 && !listed || i%2 == 1 && !operator {
			return false
		}
	}
	return len(words)%2 == 1
}

func (l licenses) extracted() []*v2_3.OtherLicense {
	var list []*v2_3.OtherLicense
	for _, reference := range slices.Sorted(maps.Keys(l)) {
		list = append(list, &v2_3.OtherLicense{LicenseIdentifier: reference, ExtractedText: l[reference], LicenseName: noAssertion})
	}
	return list
}
