package spdx_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/format/sbom/sbomtest"
	"github.com/seed-161fc314/assay/internal/format/spdx"
)

var asWritten = []cmp.Option{cmpopts.IgnoreFields(sbom.Document{}, "Format", "Tool"), cmp.Comparer(func(a, b subject.Digest) bool { return a == b })}

func decode(t *testing.T, text string) sbom.Document {
	t.Helper()
	document, err := spdx.Decode(strings.NewReader(text), "bom.json")
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestRoundTrip(t *testing.T) {
	edges := 0
	for seed := range uint64(500) {
		want := sbomtest.Document(seed)
		got := decode(t, string(encode(t, want)))
		if diff := cmp.Diff(want, got, asWritten...); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		if got.Format != "SPDX 2.3" || got.Tool != "assay 1.2.3" {
			t.Fatalf("format %q, tool %q", got.Format, got.Tool)
		}
		for _, c := range got.Inventory.Components {
			edges += len(c.DependsOn)
		}
	}
	if edges == 0 {
		t.Error("no document had an edge; the test proves nothing")
	}
}

// fromSyft has the shape of what syft writes of an image.
const fromSyft = `{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"app","documentNamespace":"https://anchore.com/syft/image/app",
"creationInfo":{"licenseListVersion":"3.25","creators":["Organization: Anchore, Inc","Tool: syft-1.51.0"],"created":"2026-03-01T12:00:00Z"},
"packages":[
 {"name":"libssl3","SPDXID":"SPDXRef-Package-deb-libssl3","versionInfo":"3.0.11-1","sourceInfo":"acquired package info from DPKG DB: /var/lib/dpkg/status, /usr/share/doc/libssl3/copyright","licenseConcluded":"NOASSERTION","licenseDeclared":"Apache-2.0",
  "externalRefs":[{"referenceCategory":"SECURITY","referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a:x"},{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12&upstream=openssl%403.0.11-1"}]},
 {"name":"torch","SPDXID":"SPDXRef-Package-python-torch","versionInfo":"1.13.0+cpu","sourceInfo":"acquired package info from installed python package manifest file: /usr/lib/torch-1.13.0.dist-info/METADATA","licenseDeclared":"NOASSERTION",
  "externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:pypi/torch@1.13.0%2Bcpu"}],"checksums":[{"algorithm":"SHA256","checksumValue":"2222222222222222222222222222222222222222222222222222222222222222"},{"algorithm":"MD5","checksumValue":"00"}]},
 {"name":"mystery","SPDXID":"SPDXRef-mystery","versionInfo":"1"},
 {"name":"app","SPDXID":"SPDXRef-DocumentRoot-Image-app","versionInfo":"sha256:1111111111111111111111111111111111111111111111111111111111111111","primaryPackagePurpose":"CONTAINER",
  "externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:oci/app@sha256%3A11"}]}],
"files":[{"fileName":"/bin/sh","SPDXID":"SPDXRef-File-1"}],
"relationships":[
 {"spdxElementId":"SPDXRef-DocumentRoot-Image-app","relatedSpdxElement":"SPDXRef-Package-python-torch","relationshipType":"CONTAINS"},
 {"spdxElementId":"SPDXRef-Package-deb-libssl3","relatedSpdxElement":"SPDXRef-Package-python-torch","relationshipType":"DEPENDENCY_OF"},
 {"spdxElementId":"SPDXRef-Package-python-torch","relatedSpdxElement":"NOASSERTION","relationshipType":"DEPENDS_ON"},
 {"spdxElementId":"SPDXRef-DOCUMENT","relatedSpdxElement":"SPDXRef-DocumentRoot-Image-app","relationshipType":"DESCRIBES"}]}`

func show(d sbom.Document) string {
	text := ""
	for _, c := range d.Inventory.Components {
		text += fmt.Sprintln(c.Ecosystem, c.Name, c.Version, c.SourceName, c.SourceVersion, c.Dependency, c.Locations[0].Path, c.Expression, c.DependsOn)
	}
	for _, u := range d.Inventory.Unresolved {
		text += fmt.Sprintln(u.Name, "|", u.Text, "|", u.Reason, "|", u.Location.Path)
	}
	return text
}

func TestFromSyft(t *testing.T) {
	got := decode(t, fromSyft)
	want := "Debian:12 libssl3 3.0.11-1 openssl 3.0.11-1 installed var/lib/dpkg/status Apache-2.0 []\n" +
		"PyPI torch 1.13.0+cpu   installed usr/lib/torch-1.13.0.dist-info/METADATA  [pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12&upstream=openssl%403.0.11-1]\n" +
		"mystery | mystery 1 | it has no package URL (purl), so that nothing says which package it is | bom.json\n"
	if text := show(got); text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
	if len(got.Inventory.Components[1].Hashes) != 1 || got.Kind != finding.Container || got.Tool != "syft-1.51.0" || got.Digest.Hex() != strings.Repeat("1", 64) {
		t.Errorf("got %+v", got)
	}
}

// fromTrivy has the shape of what Trivy writes: lockfiles are packages that
// contain packages, and annotations carry its own words.
const fromTrivy = `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"app","creationInfo":{"creators":["Organization: aquasecurity","Tool: trivy-0.74.0"],"created":"2026-03-01T12:00:00Z"},
"packages":[
 {"name":"app/requirements.txt","SPDXID":"SPDXRef-Application-1","primaryPackagePurpose":"APPLICATION","annotations":[{"annotator":"Tool: trivy-0.74.0","annotationType":"OTHER","annotationDate":"2026-03-01T12:00:00Z","comment":"Class: lang-pkgs"}]},
 {"name":"app","SPDXID":"SPDXRef-ContainerImage-1","primaryPackagePurpose":"CONTAINER"},
 {"name":"debian","SPDXID":"SPDXRef-OperatingSystem-1","versionInfo":"12.5","primaryPackagePurpose":"OPERATING-SYSTEM"},
 {"name":"libssl3","SPDXID":"SPDXRef-Package-1","versionInfo":"3.0.11-1","sourceInfo":"built package from: openssl 3.0.11-1","attributionTexts":["PkgType: debian"],
  "externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:deb/debian/libssl3@3.0.11-1?arch=amd64"}]},
 {"name":"Pillow","SPDXID":"SPDXRef-Package-2","versionInfo":"9.0.0","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:pypi/pillow@9.0.0"}]}],
"relationships":[{"spdxElementId":"SPDXRef-DOCUMENT","relatedSpdxElement":"SPDXRef-ContainerImage-1","relationshipType":"DESCRIBES"},
 {"spdxElementId":"SPDXRef-Application-1","relatedSpdxElement":"SPDXRef-Package-2","relationshipType":"CONTAINS"}]}`

func TestFromTrivy(t *testing.T) {
	want := "Debian:12 libssl3 3.0.11-1 openssl 3.0.11-1 installed bom.json  []\nPyPI pillow 9.0.0   declared app/requirements.txt  []\n"
	if text := show(decode(t, fromTrivy)); text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}

// TestDescribed holds a document that describes packages themselves, as
// GitHub's export does: they are no targets.
func TestDescribed(t *testing.T) {
	got := decode(t, `{"spdxVersion":"SPDX-2.2","documentDescribes":["SPDXRef-a"],"packages":[{"SPDXID":"SPDXRef-a","name":"a","versionInfo":"1","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:pypi/a@1"}]}]}`)
	if text := show(got); text != "PyPI a 1   declared bom.json  []\n" || got.Format != "SPDX 2.2" {
		t.Errorf("got %s", text)
	}
	const ours = `{"SPDXID":"SPDXRef-r","name":"acme/app","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:github/acme/app@main"}]}`
	if got := decode(t, `{"spdxVersion":"SPDX-2.3","documentDescribes":["SPDXRef-r"],"packages":[`+ours+`]}`); show(got) != "" || got.Name != "acme/app" {
		t.Errorf("the repository itself: %s", show(got))
	}
	if got := decode(t, `{"spdxVersion":"SPDX-2.3","documentDescribes":["SPDXRef-r","SPDXRef-x"],"packages":[`+ours+`]}`); len(got.Inventory.Unresolved) != 1 {
		t.Errorf("one of many that are described: %s", show(got))
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		``:                           "empty",
		`SPDXVersion: SPDX-2.3`:      "byte 1",
		`{"spdxVersion":"SPDX-3.0"}`: "SPDX-2.2 and SPDX-2.3 are read",
		`{"spdxVersion":"SPDX-2.3","spdxVersion":"SPDX-2.3"}`:                                                      "appears twice",
		`{"spdxVersion":"SPDX-2.3","creationInfo":{"created":"now"}}`:                                              "no RFC 3339",
		`{"spdxVersion":"SPDX-2.3","packages":{}}`:                                                                 "want an array",
		`{"spdxVersion":"SPDX-2.3","packages":[{"name":1}]}`:                                                       "package 0: \"name\"",
		`{"spdxVersion":"SPDX-2.3","packages":[{"annotations":[{"comment":"assay:component={"}]}]}`:                "assay:component",
		`{"spdxVersion":"SPDX-2.3","relationships":[{"spdxElementId":1}]}`:                                         "relationship 0",
		`{"spdxVersion":"SPDX-2.3","packages":[{"externalRefs":[{"referenceType":"purl","referenceLocator":1}]}]}`: "externalRef",
		`{"spdxVersion":"SPDX-2.3","packages":[` + strings.Repeat("{},", limit.SBOMComponents) + `{}]}`:            "bound of 500000 elements",
	} {
		if _, err := spdx.Decode(strings.NewReader(text), "bom.json"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: got %v, want %q", text, err, want)
		}
	}
	if _, err := spdx.Decode(bytes.NewReader(make([]byte, limit.SBOM+1)), "bom.json"); err == nil || !strings.Contains(err.Error(), "bound of") {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(fromSyft))
	f.Add([]byte(fromTrivy))
	var buffer bytes.Buffer
	if err := spdx.Encode(&buffer, sbomtest.Document(6)); err != nil {
		f.Fatal(err)
	}
	f.Add(buffer.Bytes())
	f.Fuzz(func(t *testing.T, content []byte) {
		document, err := spdx.Decode(bytes.NewReader(content), "bom.json")
		if err != nil {
			return
		}
		for _, c := range document.Inventory.Components {
			if c.Name == "" || c.Version == "" || c.Ecosystem == "" || len(c.Locations) == 0 {
				t.Errorf("an unusable component: %+v", c)
			}
		}
	})
}
