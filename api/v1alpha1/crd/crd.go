// Package crd makes the CustomResourceDefinition of EvidencePolicy from its Go
// types: fields from json tags, descriptions from comments.
//
// Entry point is [Definition]; `make crd` writes what it gives to
// deploy/crd/assay.sh_evidencepolicies.yaml. The schema says what shape a policy
// has. That it means something (that its CEL compiles, that names are unique, that
// patterns name a registry) is for who loads it.
package crd

import (
	"bytes"
	"fmt"
	"io/fs"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/seed-161fc314/assay/api/v1alpha1"
)

// Definition gives the CustomResourceDefinition in YAML. Source is the directory
// of package v1alpha1, which has the comments. A field without a comment, of a
// kind that has no schema, or a rule for a field that is not there is an error.
func Definition(source fs.FS) ([]byte, error) {
	documented, err := read(source)
	if err != nil {
		return nil, err
	}
	policy := reflect.TypeFor[v1alpha1.EvidencePolicy]()
	w := &writer{comments: documented, used: map[string]bool{}}
	root := w.object(policy, "", policy.Name())
	for field := range rules {
		if !w.used[field] {
			w.fail("there is a rule for %s, and no such field", field)
		}
	}
	if len(w.wrong) > 0 {
		return nil, fmt.Errorf("schema of %s: %s", policy.Name(), strings.Join(w.wrong, "; "))
	}
	kind := v1alpha1.KindEvidencePolicy
	singular := strings.ToLower(kind)
	plural := strings.TrimSuffix(singular, "y") + "ies"
	group, name, _ := strings.Cut(v1alpha1.GroupVersion, "/")
	v := version{Name: name, Served: true, Storage: true, Columns: []column{
		{Name: "Action", Type: "string", JSONPath: ".spec.action", Description: "What a check that does not pass does; nothing is Enforce."},
		{Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp"},
	}}
	v.Schema.OpenAPI = root
	if _, has := policy.FieldByName("Status"); has {
		v.Subresources = map[string]struct{}{"status": {}}
	}
	d := definition{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Metadata: map[string]string{"name": plural + "." + group}}
	d.Spec = spec{Group: group, Scope: "Cluster", Versions: []version{v},
		Names: names{Kind: kind, ListKind: kind + "List", Plural: plural, Singular: singular}}
	var b bytes.Buffer
	b.WriteString("# Made by `make crd` from the types in api/v1alpha1; change those.\n")
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(d); err != nil {
		return nil, err
	}
	return b.Bytes(), encoder.Close()
}

type definition struct {
	APIVersion string            `yaml:"apiVersion"`
	Kind       string            `yaml:"kind"`
	Metadata   map[string]string `yaml:"metadata"`
	Spec       spec              `yaml:"spec"`
}

type spec struct {
	Group    string    `yaml:"group"`
	Names    names     `yaml:"names"`
	Scope    string    `yaml:"scope"`
	Versions []version `yaml:"versions"`
}

type names struct {
	Kind     string `yaml:"kind"`
	ListKind string `yaml:"listKind"`
	Plural   string `yaml:"plural"`
	Singular string `yaml:"singular"`
}

type version struct {
	Name         string              `yaml:"name"`
	Served       bool                `yaml:"served"`
	Storage      bool                `yaml:"storage"`
	Columns      []column            `yaml:"additionalPrinterColumns"`
	Subresources map[string]struct{} `yaml:"subresources,omitempty"`
	Schema       struct {
		OpenAPI *schema `yaml:"openAPIV3Schema"`
	} `yaml:"schema"`
}

type column struct {
	Name        string `yaml:"name"`
	Type        string `yaml:"type"`
	JSONPath    string `yaml:"jsonPath"`
	Description string `yaml:"description,omitempty"`
}
