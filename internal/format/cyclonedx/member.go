package cyclonedx

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// properties are names and values in their order.
type properties [][2]string

func propertiesOf(members strictjson.Members) (properties, error) {
	list, err := members.List("properties", limit.SBOMComponents)
	if err != nil {
		return nil, err
	}
	var all properties
	for _, raw := range list {
		p, err := strictjson.Object(raw, "property", strictjson.Bounds{})
		if err != nil {
			return nil, err
		}
		t := strictjson.Texts{Members: p}
		all = append(all, [2]string{t.Get("name"), t.Get("value")})
		if t.Err != nil {
			return nil, fmt.Errorf("property: %w", t.Err)
		}
	}
	return all, nil
}

func (p properties) first(name string) string {
	for _, pair := range p {
		if pair[0] == name {
			return pair[1]
		}
	}
	return ""
}

func (p properties) all(name string) []string {
	var values []string
	for _, pair := range p {
		if pair[0] == name {
			values = append(values, pair[1])
		}
	}
	return values
}

// locationsOf reads the evidence, else syft's or Trivy's properties.
func locationsOf(members strictjson.Members, p properties) ([]component.Location, error) {
	evidence, err := members.Object("evidence")
	if err != nil {
		return nil, err
	}
	list, err := evidence.List("occurrences", limit.SBOMComponents)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	var locations []component.Location
	for _, raw := range list {
		occurrence, err := strictjson.Object(raw, "occurrence", strictjson.Bounds{})
		if err != nil {
			return nil, err
		}
		t := strictjson.Texts{Members: occurrence}
		l := component.Location{Path: strings.TrimPrefix(t.Get("location"), "/")}
		if context, found := strings.CutPrefix(t.Get("additionalContext"), layerContext); found {
			l.Layer, _ = subject.Parse(context) // another tool's context may begin so too
		}
		if t.Err != nil {
			return nil, fmt.Errorf("occurrence: %w", t.Err)
		}
		if line, err := strconv.Atoi(string(occurrence["line"])); err == nil && line > 0 {
			l.Line = line
		}
		if l.Path != "" {
			locations = append(locations, l)
		}
	}
	if locations != nil {
		return locations, nil
	}
	for i := range len(p) {
		name := "syft:location:" + strconv.Itoa(i) + ":"
		at := p.first(name + "path")
		if at == "" {
			break
		}
		layer, _ := subject.Parse(p.first(name + "layerID"))
		locations = append(locations, component.Location{Path: strings.TrimPrefix(at, "/"), Layer: layer})
	}
	if at := p.first(trivy + "FilePath"); at != "" && locations == nil {
		layer, _ := subject.Parse(p.first(trivy + "LayerDiffID"))
		locations = append(locations, component.Location{Path: strings.TrimPrefix(at, "/"), Layer: layer})
	}
	return locations, nil
}

// trivy heads the names of Trivy's properties.
const trivy = "aquasecurity:trivy:"

// fromTrivy takes what Trivy says in its own properties: the source package,
// and by the kind of package whether it was found installed.
func fromTrivy(e *sbom.Entry, p properties) {
	if name := p.first(trivy + "SrcName"); name != "" && e.SourceName == "" {
		e.SourceName, e.SourceVersion = name, p.first(trivy+"SrcVersion")
		if release := p.first(trivy + "SrcRelease"); release != "" && e.SourceVersion != "" {
			e.SourceVersion += "-" + release
		}
		if epoch := p.first(trivy + "SrcEpoch"); epoch != "" && epoch != "0" && e.SourceVersion != "" {
			e.SourceVersion = epoch + ":" + e.SourceVersion
		}
	}
	if e.Dependency == "" && p.first(trivy+"PkgType") == "python-pkg" {
		e.Dependency = component.Installed
	}
}

// hashesOf keeps the digests of the algorithms that count here.
func hashesOf(members strictjson.Members) ([]subject.Digest, error) {
	list, err := members.List("hashes", limit.SBOMComponents)
	if err != nil {
		return nil, err
	}
	var digests []subject.Digest
	for _, raw := range list {
		hash, err := strictjson.Object(raw, "hash", strictjson.Bounds{})
		if err != nil {
			return nil, err
		}
		t := strictjson.Texts{Members: hash}
		algorithm, known := map[string]string{"SHA-256": "sha256", "SHA-512": "sha512"}[t.Get("alg")]
		if digest, err := subject.Parse(algorithm + ":" + strings.ToLower(t.Get("content"))); known && err == nil {
			digests = append(digests, digest)
		}
		if t.Err != nil {
			return nil, fmt.Errorf("hash: %w", t.Err)
		}
	}
	return digests, nil
}

// licensesOf reads the licences: an expression is one for all, a single SPDX
// identifier is an expression too.
func licensesOf(members strictjson.Members) (names []string, expression string, err error) {
	list, err := members.List("licenses", limit.SBOMComponents)
	if err != nil {
		return nil, "", err
	}
	for _, raw := range list {
		choice, err := strictjson.Object(raw, "licence", strictjson.Bounds{})
		if err != nil {
			return nil, "", err
		}
		license, err := choice.Object("license")
		if err != nil {
			return nil, "", fmt.Errorf("licence: %w", err)
		}
		c, l := strictjson.Texts{Members: choice}, strictjson.Texts{Members: license}
		stated, id, name := c.Get("expression"), l.Get("id"), l.Get("name")
		if c.Err != nil || l.Err != nil {
			return nil, "", fmt.Errorf("licence: an expression, id and name are strings")
		}
		if len(list) == 1 {
			expression = stated + id // the schema allows one of them
		} else if stated+id != "" {
			names = append(names, stated+id)
		}
		if name != "" && stated+id == "" {
			names = append(names, name)
		}
	}
	return names, expression, nil
}
