package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// writeExport makes 3,000 advisories of 600 packages, of the size and shape of
// the PyPA's: a range of commits, a range of versions, every affected version.
func writeExport(path string) error {
	r := rand.New(rand.NewPCG(1, 2))
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	archive := zip.NewWriter(file)
	for i := range 3000 {
		name := fmt.Sprintf("package-%03d", r.IntN(600))
		fixed := 1 + r.IntN(60)
		var versions []string
		for v := range fixed {
			versions = append(versions, fmt.Sprintf("%d.%d.%d", v/20, v/4%5, v%4))
		}
		id := fmt.Sprintf("PYSEC-2024-%d", i)
		record := map[string]any{
			"id": id, "modified": "2024-06-01T00:00:00Z", "published": "2024-05-01T00:00:00Z",
			"aliases": []string{fmt.Sprintf("CVE-2024-%d", 10000+i)}, "details": strings.Repeat(fmt.Sprintf("What happens in %s when somebody passes text %d. ", name, r.Uint64()), 8),
			"severity": []any{map[string]any{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N"}},
			"affected": []any{map[string]any{"package": map[string]any{"ecosystem": "PyPI", "name": name, "purl": "pkg:pypi/" + name}, "versions": versions,
				"ranges": []any{
					map[string]any{"type": "ECOSYSTEM", "events": []any{map[string]any{"introduced": "0"}, map[string]any{"fixed": fmt.Sprintf("%d.%d.%d", fixed/20, fixed/4%5, fixed%4)}}},
					map[string]any{"type": "GIT", "repo": "https://example.com/" + name, "events": []any{map[string]any{"introduced": "0"}, map[string]any{"fixed": fmt.Sprintf("%040x", r.Uint64())}}},
				}}},
			"references": []any{map[string]any{"type": "WEB", "url": "https://example.com/advisories/" + id}, map[string]any{"type": "FIX", "url": "https://example.com/" + name + "/commit"}},
		}
		content, err := json.Marshal(record)
		if err != nil {
			return err
		}
		w, err := archive.Create(id + ".json")
		if err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), file.Close())
}

// writePins takes packages of an export, each at the first version that one of
// its advisories lists, so that there is something to find.
func writePins(path, export string, count int) error {
	archive, err := zip.OpenReader(export)
	if err != nil {
		return err
	}
	defer archive.Close()
	pins := map[string]string{}
	for _, member := range archive.File {
		reader, err := member.Open()
		if err != nil {
			return err
		}
		var record struct {
			Affected []struct {
				Package  struct{ Name string }
				Versions []string
			}
		}
		err = json.NewDecoder(reader).Decode(&record)
		reader.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", member.Name, err)
		}
		for _, affected := range record.Affected {
			name := strings.ToLower(affected.Package.Name)
			if _, known := pins[name]; !known && len(affected.Versions) > 0 {
				pins[name] = affected.Versions[0]
			}
		}
	}
	var lines []string
	for name, version := range pins {
		lines = append(lines, name+"=="+version+"\n")
	}
	slices.Sort(lines)
	if len(lines) < count {
		return fmt.Errorf("%s names %d packages, want %d", export, len(lines), count)
	}
	return os.WriteFile(path, []byte(strings.Join(lines[:count], "")), 0o600)
}

// files is one layer's content, made while it is read.
type files func(*tar.Writer) error

// layers are those of an ML image: a distribution with 700 packages, 500 Python
// packages with 25 files each, and blobs of 64 MiB like models and libraries.
func layers(blobs int) []files {
	list := []files{distribution, packages}
	for i := range blobs {
		list = append(list, func(w *tar.Writer) error {
			return entry(w, fmt.Sprintf("opt/model/shard-%d.bin", i), 64<<20, rand.NewChaCha8([32]byte{byte(i)}))
		})
	}
	return list
}

func distribution(w *tar.Writer) error {
	r := rand.New(rand.NewPCG(3, 4))
	var status strings.Builder
	for i := range 700 {
		fmt.Fprintf(&status, "Package: lib%03d\nStatus: install ok installed\nPriority: optional\nSection: libs\nInstalled-Size: 100\nMaintainer: Nobody <nobody@example.com>\nArchitecture: amd64\nSource: source%03d\nVersion: 1.%d-2+deb12u%d\nDepends: libc6 (>= 2.36)\nDescription: library number %d\n %s\n\n",
			i, i/2, r.IntN(50), r.IntN(5), i, strings.Repeat("It does what such libraries do. ", 10))
		if err := entry(w, fmt.Sprintf("usr/share/doc/lib%03d/copyright", i), 3000, strings.NewReader(strings.Repeat("Permission is granted, free of charge. ", 77))); err != nil {
			return err
		}
		if err := entry(w, fmt.Sprintf("usr/lib/x86_64-linux-gnu/lib%03d.so", i), 64<<10, rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)})); err != nil {
			return err
		}
	}
	return errors.Join(
		text(w, "etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
		text(w, "etc/debian_version", "12.5\n"),
		text(w, "var/lib/dpkg/status", status.String()))
}

func packages(w *tar.Writer) error {
	for i := range 500 {
		name := fmt.Sprintf("python_package_%03d", i)
		dir := "usr/local/lib/python3.11/site-packages/"
		info := fmt.Sprintf("%s%s-1.%d.0.dist-info/", dir, name, i%30)
		err := errors.Join(
			text(w, info+"METADATA", fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: 1.%d.0\nLicense: MIT\nRequires-Dist: numpy>=1\n\n%s", name, i%30, strings.Repeat("What it is for. ", 200))),
			text(w, info+"RECORD", strings.Repeat(name+"/module.py,sha256=abc,100\n", 25)),
			text(w, info+"WHEEL", "Wheel-Version: 1.0\n"))
		for j := range 22 {
			err = errors.Join(err, text(w, fmt.Sprintf("%s%s/module_%d.py", dir, name, j), strings.Repeat("def function(): pass\n", 40)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func text(w *tar.Writer, name, content string) error {
	return entry(w, name, int64(len(content)), strings.NewReader(content))
}

func entry(w *tar.Writer, name string, size int64, content io.Reader) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := io.CopyN(w, content, size)
	return err
}

// image makes every layer as a file below dir.
func image(dir string, blobs int, options ...tarball.LayerOption) (v1.Image, error) {
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	for i, write := range layers(blobs) {
		path := filepath.Join(dir, fmt.Sprintf("layer-%d.tar", i))
		file, err := os.Create(path)
		if err != nil {
			return nil, err
		}
		w := tar.NewWriter(file)
		if err := errors.Join(write(w), w.Close(), file.Close()); err != nil {
			return nil, err
		}
		layer, err := tarball.LayerFromFile(path, options...)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	return img, nil
}

// writeArchive makes what `docker save` writes: uncompressed layers.
func writeArchive(path string, blobs int) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), "layers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	img, err := image(dir, blobs)
	if err != nil {
		return err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := tar.NewWriter(file)
	var names []string
	for i := range layers(blobs) {
		name := fmt.Sprintf("layer-%d.tar", i)
		content, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		info, err := content.Stat()
		if err == nil {
			err = entry(w, name, info.Size(), content)
		}
		if err = errors.Join(err, content.Close()); err != nil {
			return err
		}
		names = append(names, name)
	}
	manifest, err := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{"example.com/bench:one"}, "Layers": names}})
	if err != nil {
		return err
	}
	return errors.Join(entry(w, "config.json", int64(len(config)), bytes.NewReader(config)), entry(w, "manifest.json", int64(len(manifest)), bytes.NewReader(manifest)), w.Close(), file.Close())
}

// writeLayout makes an OCI layout with gzip layers.
func writeLayout(dir string, blobs int) error {
	temporary, err := os.MkdirTemp(filepath.Dir(dir), "layers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	img, err := image(temporary, blobs, tarball.WithCompressionLevel(1), tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return err
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	return path.AppendImage(img)
}

func link(from, to string) error {
	if err := os.Link(from, to); err == nil {
		return nil
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}
