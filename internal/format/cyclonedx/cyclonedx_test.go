package cyclonedx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/cyclonedx"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/format/sbom/sbomtest"
	"github.com/seed-161fc314/assay/predicate"
)

func sample() sbom.Document {
	layer := subject.Of([]byte("layer"))
	torch := component.Component{Ecosystem: "PyPI", Name: "torch", Version: "1.13.0+cpu", PURL: "pkg:pypi/torch@1.13.0%2Bcpu",
		Dependency: component.Installed, Licenses: []string{"BSD-3-Clause", "see <LICENSE> & NOTICE"},
		Locations: []component.Location{{Path: "usr/lib/torch.dist-info/METADATA", Layer: layer}}}
	again := torch
	again.Locations = []component.Location{{Path: "opt/torch.dist-info/METADATA"}}
	return sbom.Document{
		Name: "registry.example.com/ml/model", Digest: subject.Of([]byte("manifest")), Kind: finding.Container,
		Created: time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("", 3600)), ToolVersion: "1.2.3",
		Inventory: component.Inventory{
			OperatingSystem: &component.OperatingSystem{ID: "debian", VersionID: "12", PrettyName: "Debian GNU/Linux 12 (bookworm)"},
			Components: []component.Component{
				{Ecosystem: "Debian:12", Name: "libssl3", Version: "3.0.11-1", PURL: "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64", Dependency: component.Installed,
					Locations: []component.Location{{Path: "var/lib/dpkg/status"}}},
				{Ecosystem: "PyPI", Name: "pillow", Version: "9.0.0", PURL: "pkg:pypi/pillow@9.0.0", Dependency: component.Declared,
					Hashes:    []subject.Digest{subject.Of([]byte("a")), subject.Of([]byte("b"))},
					Locations: []component.Location{{Path: "requirements.txt", Line: 7}}},
				torch, again,
			},
			Unresolved: []component.Unresolved{{Name: "numpy", Text: "numpy>=1", Reason: "a range", Location: component.Location{Path: "requirements.txt", Line: 3}}},
		},
	}
}

func encode(t *testing.T, document sbom.Document) []byte {
	t.Helper()
	var buffer bytes.Buffer
	if err := cyclonedx.Encode(&buffer, document, cyclonedx.V16); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// schema is the official one, as the module of cyclonedx-go carries it; what
// that lacks is in testdata.
func schema(t *testing.T, version string) *jsonschema.Schema {
	t.Helper()
	output, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(output)), "schema")
	compiler := jsonschema.NewCompiler()
	for name, pattern := range map[string]string{
		"bom-" + version + ".schema.json": filepath.Join(dir, "bom-"+version+".schema.json"),
		"spdx.schema.json":                filepath.Join(dir, "spdx.schema.json"),
		"jsf-0.82.schema.json":            filepath.Join(dir, "jsf-0.82.schema*.json"),
		"cryptography-defs.schema.json":   filepath.Join("testdata", "cryptography-defs.schema.json"),
	} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: found %v, %v", name, files, err)
		}
		file, err := os.Open(files[0])
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		document, err := jsonschema.UnmarshalJSON(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("http://cyclonedx.org/schema/"+name, document); err != nil {
			t.Fatal(err)
		}
	}
	compiler.AssertFormat()
	compiled, err := compiler.Compile("http://cyclonedx.org/schema/bom-" + version + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func validate(t *testing.T, schema *jsonschema.Schema, content []byte) error {
	t.Helper()
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(instance)
}

func TestSchema(t *testing.T) {
	for _, version := range []cyclonedx.Version{cyclonedx.V16, cyclonedx.V17} {
		compiled := schema(t, string(version))
		documents := map[string]sbom.Document{"full": sample(), "empty": {Name: "."}}
		for seed := range uint64(30) {
			documents[fmt.Sprintf("seed %d", seed)] = sbomtest.Document(seed)
		}
		for name, document := range documents {
			var buffer bytes.Buffer
			if err := cyclonedx.Encode(&buffer, document, version); err != nil {
				t.Fatal(err)
			}
			if err := validate(t, compiled, buffer.Bytes()); err != nil {
				t.Errorf("%s, %s: %v", version, name, err)
			}
		}
		if err := validate(t, compiled, fmt.Appendf(nil, `{"bomFormat":"CycloneDX","specVersion":%q,"components":[{"name":"no type"}]}`, version)); err == nil {
			t.Error("the schema takes anything; the test proves nothing")
		}
	}
	if err := cyclonedx.Encode(&bytes.Buffer{}, sample(), "1.5"); err == nil || !strings.Contains(err.Error(), "1.5 is not written") {
		t.Errorf("got %v", err)
	}
}

func TestPredicateReads(t *testing.T) {
	content := encode(t, sample())
	got, err := predicate.ReadComponents(predicate.TypeCycloneDX, content)
	if err != nil {
		t.Fatal(err)
	}
	torch := predicate.Component{Name: "torch", Version: "1.13.0+cpu", PURL: "pkg:pypi/torch@1.13.0%2Bcpu", Type: "library", Dependency: "installed", Licenses: []string{"BSD-3-Clause", "see <LICENSE> & NOTICE"}}
	want := []predicate.Component{
		{Name: "debian", Version: "12", Type: "operating-system", Licenses: []string{}},
		{Name: "libssl3", Version: "3.0.11-1", PURL: "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64", Type: "library", Dependency: "installed", Licenses: []string{}},
		{Name: "pillow", Version: "9.0.0", PURL: "pkg:pypi/pillow@9.0.0", Type: "library", Dependency: "declared", Licenses: []string{}},
		torch, torch,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	made, has, err := predicate.Time(predicate.TypeCycloneDX, content)
	if err != nil || !has || !made.Equal(sample().Created) {
		t.Errorf("time is %v, %v, %v", made, has, err)
	}
	if tool := predicate.Tool(predicate.TypeCycloneDX, content); tool != "assay" {
		t.Errorf("tool is %q", tool)
	}
}

func TestContent(t *testing.T) {
	var bom struct {
		SerialNumber string `json:"serialNumber"`
		Metadata     struct {
			Component struct {
				Type, Name, Version string
				Ref                 string `json:"bom-ref"`
			}
			Properties []struct{ Name, Value string }
		}
		Components []struct {
			Ref      string `json:"bom-ref"`
			Hashes   []struct{ Alg, Content string }
			Evidence struct {
				Occurrences []struct {
					Location          string
					Line              int
					AdditionalContext string
				}
			}
		}
	}
	if err := json.Unmarshal(encode(t, sample()), &bom); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(bom.SerialNumber) {
		t.Errorf("serialNumber is %q", bom.SerialNumber)
	}
	if c := bom.Metadata.Component; c.Type != "container" || c.Name != "registry.example.com/ml/model" || c.Version != sample().Digest.String() {
		t.Errorf("described is %+v", c)
	}
	if p := bom.Metadata.Properties; len(p) != 1 || p[0].Name != "assay:unresolved" || !strings.Contains(p[0].Value, `"text":"numpy>=1","reason":"a range"`) {
		t.Errorf("unresolved is %+v", p)
	}
	refs := map[string]bool{bom.Metadata.Component.Ref: true}
	for _, c := range bom.Components {
		if c.Ref == "" || refs[c.Ref] {
			t.Errorf("bom-ref %q is empty or not unique", c.Ref)
		}
		refs[c.Ref] = true
	}
	if !refs["os:debian@12"] {
		t.Errorf("no operating system among %v", refs)
	}
	pillow := bom.Components[2]
	if len(pillow.Hashes) != 2 || pillow.Hashes[0].Alg != "SHA-256" || pillow.Hashes[0].Content != subject.Of([]byte("a")).Hex() {
		t.Errorf("hashes %+v", pillow.Hashes)
	}
	if o := pillow.Evidence.Occurrences; len(o) != 1 || o[0].Location != "requirements.txt" || o[0].Line != 7 {
		t.Errorf("occurrences %+v", o)
	}
	torch := bom.Components[3]
	if o := torch.Evidence.Occurrences; len(o) != 1 || o[0].AdditionalContext != "layer "+subject.Of([]byte("layer")).String() {
		t.Errorf("occurrences %+v", o)
	}
}

func TestSameBytes(t *testing.T) {
	first := encode(t, sample())
	if !bytes.Equal(first, encode(t, sample())) {
		t.Error("the same document gives other bytes")
	}
	other := sample()
	other.Inventory.Components = other.Inventory.Components[1:]
	if serial := regexp.MustCompile(`urn:uuid:[^"]*`); bytes.Equal(serial.Find(first), serial.Find(encode(t, other))) {
		t.Error("another document has the same serial number")
	}
}

func TestNoTimeNoTimestamp(t *testing.T) {
	document := sample()
	document.Created = time.Time{}
	if bytes.Contains(encode(t, document), []byte("timestamp")) {
		t.Error("a time was made up")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestRefuse(t *testing.T) {
	nameless, versionless := sample(), sample()
	nameless.Name = ""
	versionless.Inventory.Components = []component.Component{{Name: "a"}}
	for want, document := range map[string]sbom.Document{"no name": nameless, "lacks a name or a version": versionless} {
		if err := cyclonedx.Encode(&bytes.Buffer{}, document, cyclonedx.V16); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := cyclonedx.Encode(broken{}, sample(), cyclonedx.V16); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v", err)
	}
}
