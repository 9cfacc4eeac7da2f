package spdx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/spdx"
	"github.com/seed-161fc314/assay/predicate"
)

func sample() spdx.Document {
	torch := component.Component{Ecosystem: "PyPI", Name: "torch", Version: "1.13.0+cpu", PURL: "pkg:pypi/torch@1.13.0%2Bcpu",
		Dependency: component.Installed, Licenses: []string{"BSD-3-Clause", "MIT OR Apache-2.0"},
		Locations: []component.Location{{Path: "usr/lib/torch.dist-info/METADATA", Layer: subject.Of([]byte("layer"))}}}
	again := torch
	again.Locations = []component.Location{{Path: "opt/torch.dist-info/METADATA"}}
	return spdx.Document{
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

func encode(t *testing.T, document spdx.Document) []byte {
	t.Helper()
	var buffer bytes.Buffer
	if err := spdx.Encode(&buffer, document); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func TestRoundTrip(t *testing.T) {
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
	for name, document := range map[string]spdx.Document{"full": sample(), "empty": {Name: "."}} {
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

// TestStructure checks what the schema of SPDX 2.3 (spdx-schema.json) demands
// of each object that is written.
func TestStructure(t *testing.T) {
	id := regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	date := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
	purposes := []string{"APPLICATION", "CONTAINER", "LIBRARY", "OPERATING_SYSTEM"}
	for name, document := range map[string]spdx.Document{"full": sample(), "empty": {Name: "."}} {
		var doc map[string]any
		if err := json.Unmarshal(encode(t, document), &doc); err != nil {
			t.Fatal(err)
		}
		require := func(what string, object map[string]any, keys ...string) {
			for _, key := range keys {
				if value, has := object[key]; !has || value == "" {
					t.Errorf("%s: %s has no %s", name, what, key)
				}
			}
		}
		require("document", doc, "spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo", "packages", "relationships")
		if doc["spdxVersion"] != "SPDX-2.3" || doc["dataLicense"] != "CC0-1.0" || doc["SPDXID"] != "SPDXRef-DOCUMENT" {
			t.Errorf("%s: head %v %v %v", name, doc["spdxVersion"], doc["dataLicense"], doc["SPDXID"])
		}
		info := doc["creationInfo"].(map[string]any)
		if !date.MatchString(info["created"].(string)) || !strings.HasPrefix(info["creators"].([]any)[0].(string), "Tool: assay") {
			t.Errorf("%s: creationInfo %v", name, info)
		}
		seen := map[string]bool{"SPDXRef-DOCUMENT": true}
		annotations, _ := doc["annotations"].([]any)
		for _, entry := range doc["packages"].([]any) {
			p := entry.(map[string]any)
			require("package", p, "SPDXID", "name", "downloadLocation", "filesAnalyzed", "primaryPackagePurpose")
			key := p["SPDXID"].(string)
			if !id.MatchString(key) || seen[key] {
				t.Errorf("%s: SPDXID %q is malformed or not unique", name, key)
			}
			seen[key] = true
			if p["filesAnalyzed"] != false || !strings.Contains(strings.Join(purposes, " "), p["primaryPackagePurpose"].(string)) {
				t.Errorf("%s: package %v", name, p)
			}
			more, _ := p["annotations"].([]any)
			annotations = append(annotations, more...)
		}
		for _, entry := range annotations {
			a := entry.(map[string]any)
			require("annotation", a, "annotator", "annotationDate", "annotationType", "comment")
			if !date.MatchString(a["annotationDate"].(string)) || a["annotationType"] != "OTHER" {
				t.Errorf("%s: annotation %v", name, a)
			}
		}
		for _, entry := range doc["relationships"].([]any) {
			r := entry.(map[string]any)
			if !seen[r["spdxElementId"].(string)] || !seen[r["relatedSpdxElement"].(string)] {
				t.Errorf("%s: relationship %v leads nowhere", name, r)
			}
		}
	}
}

func TestContent(t *testing.T) {
	text := string(encode(t, sample()))
	for _, want := range []string{
		`"comment": "assay:unresolved=requirements.txt:3 numpy>=1: a range"`, `"comment": "assay:location=requirements.txt:7"`,
		`"extractedText": "Historical <Permission> & Notice"`, `"checksumValue": "` + subject.Of([]byte("a")).Hex(), `"relationshipType": "DEPENDS_ON"`,
		`"primaryPackagePurpose": "CONTAINER"`, `"versionInfo": "` + sample().Digest.String(),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(string(encode(t, spdx.Document{Name: "."})), "CONTAINER") {
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
	if !bytes.Contains(encode(t, spdx.Document{Name: "."}), []byte(`"created": "1970-01-01T00:00:00Z"`)) {
		t.Error("want the epoch where no time is known")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestRefuse(t *testing.T) {
	nameless, versionless := sample(), sample()
	nameless.Name = ""
	versionless.Inventory.Components = []component.Component{{Name: "a"}}
	for want, document := range map[string]spdx.Document{"no name": nameless, "lacks a name or a version": versionless} {
		if err := spdx.Encode(&bytes.Buffer{}, document); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := spdx.Encode(broken{}, sample()); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v", err)
	}
}
