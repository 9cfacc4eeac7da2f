// Package fit holds what a policy asks for against the evidence that an image
// really has: could it satisfy the policy?
//
// Entry points are [Look], which reads what is in the registry, and
// [Found.Against], which says what is not there. Nothing is verified and nothing
// is decided: what is found is what strangers say, and good for finding mistakes
// in a policy alone. The gate decides.
package fit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/policy/lint"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/predicate"
)

// Registry is where the image and its evidence are.
type Registry interface {
	// Resolve finds the digest that a reference means now.
	Resolve(ctx context.Context, reference string) (oci.Resolved, error)
	// Evidence lists what is stored about a digest; none is no error.
	Evidence(ctx context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error)
}

// Found is what is in the registry about an image.
type Found struct {
	Image oci.Resolved
	// Statements are what evidence says, unverified, each once.
	Statements []Statement
	// Signed says that there is something that looks like a signature.
	Signed bool
	// Unread are reasons why pieces could not be read.
	Unread []string
}

// Statement is one, and its bytes.
type Statement struct {
	intoto.Statement
	Raw []byte
}

// Look reads the evidence of an image: of an index, also that of its manifests.
func Look(ctx context.Context, registry Registry, reference string) (Found, error) {
	if registry == nil {
		return Found{}, errors.New("fit: a registry is needed")
	}
	image, err := registry.Resolve(ctx, reference)
	if err != nil {
		return Found{}, err
	}
	found := Found{Image: image}
	digests := []subject.Digest{image.Digest}
	for _, p := range image.Platforms {
		digests = append(digests, p.Digest)
	}
	seen := map[subject.Digest]bool{}
	for _, digest := range digests {
		if seen[digest] {
			continue
		}
		seen[digest] = true
		pieces, err := registry.Evidence(ctx, image.Name(), digest)
		if err != nil {
			return Found{}, fmt.Errorf("reading the evidence of %s@%s: %w", image.Name(), digest, err)
		}
		for _, piece := range pieces {
			found.add(piece)
		}
	}
	return found, nil
}

// add reads one piece.
func (f *Found) add(piece trust.Evidence) {
	raw, err := payload(piece)
	if err != nil {
		f.Unread = append(f.Unread, piece.Source+": "+err.Error())
		return
	}
	if raw == nil {
		f.Signed = true
		return
	}
	statement, err := intoto.Decode(raw)
	if err != nil {
		f.Unread = append(f.Unread, piece.Source+": "+err.Error())
		return
	}
	f.Signed = f.Signed || statement.PredicateType == predicate.TypeCosignSign
	if !slices.ContainsFunc(f.Statements, func(s Statement) bool { return string(s.Raw) == string(raw) }) {
		f.Statements = append(f.Statements, Statement{statement, raw})
	}
}

// payload is the statement in a piece; nil for a signature that has none.
func payload(piece trust.Evidence) ([]byte, error) {
	switch piece.Form {
	case trust.Bundle:
		b, err := bundle.Decode(piece.Content)
		if err != nil || b.Message != nil {
			return nil, err
		}
		return b.Envelope.Payload, nil
	case trust.Envelope:
		e, err := dsse.Decode(piece.Content)
		return e.Payload, err
	}
	return nil, nil
}

// Types are the predicate types that are there, each once.
func (f Found) Types() []string {
	var types []string
	for _, s := range f.Statements {
		if !slices.Contains(types, s.PredicateType) {
			types = append(types, s.PredicateType)
		}
	}
	slices.Sort(types)
	return types
}

// of are the statements of a type, whatever the version of an SBOM's is.
func (f Found) of(types []string) []Statement {
	var list []Statement
	for _, s := range f.Statements {
		if slices.ContainsFunc(types, func(wanted string) bool { return same(wanted, s.PredicateType) }) {
			list = append(list, s)
		}
	}
	return list
}

// same says whether evidence of a type may count where another is asked for.
func same(wanted, found string) bool {
	bare := func(uri string) string {
		if uri == predicate.TypeCosignVulnBare {
			return predicate.TypeCosignVuln
		}
		return uri
	}
	return bare(wanted) == bare(found) || predicate.Family(wanted) != predicate.TypeCosignVuln && predicate.Family(wanted) == predicate.Family(found)
}

// Against says which of the wanted evidence is not there, and what is missing in
// the evidence that is.
func (f Found) Against(wants []lint.Want) []remark.Remark {
	var remarks []remark.Remark
	for _, w := range wants {
		if slices.Contains(w.Types, predicate.TypeCosignSign) {
			if !f.Signed {
				remarks = append(remarks, f.missing(w, "a signature", "sign the image: assay sign --key KEY "+f.Image.Pinned()))
			}
			continue
		}
		statements := f.of(w.Types)
		if len(statements) == 0 {
			remarks = append(remarks, f.missing(w, "evidence of type "+strings.Join(w.Types, " or "), "attest it: assay attest --type "+w.Types[0]+" --predicate FILE "+f.Image.Pinned()+", or ask for a type that is there"))
			continue
		}
		for _, read := range w.Reads {
			if slices.ContainsFunc(statements, func(s Statement) bool { return has(s, read) }) {
				continue
			}
			r := read.At
			r.Rule, r.Level = "evidence-lacks", remark.Error
			r.Message = fmt.Sprintf("of %s of type %s on %s none has %s", explain.Count(len(statements), "piece", "pieces"), statements[0].PredicateType, f.Image.Reference, read.Spelled)
			r.Fix = "look at what is there: assay tree " + f.Image.Pinned()
			remarks = append(remarks, r)
		}
	}
	return remarks
}

func has(s Statement, read lint.WantRead) bool {
	var value any
	return json.Unmarshal(s.Predicate, &value) == nil && read.Path.Within(value)
}

func (f Found) missing(w lint.Want, what, fix string) remark.Remark {
	r := w.At
	r.Rule, r.Level, r.Fix = "evidence-missing", remark.Error, fix
	there := "nothing is there"
	if types := f.Types(); len(types) > 0 {
		there = "there is " + strings.Join(types, ", ")
	} else if f.Signed {
		there = "there is a signature alone"
	}
	r.Message = fmt.Sprintf("%s has no %s; %s", f.Image.Reference, what, there)
	if len(f.Unread) > 0 {
		r.Message += "; not read: " + strings.Join(f.Unread, "; ")
	}
	return r
}
