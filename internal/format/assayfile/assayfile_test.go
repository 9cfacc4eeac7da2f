package assayfile_test

import (
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/format/assayfile"
)

const good = `apiVersion: assay.sh/v1alpha1
kind: Journey
name: pandas-processor
image: assay.localhost/pandas-processor
build:
  builder: layer
  base: scratch
  requirements: requirements.txt
  dependencies: declared
sign:
  key: assay.key
policies: [policy.yaml]
promote:
  repository: ../gitops
  manifests: [deployment.yaml]
`

func TestDecode(t *testing.T) {
	file, err := assayfile.Decode("assay.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if file.Name != "pandas-processor" || file.Build.Base != "scratch" || file.Promote.Manifests[0] != "deployment.yaml" {
		t.Errorf("decoded %+v", file)
	}
}

func TestRefused(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":        {"  base: scratch", "  bsae: scratch", `assay.yaml:7: unknown field "bsae" under build; did you mean "base"?`},
		"given twice":          {"name: pandas-processor", "name: a\nname: b", `assay.yaml:4: "name" is given twice (first on line 3)`},
		"no base":              {"  base: scratch\n", "", "build.base: is missing"},
		"tag in image":         {"assay.localhost/pandas-processor", "assay.localhost/pandas-processor:v1", "the tag goes into tag:"},
		"no key":               {"  key: assay.key", "  layout: both", "sign.key: is missing"},
		"no policy":            {"[policy.yaml]", "[]", "policies: is empty"},
		"unknown builder":      {"builder: layer", "builder: bazel", "build.builder: want layer"},
		"installed, no wheels": {"dependencies: declared", "dependencies: installed", "build.wheels: is missing"},
		"dependencies unsaid":  {"  dependencies: declared\n", "", "build.dependencies: want installed"},
		"layer field":          {"builder: layer", "builder: buildah", "are for builder layer"},
		"two ways":             {"  manifests: [deployment.yaml]", "  manifests: [deployment.yaml]\n  kustomize: {path: a}", "found 2"},
		"path escapes":         {"[deployment.yaml]", "[../deployment.yaml]", "no path inside the GitOps repository"},
		"wrong kind":           {"kind: Journey", "kind: Jorney", "kind: want Journey"},
		"severity":             {"sign:", "scan: {failOn: [hgih]}\nsign:", `severity "hgih"`},
		"wrong type":           {"policies: [policy.yaml]", "policies: policy.yaml", "assay.yaml:12: policies: want a list, found a string"},
		"two documents":        {"kind: Journey", "kind: Journey\n---\na: b", "want one YAML document, found 2"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, c.old) {
				t.Fatalf("the good file has no %q", c.old)
			}
			_, err := assayfile.Decode("assay.yaml", []byte(strings.Replace(good, c.old, c.new, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestAllThatIsWrongIsSaid(t *testing.T) {
	_, err := assayfile.Decode("assay.yaml", []byte("apiVersion: assay.sh/v1alpha1\nkind: Journey\nname: x\nimage: \"\"\nbuild: {builder: layer}\nsign: {key: \"\"}\npolicies: []\n"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"image:", "build.base:", "sign.key:", "policies:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %s:\n%v", want, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("? {}\n: b"))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := assayfile.Decode("f", content)
		if err == nil && (file.Sign.Key == "" || len(file.Policies) == 0) {
			t.Errorf("accepted without key or policies: %q", content)
		}
	})
}
