package predicate

import (
	"fmt"
	"strings"
)

// Component is one entry of an SBOM, whatever its format.
type Component struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
	// Type is CycloneDX's word: library, application, operating-system,
	// file, and so on. SPDX packages are mapped to it.
	Type string `json:"type"`
	// Dependency is "installed" or "declared" where Assay wrote the SBOM.
	Dependency string   `json:"dependency"`
	Licenses   []string `json:"licenses"`
}

// maxNesting bounds components within components.
const maxNesting = 64

// ReadComponents lists the components of a CycloneDX or SPDX predicate, nested
// ones too; the described artifact itself is left out. An SBOM without
// components gives an empty list; another type, or a document that is not of
// its format, is an error.
func ReadComponents(uri string, raw []byte) ([]Component, error) {
	switch Family(uri) {
	case TypeCycloneDX:
		return readCycloneDX(raw)
	case TypeSPDX:
		return readSPDX(raw)
	}
	return nil, fmt.Errorf("%s is no SBOM type; components are read from %s and %s", uri, TypeCycloneDX, TypeSPDX)
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type cycloneDXComponent struct {
	Type       string               `json:"type"`
	Name       string               `json:"name"`
	Version    string               `json:"version"`
	PURL       string               `json:"purl"`
	Properties []property           `json:"properties"`
	Components []cycloneDXComponent `json:"components"`
	Licenses   []struct {
		Expression string `json:"expression"`
		License    struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"license"`
	} `json:"licenses"`
}

func readCycloneDX(raw []byte) ([]Component, error) {
	var document struct {
		BOMFormat  string               `json:"bomFormat"`
		Components []cycloneDXComponent `json:"components"`
	}
	if err := decode(raw, &document); err != nil {
		return nil, fmt.Errorf("reading CycloneDX: %w", err)
	}
	if document.BOMFormat != "CycloneDX" {
		return nil, fmt.Errorf("reading CycloneDX: bomFormat is %q", document.BOMFormat)
	}
	list := []Component{}
	var walk func([]cycloneDXComponent, int) error
	walk = func(components []cycloneDXComponent, depth int) error {
		if depth > maxNesting {
			return fmt.Errorf("reading CycloneDX: components nest deeper than %d", maxNesting)
		}
		for _, c := range components {
			component := Component{Name: c.Name, Version: c.Version, PURL: c.PURL, Type: c.Type, Licenses: []string{}}
			for _, l := range c.Licenses {
				for _, text := range []string{l.Expression, l.License.ID, l.License.Name} {
					if text != "" {
						component.Licenses = append(component.Licenses, text)
						break
					}
				}
			}
			for _, p := range c.Properties {
				if p.Name == DependencyProperty {
					component.Dependency = p.Value
				}
			}
			list = append(list, component)
			if err := walk(c.Components, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	err := walk(document.Components, 0)
	return list, err
}

// DependencyProperty is the property of a component that says whether it was
// found installed or only declared.
const DependencyProperty = "assay:dependency"

func readSPDX(raw []byte) ([]Component, error) {
	var document struct {
		SPDXVersion       string   `json:"spdxVersion"`
		DocumentDescribes []string `json:"documentDescribes"`
		Packages          []struct {
			ID               string `json:"SPDXID"`
			Name             string `json:"name"`
			Version          string `json:"versionInfo"`
			Purpose          string `json:"primaryPackagePurpose"`
			LicenseConcluded string `json:"licenseConcluded"`
			LicenseDeclared  string `json:"licenseDeclared"`
			ExternalRefs     []struct {
				Type    string `json:"referenceType"`
				Locator string `json:"referenceLocator"`
			} `json:"externalRefs"`
			Annotations []struct {
				Comment string `json:"comment"`
			} `json:"annotations"`
		} `json:"packages"`
		Relationships []struct {
			Element string `json:"spdxElementId"`
			Type    string `json:"relationshipType"`
			Related string `json:"relatedSpdxElement"`
		} `json:"relationships"`
	}
	if err := decode(raw, &document); err != nil {
		return nil, fmt.Errorf("reading SPDX: %w", err)
	}
	if !strings.HasPrefix(document.SPDXVersion, "SPDX-2.") {
		return nil, fmt.Errorf("reading SPDX: spdxVersion is %q; SPDX 2.2 and 2.3 are read", document.SPDXVersion)
	}
	described := map[string]bool{}
	for _, id := range document.DocumentDescribes {
		described[id] = true
	}
	for _, r := range document.Relationships {
		if r.Type == "DESCRIBES" && r.Element == "SPDXRef-DOCUMENT" {
			described[r.Related] = true
		}
	}
	list := []Component{}
	for _, p := range document.Packages {
		component := Component{Name: p.Name, Version: p.Version, Type: spdxType(p.Purpose), Licenses: []string{}}
		for _, ref := range p.ExternalRefs {
			if ref.Type == "purl" && component.PURL == "" {
				component.PURL = ref.Locator
			}
		}
		if described[p.ID] && component.Type == "container" {
			continue
		}
		for _, text := range []string{p.LicenseConcluded, p.LicenseDeclared} {
			if text != "" && text != "NOASSERTION" && text != "NONE" {
				component.Licenses = append(component.Licenses, text)
				break
			}
		}
		for _, a := range p.Annotations {
			if value, found := strings.CutPrefix(a.Comment, DependencyProperty+"="); found {
				component.Dependency = value
			}
		}
		list = append(list, component)
	}
	return list, nil
}

func spdxType(purpose string) string {
	switch purpose {
	case "", "LIBRARY":
		return "library"
	}
	return strings.ToLower(strings.ReplaceAll(purpose, "_", "-"))
}
