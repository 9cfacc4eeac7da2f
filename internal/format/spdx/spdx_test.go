package spdx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/format/sbom/sbomtest"
	"github.com/seed-161fc314/assay/internal/format/spdx"
	"github.com/seed-161fc314/assay/predicate"
)

func sample() sbom.Document {
	torch := component.Component{Ecosystem: "PyPI", Name: "torch", Version: "1.13.0+cpu", PURL: "pkg:pypi/torch@1.13.0%2Bcpu",
		Dependency: component.Installed, Licenses: []string{"BSD-3-Clause", "MIT OR Apache-2.0"},
		Locations: []component.Location{{Path: "usr/lib/torch.dist-info/METADATA", Layer: subject.Of([]byte("layer"))}}}
	again := torch
	again.Locations = []component.Location{{Path: "opt/torch.dist-info/METADATA"}}
	return sbom.Document{
		Name: "registry.example.com/ml/model", Digest: subject.Of([]byte("manifest")), Kind: finding.Container,
		Created: time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("", 3600)), ToolVersion: "1.2.3",
		Inventory: component.Inventory{
			OperatingSystem: &component.OperatingSystem{ID: "debian", VersionID: "12", PrettyName: "Debian GNU/Linux 12 (bookworm)"},
			Components: []component.Component{
				{Ecosystem: "Debian:12", Name: "libstdc++6", Version: "1:12.2.0-14", PURL: "pkg:deb/debian/libstdc++6@12.2.0-14", Dependency: component.Installed,
					Locations: []component.Location{{Path: "var/lib/dpkg/status"}}},
				{Ecosystem: "PyPI", Name: "pillow", Version: "9.0.0", PURL: "pkg:pypi/pillow@9.0.0", Dependency: component.Declared,
					Licenses: []string{"Historical <Permission> & Notice"}, Hashes: []subject.Digest{subject.Of([]byte("a"))},
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
	if err := spdx.Encode(&buffer, document); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func TestPredicateReads(t *testing.T) {
	content := encode(t, sample())
	got, err := predicate.ReadComponents(predicate.TypeSPDX, content)
	if err != nil {
		t.Fatal(err)
	}
	torch := predicate.Component{Name: "torch", Version: "1.13.0+cpu", PURL: "pkg:pypi/torch@1.13.0%2Bcpu", Type: "library", Dependency: "installed",
		Licenses: []string{"BSD-3-Clause AND (MIT OR Apache-2.0)"}}
	reference := "LicenseRef-" + subject.Of([]byte("Historical <Permission> & Notice")).Hex()[:16]
	want := []predicate.Component{
		{Name: "debian", Version: "12", Type: "operating-system", Licenses: []string{}},
		{Name: "libstdc++6", Version: "1:12.2.0-14", PURL: "pkg:deb/debian/libstdc++6@12.2.0-14", Type: "library", Dependency: "installed", Licenses: []string{}},
		{Name: "pillow", Version: "9.0.0", PURL: "pkg:pypi/pillow@9.0.0", Type: "library", Dependency: "declared", Licenses: []string{reference}},
		torch, torch,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	made, has, err := predicate.Time(predicate.TypeSPDX, content)
	if err != nil || !has || !made.Equal(sample().Created) {
		t.Errorf("time is %v, %v, %v", made, has, err)
	}
	if tool := predicate.Tool(predicate.TypeSPDX, content); tool != "assay" {
		t.Errorf("tool is %q", tool)
	}
}

// TestPeerReads reads with SPDX's own library, and checks its references.
func TestPeerReads(t *testing.T) {
	for name, document := range map[string]sbom.Document{"full": sample(), "empty": {Name: "."}} {
		read, err := spdxjson.Read(bytes.NewReader(encode(t, document)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := spdxlib.ValidateDocument(read); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := len(document.Inventory.Components) + 1; len(read.Packages) < want {
			t.Errorf("%s: %d packages, want %d", name, len(read.Packages), want)
		}
	}
}

// TestSchema validates against the official schema, in testdata.
func TestSchema(t *testing.T) {
	compiled, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", "spdx-schema-2.3.json"))
	if err != nil {
		t.Fatal(err)
	}
	documents := map[string]sbom.Document{"full": sample(), "empty": {Name: "."}}
	for seed := range uint64(30) {
		documents[fmt.Sprintf("seed %d", seed)] = sbomtest.Document(seed)
	}
	for name, document := range documents {
		content := encode(t, document)
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(instance); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		references(t, name, content)
	}
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(`{"SPDXID":"SPDXRef-DOCUMENT","spdxVersion":"SPDX-2.3"}`))
	if err != nil || compiled.Validate(instance) == nil {
		t.Error("the schema takes anything; the test proves nothing")
	}
}

// references checks what the schema cannot: every identifier is well formed,
// given once, and leads somewhere.
func references(t *testing.T, name string, content []byte) {
	t.Helper()
	var doc struct {
		Packages []struct {
			SPDXID        string
			FilesAnalyzed *bool
		}
		Relationships []struct{ SPDXElementID, RelatedSPDXElement string }
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	seen := map[string]bool{"SPDXRef-DOCUMENT": true}
	for _, p := range doc.Packages {
		if !id.MatchString(p.SPDXID) || seen[p.SPDXID] {
			t.Errorf("%s: SPDXID %q is malformed or not unique", name, p.SPDXID)
		}
		seen[p.SPDXID] = true
		if p.FilesAnalyzed == nil || *p.FilesAnalyzed {
			t.Errorf("%s: %s does not say that its files were not analysed", name, p.SPDXID)
		}
	}
	for _, r := range doc.Relationships {
		if !seen[r.SPDXElementID] || !seen[r.RelatedSPDXElement] {
			t.Errorf("%s: relationship %v leads nowhere", name, r)
		}
	}
}

func TestContent(t *testing.T) {
	text := string(encode(t, sample()))
	for _, want := range []string{
		`"comment": "assay:unresolved={\"name\":\"numpy\",\"text\":\"numpy>=1\",\"reason\":\"a range\"`, `"sourceInfo": "found in: requirements.txt:7"`,
		`"extractedText": "Historical <Permission> & Notice"`, `"checksumValue": "` + subject.Of([]byte("a")).Hex(), `"relationshipType": "DEPENDS_ON"`,
		`"primaryPackagePurpose": "CONTAINER"`, `"versionInfo": "` + sample().Digest.String(),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(string(encode(t, sbom.Document{Name: "."})), "CONTAINER") {
		t.Error("a directory is called a container")
	}
}

func TestSameBytes(t *testing.T) {
	first := encode(t, sample())
	if !bytes.Equal(first, encode(t, sample())) {
		t.Error("the same document gives other bytes")
	}
	other := sample()
	other.Inventory.Components = other.Inventory.Components[1:]
	namespace := regexp.MustCompile(`assay.sh/spdx/[^"]*`)
	if bytes.Equal(namespace.Find(first), namespace.Find(encode(t, other))) {
		t.Error("another document has the same namespace")
	}
}

func TestNoTimeIsTheEpoch(t *testing.T) {
	if !bytes.Contains(encode(t, sbom.Document{Name: "."}), []byte(`"created": "1970-01-01T00:00:00Z"`)) {
		t.Error("want the epoch where no time is known")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestRefuse(t *testing.T) {
	nameless, versionless := sample(), sample()
	nameless.Name = ""
	versionless.Inventory.Components = []component.Component{{Name: "a"}}
	for want, document := range map[string]sbom.Document{"no name": nameless, "lacks a name or a version": versionless} {
		if err := spdx.Encode(&bytes.Buffer{}, document); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := spdx.Encode(broken{}, sample()); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v", err)
	}
}
