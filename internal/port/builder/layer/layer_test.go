package layer_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/builder"
	"github.com/seed-161fc314/assay/internal/port/builder/layer"
)

// wheel makes a wheel as bytes: its files, METADATA, WHEEL and a RECORD that
// change may spoil.
func wheel(t *testing.T, name, version string, files map[string]string, change func(map[string]string)) []byte {
	t.Helper()
	info := name + "-" + version + ".dist-info/"
	all := map[string]string{
		info + "METADATA": "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n",
		info + "WHEEL":    "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
	}
	for path, content := range files {
		all[path] = content
	}
	var record strings.Builder
	for _, path := range sortedNames(all) {
		sum := sha256.Sum256([]byte(all[path]))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", path, base64.RawURLEncoding.EncodeToString(sum[:]), len(all[path]))
	}
	fmt.Fprintf(&record, "%sRECORD,,\n", info)
	all[info+"RECORD"] = record.String()
	if change != nil {
		change(all)
	}
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	for _, path := range sortedNames(all) {
		w, err := archive.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, all[path]); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

func sortedNames(m map[string]string) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func build(t *testing.T, request builder.Request) (builder.Result, string, error) {
	t.Helper()
	request.Out = t.TempDir()
	result, err := layer.New().Build(context.Background(), request)
	return result, request.Out, err
}

func image(t *testing.T, dir string, digest subject.Digest) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := v1.NewHash(digest.String())
	if err != nil {
		t.Fatal(err)
	}
	image, err := index.Image(hash)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// contents are the files of an image after all layers.
func contents(t *testing.T, image v1.Image) map[string]string {
	t.Helper()
	flat := mutate.Extract(image)
	defer flat.Close()
	files := map[string]string{}
	archive := tar.NewReader(flat)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Uname != "" {
			t.Errorf("%s belongs to %d:%d %q", header.Name, header.Uid, header.Gid, header.Uname)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = fmt.Sprintf("%o %s", header.Mode, content)
	}
}

func TestFilesFromScratch(t *testing.T) {
	dir := tree(t, map[string]string{"app.py": "print()", "lib/x.py": "x", ".git/config": "c", "assay.key": "secret", ".assay/state": "s", "notes.tmp": "n"})
	if err := os.Chmod(filepath.Join(dir, "app.py"), 0o700); err != nil {
		t.Fatal(err)
	}
	result, out, err := build(t, builder.Request{Dir: dir, Layer: builder.Layer{Exclude: []string{"*.tmp"},
		Entrypoint: []string{"python", "app.py"}, Env: map[string]string{"B": "2", "A": "1"}, User: "65532"}})
	if err != nil {
		t.Fatal(err)
	}
	img := image(t, out, result.Digest)
	got := contents(t, img)
	want := map[string]string{"app/app.py": "755 print()", "app/lib/x.py": "644 x"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("image holds %v, want %v", got, want)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.WorkingDir != "/app" || config.Config.User != "65532" || !slices.Equal(config.Config.Env, []string{"A=1", "B=2"}) ||
		config.Architecture != "amd64" || !config.Created.Equal(time.Unix(0, 0)) || config.Config.Labels[layer.DependenciesLabel] != "" {
		t.Errorf("configuration is %+v", config)
	}
}

func TestSameDigestTwice(t *testing.T) {
	files := map[string]string{"a.py": "1", "b/c.py": "2"}
	first, _, err := build(t, builder.Request{Dir: tree(t, files), Created: time.Unix(1_700_000_000, 5)})
	if err != nil {
		t.Fatal(err)
	}
	other := tree(t, files)
	if err := os.Chtimes(filepath.Join(other, "a.py"), time.Unix(1, 0), time.Unix(2, 0)); err != nil {
		t.Fatal(err)
	}
	second, _, err := build(t, builder.Request{Dir: other, Created: time.Unix(1_700_000_000, 9)})
	if err != nil {
		t.Fatal(err)
	}
	if first.Digest != second.Digest {
		t.Errorf("%s, then %s", first.Digest, second.Digest)
	}
	files["a.py"] = "changed"
	third, _, err := build(t, builder.Request{Dir: tree(t, files), Created: time.Unix(1_700_000_000, 5)})
	if err != nil {
		t.Fatal(err)
	}
	if first.Digest == third.Digest {
		t.Error("another file gives the same digest")
	}
}

func installing(t *testing.T, wheels map[string][]byte, requirements string) builder.Request {
	t.Helper()
	files := map[string]string{"app.py": "", "requirements.txt": requirements}
	for name, content := range wheels {
		files["wheels/"+name] = string(content)
	}
	return builder.Request{Dir: tree(t, files), Layer: builder.Layer{Requirements: "requirements.txt",
		Dependencies: component.Installed, Wheels: "wheels"}}
}

func TestInstall(t *testing.T) {
	tool := wheel(t, "tool", "1.0", map[string]string{"tool/__init__.py": "pass\n", "tool-1.0.data/scripts/tool": "#!python\nmain()\n", "tool-1.0.data/data/share/x": "y"}, nil)
	native := wheel(t, "native", "2.0", map[string]string{"native.so": "ELF"}, nil)
	request := installing(t, map[string][]byte{
		"tool-1.0-py3-none-any.whl":                         tool,
		"native-2.0-cp311-cp311-manylinux_2_17_x86_64.whl":  native,
		"native-2.0-cp311-cp311-manylinux_2_17_aarch64.whl": wheel(t, "native", "2.0", map[string]string{"native.so": "ARM"}, nil),
		"native-2.0-cp312-cp312-manylinux_2_17_x86_64.whl":  wheel(t, "native", "2.0", map[string]string{"native.so": "newer"}, nil),
	}, fmt.Sprintf("tool==1.0 --hash=%s\nnative==2.0 --hash=%s\n", subject.Of(tool), subject.Of(native)))
	result, out, err := build(t, request)
	if err != nil {
		t.Fatal(err)
	}
	got := contents(t, image(t, out, result.Digest))
	for path, want := range map[string]string{
		"usr/local/lib/python3.11/site-packages/tool/__init__.py": "644 pass\n",
		"usr/local/lib/python3.11/site-packages/native.so":        "644 ELF",
		"usr/local/bin/tool": "755 #!/usr/local/bin/python3.11\nmain()\n",
		"usr/local/share/x":  "644 y",
		"app/app.py":         "644 ",
	} {
		if got[path] != want {
			t.Errorf("%s is %q, want %q", path, got[path], want)
		}
	}
	for path := range got {
		if strings.Contains(path, "wheels/") {
			t.Errorf("the wheel %s is in the image too", path)
		}
	}
	if result.Dependencies != component.Installed || len(result.Materials) != 2 || result.Materials[0].Digest != subject.Of(native) {
		t.Errorf("result is %+v", result)
	}
}

func TestDeclared(t *testing.T) {
	request := builder.Request{Dir: tree(t, map[string]string{"app.py": "", "requirements.txt": "tool>=1\n"}),
		Layer: builder.Layer{Requirements: "requirements.txt", Dependencies: component.Declared, Files: []string{"app.py"}}}
	result, out, err := build(t, request)
	if err != nil {
		t.Fatal(err)
	}
	img := image(t, out, result.Digest)
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Config.Labels[layer.DeclaredLabel]; got != "/app/requirements.txt" {
		t.Errorf("label says %q", got)
	}
	if _, there := contents(t, img)["app/requirements.txt"]; !there {
		t.Error("the declared lockfile is not in the image")
	}
}

func TestBaseImageIsKept(t *testing.T) {
	base, err := random.Image(64, 2)
	if err != nil {
		t.Fatal(err)
	}
	base, err = mutate.Config(base, v1.Config{Env: []string{"PATH=/bin", "A=0"}, Labels: map[string]string{"from": "base"}})
	if err != nil {
		t.Fatal(err)
	}
	digest := subject.Of([]byte("base"))
	result, out, err := build(t, builder.Request{Dir: tree(t, map[string]string{"a": ""}), Layer: builder.Layer{Env: map[string]string{"A": "1"},
		Base: &builder.Base{Reference: "registry.example.com/base:1", Digest: digest, Images: map[string]v1.Image{"linux/amd64": base}}}})
	if err != nil {
		t.Fatal(err)
	}
	img := image(t, out, result.Digest)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != 3 || !slices.Equal(config.Config.Env, []string{"PATH=/bin", "A=1"}) || config.Config.Labels["from"] != "base" {
		t.Errorf("%d layers, configuration %+v", len(layers), config.Config)
	}
	if len(result.Materials) != 1 || result.Materials[0].URI != "registry.example.com/base:1" || result.Materials[0].Digest != digest {
		t.Errorf("materials are %+v", result.Materials)
	}
}

func TestIndex(t *testing.T) {
	result, out, err := build(t, builder.Request{Dir: tree(t, map[string]string{"a": ""}), Platforms: []string{"linux/amd64", "linux/arm64"}})
	if err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(out)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := v1.NewHash(result.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	child, err := index.ImageIndex(hash)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := child.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if !result.Index || len(manifest.Manifests) != 2 || manifest.Manifests[1].Platform.Architecture != "arm64" {
		t.Errorf("result %+v, manifests %+v", result, manifest.Manifests)
	}
}

func TestRefused(t *testing.T) {
	good := wheel(t, "tool", "1.0", map[string]string{"tool.py": "pass"}, nil)
	spoiled := func(change func(map[string]string)) []byte {
		return wheel(t, "tool", "1.0", map[string]string{"tool.py": "pass"}, change)
	}
	const file = "tool-1.0-py3-none-any.whl"
	pinned := func(content []byte) string { return fmt.Sprintf("tool==1.0 --hash=%s\n", subject.Of(content)) }
	one := func(content []byte) builder.Request {
		return installing(t, map[string][]byte{file: content}, pinned(content))
	}
	for name, c := range map[string]struct {
		request builder.Request
		want    string
	}{
		"no wheel":           {installing(t, map[string][]byte{"other-1.0-py3-none-any.whl": good}, pinned(good)), "requirements.txt:1: tool==1.0 has no wheel in wheels"},
		"other platform":     {installing(t, map[string][]byte{"tool-1.0-cp311-cp311-win_amd64.whl": good}, pinned(good)), "does not run on Python 3.11, linux/amd64"},
		"no hash":            {installing(t, map[string][]byte{file: good}, "tool==1.0\n"), "add --hash=" + subject.Of(good).String()},
		"wrong hash":         {installing(t, map[string][]byte{file: good}, "tool==1.0 --hash="+subject.Of(nil).String()+"\n"), "none of the pin's 1 hashes"},
		"a range":            {installing(t, map[string][]byte{file: good}, "tool>=1.0\n"), "requirements.txt:1: \"tool>=1.0\" cannot be installed"},
		"path escapes":       {one(spoiled(func(m map[string]string) { m["../evil"] = "x" })), "no plain file below the wheel's root"},
		"absolute path":      {one(spoiled(func(m map[string]string) { m["/evil"] = "x" })), "no plain file below the wheel's root"},
		"not in RECORD":      {one(spoiled(func(m map[string]string) { m["evil.py"] = "x" })), "evil.py is not in RECORD"},
		"changed content":    {one(spoiled(func(m map[string]string) { m["tool.py"] = "evil" })), "does not have the hash that RECORD gives"},
		"missing file":       {one(spoiled(func(m map[string]string) { delete(m, "tool.py") })), "RECORD lists tool.py"},
		"no RECORD":          {one(spoiled(func(m map[string]string) { delete(m, "tool-1.0.dist-info/RECORD") })), "no *.dist-info/RECORD"},
		"not a zip":          {one([]byte("PK nothing")), "zip"},
		"wheels is missing":  {builder.Request{Dir: tree(t, map[string]string{"requirements.txt": pinned(good)}), Layer: builder.Layer{Requirements: "requirements.txt", Dependencies: component.Installed, Wheels: "wheels"}}, "reading wheels"},
		"dependencies":       {builder.Request{Dir: tree(t, map[string]string{"requirements.txt": ""}), Layer: builder.Layer{Requirements: "requirements.txt"}}, "want installed or declared"},
		"missing file named": {builder.Request{Dir: tree(t, nil), Layer: builder.Layer{Files: []string{"app.py"}}}, "app.py is not in the source directory"},
		"file escapes":       {builder.Request{Dir: tree(t, nil), Layer: builder.Layer{Files: []string{"../app.py"}}}, "leaves the source directory"},
		"workdir":            {builder.Request{Dir: tree(t, nil), Layer: builder.Layer{Workdir: "app/../.."}}, "clean absolute path"},
		"platform":           {builder.Request{Dir: tree(t, nil), Platforms: []string{"amd64"}}, "want os/architecture"},
		"base lacks it":      {builder.Request{Dir: tree(t, nil), Layer: builder.Layer{Base: &builder.Base{Reference: "b"}}}, "base image b has no linux/amd64"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := build(t, c.request)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestSymbolicLinkIsRefused(t *testing.T) {
	dir := tree(t, map[string]string{"a": ""})
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	_, _, err := build(t, builder.Request{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "link is a symbolic link") {
		t.Errorf("got %v", err)
	}
}

func TestTwoWheelsOneFile(t *testing.T) {
	first := wheel(t, "a", "1", map[string]string{"same.py": "1"}, nil)
	second := wheel(t, "b", "1", map[string]string{"same.py": "2"}, nil)
	request := installing(t, map[string][]byte{"a-1-py3-none-any.whl": first, "b-1-py3-none-any.whl": second},
		fmt.Sprintf("a==1 --hash=%s\nb==1 --hash=%s\n", subject.Of(first), subject.Of(second)))
	if _, _, err := build(t, request); err == nil || !strings.Contains(err.Error(), "another wheel wrote already") {
		t.Errorf("got %v", err)
	}
}
