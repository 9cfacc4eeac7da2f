package csaf

import (
	"fmt"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/vex"
)

// tree is product_tree (section 3.2.2): every product that the document
// speaks of, under an id that only the document knows.
type tree struct {
	Branches      []branch       `json:"branches"`
	Products      []fullName     `json:"full_product_names"`
	Relationships []relationship `json:"relationships"`
	Groups        []group        `json:"product_groups"`
}

type branch struct {
	Category string    `json:"category"`
	Name     string    `json:"name"`
	Product  *fullName `json:"product"`
	Branches []branch  `json:"branches"`
}

type fullName struct {
	ID     string `json:"product_id"`
	Name   string `json:"name"`
	Helper struct {
		PURL   string `json:"purl"`
		Hashes []struct {
			Files []struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"value"`
			} `json:"file_hashes"`
		} `json:"hashes"`
	} `json:"product_identification_helper"`
}

type relationship struct {
	Category string   `json:"category"`
	Part     string   `json:"product_reference"`
	Whole    string   `json:"relates_to_product_reference"`
	Product  fullName `json:"full_product_name"`
}

type group struct {
	ID       string   `json:"group_id"`
	Products []string `json:"product_ids"`
}

// within is what the branches above a product say of its version.
type within struct {
	version string
	ranged  bool
}

func (t *tree) products() (map[string]vex.Product, error) {
	products := map[string]vex.Product{}
	add := func(id string, p vex.Product) error {
		if _, twice := products[id]; twice || id == "" {
			return fmt.Errorf("product_tree: product_id %.100q is empty or given twice", id)
		}
		products[id] = p
		return nil
	}
	var walk func([]branch, within) error
	walk = func(branches []branch, above within) error {
		for _, b := range branches {
			here := above
			switch b.Category {
			case "product_version":
				here.version = b.Name
			case "product_version_range":
				here.ranged = true
			}
			if b.Product != nil {
				r, err := b.Product.reference(here)
				if err != nil {
					return err
				}
				if err := add(b.Product.ID, vex.Product{Reference: r}); err != nil {
					return err
				}
			}
			if err := walk(b.Branches, here); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(t.Branches, within{}); err != nil {
		return nil, err
	}
	for _, p := range t.Products {
		r, err := p.reference(within{})
		if err != nil {
			return nil, err
		}
		if err := add(p.ID, vex.Product{Reference: r}); err != nil {
			return nil, err
		}
	}
	related := map[string]bool{}
	for _, r := range t.Relationships {
		related[r.Product.ID] = true
	}
	combined := make([]vex.Product, len(t.Relationships))
	for i, r := range t.Relationships {
		part, found := products[r.Part]
		whole, also := products[r.Whole]
		if !found && !related[r.Part] || !also && !related[r.Whole] {
			return nil, fmt.Errorf("product_tree: the relationship %.100q is of products that are not in the tree", r.Product.ID)
		}
		combined[i].Label = r.Product.Name
		// A part of a part, and what may lie beside the product rather than in
		// it, is nothing that a scan can tell.
		if found && also && r.Category != "external_component_of" && r.Category != "optional_component_of" {
			combined[i] = vex.Product{Reference: whole.Reference, Subcomponents: []vex.Reference{part.Reference}}
			combined[i].Label = r.Product.Name
		}
	}
	for i, r := range t.Relationships {
		if err := add(r.Product.ID, combined[i]); err != nil {
			return nil, err
		}
	}
	return products, nil
}

// reference is how a scan may know the product.
func (p *fullName) reference(above within) (vex.Reference, error) {
	r := vex.Reference{Label: p.Name}
	if purl := p.Helper.PURL; purl != "" {
		parsed, err := packageurl.FromString(purl)
		if err != nil {
			return vex.Reference{}, fmt.Errorf("product_tree: product %.100q: package URL %.200q: %w", p.ID, purl, err)
		}
		switch {
		case parsed.Version == "" && above.version != "":
			parsed.Version = above.version
			r.PURLs = append(r.PURLs, parsed.ToString())
		case parsed.Version != "" || !above.ranged:
			r.PURLs = append(r.PURLs, purl)
		}
	}
	if len(p.Helper.Hashes) != 1 {
		return r, nil // of several files, and one of them alone is not the product
	}
	for _, file := range p.Helper.Hashes[0].Files {
		if file.Algorithm != "sha256" && file.Algorithm != "sha512" {
			continue
		}
		digest, err := subject.Parse(file.Algorithm + ":" + strings.ToLower(file.Value))
		if err != nil {
			return vex.Reference{}, fmt.Errorf("product_tree: product %.100q: %w", p.ID, err)
		}
		r.Digests = append(r.Digests, digest)
	}
	return r, nil
}
