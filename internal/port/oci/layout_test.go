package oci_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// disk is an OCI image layout that a test damages.
type disk struct {
	t   *testing.T
	dir string
}

func (d disk) path(digest subject.Digest) string {
	return filepath.Join(d.dir, "blobs", "sha256", digest.Hex())
}

func (d disk) read(name string) string {
	d.t.Helper()
	content, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(content)
}

func (d disk) write(name, content string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(content), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d disk) blob(content string) subject.Digest {
	d.t.Helper()
	digest := subject.Of([]byte(content))
	d.write("blobs/sha256/"+digest.Hex(), content)
	return digest
}

// parts are the digests in a layout by what they are.
func (d disk) parts() map[string]subject.Digest {
	d.t.Helper()
	parts := map[string]subject.Digest{}
	first := func(manifest, field string) subject.Digest {
		value, _ := asJSON(d.t, manifest)[field].(map[string]any)
		if value == nil {
			value = firstOf(d.t, manifest)
		}
		digest, err := subject.Parse(fmt.Sprint(value["digest"]))
		if err != nil {
			d.t.Fatal(err)
		}
		return digest
	}
	manifest := first(d.read("index.json"), "")
	if content := d.read("blobs/sha256/" + manifest.Hex()); strings.Contains(content, `"manifests"`) {
		parts["index"] = manifest
		manifest = first(content, "")
	}
	content := d.read("blobs/sha256/" + manifest.Hex())
	parts["manifest"], parts["config"], parts["layer"] = manifest, first(content, "config"), first(content, "layers")
	return parts
}

// use does with an image what those do who open it.
func use(image v1.Image) error {
	if _, err := image.Manifest(); err != nil {
		return err
	}
	if _, err := image.ConfigFile(); err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		for _, open := range []func() (io.ReadCloser, error){layer.Compressed, layer.Uncompressed} {
			stream, err := open()
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, stream)
			stream.Close()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func open(dir, which string) error {
	local, err := oci.OpenLayout(dir, which)
	if err != nil {
		return err
	}
	for _, image := range local.Images {
		if err := use(image.Image); err != nil {
			return err
		}
	}
	return nil
}

func TestOpenLayout(t *testing.T) {
	dir := ocitest.Layout(t)
	one := disk{t, dir}.parts()
	local, err := oci.OpenLayout(dir, "")
	if err != nil || local.Index || local.Digest != one["manifest"] || len(local.Images) != 1 || local.Images[0].Digest != local.Digest {
		t.Fatalf("%+v, %v", local, err)
	}
	if err := use(local.Images[0].Image); err != nil {
		t.Error(err)
	}

	dir = ocitest.Layout(t, "linux/amd64", "linux/arm64/v8")
	many := disk{t, dir}.parts()
	local, err = oci.OpenLayout(dir, "")
	if err != nil || !local.Index || local.Digest != many["index"] || len(local.Images) != 2 {
		t.Fatalf("%+v, %v", local, err)
	}
	var names []string
	for _, image := range local.Images {
		names = append(names, image.Platform)
		digest, err := image.Image.Digest()
		if err != nil || digest.String() != image.Digest.String() {
			t.Errorf("%s is %s, want %s: %v", image.Platform, digest, image.Digest, err)
		}
		if err := use(image.Image); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(names, []string{"linux/amd64", "linux/arm64/v8"}) {
		t.Errorf("platforms %q", names)
	}
	if !oci.IsLayout(dir) || oci.IsLayout(filepath.Join(dir, "blobs")) || oci.IsLayout(filepath.Join(dir, "nothing")) {
		t.Error("IsLayout")
	}
	if other, err := oci.Besides(dir); other != "" || err != nil {
		t.Errorf("nothing is besides: %q, %v", other, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "requirements.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if other, err := oci.Besides(dir); other != "requirements.txt" || err != nil {
		t.Errorf("a file is besides: %q, %v", other, err)
	}
	if _, err := oci.Besides(filepath.Join(dir, "nothing")); err == nil {
		t.Error("nothing is there to look into")
	}
}

// TestOpenLayoutWhich has a layout with several entries.
func TestOpenLayoutWhich(t *testing.T) {
	d := disk{t, ocitest.Layout(t)}
	one := d.parts()["manifest"]
	content := d.read("blobs/sha256/" + one.Hex())
	two := d.blob(content + " ")
	tag := func(name string) string {
		return fmt.Sprintf(`,"annotations":{"org.opencontainers.image.ref.name":%q}`, name)
	}
	d.write("index.json", index(entry(ociManifest, len(content), one, tag("v1")), entry(ociManifest, len(content)+1, two, tag("v2")), entry(ociManifest, len(content)+1, two, tag("twice")), entry(ociManifest, len(content), one, tag("twice"))))
	for _, test := range []struct {
		which string
		want  subject.Digest
		words string
	}{
		{"v1", one, ""},
		{"v2", two, ""},
		{"", subject.Digest{}, "it holds 4 images; name one as oci:DIR@DIGEST"},
		{"twice", subject.Digest{}, "it holds 4 images"},
		{"v3", subject.Digest{}, `it holds no "v3"; it holds v1 ` + one.String()},
		{subject.Of(nil).String(), subject.Digest{}, "it holds no"},
		{"../../etc", subject.Digest{}, "it holds no"},
	} {
		local, err := oci.OpenLayout(d.dir, test.which)
		if test.words != "" {
			wantError(t, err, d.dir, test.words)
		} else if err != nil || local.Digest != test.want {
			t.Errorf("%q is %s, want %s: %v", test.which, local.Digest, test.want, err)
		}
	}
	d.write("index.json", index(entry(ociManifest, len(content), one), entry(ociManifest, len(content)+1, two)))
	if local, err := oci.OpenLayout(d.dir, two.String()); err != nil || local.Digest != two {
		t.Errorf("by digest: %s, %v", local.Digest, err)
	}
}

// TestOpenLayoutCorrupt damages each part of a layout in each way. Opening it
// or using what was opened is an error: nothing passes for what its digest
// says that it is.
func TestOpenLayoutCorrupt(t *testing.T) {
	damages := map[string]func(disk, subject.Digest){
		"missing": func(d disk, digest subject.Digest) { d.must(os.Remove(d.path(digest))) },
		"empty":   func(d disk, digest subject.Digest) { d.write("blobs/sha256/"+digest.Hex(), "") },
		"a flipped byte": func(d disk, digest subject.Digest) {
			content := []byte(d.read("blobs/sha256/" + digest.Hex()))
			content[len(content)/2] ^= 1
			d.write("blobs/sha256/"+digest.Hex(), string(content))
		},
		"a byte more": func(d disk, digest subject.Digest) {
			d.write("blobs/sha256/"+digest.Hex(), d.read("blobs/sha256/"+digest.Hex())+" ")
		},
		"a byte less": func(d disk, digest subject.Digest) {
			content := d.read("blobs/sha256/" + digest.Hex())
			d.write("blobs/sha256/"+digest.Hex(), content[:len(content)-1])
		},
		"another well-formed file": func(d disk, digest subject.Digest) {
			d.write("blobs/sha256/"+digest.Hex(), disk{d.t, ocitest.Layout(d.t, "linux/amd64", "linux/arm64")}.twin(d, digest))
		},
		"a link to itself elsewhere": func(d disk, digest subject.Digest) {
			elsewhere := filepath.Join(d.t.TempDir(), "blob")
			d.must(os.Rename(d.path(digest), elsewhere))
			d.must(os.Symlink(elsewhere, d.path(digest)))
		},
		"a link out": func(d disk, digest subject.Digest) {
			d.must(os.Remove(d.path(digest)))
			d.must(os.Symlink("/etc/passwd", d.path(digest)))
		},
		"a directory": func(d disk, digest subject.Digest) {
			d.must(os.Remove(d.path(digest)))
			d.must(os.Mkdir(d.path(digest), 0o755))
		},
		"a device": func(d disk, digest subject.Digest) {
			d.must(os.Remove(d.path(digest)))
			d.must(os.Symlink("/dev/zero", d.path(digest)))
		},
	}
	for name, damage := range damages {
		for _, platforms := range [][]string{nil, {"linux/amd64", "linux/arm64"}} {
			for part := range (disk{t, ocitest.Layout(t, platforms...)}).parts() {
				t.Run(fmt.Sprintf("%s: %s of %d", name, part, len(platforms)), func(t *testing.T) {
					d := disk{t, ocitest.Layout(t, platforms...)}
					if err := open(d.dir, ""); err != nil {
						t.Fatal(err)
					}
					damage(d, d.parts()[part])
					if err := open(d.dir, ""); err == nil {
						t.Error("opened and used without an error")
					}
				})
			}
		}
	}
}

// twin gives the file of this layout that is in the place that a digest has
// in another.
func (d disk) twin(other disk, digest subject.Digest) string {
	for part, theirs := range other.parts() {
		if theirs == digest {
			return d.read("blobs/sha256/" + d.parts()[part].Hex())
		}
	}
	d.t.Fatalf("%s is no part", digest)
	return ""
}

func (d disk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// TestOpenLayoutHostile has layouts that are what nobody would write in error.
func TestOpenLayoutHostile(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte(`{"schemaVersion":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		index func(disk) string
		words string
	}{
		"no entry": {func(disk) string { return index() }, "it holds no image"},
		"not JSON": {func(disk) string { return "<html>" }, "invalid character"},
		"a way up": {func(disk) string {
			return index(`{"mediaType":"` + ociManifest + `","size":1,"digest":"sha256:../../../` + outside + `"}`)
		}, "hash"},
		"a way up by algorithm": {func(disk) string {
			return index(`{"mediaType":"` + ociManifest + `","size":1,"digest":"../..:` + strings.Repeat("0", 64) + `"}`)
		}, "hash"},
		"no digest":                {func(disk) string { return index(`{"mediaType":"` + ociManifest + `","size":1}`) }, "digest"},
		"no image":                 {func(d disk) string { return index(entry("text/plain", 2, d.blob("{}"))) }, "text/plain"},
		"no type":                  {func(d disk) string { return index(entry("", 2, d.blob("{}"))) }, "which is no image's"},
		"an image that is no JSON": {func(d disk) string { return index(entry(ociManifest, 6, d.blob("<html>"))) }, "invalid character"},
		"an index that is no JSON": {func(d disk) string { return index(entry(ociIndex, 6, d.blob("<html>"))) }, "reading the image index"},
		"an index of nothing":      {func(d disk) string { return index(entry(ociIndex, len(index()), d.blob(index()))) }, "no image"},
		"an index of attestations": {func(d disk) string {
			list := index(entry(ociManifest, 2, d.blob("{}"), `,"platform":{"os":"unknown","architecture":"unknown"}`))
			return index(entry(ociIndex, len(list), d.blob(list)))
		}, "no image"},
		"an index in an index": {func(d disk) string {
			list := index(entry(ociIndex, len(index()), d.blob(index())))
			return index(entry(ociIndex, len(list), d.blob(list)))
		}, "an index itself"},
		"too many platforms": {func(d disk) string {
			list := index(slices.Repeat([]string{entry(ociManifest, 2, d.blob("{}"))}, limit.Platforms+1)...)
			return index(entry(ociIndex, len(list), d.blob(list)))
		}, fmt.Sprintf("the bound of %d manifests", limit.Platforms)},
		"a way up in a layer": {func(d disk) string {
			manifest := strings.Replace(signed(entry(simple, 1, subject.Of(nil))), `"digest":"`+subject.Of(nil).String(), `"digest":"sha256:../../../x`, 1)
			d.blob("{}")
			return index(entry(ociManifest, len(manifest), d.blob(manifest)))
		}, "hash"},
		"a huge manifest": {func(d disk) string {
			manifest := signed() + strings.Repeat(" ", limit.Manifest)
			d.blob("{}")
			return index(entry(ociManifest, len(manifest), d.blob(manifest)))
		}, fmt.Sprintf("the bound of %d bytes", limit.Manifest)},
		"a huge index": {func(d disk) string {
			list := index() + strings.Repeat(" ", limit.Manifest)
			return index(entry(ociIndex, len(list), d.blob(list)))
		}, fmt.Sprintf("the bound of %d bytes", limit.Manifest)},
		"a huge index.json": {func(d disk) string { return index() + strings.Repeat(" ", limit.Manifest) }, fmt.Sprintf("the bound of %d bytes", limit.Manifest)},
		"a huge configuration": {func(d disk) string {
			config := "{}" + strings.Repeat(" ", limit.ImageConfig)
			manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[]}`, ociManifest, entry("application/vnd.oci.image.config.v1+json", len(config), d.blob(config)))
			return index(entry(ociManifest, len(manifest), d.blob(manifest)))
		}, fmt.Sprintf("the bound of %d bytes", limit.ImageConfig)},
	} {
		t.Run(name, func(t *testing.T) {
			d := disk{t, ocitest.Layout(t)}
			d.write("index.json", test.index(d))
			wantError(t, open(d.dir, ""), test.words)
		})
	}
	wantError(t, open(t.TempDir(), ""), "index.json")
	wantError(t, open(outside, ""), "index.json")
}

func TestPushLayout(t *testing.T) {
	h := newHouse(t, registry.Config{})
	for _, platforms := range [][]string{nil, {"linux/amd64", "linux/arm64"}} {
		dir := ocitest.Layout(t, platforms...)
		local, err := oci.OpenLayout(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := h.client.PushLayout(t.Context(), h.repo, dir)
		if err != nil || resolved.Digest != local.Digest || resolved.Tag != "" || len(resolved.Platforms) != len(platforms) {
			t.Errorf("pushed %+v, %v; want %s", resolved, err, local.Digest)
		}
		if again, err := h.client.PushLayout(t.Context(), h.repo, dir); err != nil || again.Digest != resolved.Digest {
			t.Errorf("pushed again: %s, %v", again.Digest, err)
		}
		for _, part := range []string{"layer", "config", "manifest"} {
			d := disk{t, ocitest.Layout(t, platforms...)}
			digest := d.parts()[part]
			d.write("blobs/sha256/"+digest.Hex(), d.read("blobs/sha256/"+digest.Hex())+" ")
			if resolved, err := h.client.PushLayout(t.Context(), h.repo, d.dir); err == nil {
				t.Errorf("pushed with a damaged %s: %s", part, resolved.Pinned())
			}
		}
	}
	if got := h.get("tags/list"); !strings.Contains(got, `"tags":[]`) {
		t.Errorf("tags after pushes without one: %s", got)
	}
	_, err := h.client.PushLayout(t.Context(), h.repo, t.TempDir())
	wantError(t, err, "index.json")
	_, err = h.client.PushLayout(t.Context(), h.server.Host+"/UP", ocitest.Layout(t))
	wantError(t, err, "is no repository")
}

// archive writes a Docker archive of some images, and returns its path.
func archive(t *testing.T, images ...v1.Image) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.tar")
	refs := map[name.Reference]v1.Image{}
	for i, image := range images {
		tag, err := name.NewTag(fmt.Sprintf("registry.example.com/app:v%d", i))
		if err != nil {
			t.Fatal(err)
		}
		refs[tag] = image
	}
	if err := tarball.MultiRefWriteToFile(path, refs); err != nil {
		t.Fatal(err)
	}
	return path
}

// rewritten copies an archive entry by entry.
func rewritten(t *testing.T, path string, change func(header *tar.Header, content []byte) []byte) string {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	r := tar.NewReader(in)
	for {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if content = change(header, content); content == nil {
			continue
		}
		header.Size = int64(len(content))
		header.Format = tar.FormatPAX
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg {
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "rewritten.tar")
	if err := os.WriteFile(target, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return target
}

// sparse makes the layers of an archive sparse entries, whose content does not
// lie in the archive as it is.
func sparse(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for at := 0; at+512 <= len(content); at += 512 {
		header := content[at : at+512]
		if !bytes.Contains(header[:100], []byte(".tar.gz")) || !bytes.HasPrefix(header[257:], []byte("ustar")) {
			continue
		}
		copy(header[257:], "ustar  \x00") // GNU's form, which alone has this type
		header[156] = tar.TypeGNUSparse
		size := header[124:136]
		copy(header[386:], "00000000000\x00") // one piece, at the beginning
		copy(header[398:], size)
		copy(header[483:], size)
		copy(header[148:], "        ")
		sum := 0
		for _, b := range header {
			sum += int(b)
		}
		copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
		changed++
	}
	if changed == 0 {
		t.Fatal("no layer was found")
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

var firstLayer = regexp.MustCompile(`"[0-9a-f]{64}\.tar\.gz"`)

func TestOpenArchive(t *testing.T) {
	image, err := random.Image(512, 2)
	if err != nil {
		t.Fatal(err)
	}
	other, err := random.Image(512, 1)
	if err != nil {
		t.Fatal(err)
	}
	path := archive(t, image)
	local, err := oci.OpenArchive(path)
	if err != nil || local.Index || len(local.Images) != 1 || local.Images[0].Digest != local.Digest {
		t.Fatalf("%+v, %v", local, err)
	}
	if err := use(local.Images[0].Image); err != nil {
		t.Error(err)
	}
	want, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := local.Images[0].Image.ConfigName(); err != nil || got != want {
		t.Errorf("configuration %s, %v; want %s", got, err, want)
	}
	if again, err := oci.OpenArchive(path); err != nil || again.Digest != local.Digest {
		t.Errorf("opened again: %s, %v; want %s", again.Digest, err, local.Digest)
	}

	same := func(_ *tar.Header, content []byte) []byte { return content }
	isLayer := func(header *tar.Header) bool { return strings.HasSuffix(header.Name, ".tar.gz") }
	isConfig := func(header *tar.Header) bool { return strings.HasPrefix(header.Name, "sha256:") }
	isManifest := func(header *tar.Header) bool { return header.Name == "manifest.json" }
	change := func(which func(*tar.Header) bool, to func(header *tar.Header, content []byte) []byte) func(*tar.Header, []byte) []byte {
		return func(header *tar.Header, content []byte) []byte {
			if !which(header) {
				return content
			}
			return to(header, content)
		}
	}
	link := func(target string) func(header *tar.Header, content []byte) []byte {
		return func(header *tar.Header, _ []byte) []byte {
			header.Typeflag, header.Linkname = tar.TypeSymlink, target
			return []byte{}
		}
	}
	if local, err := oci.OpenArchive(rewritten(t, path, same)); err != nil || use(local.Images[0].Image) != nil {
		t.Errorf("a copy: %v", err)
	}
	text := func(words string) func(*tar.Header, []byte) []byte {
		return func(*tar.Header, []byte) []byte { return []byte(words) }
	}
	gone := func(*tar.Header, []byte) []byte { return nil }
	spaces := strings.Repeat(" ", limit.Manifest)
	cut := filepath.Join(t.TempDir(), "cut.tar")
	if content, err := os.ReadFile(path); err != nil || os.WriteFile(cut, content[:700], 0o644) != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, path, words string }{
		{"several images", archive(t, image, other), "it holds 2 images"},
		{"no manifest", rewritten(t, path, change(isManifest, gone)), `it has no "manifest.json"`},
		{"a manifest of null", rewritten(t, path, change(isManifest, text("null"))), "it holds 0 images"},
		{"an empty manifest", rewritten(t, path, change(isManifest, text("[]"))), "it holds 0 images"},
		{"null in the manifest", rewritten(t, path, change(isManifest, text("[null]"))), `it has no ""`},
		{"a manifest that is no JSON", rewritten(t, path, change(isManifest, text("<html>"))), "manifest.json cannot be read"},
		{"a manifest that is a link", rewritten(t, path, change(isManifest, link("other.json"))), "is no regular file"},
		{"a huge manifest", rewritten(t, path, change(isManifest, func(_ *tar.Header, content []byte) []byte { return append(content, spaces...) })), fmt.Sprintf("the bound of %d bytes", limit.Manifest)},
		{"too many layers", rewritten(t, path, change(isManifest, func(_ *tar.Header, content []byte) []byte {
			layer := firstLayer.FindString(string(content))
			return []byte(strings.Replace(string(content), layer, layer+strings.Repeat(","+layer, limit.Layers), 1))
		})), fmt.Sprintf("the bound of %d layers", limit.Layers)},
		{"a way up to a file", rewritten(t, path, change(isManifest, text(`[{"Config":"../../../../../../etc/passwd","Layers":["/etc/passwd"]}]`))), `it has no "../../../../../../etc/passwd"`},
		{"no configuration", rewritten(t, path, change(isConfig, gone)), `it has no "sha256:`},
		{"a configuration that is no JSON", rewritten(t, path, change(isConfig, text("<html>"))), "invalid character"},
		{"a configuration that links out", rewritten(t, path, change(isConfig, link("/etc/passwd"))), "is no regular file"},
		{"a huge configuration", rewritten(t, path, change(isConfig, func(_ *tar.Header, content []byte) []byte { return append(content, spaces...) })), fmt.Sprintf("the bound of %d bytes", limit.ImageConfig)},
		{"more layers than diff IDs", rewritten(t, path, change(isConfig, text(`{"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`))), "diff_ids"},
		{"no layer", rewritten(t, path, change(isLayer, gone)), "layer 1: it has no"},
		{"half a layer", rewritten(t, path, change(isLayer, func(_ *tar.Header, content []byte) []byte { return content[:len(content)/2] })), "unexpected EOF"},
		{"a flipped byte in a layer", rewritten(t, path, change(isLayer, func(_ *tar.Header, content []byte) []byte { content[len(content)-6] ^= 1; return content })), "checksum"},
		{"a layer that links to itself", rewritten(t, path, change(isLayer, func(header *tar.Header, _ []byte) []byte { return link(header.Name)(header, nil) })), "cycle"},
		{"a layer that links out", rewritten(t, path, change(isLayer, link("../../../../../../etc/passwd"))), "layer 1: it has no"},
		{"two manifests", doubled(t, path, isManifest), `two entries called "manifest.json"`},
		{"two configurations", doubled(t, path, isConfig), "two entries called \"sha256:"},
		{"a sparse layer", sparse(t, rewritten(t, path, same)), "is no regular file"},
		{"cut off", cut, "unexpected EOF"},
		{"no archive at all", "/dev/null", `it has no "manifest.json"`},
		{"no file", filepath.Join(t.TempDir(), "nothing.tar"), "no such file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			local, err := oci.OpenArchive(test.path)
			if err == nil {
				err = use(local.Images[0].Image)
			} else {
				wantError(t, err, test.path)
			}
			wantError(t, err, test.words)
		})
	}
}

// TestOpenArchiveWithIndex has archives that are image layouts too, as newer
// versions of Docker save them.
func TestOpenArchiveWithIndex(t *testing.T) {
	image, err := random.Image(512, 2)
	if err != nil {
		t.Fatal(err)
	}
	other, err := random.Image(512, 1)
	if err != nil {
		t.Fatal(err)
	}
	path := archive(t, image)
	const layout, ociIndex = `{"imageLayoutVersion":"1.0.0"}`, "application/vnd.oci.image.index.v1+json"
	blob := func(content []byte) (name, digest string) {
		d := subject.Of(content)
		return "blobs/sha256/" + d.Hex(), d.String()
	}
	raw := func(i v1.Image) []byte {
		content, err := i.RawManifest()
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	list := func(mediaType, platform string, contents ...[]byte) string {
		var entries []string
		for _, content := range contents {
			_, digest := blob(content)
			entries = append(entries, fmt.Sprintf(`{"mediaType":%q,"size":%d,"digest":%q%s}`, mediaType, len(content), digest, platform))
		}
		return `{"schemaVersion":2,"manifests":[` + strings.Join(entries, ",") + `]}`
	}
	const manifest, unknown = "application/vnd.oci.image.manifest.v1+json", `,"platform":{"os":"unknown","architecture":"unknown"}`
	own, ownDigest := blob(raw(image))
	stray, strayDigest := blob(raw(other))
	nested := list(manifest, "", raw(image), raw(other))
	inner, _ := blob([]byte(nested))
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"the same image":                {map[string]string{"oci-layout": layout, "index.json": list(manifest, "", raw(image)), own: string(raw(image))}, ""},
		"another image":                 {map[string]string{"oci-layout": layout, "index.json": list(manifest, "", raw(other)), stray: string(raw(other))}, "lists the image " + strayDigest},
		"another one besides":           {map[string]string{"oci-layout": layout, "index.json": list(manifest, "", raw(image), raw(other)), own: string(raw(image)), stray: string(raw(other))}, strayDigest},
		"another one that is not there": {map[string]string{"oci-layout": layout, "index.json": list(manifest, "", raw(image), raw(other)), own: string(raw(image))}, ""},
		"an attestation":                {map[string]string{"oci-layout": layout, "index.json": list(manifest, unknown, raw(other)), stray: string(raw(other))}, ""},
		"another one in an index":       {map[string]string{"oci-layout": layout, "index.json": list(ociIndex, "", []byte(nested)), inner: nested, own: string(raw(image)), stray: string(raw(other))}, strayDigest},
		"no layout":                     {map[string]string{"index.json": list(manifest, "", raw(other)), stray: string(raw(other))}, ""},
		"no index":                      {map[string]string{"oci-layout": layout}, `it has no "index.json"`},
		"an index that is no JSON":      {map[string]string{"oci-layout": layout, "index.json": "<html>"}, "index.json cannot be read"},
		"a manifest that is no JSON":    {map[string]string{"oci-layout": layout, "index.json": list(manifest, "", raw(image)), own: "<html>"}, own + " cannot be read"},
	} {
		_, err := oci.OpenArchive(enlarged(t, path, c.files))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s (own %s): %v, want %q", name, ownDigest, err, c.want)
		}
	}
}

// enlarged is an archive with more entries.
func enlarged(t *testing.T, path string, files map[string]string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "enlarged.tar")
	if err := os.WriteFile(out, append(b.Bytes(), content...), 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}

// doubled is an archive with some entries there a second time at its end.
func doubled(t *testing.T, path string, which func(*tar.Header) bool) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, second := range []bool{false, true} {
		r := tar.NewReader(bytes.NewReader(content))
		for {
			header, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if second && !which(header) {
				continue
			}
			if err := w.WriteHeader(header); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(w, r); err != nil {
				t.Fatal(err)
			}
		}
	}
	out := filepath.Join(t.TempDir(), "doubled.tar")
	if err := errors.Join(w.Close(), os.WriteFile(out, b.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestOpenArchiveOfDocker has an archive as Docker saves it: layers are not
// compressed, and a layer that is there already is a link. Such an archive has
// no digests; it is described by its diff IDs, to which imagefs holds the bytes.
func TestOpenArchiveOfDocker(t *testing.T) {
	layer := func(content string) string {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		_, err := w.Write([]byte(content))
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	good := layer("content")
	pack := func(packed string) string {
		diff := subject.Of([]byte(good))
		path := filepath.Join(t.TempDir(), "docker.tar")
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, file := range []struct{ name, content, link string }{
			{name: "one/layer.tar", content: packed},
			{name: "two/layer.tar", link: "../one/layer.tar"},
			{name: "config.json", content: fmt.Sprintf(`{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":[%q,%q]}}`, diff, diff)},
			{name: "manifest.json", content: `[{"Config":"config.json","RepoTags":["app:v1"],"Layers":["one/layer.tar","two/layer.tar"]}]`},
		} {
			header := &tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.content)), Linkname: file.link}
			if file.link != "" {
				header.Typeflag = tar.TypeSymlink
			}
			if err := w.WriteHeader(header); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, file.content); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Close(), os.WriteFile(path, b.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	local, err := oci.OpenArchive(pack(good))
	if err != nil || local.Images[0].Platform != "linux/arm64" {
		t.Fatalf("%+v, %v", local, err)
	}
	layers, err := local.Images[0].Image.Layers()
	if err != nil || len(layers) != 2 || use(local.Images[0].Image) != nil {
		t.Errorf("%d layers, %v", len(layers), err)
	}
	for _, l := range layers {
		digest, err := l.Digest()
		if want, _ := l.DiffID(); err != nil || digest != want {
			t.Errorf("a layer that is not compressed is %s, %v; want its diff ID %s", digest, err, want)
		}
		stream, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		if content, err := io.ReadAll(stream); err != nil || string(content) != good {
			t.Errorf("layer content of %d bytes, %v", len(content), err)
		}
		stream.Close()
	}
}
