package imagefs_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/imagefs"
)

// entry is one member of a layer: a file unless kind says otherwise.
type entry struct {
	name, content string
	kind          byte
	link          string
}

func file(name, content string) entry { return entry{name: name, content: content} }
func symlink(name, to string) entry   { return entry{name: name, kind: tar.TypeSymlink, link: to} }
func hardlink(name, to string) entry  { return entry{name: name, kind: tar.TypeLink, link: to} }
func directory(name string) entry     { return entry{name: name + "/", kind: tar.TypeDir} }

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, e := range entries {
		if e.kind == 0 {
			e.kind = tar.TypeReg
		}
		header := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: 0o644, Size: int64(len(e.content))}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func layer(t *testing.T, entries ...entry) v1.Layer {
	t.Helper()
	content := archive(t, entries...)
	made, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func image(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	made, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func labelled(t *testing.T, base v1.Image, labels map[string]string) v1.Image {
	t.Helper()
	made, err := mutate.Config(base, v1.Config{Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func read(t *testing.T, image v1.Image) component.Inventory {
	t.Helper()
	inventory, _, err := imagefs.Read(t.Context(), image, imagefs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return inventory
}

// listed is "name version" of every component, and "? path" of everything
// unresolved, sorted.
func listed(inventory component.Inventory) []string {
	list := []string{}
	for _, c := range inventory.Components {
		list = append(list, c.Name+" "+c.Version)
	}
	for _, u := range inventory.Unresolved {
		list = append(list, "? "+u.Text)
	}
	slices.Sort(list)
	return list
}

const (
	site   = "usr/lib/python3/dist-packages/"
	status = "var/lib/dpkg/status"
	bash   = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2\n\n"
	zlib   = "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nSource: zlib\nVersion: 1:1.2.13-1\n\n"
	alpine = "ID=alpine\nVERSION_ID=3.20.3\n"
	rhel   = "ID=\"rhel\"\nVERSION_ID=\"9.4\"\n"
	debian = "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"
)

func metadata(name, version string) string {
	return "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n\n"
}

func installed(name, version string) entry {
	return file(site+name+"-"+version+".dist-info/METADATA", metadata(name, version))
}

// What the layers leave is what the OCI image specification's changeset rules
// leave, for every way in which a later layer can touch an earlier one.
func TestLayersAreAppliedAsTheSpecificationSays(t *testing.T) {
	torch, numpy := installed("torch", "2.1.0"), installed("numpy", "1.26.4")
	for _, test := range []struct {
		name   string
		layers [][]entry
		want   []string
	}{
		{"one layer", [][]entry{{torch, numpy}}, []string{"numpy 1.26.4", "torch 2.1.0"}},
		{"a later layer replaces a file", [][]entry{{torch}, {file(torch.name, metadata("torch", "2.1.1"))}}, []string{"torch 2.1.1"}},
		{"a whiteout removes a file", [][]entry{{torch, numpy}, {file(site+"torch-2.1.0.dist-info/.wh.METADATA", "")}}, []string{"numpy 1.26.4"}},
		{"a whiteout removes a directory", [][]entry{{torch, numpy}, {file(site+".wh.torch-2.1.0.dist-info", "")}}, []string{"numpy 1.26.4"}},
		{"a whiteout far above", [][]entry{{torch, numpy}, {file("usr/.wh.lib", "")}}, []string{}},
		{"a whiteout of a longer name leaves the shorter", [][]entry{{torch}, {file(site+".wh.torch", "")}}, []string{"torch 2.1.0"}},
		{"a whiteout does not touch its own layer", [][]entry{{torch}, {file("usr/.wh.lib", ""), numpy}}, []string{"numpy 1.26.4"}},
		{"the whiteout may come after what its layer adds", [][]entry{{torch}, {numpy, file("usr/.wh.lib", "")}}, []string{"numpy 1.26.4"}},
		{"an opaque directory hides what lies below", [][]entry{{torch}, {numpy, file(site+".wh..wh..opq", "")}}, []string{"numpy 1.26.4"}},
		{"an opaque root hides everything", [][]entry{{torch}, {file(".wh..wh..opq", ""), numpy}}, []string{"numpy 1.26.4"}},
		{"an opaque directory leaves its siblings", [][]entry{{torch}, {file("usr/lib/python3/other/.wh..wh..opq", "")}}, []string{"torch 2.1.0"}},
		{"a file replaces a directory", [][]entry{{torch, numpy}, {file(site+"torch-2.1.0.dist-info", "")}}, []string{"numpy 1.26.4"}},
		{"a symbolic link replaces a directory", [][]entry{{torch}, {symlink("usr/lib/python3", "/opt/python3")}}, []string{}},
		{"a directory over a directory merges", [][]entry{{torch}, {directory(site + "torch-2.1.0.dist-info")}}, []string{"torch 2.1.0"}},
		{"removed and brought back", [][]entry{{torch}, {file("usr/.wh.lib", "")}, {torch}}, []string{"torch 2.1.0"}},
		{"names may start with ./ and /", [][]entry{{file("./"+torch.name, torch.content), file("/"+numpy.name, numpy.content)}}, []string{"numpy 1.26.4", "torch 2.1.0"}},
		{"a whiteout with ./", [][]entry{{torch}, {file("./usr/lib/.wh.python3", "")}}, []string{}},
		{"a name that would lead out stays inside", [][]entry{{file("../../"+torch.name, torch.content)}}, []string{"torch 2.1.0"}},
		{"a hard link has its target's content", [][]entry{{torch}, {hardlink("opt/torch-2.1.0.dist-info/METADATA", torch.name)}}, []string{"torch 2.1.0", "torch 2.1.0"}},
		{"a hard link survives its first name", [][]entry{{torch, hardlink("opt/torch-2.1.0.dist-info/METADATA", torch.name)}, {file("usr/.wh.lib", "")}}, []string{"torch 2.1.0"}},
		{"a hard link to what is not kept is said", [][]entry{{hardlink("opt/torch-2.1.0.dist-info/METADATA", "opt/blob")}}, []string{"? opt/torch-2.1.0.dist-info/METADATA"}},
		{"a link to metadata that is kept", [][]entry{{torch, symlink("opt/torch-2.1.0.dist-info/METADATA", "/"+torch.name)}}, []string{"torch 2.1.0"}},
		{"a link to metadata that is not kept is said", [][]entry{{file("opt/x", "Name: torch"), symlink(torch.name, "/opt/x")}}, []string{"? " + torch.name}},
		{"a linked directory whose target is read", [][]entry{{torch, symlink("opt/torch-2.1.0.dist-info", "/"+site+"torch-2.1.0.dist-info")}}, []string{"torch 2.1.0"}},
		{"a linked directory whose target is not read is said", [][]entry{{file("opt/x/METADATA", torch.content), symlink(site+"torch-2.1.0.dist-info", "/opt/x")}}, []string{"? " + site + "torch-2.1.0.dist-info"}},
		{"capital letters", [][]entry{{file(site+"torch-2.1.0.DIST-INFO/METADATA", torch.content)}}, []string{"torch 2.1.0"}},
		{"the first of two versions counts, as for the interpreter", [][]entry{{file(torch.name, "Name: torch\nVersion: 2.1.0\nVersion: 9\nName: six\n")}}, []string{"torch 2.1.0"}},
		{"conda", [][]entry{{file("opt/conda/conda-meta/history", ""), file("opt/conda/conda-meta/openssl-3.0.8-h0_0.json", `{"name":"openssl","version":"3.0.8","build":"h0_0","files":["lib/libssl.so"]}`)}}, []string{"openssl 3.0.8"}},
		{"a Python project of conda is counted once", [][]entry{{file("opt/conda/conda-meta/torch-2.1.0-py311_0.json", `{"name":"pytorch","version":"2.1.0","build":"py311_0","files":["lib/python3.11/site-packages/torch-2.1.0.dist-info/METADATA"]}`), file("opt/conda/lib/python3.11/site-packages/torch-2.1.0.dist-info/METADATA", torch.content)}}, []string{"torch 2.1.0"}},
		{"a record of conda that cannot be read is said", [][]entry{{file("opt/conda/conda-meta/x-1-0.json", "{")}}, []string{"? opt/conda/conda-meta/x-1-0.json"}},
		{"a zipped egg, by its name", [][]entry{{file(site+"torch-2.1.0-py3.11.egg", "PK")}}, []string{"torch 2.1.0"}},
		{"an egg that was removed", [][]entry{{file(site+"torch-2.1.0-py3.11.egg", "PK")}, {file(site+".wh.torch-2.1.0-py3.11.egg", "")}}, []string{}},
		{"installed from version control is said", [][]entry{{torch, file(site+"torch-2.1.0.dist-info/direct_url.json", `{"url":"https://user:pw@example.com/x","vcs_info":{"vcs":"git","commit_id":"00"}}`)}}, []string{"? https://****@example.com/x", "torch 2.1.0"}},
		{"a linked directory is said", [][]entry{{file(site+"torch.egg-link", "/srv/torch\n.")}}, []string{"? /srv/torch"}},
		{"no layers that matter", [][]entry{{file("bin/sh", "x")}}, []string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var layers []v1.Layer
			for _, entries := range test.layers {
				layers = append(layers, layer(t, entries...))
			}
			if diff := cmp.Diff(test.want, listed(read(t, image(t, layers...)))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDistribution(t *testing.T) {
	for _, test := range []struct {
		name    string
		entries []entry
		want    []string
		os      string
	}{
		{"dpkg", []entry{file("etc/os-release", debian), file(status, bash+zlib)}, []string{"bash 5.2.15-2", "zlib1g 1:1.2.13-1"}, "debian 12"},
		{"os-release is a link, as in Debian", []entry{file("usr/lib/os-release", debian), symlink("etc/os-release", "../usr/lib/os-release"), file(status, bash)}, []string{"bash 5.2.15-2"}, "debian 12"},
		{"os-release only under usr/lib", []entry{file("usr/lib/os-release", debian), file(status, bash)}, []string{"bash 5.2.15-2"}, "debian 12"},
		{"distroless", []entry{file("etc/os-release", debian), file("var/lib/dpkg/status.d/bash", "Package: bash\nArchitecture: amd64\nVersion: 5.2.15-2\n"), file("var/lib/dpkg/status.d/bash.md5sums", "00  bin/sh\n")}, []string{"bash 5.2.15-2"}, "debian 12"},
		{"an absolute link to the database", []entry{file("etc/os-release", debian), file("var/lib/dpkg/status.d/x", bash), symlink(status, "/var/lib/dpkg/status.d/x")}, []string{"bash 5.2.15-2"}, "debian 12"},
		{"a link to a database that is not kept is said", []entry{file("etc/os-release", debian), symlink(status, "/srv/status")}, []string{"? " + status}, "debian 12"},
		{"a loop of links ends", []entry{symlink("etc/os-release", "../usr/lib/os-release"), symlink("usr/lib/os-release", "../../etc/os-release")}, []string{}, ""},
		{"apk", []entry{file("etc/os-release", alpine), file("lib/apk/db/installed", "P:musl\nV:1.2.4\n")}, []string{"musl 1.2.4"}, "alpine 3.20.3"},
		{"apk where /usr is one", []entry{file("etc/os-release", alpine), symlink("lib", "usr/lib"), file("usr/lib/apk/db/installed", "P:musl\nV:1.2.4\n")}, []string{"musl 1.2.4"}, "alpine 3.20.3"},
		{"an empty database of rpm is said", []entry{file("etc/os-release", rhel), file("var/lib/rpm/rpmdb.sqlite", "")}, []string{"? var/lib/rpm/rpmdb.sqlite"}, "rhel 9.4"},
		{"a link to rpm's database that is not kept is said", []entry{file("etc/os-release", rhel), symlink("var/lib/rpm/Packages", "/srv/Packages")}, []string{"? var/lib/rpm/Packages"}, "rhel 9.4"},
		{"a link of status.d to what is not kept is said", []entry{file("etc/os-release", debian), file(status, zlib), symlink("var/lib/dpkg/status.d/bash", "/srv/bash")}, []string{"? var/lib/dpkg/status.d/bash", "zlib1g 1:1.2.13-1"}, "debian 12"},
		{"half-installed", []entry{file("etc/os-release", debian), file(status, strings.Replace(bash, "ok installed", "ok half-installed", 1))}, []string{"bash 5.2.15-2"}, "debian 12"},
		{"an empty database is said", []entry{file("etc/os-release", debian), file(status, "")}, []string{"? etc/os-release"}, "debian 12"},
		{"a distribution without its database is said", []entry{file("etc/os-release", debian)}, []string{"? etc/os-release"}, "debian 12"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inventory := read(t, image(t, layer(t, test.entries...)))
			if diff := cmp.Diff(test.want, listed(inventory)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			found := ""
			if os := inventory.OperatingSystem; os != nil {
				found = os.ID + " " + os.VersionID
			}
			if found != test.os {
				t.Errorf("operating system is %q, want %q", found, test.os)
			}
		})
	}
}

func TestComponentsSayWhereTheyCameFrom(t *testing.T) {
	below, above := layer(t, file("etc/os-release", debian), file(status, bash)), layer(t, installed("torch", "2.1.0"))
	inventory := read(t, image(t, below, above))
	want := map[string]v1.Layer{"bash": below, "torch": above}
	for _, c := range inventory.Components {
		diffID, err := want[c.Name].DiffID()
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Locations) != 1 || c.Locations[0].Layer.String() != diffID.String() {
			t.Errorf("%s is at %v, want the layer %s", c.Name, c.Locations, diffID)
		}
		if c.Dependency != component.Installed {
			t.Errorf("%s is %s, want installed", c.Name, c.Dependency)
		}
	}
	if got := inventory.Components[0]; got.Ecosystem != "Debian:12" && inventory.Components[1].Ecosystem != "Debian:12" {
		t.Errorf("no component is of Debian:12: %v", inventory.Components)
	}
	if len(inventory.Components) != 2 {
		t.Errorf("found %v", listed(inventory))
	}
}

func TestBrokenMetadataIsSaid(t *testing.T) {
	inventory := read(t, image(t, layer(t, file(site+"torch-2.1.0.dist-info/METADATA", "no headers here"))))
	if diff := cmp.Diff([]string{"? " + site + "torch-2.1.0.dist-info/METADATA"}, listed(inventory)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDeclaredRequirements(t *testing.T) {
	label := func(value string) map[string]string { return map[string]string{imagefs.DeclaredLabel: value} }
	for _, test := range []struct {
		name    string
		label   string
		entries []entry
		want    []string
	}{
		{"a pin", "/app/requirements.txt", []entry{file("app/requirements.txt", "torch==2.1.0\n")}, []string{"torch 2.1.0"}},
		{"without the label nothing is declared", "", []entry{file("app/requirements.txt", "torch==2.1.0\n")}, []string{}},
		{"a range is unresolved", "app/requirements.txt", []entry{file("app/requirements.txt", "torch>=2\n")}, []string{"? torch>=2"}},
		{"includes are followed", "app/requirements.txt", []entry{file("app/requirements.txt", "-r base.txt\n"), file("app/base.txt", "numpy==1.26.4\n")}, []string{"numpy 1.26.4"}},
		{"several files", "a.txt, b.txt", []entry{file("a.txt", "numpy==1.26.4\n"), file("b.txt", "torch==2.1.0\n")}, []string{"numpy 1.26.4", "torch 2.1.0"}},
		{"what is installed counts, not what is declared", "r.txt", []entry{file("r.txt", "torch==2.0.0\n"), installed("torch", "2.1.0")}, []string{"torch 2.1.0"}},
		{"what is installed answers for a range", "r.txt", []entry{file("r.txt", "torch>=2\n"), installed("torch", "2.1.0")}, []string{"torch 2.1.0"}},
		{"a file that is not there is said", "gone.txt", nil, []string{"? gone.txt"}},
		{"a label that leads out stays inside", "../../r.txt", []entry{file("r.txt", "torch==2.1.0\n")}, []string{"torch 2.1.0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			made := labelled(t, image(t, layer(t, test.entries...)), label(test.label))
			if diff := cmp.Diff(test.want, listed(read(t, made))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// An include that is missing must not make the rest of the list look whole.
func TestDeclaredIncludeThatIsMissing(t *testing.T) {
	made := labelled(t, image(t, layer(t, file("r.txt", "-r gone.txt\ntorch==2.1.0\n"))), map[string]string{imagefs.DeclaredLabel: "r.txt"})
	inventory, _, err := imagefs.Read(t.Context(), made, imagefs.Config{})
	if err == nil && !slices.ContainsFunc(inventory.Unresolved, func(u component.Unresolved) bool { return strings.Contains(u.Text, "gone.txt") }) {
		t.Errorf("nothing says that gone.txt is missing: %v", listed(inventory))
	}
}

func TestDescription(t *testing.T) {
	made := labelled(t, image(t, layer(t, file("a", "b")), layer(t, file("c", "d"))), map[string]string{"k": "v"})
	_, description, err := imagefs.Read(t.Context(), made, imagefs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := made.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if description.ConfigDigest.String() != config.String() || len(description.DiffIDs) != 2 || description.Labels["k"] != "v" {
		t.Errorf("described as %+v", description)
	}
}

// lying is an image whose layers are not those that its configuration names.
type lying struct {
	v1.Image
	layers []v1.Layer
}

func (l lying) Layers() ([]v1.Layer, error) { return l.layers, nil }

// raw is a layer that gives these bytes.
type raw struct {
	v1.Layer
	reader func() io.Reader
}

func (r raw) Uncompressed() (io.ReadCloser, error) { return io.NopCloser(r.reader()), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the line broke") }

func TestFaults(t *testing.T) {
	honest := layer(t, installed("torch", "2.1.0"))
	other := layer(t, installed("torch", "9.9.9"))
	content := archive(t, installed("torch", "2.1.0"))
	bytesOf := func(content []byte) func() io.Reader {
		return func() io.Reader { return bytes.NewReader(content) }
	}
	for _, test := range []struct {
		name  string
		image v1.Image
		want  string
	}{
		{"another layer's content", lying{image(t, honest), []v1.Layer{other}}, "the image's configuration says"},
		{"a layer too many", lying{image(t, honest), []v1.Layer{honest, other}}, "2 layers"},
		{"a layer too few", lying{image(t, honest), nil}, "0 layers"},
		{"an empty layer for a full one", lying{image(t, honest), []v1.Layer{raw{honest, bytesOf(nil)}}}, "the image's configuration says"},
		{"bytes after the archive's end", lying{image(t, honest), []v1.Layer{raw{honest, bytesOf(append(slices.Clone(content), 1))}}}, "the image's configuration says"},
		{"a truncated layer", lying{image(t, honest), []v1.Layer{raw{honest, bytesOf(content[:700])}}}, "reading layer 1"},
		{"a layer cut between its entries", lying{image(t, honest), []v1.Layer{raw{honest, bytesOf(content[:len(content)-1024])}}}, "the image's configuration says"},
		{"a broken line", lying{image(t, honest), []v1.Layer{raw{honest, func() io.Reader { return io.MultiReader(bytes.NewReader(content[:512]), failing{}) }}}}, "the line broke"},
		{"an operating system that cannot be read", image(t, layer(t, file("etc/os-release", "VERSION_ID=\"12"))), "etc/os-release"},
		{"a package database that cannot be read", image(t, layer(t, file("etc/os-release", debian), file(status, "Package bash\n"))), status},
		{"a field twice in the package database", image(t, layer(t, file("etc/os-release", debian), file(status, strings.Replace(bash, "Version", "Status: deinstall ok not-installed\nVersion", 1)))), "given twice"},
		{"metadata larger than its bound", lying{image(t, honest), []v1.Layer{raw{honest, huge(site + "torch-2.1.0.dist-info/METADATA")}}}, fmt.Sprint(limit.PackageMetadata)},
	} {
		t.Run(test.name, func(t *testing.T) {
			inventory, _, err := imagefs.Read(t.Context(), test.image, imagefs.Config{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one with %q; found %v", err, test.want, listed(inventory))
			}
		})
	}
}

// huge is a layer with one file just over the bound of package metadata, made
// of zeroes as it is read.
func huge(name string) func() io.Reader {
	return func() io.Reader {
		var header bytes.Buffer
		size := int64(limit.PackageMetadata) + 1
		w := tar.NewWriter(&header)
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: size, Mode: 0o644}); err != nil {
			return failing{}
		}
		return io.MultiReader(&header, io.LimitReader(zeroes{}, size+1024))
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// The bounds hold over all layers together.
func TestBounds(t *testing.T) {
	torch, numpy := installed("torch", "2.1.0"), installed("numpy", "1.26.4")
	made := image(t, layer(t, file("a", ""), torch), layer(t, file("b", ""), numpy))
	size := int64(len(torch.name+torch.content+numpy.name+numpy.content) + 2*imagefs.ChangeSize)
	for _, config := range []imagefs.Config{imagefs.WithBounds(3, 0), imagefs.WithBounds(0, size-1)} {
		var bound *limit.Error
		if _, _, err := imagefs.Read(t.Context(), made, config); !errors.As(err, &bound) {
			t.Errorf("error is %v, want that a bound was passed", err)
		}
	}
	inventory, _, err := imagefs.Read(t.Context(), made, imagefs.WithBounds(4, size))
	if err != nil || len(inventory.Components) != 2 {
		t.Errorf("at the bounds: %v, %v", listed(inventory), err)
	}
	for _, long := range []entry{file(strings.Repeat("a/", limit.PathName/2)+"b", ""), symlink("a", strings.Repeat("b", limit.PathName+1))} {
		var bound *limit.Error
		if _, _, err := imagefs.Read(t.Context(), image(t, layer(t, long)), imagefs.Config{}); !errors.As(err, &bound) || bound.Bound != limit.PathName {
			t.Errorf("error is %v, want that a path is too long", err)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := imagefs.Read(ctx, image(t, layer(t, installed("torch", "2.1.0"))), imagefs.Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that the context was cancelled", err)
	}
}

func FuzzLayer(f *testing.F) {
	f.Add(archive(f, installed("torch", "2.1.0"), file(status, bash), file("etc/os-release", debian)))
	f.Add(archive(f, hardlink("opt/x.dist-info/METADATA", status), symlink(status, "../../../.."), file("usr/.wh.lib", "")))
	f.Add([]byte("not an archive"))
	f.Fuzz(func(t *testing.T, content []byte) {
		made, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		if err != nil {
			return
		}
		image, err := mutate.AppendLayers(empty.Image, made)
		if err != nil {
			return
		}
		inventory, _, err := imagefs.Read(t.Context(), image, imagefs.Config{})
		if err != nil {
			return
		}
		for _, c := range inventory.Components {
			if c.Name == "" || c.Version == "" || len(c.Locations) == 0 {
				t.Errorf("a component without name, version or place: %+v", c)
			}
		}
	})
}
