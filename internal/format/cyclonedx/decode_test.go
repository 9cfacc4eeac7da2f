package cyclonedx_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/cyclonedx"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/format/sbom/sbomtest"
)

var asWritten = []cmp.Option{cmpopts.IgnoreFields(sbom.Document{}, "Format", "Tool"), cmp.Comparer(func(a, b subject.Digest) bool { return a == b })}

func decode(t *testing.T, text string) sbom.Document {
	t.Helper()
	document, err := cyclonedx.Decode(strings.NewReader(text), "bom.json")
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestRoundTrip(t *testing.T) {
	edges := 0
	for seed := range uint64(80) {
		for _, version := range []cyclonedx.Version{cyclonedx.V16, cyclonedx.V17} {
			want := sbomtest.Document(seed)
			var buffer bytes.Buffer
			if err := cyclonedx.Encode(&buffer, want, version); err != nil {
				t.Fatal(err)
			}
			got := decode(t, buffer.String())
			if diff := cmp.Diff(want, got, asWritten...); diff != "" {
				t.Fatalf("seed %d: %s", seed, diff)
			}
			if got.Format != "CycloneDX "+string(version) || got.Tool != "assay 1.2.3" {
				t.Fatalf("format %q, tool %q", got.Format, got.Tool)
			}
			for _, c := range got.Inventory.Components {
				edges += len(c.DependsOn)
			}
		}
	}
	if edges == 0 {
		t.Error("no document had an edge; the test proves nothing")
	}
}

// fromSyft has the shape of what syft writes of an image.
const fromSyft = `{"$schema":"http://cyclonedx.org/schema/bom-1.7.schema.json","bomFormat":"CycloneDX","specVersion":"1.7","version":1,
"metadata":{"timestamp":"2026-03-01T12:00:00+01:00","tools":{"components":[{"type":"application","author":"anchore","name":"syft","version":"1.51.0"}]},
 "component":{"bom-ref":"x","type":"container","name":"app","version":"sha256:1111111111111111111111111111111111111111111111111111111111111111"}},
"components":[
 {"bom-ref":"pkg:deb/debian/libssl3@3.0.11-1?package-id=1","type":"library","name":"libssl3","version":"3.0.11-1","purl":"pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12&upstream=openssl",
  "licenses":[{"license":{"id":"Apache-2.0"}}],"properties":[{"name":"syft:package:type","value":"deb"},
  {"name":"syft:location:0:layerID","value":"sha256:2222222222222222222222222222222222222222222222222222222222222222"},{"name":"syft:location:0:path","value":"/var/lib/dpkg/status"}]},
 {"bom-ref":"torch","type":"library","name":"torch","version":"1.13.0+cpu","purl":"pkg:pypi/torch@1.13.0%2Bcpu",
  "properties":[{"name":"syft:location:0:path","value":"/usr/lib/python3/torch-1.13.0.dist-info/METADATA"}]},
 {"bom-ref":"f","type":"file","name":"/bin/sh","hashes":[{"alg":"SHA-1","content":"da39a3ee5e6b4b0d3255bfef95601890afd80709"}]},
 {"bom-ref":"os:debian@12","type":"operating-system","name":"debian","version":"12.5","description":"Debian GNU/Linux 12 (bookworm)"}],
"dependencies":[{"ref":"torch","dependsOn":["pkg:deb/debian/libssl3@3.0.11-1?package-id=1","nowhere","torch"]}]}`

func TestFromSyft(t *testing.T) {
	got := decode(t, fromSyft)
	ssl := "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12&upstream=openssl"
	want := component.Inventory{
		OperatingSystem: &component.OperatingSystem{ID: "debian", VersionID: "12.5", PrettyName: "Debian GNU/Linux 12 (bookworm)"},
		Components: []component.Component{
			{Ecosystem: "Debian:12", Name: "libssl3", Version: "3.0.11-1", Architecture: "amd64", SourceName: "openssl", SourceVersion: "3.0.11-1", PURL: ssl,
				Dependency: component.Installed, Expression: "Apache-2.0",
				Locations: []component.Location{{Path: "var/lib/dpkg/status", Layer: digest(t, "2")}}},
			{Ecosystem: "PyPI", Name: "torch", Version: "1.13.0+cpu", PURL: "pkg:pypi/torch@1.13.0%2Bcpu", Dependency: component.Installed, DependsOn: []string{ssl},
				Locations: []component.Location{{Path: "usr/lib/python3/torch-1.13.0.dist-info/METADATA"}}},
		}}
	if diff := cmp.Diff(want, got.Inventory, asWritten...); diff != "" {
		t.Error(diff)
	}
	if got.Tool != "syft 1.51.0" || got.Format != "CycloneDX 1.7" || got.Digest != digest(t, "1") || got.Created.Hour() != 11 {
		t.Errorf("got %q %q %s %s", got.Tool, got.Format, got.Digest, got.Created)
	}
}

func digest(t *testing.T, digit string) subject.Digest {
	t.Helper()
	d, err := subject.Parse("sha256:" + strings.Repeat(digit, 64))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// fromTrivy has the shape of what Trivy writes: the operating system and each
// lockfile are components that packages hang on.
const fromTrivy = `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"timestamp":"2026-03-01T12:00:00Z",
 "tools":{"components":[{"type":"application","group":"aquasecurity","name":"trivy","version":"0.74.0"}]},
 "component":{"bom-ref":"root","type":"container","name":"app","purl":"pkg:oci/app@sha256%3A1111111111111111111111111111111111111111111111111111111111111111?arch=amd64"}},
"components":[
 {"bom-ref":"lock","type":"application","name":"app/requirements.txt","properties":[{"name":"aquasecurity:trivy:Class","value":"lang-pkgs"},{"name":"aquasecurity:trivy:Type","value":"pip"}]},
 {"bom-ref":"os","type":"operating-system","name":"redhat","version":"9.2"},
 {"bom-ref":"bash","type":"library","name":"bash","version":"5.1.8-6.el9","purl":"pkg:rpm/redhat/bash@5.1.8-6.el9?arch=x86_64&distro=redhat-9.2&epoch=1",
  "properties":[{"name":"aquasecurity:trivy:SrcName","value":"bash"},{"name":"aquasecurity:trivy:SrcVersion","value":"5.1.8"},{"name":"aquasecurity:trivy:SrcRelease","value":"6.el9"},{"name":"aquasecurity:trivy:SrcEpoch","value":"1"}]},
 {"bom-ref":"musl","type":"library","name":"musl","version":"1.2.4-r2","purl":"pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=3.19.1"},
 {"bom-ref":"pillow","type":"library","name":"Pillow","version":"9.0.0","purl":"pkg:pypi/pillow@9.0.0","properties":[{"name":"aquasecurity:trivy:PkgType","value":"pip"}]},
 {"bom-ref":"numpy","type":"library","name":"numpy","version":"1.26.0","purl":"pkg:pypi/numpy@1.26.0",
  "properties":[{"name":"aquasecurity:trivy:PkgType","value":"python-pkg"},{"name":"aquasecurity:trivy:FilePath","value":"opt/numpy-1.26.0.dist-info/METADATA"},
  {"name":"aquasecurity:trivy:LayerDiffID","value":"sha256:2222222222222222222222222222222222222222222222222222222222222222"}]},
 {"bom-ref":"left-pad","type":"library","name":"left-pad","version":"1.0.0","purl":"pkg:npm/left-pad@1.0.0"},
 {"bom-ref":"mystery","type":"library","group":"acme","name":"mystery","version":"1"},
 {"bom-ref":"model","type":"machine-learning-model","name":"bert"}],
"dependencies":[{"ref":"root","dependsOn":["os","lock"]},{"ref":"lock","dependsOn":["pillow"]},{"ref":"pillow","dependsOn":["numpy"]},{"ref":"numpy","dependsOn":["pillow"]}],
"vulnerabilities":[]}`

func TestFromTrivy(t *testing.T) {
	got := decode(t, fromTrivy)
	text := ""
	for _, c := range got.Inventory.Components {
		text += fmt.Sprintln(c.Ecosystem, c.Name, c.Version, c.SourceName, c.SourceVersion, c.Dependency, c.Locations[0].Path, c.DependsOn)
	}
	for _, u := range got.Inventory.Unresolved {
		text += fmt.Sprintln(u.Name, "|", u.Text, "|", u.Reason, "|", u.Location.Path)
	}
	for _, want := range []string{
		"PyPI numpy 1.26.0   installed opt/numpy-1.26.0.dist-info/METADATA [pkg:pypi/pillow@9.0.0]\n",
		"PyPI pillow 9.0.0   declared app/requirements.txt [pkg:pypi/numpy@1.26.0]\n",
		"bash 1:5.1.8-6.el9 bash 1:5.1.8-6.el9 installed bom.json []\n",
		"musl 1.2.4-r2 musl 1.2.4-r2 installed bom.json []\n",
		"left-pad | pkg:npm/left-pad@1.0.0 | packages of type npm are not matched by this version | bom.json\n",
		"acme/mystery | acme/mystery 1 | it has no package URL (purl), so that nothing says which package it is | bom.json\n",
		"bert | bert | it has no package URL (purl), so that nothing says which package it is (it is listed as machine-learning-model) | bom.json\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("want %q in\n%s", want, text)
		}
	}
	if len(got.Inventory.Components) != 4 || len(got.Inventory.Unresolved) != 3 {
		t.Errorf("got %s", text)
	}
	if got.Digest != digest(t, "1") {
		t.Errorf("digest %s", got.Digest)
	}
}

// TestOlder reads a list of tools, a serial number and nested components, as
// versions before 1.5 have them, and osv-scanner's evidence.
func TestOlder(t *testing.T) {
	got := decode(t, `{"bomFormat":"CycloneDX","specVersion":"1.4","metadata":{"tools":[{"vendor":"x","name":"old","version":"2"}],
	 "component":{"type":"application","name":"a","components":[{"type":"library","name":"inner","purl":"pkg:pypi/inner@1"}]}},
	 "components":[{"type":"library","name":"outer","version":"2","purl":"pkg:pypi/outer@2","components":[{"type":"library","name":"nested","purl":"pkg:pypi/Nested.One@3.0",
	  "evidence":{"occurrences":[{"location":"/src/poetry.lock"}]}}]}]}`)
	var names []string
	for _, c := range got.Inventory.Components {
		names = append(names, c.Name+"@"+c.Version+" "+c.Locations[0].Path)
	}
	if want := []string{"inner@1 bom.json", "nested-one@3.0 src/poetry.lock", "outer@2 bom.json"}; !cmp.Equal(names, want) {
		t.Errorf("got %q", names)
	}
	if got.Tool != "old 2" {
		t.Errorf("tool %q", got.Tool)
	}
}

func bom(components string) string {
	return `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[` + components + `]}`
}

// TestUnresolved holds every way in which an entry names no package.
func TestUnresolved(t *testing.T) {
	// ours is an entry's end as Assay writes it.
	ours := func(url, name, version, ecosystem string) string {
		return fmt.Sprintf(`"purl":%q,"properties":[{"name":"assay:dependency","value":"installed"},{"name":"assay:component","value":"{\"ecosystem\":\"%s\",\"name\":\"%s\",\"version\":\"%s\",\"purl\":\"%s\",\"dependency\":\"installed\"}"}]`,
			url, ecosystem, name, version, url)
	}
	for entry, want := range map[string]string{
		`"purl":"pkg:pypi/a"`:                                             "names no version",
		`"purl":"pkg:pypi/a@>=1"`:                                         `">=1" is a range`,
		`"purl":"pkg:pypi/a@1.*"`:                                         `"1.*" is a range`,
		`"purl":"pkg:pypi/a@1%0A2"`:                                       "is no version",
		`"purl":"pkg:pypi/-a-@1"`:                                         "is no name of a Python project",
		`"purl":"pkg:pypi/x/a@1"`:                                         "is no name of a Python project",
		`"purl":"nonsense"`:                                               "is no package URL",
		`"purl":"pkg:golang/x/y@v1"`:                                      "type golang are not matched",
		`"purl":"pkg:deb/debian/a@1"`:                                     "release",
		`"purl":"pkg:deb/debian/a@1?distro=bookworm"`:                     "release",
		`"purl":"pkg:pypi/a@` + strings.Repeat("1", 300) + `"`:            "longer than 256",
		`"purl":"pkg:pypi/a@1?x=` + strings.Repeat("1", limit.PURL) + `"`: "bound of 4096",
		ours("pkg:pypi/evil@1", "a", "1", "PyPI"):                         "its package URL names evil 1",
		ours("pkg:pypi/a@2", "a", "1", "PyPI"):                            "its package URL names a 2",
		ours("pkg:pypi/a@1", "b", "1", "PyPI"):                            "assay:component says b 1",
		ours("pkg:pypi/a@1", "a", "2", "PyPI"):                            "assay:component says a 2",
		ours("pkg:pypi/a@1", "a", "1", ""):                                "lacks a name, a version or an ecosystem",
		strings.Replace(ours("pkg:pypi/a@1", "a", "1", "PyPI"), "installed", "declared", 1): "(pkg:pypi/a@1, declared), and assay:component says a 1 (pkg:pypi/a@1, installed)",
		ours("pkg:pypi/a@1", "a", "1", "Debian:12"):                                         "of type pypi",
		ours("pkg:deb/debian/a@1?distro=debian-12", "a", "1", "PyPI"):                       "of type deb",
		ours("pkg:deb/debian/a@1?distro=debian-12", "a", "1", "Ubuntu:24.04"):               "of type deb",
		ours("pkg:rpm/redhat/a@1?distro=rhel-9", "a", "1", "PyPI"):                          "of type rpm",
	} {
		got := decode(t, bom(`{"type":"library","name":"a","version":"1",`+entry+`}`)).Inventory
		if len(got.Components) != 0 || len(got.Unresolved) != 1 || !strings.Contains(got.Unresolved[0].Reason, want) {
			t.Errorf("%s: got %+v, want %q", entry, got, want)
		}
	}
	// The twins: the same with nothing wrong.
	for _, entry := range []string{`"purl":"pkg:pypi/a@1"`, `"purl":"pkg:deb/debian/a@1?distro=debian-12.5"`,
		ours("pkg:pypi/a@1", "a", "1", "PyPI"), ours("pkg:deb/debian/a@1?distro=debian-12", "a", "1", "Debian:12"), ours("", "a", "1", "PyPI")} {
		got := decode(t, bom(`{"type":"library","name":"a","version":"1",`+entry+`}`)).Inventory
		if len(got.Components) != 1 || len(got.Unresolved) != 0 {
			t.Errorf("%s: got %+v", entry, got)
		}
	}
	second := decode(t, bom(`{"type":"operating-system","name":"debian","version":"12"},{"type":"operating-system","name":"ubuntu","version":"24.04"},
	 {"type":"library","name":"a","purl":"pkg:deb/debian/a@1"}`)).Inventory
	if len(second.Unresolved) != 1 || len(second.Components) != 1 || second.Components[0].Ecosystem != "Debian:12" {
		t.Errorf("got %+v", second)
	}
}

func TestDecodeRefuses(t *testing.T) {
	deep := strings.Repeat(`{"type":"library","name":"a","components":[`, limit.SBOMDepth+2) + strings.Repeat(`]}`, limit.SBOMDepth+2)
	for text, want := range map[string]string{
		``:                                      "empty",
		`[]`:                                    "want a JSON object",
		`{"bomFormat":"x","specVersion":"1.6"}`: `bomFormat is "x"`,
		`{"bomFormat":"CycloneDX","specVersion":"1.8"}`:                                      `specVersion is "1.8"`,
		`{"BOMFormat":"CycloneDX","specVersion":"1.6"}`:                                      `bomFormat is ""`,
		`{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"timestamp":"yesterday"}}`: "no RFC 3339",
		`{"bomFormat":"CycloneDX","specVersion":"1.6","components":{}}`:                      "want an array",
		bom(`{"name":"a","name":"b"}`):                                                       "appears twice",
		bom(`{"name":1}`):                                                                    "component 0: \"name\": want a string",
		bom(deep):                                                                            "bound of 16 levels",
		`{"bomFormat":"CycloneDX","specVersion":"1.6","dependencies":[{"ref":"a","dependsOn":[1]}]}`:                                           "want strings",
		bom(`{"type":"operating-system","name":"debian","version":"12","properties":[{"name":"assay:system","value":"{\"id\":\"ubuntu\"}"}]}`): "says ubuntu",
	} {
		if _, err := cyclonedx.Decode(strings.NewReader(text), "bom.json"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: got %v, want %q", text, err, want)
		}
	}
	if _, err := cyclonedx.Decode(strings.NewReader(bom(strings.TrimSuffix(strings.Repeat("{},", limit.SBOMComponents+1), ","))), "bom.json"); err == nil || !strings.Contains(err.Error(), "500000") {
		t.Errorf("got %v", err)
	}
	if _, err := cyclonedx.Decode(bytes.NewReader(make([]byte, limit.SBOM+1)), "bom.json"); err == nil || !strings.Contains(err.Error(), "bound of") {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(fromSyft))
	f.Add([]byte(fromTrivy))
	var buffer bytes.Buffer
	if err := cyclonedx.Encode(&buffer, sbomtest.Document(6), cyclonedx.V17); err != nil {
		f.Fatal(err)
	}
	f.Add(buffer.Bytes())
	f.Fuzz(func(t *testing.T, content []byte) {
		document, err := cyclonedx.Decode(bytes.NewReader(content), "bom.json")
		if err != nil {
			return
		}
		for _, c := range document.Inventory.Components {
			if c.Name == "" || c.Version == "" || c.Ecosystem == "" || len(c.Locations) == 0 {
				t.Errorf("an unusable component: %+v", c)
			}
		}
		for _, u := range document.Inventory.Unresolved {
			if u.Location.Path == "" && u.Reason == "" {
				t.Errorf("a record that says nothing: %+v", u)
			}
		}
	})
}
