//go:build interop

package interop_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/port/imagefs"
)

// A real Debian with pandas, as an image: its packages are those that dpkg-query
// lists, and its Python packages those that the interpreter's own library finds.
func TestDebianImage(t *testing.T) {
	query, python := program(t, "dpkg-query", "dpkg"), program(t, "python3", "python3")
	s := newStage(t)
	root, tree := peer(t, "debian-pandas.tar"), filepath.Join(s.dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	s.must(program(t, "tar", "tar"), "-C", tree, "-xf", root, "./var/lib/dpkg", "./usr/lib/python3")

	layer, err := tarball.LayerFromFile(root)
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := layout.Write(filepath.Join(s.dir, "image"), mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image})); err != nil {
		t.Fatal(err)
	}
	inventory, _, err := imagefs.Read(t.Context(), image, imagefs.Config{})
	if err != nil {
		t.Fatal(err)
	}

	var debs, projects []string
	licensed := 0
	for _, c := range inventory.Components {
		switch {
		case c.Ecosystem == "Debian:12":
			debs = append(debs, strings.Join([]string{c.Name, c.Version, c.Architecture, c.SourceName, c.SourceVersion}, " "))
			if len(c.Licenses) > 0 {
				licensed++
			}
		case c.Ecosystem == pydist.Ecosystem && c.Dependency == component.Installed:
			projects = append(projects, c.Name+" "+c.Version)
			if owner := "pkg:deb/debian/python3-" + c.Name + "@"; (c.Name == "pandas" || c.Name == "numpy") && !strings.HasPrefix(c.Owner, owner) {
				t.Errorf("%s is owned by %q, want %s…", c.Name, c.Owner, owner)
			}
		default:
			t.Errorf("found %+v", c)
		}
	}
	slices.Sort(debs)
	slices.Sort(projects)
	want := lines(s.must(query, "--admindir="+filepath.Join(tree, "var/lib/dpkg"), "-W", "-f", "${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n"))
	if diff := cmp.Diff(want, debs); diff != "" || len(want) < 50 {
		t.Errorf("%d packages (-dpkg-query +assay)\n%s", len(want), diff)
	}
	if licensed*10 < len(debs)*9 {
		t.Errorf("%d of %d packages have a licence", licensed, len(debs))
	}
	script := "import importlib.metadata, sys\nfor d in importlib.metadata.distributions(path=sys.argv[1:]): print(d.metadata['Name'], d.version)"
	var interpreter []string
	for _, line := range lines(s.must(python, "-c", script, filepath.Join(tree, "usr/lib/python3/dist-packages"))) {
		name, version, _ := strings.Cut(line, " ")
		v, err := pep440.Parse(version)
		if err != nil {
			t.Fatal(err)
		}
		interpreter = append(interpreter, pydist.Normalise(name)+" "+v.String())
	}
	slices.Sort(interpreter)
	if diff := cmp.Diff(interpreter, projects); diff != "" || !slices.ContainsFunc(projects, func(p string) bool { return strings.HasPrefix(p, "pandas ") }) {
		t.Errorf("(-importlib.metadata +assay)\n%s", diff)
	}
	if len(inventory.Unresolved) > 0 {
		t.Errorf("unresolved: %+v", inventory.Unresolved)
	}
	// The same through the front door, with the image as its own base.
	s.wants(0, []string{"pkg:deb/debian/python3-pandas@", "pkg:pypi/pandas@"}, "sbom", "oci:image")
	s.wants(0, []string{"packages of Debian:12"}, "scan", "oci:image", "--db", "sample", "--base-image", "oci:image", "--exit-code", "0")
}

func lines(text string) []string {
	list := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(list)
	return list
}
