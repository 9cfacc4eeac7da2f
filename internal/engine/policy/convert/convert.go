// Package convert writes Kyverno's policies for images as EvidencePolicies.
//
// The entry point is [Kyverno]. What an EvidencePolicy says otherwise, or more
// strictly, is a note; a condition that has no translation becomes a check that
// never holds, so that what is lost stays closed; a rule that cannot be
// converted is named, and nothing is written for it. A converted policy is
// never weaker where nobody is told. The package reads no files and judges
// nothing.
package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

// Note is something that a reader of a converted policy must know.
type Note struct {
	// Line is where the original says it.
	Line int    `json:"line"`
	Text string `json:"text"`
}

// Result is what became of a policy.
type Result struct {
	// YAML has one EvidencePolicy for each element of verifyImages, as documents
	// with the notes as comments at their head; empty where none was converted.
	YAML []byte `json:"-"`
	// Notes say what is different, Lost what was not converted.
	Notes []Note `json:"notes"`
	Lost  []Note `json:"lost"`
}

// Is says whether a document is a policy of Kyverno's that Kyverno reads.
func Is(document strictyaml.Document) bool {
	kind := document.Field("kind")
	return strings.HasPrefix(document.Field("apiVersion"), "kyverno.io/") && (kind == "ClusterPolicy" || kind == "Policy")
}

// Kyverno converts one ClusterPolicy or Policy. A field that it does not know is
// an error that names it.
func Kyverno(document strictyaml.Document) (Result, error) {
	if !Is(document) {
		return Result{}, fmt.Errorf("%s:%d: is no ClusterPolicy or Policy of kyverno.io", document.File, document.Line)
	}
	var source sourcePolicy
	if err := document.Decode(&source); err != nil {
		var field *strictyaml.UnknownFieldError
		if errors.As(err, &field) {
			return Result{}, fmt.Errorf("%w: %s has no place in an EvidencePolicy, and nothing is left out silently", err, field.Path)
		}
		return Result{}, err
	}
	c := &converter{document: document, source: source}
	if source.Kind == "Policy" {
		c.note(nil, "it is of one namespace, and the converted one is not: match.namespaces has it")
	}
	for i, r := range source.Spec.Rules {
		path := []string{"spec", "rules", strconv.Itoa(i)}
		if len(r.VerifyImages) == 0 {
			c.lose(path, "rule %q has no verifyImages", r.Name)
		}
		for j, v := range r.VerifyImages {
			name := source.Metadata.Name + "-" + r.Name
			if len(r.VerifyImages) > 1 {
				name += "-" + strconv.Itoa(j+1)
			}
			c.block(append(path, "verifyImages", strconv.Itoa(j)), name, r, v)
		}
	}
	return c.result, nil
}

// converter gathers what becomes of a policy.
type converter struct {
	document strictyaml.Document
	source   sourcePolicy
	result   Result
	// wrote counts documents; begun is where the notes of this one begin.
	wrote, begun int
}

func (c *converter) note(path []string, format string, arguments ...any) {
	c.result.Notes = append(c.result.Notes, Note{c.document.LineOf(path...), fmt.Sprintf(format, arguments...)})
}

func (c *converter) lose(path []string, format string, arguments ...any) {
	c.result.Lost = append(c.result.Lost, Note{c.document.LineOf(path...), fmt.Sprintf(format, arguments...)})
}

// block converts one element of verifyImages.
func (c *converter) block(path []string, name string, r sourceRule, v sourceVerify) {
	c.begun = len(c.result.Notes)
	target := targetPolicy{APIVersion: v1alpha1.GroupVersion, Kind: v1alpha1.KindEvidencePolicy, Metadata: targetMetadata{Name: kubeName(name)}}
	c.match(path[:3], &target, r)
	c.images(path, &target, v)
	c.action(path, &target, v)
	if c.source.Metadata.Annotations["assay.sh/allow-sample"] == "true" {
		target.Spec.AllowSample = true
	}
	s := &signers{converter: c}
	for i, set := range v.Attestors {
		at := append(path[:len(path):len(path)], "attestors", strconv.Itoa(i))
		names, threshold, ok := s.set(at, set)
		if !ok {
			return
		}
		requirement := targetRequirement{Name: numbered("signed", i), Type: "signature", Signers: names, Threshold: threshold}
		target.Spec.Requirements = append(target.Spec.Requirements, requirement)
	}
	for i, a := range v.Attestations {
		at := append(path[:len(path):len(path)], "attestations", strconv.Itoa(i))
		if !c.attestation(at, &target, s, i, a) {
			return
		}
	}
	if len(target.Spec.Requirements) == 0 {
		c.lose(path, "asks for neither a signature nor an attestation")
		return
	}
	target.Spec.Signers = s.list
	c.write(path, target)
}

// attestation converts one attestation into a requirement for each set of its
// attestors.
func (c *converter) attestation(path []string, target *targetPolicy, s *signers, i int, a sourceAttestation) bool {
	uri := a.Type
	if uri == "" {
		uri = a.PredicateType
	}
	if len(a.Attestors) == 0 {
		c.lose(path, "attestation %s has no attestors: anybody could have made it", uri)
		return false
	}
	if family := predicate.Family(uri); family == predicate.TypeCycloneDX || family == predicate.TypeSPDX {
		c.note(path, "an SBOM that lists no component does not satisfy it")
	}
	checks, age := c.conditions(path, uri, a.Conditions)
	if predicate.Family(uri) == predicate.TypeCosignVuln && len(checks) > 0 {
		c.note(path, "all vulnerability types count as one: a condition on the shape of %s does not hold of another, in which Assay writes every scan too; write it with findings instead of predicate", uri)
	}
	for n, set := range a.Attestors {
		names, threshold, ok := s.set(append(path[:len(path):len(path)], "attestors", strconv.Itoa(n)), set)
		if !ok {
			return false
		}
		if len(names) > max(threshold, 1) {
			c.note(append(path[:len(path):len(path)], "attestors", strconv.Itoa(n)), "what any of the %d signers says of %s counts: in Kyverno one of them who is content is enough", len(names), uri)
		}
		name := a.Name
		if name == "" {
			name = numbered("attested", i)
		}
		if n > 0 {
			name += "-" + strconv.Itoa(n+1)
		}
		requirement := targetRequirement{Name: kubeName(name), Type: uri, Signers: names, Threshold: threshold, Checks: checks}
		if age > 0 {
			requirement.MaxAge = age.String()
		}
		target.Spec.Requirements = append(target.Spec.Requirements, requirement)
	}
	return true
}

// write adds a document, with its notes at its head.
func (c *converter) write(path []string, target targetPolicy) {
	var body bytes.Buffer
	encoder := yaml.NewEncoder(&body)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(target), encoder.Close()); err != nil {
		c.lose(path, "%v", err)
		return
	}
	var out bytes.Buffer
	if c.wrote > 0 {
		out.WriteString("---\n")
	}
	c.wrote++
	fmt.Fprintf(&out, "# Converted from %s/%s.\n", c.source.Kind, c.source.Metadata.Name)
	for _, n := range c.result.Notes[c.begun:] {
		fmt.Fprintf(&out, "# - line %d: %s\n", n.Line, strings.Join(strings.Fields(n.Text), " "))
	}
	out.Write(body.Bytes())
	c.result.YAML = append(c.result.YAML, out.Bytes()...)
}

func numbered(name string, i int) string {
	if i == 0 {
		return name
	}
	return name + "-" + strconv.Itoa(i+1)
}

// kubeName makes a name that Kubernetes takes.
func kubeName(text string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, text)
	return strings.Trim(name[:min(len(name), 253)], "-.")
}

// raw is a list of conditions as Kyverno has it.
type raw = json.RawMessage
