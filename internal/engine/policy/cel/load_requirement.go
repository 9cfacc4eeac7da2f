package cel

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

// requirement is one kind of evidence, compiled.
type requirement struct {
	name    string
	uri     string
	family  string
	signers []signer
	// threshold is how many of the signers must have signed, at least 1.
	threshold int
	maxAge    time.Duration
	selection selection
	checks    []check
}

// selection says which evidence decides.
type selection struct {
	all   bool
	tools []string
	// counts is nil where everything does.
	counts *expression
	text   string
}

// who names the signers.
func (r requirement) who() string {
	var names []string
	for _, s := range r.signers {
		names = append(names, s.Name)
	}
	if r.threshold > 1 {
		return fmt.Sprintf("%d of %s", r.threshold, strings.Join(names, ", "))
	}
	return strings.Join(names, " or ")
}

// parties are the signers as trust wants them.
func (r requirement) parties() []trust.Signer {
	var parties []trust.Signer
	for _, s := range r.signers {
		parties = append(parties, s.Signer)
	}
	return parties
}

// timed are the families whose predicates say when they were made.
var timed = [...]string{predicate.TypeCosignVuln, predicate.TypeProvenanceV1, predicate.TypeProvenanceV02, predicate.TypeCycloneDX, predicate.TypeSPDX, predicate.TypeVSA}

func (l *loader) requirement(where place, r v1alpha1.Requirement, signers map[string]signer) requirement {
	uri, known := predicate.TypeOf(r.Type)
	compiled := requirement{name: r.Name, uri: uri, family: predicate.Family(uri), threshold: max(1, r.Threshold)}
	if !known {
		l.fail(where.at("type"), "%q is no predicate type; want a URI, or one of %s%s", r.Type, strings.Join(shortNames[:], ", "), strictyaml.Suggest(r.Type, shortNames[:]))
	}
	if len(r.Signers) == 0 {
		l.fail(where.at("signers"), "the list is empty: evidence that anybody could sign proves nothing")
	}
	l.names(where.at("signers"), r.Signers)
	for i, name := range r.Signers {
		signer, known := signers[name]
		if !known {
			l.fail(where.at("signers", i), "%q is not among spec.signers%s", name, strictyaml.Suggest(name, keysOf(signers)))
		}
		compiled.signers = append(compiled.signers, signer)
	}
	if r.Threshold < 0 || r.Threshold > len(r.Signers) {
		l.fail(where.at("threshold"), "want 1 to %d, the number of signers, found %d", len(r.Signers), r.Threshold)
	}
	if r.MaxAge != "" {
		age, err := time.ParseDuration(r.MaxAge)
		switch {
		case err != nil || age <= 0:
			l.fail(where.at("maxAge"), "%q: want a positive duration such as 168h or 90m", r.MaxAge)
		case known && !slices.Contains(timed[:], compiled.family):
			l.fail(where.at("maxAge"), "evidence of type %s does not say when it was made, so maxAge would deny all of it; leave it out", short(uri))
		}
		compiled.maxAge = age
	}
	if known {
		l.conditions(where, r, &compiled)
	}
	var names []string
	for _, c := range r.Checks {
		names = append(names, c.Name)
	}
	l.names(where.at("checks"), names)
	return compiled
}

// conditions compiles what a requirement says in CEL.
func (l *loader) conditions(where place, r v1alpha1.Requirement, compiled *requirement) {
	k, err := l.compiler(compiled.family)
	if err != nil {
		l.fail(where, "%w", err)
		return
	}
	compiled.selection = selection{tools: r.Select.Tools, text: r.Select.Expr}
	l.patterns(where.at("select", "tools"), r.Select.Tools)
	compiled.selection.all = l.word(where.at("select", "which"), r.Select.Which, v1alpha1.WhichNewest, v1alpha1.WhichAll) != 0
	if r.Select.Expr != "" {
		e, err := k.condition(r.Select.Expr)
		if err != nil {
			l.fail(where.at("select", "expr"), "%w", err)
		}
		compiled.selection.counts = &e
	}
	for i, c := range r.Checks {
		field := "expr"
		if c.Deny != "" {
			field = "deny"
		}
		if (c.Expr == "") == (c.Deny == "") {
			l.fail(where.at("checks", i), "want exactly one of expr (must be true) and deny (must be an empty list)")
			continue
		}
		check, err := k.check(c)
		if err != nil {
			l.fail(where.at("checks", i, field), "%w", err)
		}
		compiled.checks = append(compiled.checks, check)
	}
}

// compiler gives the compiler of a family, the same for the same.
func (l *loader) compiler(family string) (compiler, error) {
	if known, has := l.compilers[family]; has {
		return known, nil
	}
	env, err := environment(family)
	if err != nil {
		return compiler{}, err
	}
	l.compilers[family] = compiler{env, family}
	return l.compilers[family], nil
}

// checkNames are the names of all checks that a requirement can make.
func (r requirement) checkNames() []string {
	names := []string{"readable"}
	if r.selection.counts != nil {
		names = append(names, "select")
	}
	if r.maxAge > 0 {
		names = append(names, "max-age")
	}
	switch r.family {
	case predicate.TypeCosignVuln:
		names = append(names, "advisory-sample", "something-tested")
	case predicate.TypeCycloneDX, predicate.TypeSPDX:
		names = append(names, "something-listed")
	}
	for _, c := range r.checks {
		names = append(names, c.source.Name)
	}
	return names
}
