package crd

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/seed-161fc314/assay/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the definition to deploy/crd")

const committed = "../../../deploy/crd/assay.sh_evidencepolicies.yaml"

func made(t *testing.T) []byte {
	t.Helper()
	content, err := Definition(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestCommitted: what the repository ships is what the types say.
func TestCommitted(t *testing.T) {
	content := made(t)
	if *update {
		if err := os.WriteFile(committed, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := os.ReadFile(committed); err != nil || !bytes.Equal(found, content) {
		t.Fatalf("%s is not what the types in api/v1alpha1 say (%v); run make crd", committed, err)
	}
}

// TestEveryFieldIsDescribed compares the definition with the types by its own
// walk over them.
func TestEveryFieldIsDescribed(t *testing.T) {
	var definition struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct {
					Root map[string]any `yaml:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(made(t), &definition); err != nil {
		t.Fatal(err)
	}
	if len(definition.Spec.Versions) != 1 || definition.Spec.Versions[0].Name != "v1alpha1" {
		t.Fatalf("want the version v1alpha1 alone, found %+v", definition.Spec.Versions)
	}
	if seen := walk(t, reflect.TypeFor[v1alpha1.EvidencePolicy](), definition.Spec.Versions[0].Schema.Root, "policy"); seen < 60 {
		t.Errorf("only %d fields were looked at", seen)
	}
}

func walk(t *testing.T, of reflect.Type, node map[string]any, at string) int {
	t.Helper()
	if node["x-kubernetes-preserve-unknown-fields"] != nil {
		t.Errorf("%s takes unknown fields", at)
	}
	switch of.Kind() {
	case reflect.Pointer:
		return walk(t, of.Elem(), node, at)
	case reflect.Slice:
		items, _ := node["items"].(map[string]any)
		return walk(t, of.Elem(), items, at+"[]")
	case reflect.Struct:
	default:
		if node["type"] == nil {
			t.Errorf("%s has no type", at)
		}
		return 0
	}
	if of == reflect.TypeFor[metav1.ObjectMeta]() {
		return 0
	}
	properties, _ := node["properties"].(map[string]any)
	required, _ := node["required"].([]any)
	seen, needed := 0, 0
	for _, field := range reflect.VisibleFields(of) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || len(field.Index) > 1 && of.Field(field.Index[0]).Name != "TypeMeta" {
			continue
		}
		property, _ := properties[name].(map[string]any)
		if description, _ := property["description"].(string); (description == "") != (name == "metadata") {
			t.Errorf("%s.%s is not in the schema, or has no description (metadata may have none)", at, name)
		}
		if !strings.Contains(options, "omit") {
			needed++
		}
		seen += 1 + walk(t, field.Type, property, at+"."+name)
	}
	if len(required) != needed {
		t.Errorf("%s requires %v, and has %d fields that may not be left out", at, required, needed)
	}
	return seen
}

// TestFieldsNeedComments: types whose comments are elsewhere give no definition.
func TestFieldsNeedComments(t *testing.T) {
	source := fstest.MapFS{"v1alpha1.go": {Data: []byte("package v1alpha1\n\n// Match picks.\ntype Match struct {\n\tImages []string\n}\n")}}
	if _, err := Definition(source); err == nil || !strings.Contains(err.Error(), "Match.Images has no comment") {
		t.Errorf("found %v", err)
	}
	if _, err := Definition(fstest.MapFS{"v1alpha1.go": {Data: []byte("package")}}); err == nil {
		t.Error("a file that is no Go was read")
	}
}
