// Package openvex reads VEX documents in the OpenVEX format
// (https://github.com/openvex/spec, version 0.2.0).
//
// Entry points are [Is] and [Decode]. A member that the format does not have
// is an error, because one that is misspelt ("sub_components") would widen
// what the statement says; so is a status or justification that is none, and
// a package URL that cannot be read. Products are known here by package URL
// and by SHA-256 and SHA-512 digest; CPE names are passed over.
//
// The package does not judge: whether a statement holds, and what it is about,
// is engine/triage's to say.
package openvex

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/vex"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// Context is what heads every document; a version ("/v0.2.0") may follow.
const Context = "https://openvex.dev/ns"

// Is says whether content looks like an OpenVEX document.
func Is(content []byte) bool {
	var head struct {
		Context string `json:"@context"`
	}
	return json.Unmarshal(content, &head) == nil && strings.HasPrefix(head.Context, Context)
}

// Decode reads one document of at most limit.VEX bytes and limit.VEXStatements
// statements. Errors begin with where.
func Decode(r io.Reader, where string) (vex.Document, error) {
	content, err := limit.ReadAll(r, where, limit.VEX)
	if err != nil {
		return vex.Document{}, err
	}
	top, err := strictjson.Object(content, where, strictjson.Bounds{})
	if err != nil {
		return vex.Document{}, err
	}
	document, err := decode(top)
	if err != nil {
		return vex.Document{}, fmt.Errorf("%s: %w", where, err)
	}
	document.Path, document.Format = where, "OpenVEX"
	return document, nil
}

func decode(top strictjson.Members) (vex.Document, error) {
	f := fields{members: top}
	f.only("@context", "@id", "author", "role", "timestamp", "last_updated", "version", "tooling", "statements", "supplier")
	document := vex.Document{ID: f.text("@id"), Author: f.text("author")}
	context, issued, updated := f.text("@context"), f.time("timestamp"), f.time("last_updated")
	if f.err != nil {
		return vex.Document{}, f.err
	}
	switch {
	case context != Context && context != Context+"/v0.2.0":
		return vex.Document{}, fmt.Errorf("@context %.100q: want %s/v0.2.0; older drafts are not read", context, Context)
	case issued.IsZero():
		return vex.Document{}, fmt.Errorf("timestamp is missing: statements count by their time")
	}
	document.Time = later(issued, updated)
	list, err := top.List("statements", limit.VEXStatements)
	if err != nil {
		return vex.Document{}, err
	}
	if len(list) == 0 {
		return vex.Document{}, fmt.Errorf("statements is missing or empty: the document says nothing")
	}
	for i, raw := range list {
		place := fmt.Sprintf("statements[%d]", i)
		s, err := statement(raw, place, issued)
		if err != nil {
			return vex.Document{}, err
		}
		document.Statements = append(document.Statements, s)
	}
	return document, nil
}

func statement(raw json.RawMessage, place string, issued time.Time) (vex.Statement, error) {
	f := object(raw, place)
	f.only("@id", "version", "vulnerability", "timestamp", "last_updated", "products", "status", "supplier", "status_notes",
		"justification", "impact_statement", "action_statement", "action_statement_timestamp")
	s := vex.Statement{Place: place, Status: vex.Status(f.text("status")), Justification: f.text("justification"), Impact: f.text("impact_statement")}
	own, updated := f.time("timestamp"), f.time("last_updated")
	if own.IsZero() {
		own = issued // time cascades down from the document
	}
	s.Time = later(own, updated)
	if v := f.object("vulnerability"); v != nil {
		v.only("@id", "name", "description", "aliases")
		s.Vulnerability = append(s.Vulnerability, v.text("name"))
		for _, alias := range v.list("aliases") {
			text, err := word(alias, place+".vulnerability.aliases")
			if err != nil {
				return vex.Statement{}, err
			}
			s.Vulnerability = append(s.Vulnerability, text)
		}
		f.fail(v.err)
	}
	products := f.list("products")
	switch {
	case f.err != nil:
		return vex.Statement{}, f.err
	case len(s.Vulnerability) == 0 || slices.Contains(s.Vulnerability, ""):
		return vex.Statement{}, fmt.Errorf("%s.vulnerability: want an object with a name", place)
	case !s.Status.Known():
		return vex.Statement{}, fmt.Errorf("%s.status %.100q: want not_affected, affected, fixed or under_investigation", place, s.Status)
	case s.Justification != "" && !vex.Justified(s.Justification):
		return vex.Statement{}, fmt.Errorf("%s.justification %.100q is none that VEX has; a sentence goes into impact_statement", place, s.Justification)
	case len(products) == 0:
		return vex.Statement{}, fmt.Errorf("%s.products is missing or empty: nobody can tell what the statement is about", place)
	}
	for i, raw := range products {
		p, err := product(raw, fmt.Sprintf("%s.products[%d]", place, i))
		if err != nil {
			return vex.Statement{}, err
		}
		s.Products = append(s.Products, p)
	}
	return s, nil
}

func product(raw json.RawMessage, place string) (vex.Product, error) {
	f := object(raw, place)
	f.only("@id", "identifiers", "hashes", "supplier", "subcomponents")
	p := vex.Product{Reference: f.reference()}
	parts := f.list("subcomponents")
	if f.err != nil {
		return vex.Product{}, f.err
	}
	for i, raw := range parts {
		part := object(raw, fmt.Sprintf("%s.subcomponents[%d]", place, i))
		part.only("@id", "identifiers", "hashes", "supplier")
		p.Subcomponents = append(p.Subcomponents, part.reference())
		if part.err != nil {
			return vex.Product{}, part.err
		}
	}
	return p, nil
}

// reference reads the names that products and subcomponents have in common.
func (f *fields) reference() vex.Reference {
	var r vex.Reference
	id := f.text("@id")
	r.Label = id
	identifiers := f.object("identifiers")
	names := []string{}
	if strings.HasPrefix(id, "pkg:") {
		names = append(names, id)
	}
	if identifiers != nil {
		identifiers.only("purl", "cpe22", "cpe23", "@cpe22", "@cpe23")
		if purl := identifiers.text("purl"); purl != "" && purl != id {
			names = append(names, purl)
		}
		f.fail(identifiers.err)
	}
	for _, name := range names {
		if _, err := packageurl.FromString(name); err != nil {
			f.fail(fmt.Errorf("%s: package URL %.200q: %w", f.place, name, err))
			return r
		}
		r.PURLs = append(r.PURLs, name)
	}
	if hashes := f.object("hashes"); hashes != nil {
		for _, algorithm := range []string{"sha-256", "sha-512"} {
			value := hashes.text(algorithm)
			if value == "" {
				continue
			}
			digest, err := subject.Parse(strings.ReplaceAll(algorithm, "-", "") + ":" + strings.ToLower(value))
			if err != nil {
				f.fail(fmt.Errorf("%s.hashes: %w", f.place, err))
				return r
			}
			r.Digests = append(r.Digests, digest)
		}
		f.fail(hashes.err)
	}
	if r.Label == "" {
		switch {
		case len(r.PURLs) > 0:
			r.Label = r.PURLs[0]
		case len(r.Digests) > 0:
			r.Label = r.Digests[0].String()
		}
	}
	return r
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
