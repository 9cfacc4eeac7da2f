package crd

import (
	"fmt"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-161fc314/assay/api/v1alpha1"
)

// schema is what of OpenAPI v3 the definition uses.
type schema struct {
	Description string             `yaml:"description,omitempty"`
	Type        string             `yaml:"type"`
	Format      string             `yaml:"format,omitempty"`
	Pattern     string             `yaml:"pattern,omitempty"`
	Enum        []string           `yaml:"enum,omitempty"`
	Minimum     *int               `yaml:"minimum,omitempty"`
	MinLength   int                `yaml:"minLength,omitempty"`
	MinItems    int                `yaml:"minItems,omitempty"`
	ListType    string             `yaml:"x-kubernetes-list-type,omitempty"`
	Items       *schema            `yaml:"items,omitempty"`
	Values      *schema            `yaml:"additionalProperties,omitempty"`
	Required    []string           `yaml:"required,omitempty"`
	Properties  map[string]*schema `yaml:"properties,omitempty"`
}

// duration is what time.ParseDuration reads, without a sign.
const duration = `^(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`

// rules are what the Go types do not say of their fields, by TYPE.FIELD.
var rules = map[string]func(*schema){
	"EvidencePolicySpec.Action":         words(v1alpha1.ActionEnforce, v1alpha1.ActionWarn, v1alpha1.ActionAudit),
	"EvidencePolicySpec.EffectiveFrom":  date,
	"EvidencePolicySpec.EffectiveUntil": date,
	"EvidencePolicySpec.Signers":        nonEmpty,
	"EvidencePolicySpec.Requirements":   nonEmpty,
	"Match.Images":                      nonEmpty,
	"Exception.Reason":                  text,
	"Exception.Owner":                   text,
	"Exception.Expires":                 date,
	"OnFault.EvidenceUnavailable":       words(v1alpha1.ActionEnforce, v1alpha1.ActionWarn),
	"Signer.Name":                       text,
	"Signer.NotBefore":                  date,
	"Signer.NotAfter":                   date,
	"Key.NotBefore":                     date,
	"Key.NotAfter":                      date,
	"Requirement.Name":                  text,
	"Requirement.Type":                  text,
	"Requirement.Signers":               nonEmpty,
	"Requirement.Threshold":             func(s *schema) { s.Minimum = new(int) },
	"Requirement.MaxAge":                func(s *schema) { s.Pattern = duration },
	"Select.Which":                      words(v1alpha1.WhichNewest, v1alpha1.WhichAll),
	"Check.Name":                        text,
	"LabelSelectorRequirement.Operator": words("In", "NotIn", "Exists", "DoesNotExist"),
}

func words(list ...string) func(*schema) { return func(s *schema) { s.Enum = list } }
func date(s *schema)                     { s.Format = "date-time" }
func text(s *schema)                     { s.MinLength = 1 }
func nonEmpty(s *schema)                 { s.MinItems = 1 }

// writer makes schemas, and gathers what is wrong.
type writer struct {
	comments comments
	used     map[string]bool
	wrong    []string
}

func (w *writer) fail(format string, arguments ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf(format, arguments...))
}

// of is the schema of a type; what says where it is.
func (w *writer) of(t reflect.Type, description, what string) *schema {
	switch t.Kind() {
	case reflect.Pointer:
		return w.of(t.Elem(), description, what)
	case reflect.String:
		return &schema{Description: description, Type: "string"}
	case reflect.Bool:
		return &schema{Description: description, Type: "boolean"}
	case reflect.Int, reflect.Int64:
		return &schema{Description: description, Type: "integer", Format: "int64"}
	case reflect.Slice:
		// A list has one author: whoever applies another owns all of it, and no
		// signer stays that the policy's text does not have.
		return &schema{Description: description, Type: "array", ListType: "atomic", Items: w.of(t.Elem(), "", what)}
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return &schema{Description: description, Type: "object", Values: w.of(t.Elem(), "", what)}
		}
	case reflect.Struct:
		if t == reflect.TypeFor[metav1.ObjectMeta]() {
			// The API server has its own words about metadata, and takes no others.
			return &schema{Type: "object"}
		}
		return w.object(t, description, what)
	}
	w.fail("%s is a %s, which has no schema here", what, t)
	return &schema{}
}

func (w *writer) object(t reflect.Type, description, what string) *schema {
	if about := w.comments.of(t, ""); about != "" {
		description = strings.TrimPrefix(description+"\n\n"+about, "\n\n")
	}
	s := &schema{Description: description, Type: "object", Properties: map[string]*schema{}}
	w.fields(t, s, what)
	return s
}

// fields puts the fields of a type into its schema.
func (w *writer) fields(t reflect.Type, s *schema, what string) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "" && strings.Contains(options, "inline"):
			w.fields(field.Type, s, what)
			continue
		case name == "" || name == "-":
			w.fail("%s.%s has no name in JSON", what, field.Name)
			continue
		}
		key := t.Name() + "." + field.Name
		description := w.comments.of(t, field.Name)
		if description == "" {
			w.fail("%s has no comment", key)
		}
		property := w.of(field.Type, description, key)
		if rule := rules[key]; rule != nil {
			rule(property)
			w.used[key] = true
		}
		s.Properties[name] = property
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			s.Required = append(s.Required, name)
		}
	}
}
