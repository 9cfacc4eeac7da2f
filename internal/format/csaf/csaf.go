// Package csaf reads what CSAF 2.0 documents say of products: the VEX profile
// (https://docs.oasis-open.org/csaf/csaf/v2.0/csaf-v2.0.html, section 4.5),
// and security advisories, which have the same product status.
//
// Entry points are [Is] and [Decode]. Products are known by the package URL
// and the SHA-256 and SHA-512 hashes of their identification helper; a
// relationship makes its product a part of the one that it relates to. A
// package URL without a version that stands under a product_version branch has
// that branch's version, and one under a version range names nothing: a range
// must not turn into every version. Remediations, scores and notes are passed
// over.
//
// The package does not judge: whether a statement holds, and what it is about,
// is engine/triage's to say.
package csaf

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/vex"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// Is says whether content looks like a CSAF document.
func Is(content []byte) bool {
	var head struct {
		Document struct {
			Version string `json:"csaf_version"`
		} `json:"document"`
	}
	return json.Unmarshal(content, &head) == nil && head.Document.Version != ""
}

type document struct {
	Document struct {
		Category  string `json:"category"`
		Version   string `json:"csaf_version"`
		Publisher struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"publisher"`
		Tracking struct {
			ID      string `json:"id"`
			Status  string `json:"status"`
			Current string `json:"current_release_date"`
		} `json:"tracking"`
	} `json:"document"`
	Tree            tree            `json:"product_tree"`
	Vulnerabilities []vulnerability `json:"vulnerabilities"`
}

type vulnerability struct {
	CVE string `json:"cve"`
	IDs []struct {
		Text string `json:"text"`
	} `json:"ids"`
	Status  map[string][]string `json:"product_status"`
	Flags   []flag              `json:"flags"`
	Threats []threat            `json:"threats"`
}

// whom are the products that a flag or threat is about.
type whom struct {
	Products []string `json:"product_ids"`
	Groups   []string `json:"group_ids"`
}

type flag struct {
	Label string `json:"label"`
	whom
}

type threat struct {
	Category string `json:"category"`
	Details  string `json:"details"`
	whom
}

// statuses of section 3.2.3.9, and what they mean. "recommended" says nothing
// of whether a product is affected.
var statuses = []struct {
	name   string
	status vex.Status
}{
	{"first_affected", vex.Affected}, {"known_affected", vex.Affected}, {"last_affected", vex.Affected},
	{"under_investigation", vex.UnderInvestigation}, {"first_fixed", vex.Fixed}, {"fixed", vex.Fixed},
	{"known_not_affected", vex.NotAffected},
}

// Decode reads one document of at most limit.VEX bytes and limit.VEXStatements
// statements. Errors begin with where.
func Decode(r io.Reader, where string) (vex.Document, error) {
	content, err := limit.ReadAll(r, where, limit.VEX)
	if err != nil {
		return vex.Document{}, err
	}
	if _, err := strictjson.Object(content, where, strictjson.Bounds{}); err != nil {
		return vex.Document{}, err
	}
	var d document
	if err := json.Unmarshal(content, &d); err != nil {
		return vex.Document{}, fmt.Errorf("%s: %w", where, err)
	}
	read, err := d.read()
	if err != nil {
		return vex.Document{}, fmt.Errorf("%s: %w", where, err)
	}
	read.Path, read.Format = where, "CSAF"
	return read, nil
}

func (d *document) read() (vex.Document, error) {
	head := d.Document
	at, err := time.Parse(time.RFC3339, head.Tracking.Current)
	switch {
	case head.Version != "2.0":
		return vex.Document{}, fmt.Errorf("document.csaf_version %.50q: want 2.0", head.Version)
	case head.Category != "csaf_vex" && head.Category != "csaf_security_advisory":
		return vex.Document{}, fmt.Errorf("document.category %.100q: want csaf_vex or csaf_security_advisory", head.Category)
	case head.Tracking.Status != "final" && head.Tracking.Status != "interim":
		return vex.Document{}, fmt.Errorf("document.tracking.status %.50q: want final or interim; a draft says nothing yet", head.Tracking.Status)
	case err != nil:
		return vex.Document{}, fmt.Errorf("document.tracking.current_release_date %.100q: want a date and time like 2025-01-02T03:04:05Z", head.Tracking.Current)
	case head.Tracking.ID == "" || head.Publisher.Namespace == "":
		return vex.Document{}, fmt.Errorf("document: want tracking.id and publisher.namespace, which name it together")
	}
	products, err := d.Tree.products()
	if err != nil {
		return vex.Document{}, err
	}
	read := vex.Document{ID: head.Publisher.Namespace + " " + head.Tracking.ID, Author: head.Publisher.Name, Time: at.UTC()}
	for i, v := range d.Vulnerabilities {
		place := fmt.Sprintf("vulnerabilities[%d]", i)
		if err := v.statements(place, d.Tree.Groups, products, &read); err != nil {
			return vex.Document{}, fmt.Errorf("%s%w", place, err)
		}
	}
	if len(read.Statements) == 0 {
		return vex.Document{}, fmt.Errorf("no vulnerability has a product_status: the document says nothing")
	}
	return read, nil
}

func (v *vulnerability) statements(place string, groups []group, products map[string]vex.Product, into *vex.Document) error {
	var ids []string
	if v.CVE != "" {
		ids = append(ids, v.CVE)
	}
	for _, id := range v.IDs {
		if id.Text != "" && !slices.Contains(ids, id.Text) {
			ids = append(ids, id.Text)
		}
	}
	if len(ids) == 0 {
		return fmt.Errorf(": neither cve nor ids: nobody can tell which vulnerability is meant")
	}
	justification, impact, err := v.reasons(groups)
	if err != nil {
		return err
	}
	for _, s := range statuses {
		// One statement for all products that are said the same of.
		type said struct{ justification, impact string }
		together := map[said]int{}
		for _, id := range v.Status[s.name] {
			product, known := products[id]
			if !known {
				return fmt.Errorf(".product_status.%s: product %.100q is not in the product_tree", s.name, id)
			}
			why := said{}
			if s.status == vex.NotAffected {
				why = said{justification[id], impact[id]}
			}
			at, seen := together[why]
			if !seen {
				if len(into.Statements) >= limit.VEXStatements {
					return &limit.Error{What: "what is said of products", Bound: limit.VEXStatements, Unit: "statements"}
				}
				at = len(into.Statements)
				together[why] = at
				into.Statements = append(into.Statements, vex.Statement{Place: place + ".product_status." + s.name, Vulnerability: ids,
					Status: s.status, Justification: why.justification, Impact: why.impact, Time: into.Time})
			}
			into.Statements[at].Products = append(into.Statements[at].Products, product)
		}
	}
	return nil
}

// reasons are the justification and the impact of each product. One that names
// no product is nobody's.
func (v *vulnerability) reasons(groups []group) (justification, impact map[string]string, err error) {
	justification, impact = map[string]string{}, map[string]string{}
	members := map[string][]string{}
	for _, g := range groups {
		members[g.ID] = append(members[g.ID], g.Products...)
	}
	each := func(w whom, set func(id string)) error {
		for _, id := range w.Products {
			set(id)
		}
		for _, g := range w.Groups {
			if members[g] == nil {
				return fmt.Errorf(": product group %.100q is not in the product_tree", g)
			}
			for _, id := range members[g] {
				set(id)
			}
		}
		return nil
	}
	for i, f := range v.Flags {
		if !vex.Justified(f.Label) {
			return nil, nil, fmt.Errorf(".flags[%d].label %.100q is no justification that VEX has", i, f.Label)
		}
		if err := each(f.whom, func(id string) { justification[id] = f.Label }); err != nil {
			return nil, nil, err
		}
	}
	for _, t := range v.Threats {
		if t.Category != "impact" {
			continue
		}
		if err := each(t.whom, func(id string) { impact[id] = t.Details }); err != nil {
			return nil, nil, err
		}
	}
	return justification, impact, nil
}
