package scan_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/vex"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/engine/triage"
	"github.com/seed-161fc314/assay/internal/format/ignorefile"
	"github.com/seed-161fc314/assay/internal/format/osv"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
	"github.com/seed-161fc314/assay/internal/port/imagefs"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func scanner(t *testing.T) *scan.Scanner {
	t.Helper()
	db, err := advisorydb.Sample()
	if err != nil {
		t.Fatal(err)
	}
	s, err := scan.New(scan.Config{Advisories: db, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func files(content map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range content {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestDirectory(t *testing.T) {
	report, err := scanner(t).Directory(context.Background(), files(map[string]string{
		"requirements.txt":                           "-r requirements/base.txt\npyarrow==13.0.0\nfoo>=1\n",
		"requirements/base.txt":                      "numpy==1.26.4\n",
		"dev-requirements.txt":                       "-c requirements/constraints.txt\nnumpy\n",
		"requirements/constraints.txt":               "numpy==1.20.0\n",
		".git/requirements.txt":                      "torch==1.0\n",
		"venv/lib/x/torch-1.13.0.dist-info/METADATA": "Name: torch\nVersion: 1.13.0+cpu\n",
		"venv/lib/x/bad.dist-info/METADATA":          "nothing",
	}), "workload")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range report.Findings {
		got = append(got, f.ID+" "+f.Component.Name+" "+f.Component.Version+" "+f.Fixed)
	}
	want := []string{
		"CVE-2023-47248 pyarrow 13.0.0 14.0.1",
		"CVE-2022-45907 torch 1.13.0+cpu 1.13.1",
		"CVE-2024-31583 torch 1.13.0+cpu 2.2.0",
		"CVE-2021-33430 numpy 1.20.0 1.21",
		"CVE-2021-34141 numpy 1.20.0 1.22",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("findings\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	if report.Findings[0].Severity.Level != finding.Critical || !report.Database.Sample || report.Kind != finding.Filesystem {
		t.Errorf("report is %+v", report)
	}
	var unresolved []string
	for _, u := range report.Inventory.Unresolved {
		unresolved = append(unresolved, u.Location.Path+": "+u.Reason)
	}
	text := strings.Join(unresolved, "\n")
	if !strings.Contains(text, "requirements.txt: a range") || !strings.Contains(text, "bad.dist-info/METADATA: ") {
		t.Errorf("unresolved are\n%s", text)
	}
	places := 0
	for _, c := range report.Inventory.Components {
		if c.Name == "numpy" && c.Version == "1.26.4" {
			places++
		}
	}
	if places != 1 {
		t.Errorf("the included file was read %d times", places)
	}
}

func TestFilesThatIncludeEachOther(t *testing.T) {
	report, err := scanner(t).Directory(context.Background(), files(map[string]string{
		"a-requirements.txt": "-r b-requirements.txt\npyarrow==13.0.0\n",
		"b-requirements.txt": "-r a-requirements.txt\n",
		"requirements.txt":   "six==1.16.0\n",
	}), "w")
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) != 1 || len(report.Inventory.Components) != 2 {
		t.Errorf("%d findings of %+v", len(report.Findings), report.Inventory.Components)
	}
}

// TestUnreadIsSaid: what this version cannot read is never taken for tested.
func TestUnreadIsSaid(t *testing.T) {
	img := image(t, nil, map[string]string{"etc/os-release": "ID=alpine\nVERSION_ID=3.20\n", "lib/apk/db/installed": "P:musl\nV:1\n",
		"usr/lib/python3.12/site-packages/six-1.16.dist-info/METADATA": "Name: six\nVersion: 1.16\n"})
	report, err := scanner(t).Image(context.Background(), img, scan.Named{Reference: "i", Digest: subject.Of(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Inventory.Unresolved) != 1 || !strings.Contains(report.Inventory.Unresolved[0].Reason, "the built-in sample of advisories knows nothing") {
		t.Errorf("unresolved are %+v", report.Inventory.Unresolved)
	}
}

func TestNothingFoundIsAFault(t *testing.T) {
	_, err := scanner(t).Directory(context.Background(), files(map[string]string{"README.md": "x"}), "w")
	var nothing *scan.NothingFoundError
	if !errors.As(err, &nothing) {
		t.Errorf("got %v", err)
	}
	_, err = scanner(t).Image(context.Background(), empty.Image, scan.Named{Reference: "i", Digest: subject.Of(nil)})
	if !errors.As(err, &nothing) {
		t.Errorf("got %v", err)
	}
}

func image(t *testing.T, labels map[string]string, layers ...map[string]string) v1.Image {
	t.Helper()
	img, err := mutate.Config(empty.Image, v1.Config{Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range layers {
		var buffer bytes.Buffer
		archive := tar.NewWriter(&buffer)
		var names []string
		for name := range layer {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(layer[name])), Mode: 0o644}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(archive, layer[name]); err != nil {
				t.Fatal(err)
			}
		}
		if err := archive.Close(); err != nil {
			t.Fatal(err)
		}
		content := buffer.Bytes()
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

const debian = "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"

func TestImage(t *testing.T) {
	img := image(t, map[string]string{imagefs.DeclaredLabel: "/app/requirements.txt"}, map[string]string{
		"etc/os-release":      debian,
		"var/lib/dpkg/status": "Package: libssl3\nStatus: install ok installed\nArchitecture: amd64\nSource: openssl\nVersion: 3.0.11-1\n",
		"usr/lib/python3/dist-packages/six-1.16.dist-info/METADATA": "Name: six\nVersion: 1.16\n",
	}, map[string]string{"app/requirements.txt": "pyarrow==13.0.0\nsix==1.0\n"})
	report, err := scanner(t).Image(context.Background(), img, scan.Named{Reference: "registry.example.com/x:1", Digest: subject.Of([]byte("x"))})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) != 1 || report.Findings[0].Component.Locations[0].Line != 1 || report.Findings[0].Component.Dependency != "declared" {
		t.Errorf("findings are %+v", report.Findings)
	}
	var names []string
	for _, c := range report.Inventory.Components {
		names = append(names, c.PURL+" "+string(c.Dependency))
	}
	want := []string{"pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12 installed", "pkg:pypi/pyarrow@13.0.0 declared", "pkg:pypi/six@1.16 installed"}
	if !slices.Equal(names, want) {
		t.Errorf("components are %v", names)
	}
	if report.Inventory.OperatingSystem == nil || report.Inventory.OperatingSystem.VersionID != "12" {
		t.Errorf("operating system is %+v", report.Inventory.OperatingSystem)
	}
	if len(report.Inventory.Unresolved) != 1 || !strings.Contains(report.Inventory.Unresolved[0].Text, "1 package of Debian:12") {
		t.Errorf("unresolved are %+v", report.Inventory.Unresolved)
	}
}

// TestArchiveIsHeldToItsConfiguration: a Docker archive has no digests but the
// diff IDs in its configuration, and a layer that is another is no layer.
func TestArchiveIsHeldToItsConfiguration(t *testing.T) {
	img := image(t, nil, map[string]string{"usr/lib/python3/dist-packages/six-1.16.dist-info/METADATA": "Name: six\nVersion: 1.16\n"})
	path := filepath.Join(t.TempDir(), "saved.tar")
	tag, err := name.NewTag("example.com/app:one")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(path, tag, img); err != nil {
		t.Fatal(err)
	}
	read := func() error {
		local, err := oci.OpenArchive(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = scanner(t).Image(context.Background(), local.Images[0].Image, scan.Named{Reference: path, Digest: local.Digest})
		return err
	}
	if err := read(); err != nil {
		t.Error(err)
	}
	other := image(t, nil, map[string]string{"usr/lib/python3/dist-packages/six-1.16.dist-info/METADATA": "Name: six\nVersion: 1.17\n"})
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(path, tag, &configured{other, config}); err != nil {
		t.Fatal(err)
	}
	if err := read(); err == nil || !strings.Contains(err.Error(), "the image's configuration says") {
		t.Errorf("a layer of another image: %v", err)
	}
}

// configured is an image with the configuration of another.
type configured struct {
	v1.Image
	config []byte
}

func (c *configured) RawConfigFile() ([]byte, error) { return c.config, nil }

// strict covers only PyPI, and is no sample.
type strict struct{ *advisorydb.Database }

func (s strict) Used([]string) finding.Database                               { return s.Info() }
func (s strict) Info() finding.Database                                       { return finding.Database{URI: "https://osv.dev"} }
func (s strict) Lookup(context.Context, string, string) ([]osv.Record, error) { return nil, nil }

func TestMissingEcosystemIsAFault(t *testing.T) {
	db, err := advisorydb.Sample()
	if err != nil {
		t.Fatal(err)
	}
	s, err := scan.New(scan.Config{Advisories: strict{db}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	img := image(t, nil, map[string]string{"etc/os-release": debian, "var/lib/dpkg/status": "Package: a\nStatus: install ok installed\nVersion: 1\n"})
	_, err = s.Image(context.Background(), img, scan.Named{Reference: "i", Digest: subject.Of(nil)})
	var missing *advisory.MissingEcosystemError
	if !errors.As(err, &missing) || missing.Ecosystem != "Debian:12" || missing.Packages != 1 {
		t.Errorf("got %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := scan.New(scan.Config{Now: now}); err == nil {
		t.Error("no advisories, and no error")
	}
}

// TestRules: VEX and ignores reach every kind of target, and required pins are
// in the report.
func TestRules(t *testing.T) {
	db, err := advisorydb.Sample()
	if err != nil {
		t.Fatal(err)
	}
	content := map[string]string{"requirements.txt": "pyarrow==13.0.0\nfoo>=1\n"}
	img := image(t, map[string]string{imagefs.DeclaredLabel: "/requirements.txt"}, content)
	digest := subject.Of([]byte("x"))
	product := vex.Product{Reference: vex.Reference{Digests: []subject.Digest{digest}}, Subcomponents: []vex.Reference{{PURLs: []string{"pkg:pypi/pyarrow"}}}}
	said := vex.Document{Path: "a.json", Statements: []vex.Statement{{Vulnerability: []string{"CVE-2023-47248"}, Products: []vex.Product{product},
		Status: vex.NotAffected, Justification: "component_not_present", Time: now().AddDate(0, 0, -1)}}}
	ignored := ignorefile.File{Path: "i.yaml", Entries: []ignorefile.Entry{{ID: "CVE-2023-47248", Reason: "r", Line: 1}}}
	for name, c := range map[string]struct {
		rules            triage.Rules
		file, dir, image string
	}{
		"nothing": {triage.Rules{}, "", "", ""},
		"VEX":     {triage.Rules{Documents: []vex.Document{said}}, "", "", "not_affected"},
		"ignore":  {triage.Rules{Ignores: []ignorefile.File{ignored}}, "ignored", "ignored", "ignored"},
	} {
		s, err := scan.New(scan.Config{Advisories: db, Now: now, Rules: c.rules, RequirePinned: name == "ignore"})
		if err != nil {
			t.Fatal(err)
		}
		scans := map[string]func() (finding.Report, error){
			c.file + " file": func() (finding.Report, error) { return s.File(t.Context(), files(content), "requirements.txt") },
			c.dir + " dir":   func() (finding.Report, error) { return s.Directory(t.Context(), files(content), "w") },
			c.image + " image": func() (finding.Report, error) {
				return s.Image(t.Context(), img, scan.Named{Reference: "example.com/x", Digest: digest})
			},
		}
		for want, run := range scans {
			report, err := run()
			if err != nil {
				t.Fatal(err)
			}
			status, kind, _ := strings.Cut(want, " ")
			got := ""
			if len(report.Suppressed) == 1 {
				got = report.Suppressed[0].Status
			}
			if got != status || len(report.Findings)+len(report.Suppressed) != 1 {
				t.Errorf("%s, %s: status %q, want %q", name, kind, got, status)
			}
			if unpinned := len(report.Unpinned()); unpinned != map[bool]int{true: 1}[name == "ignore"] {
				t.Errorf("%s, %s: %d count as unpinned", name, kind, unpinned)
			}
		}
	}
}
