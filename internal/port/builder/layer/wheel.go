package layer

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// wheelFile is a wheel by the name of its file.
type wheelFile struct {
	path string
	name pydist.WheelName
}

func listWheels(fsys fs.FS, dir string) ([]wheelFile, error) {
	entries, err := fs.ReadDir(fsys, path.Clean(dir))
	if err != nil {
		return nil, fmt.Errorf("reading wheels: %w", err)
	}
	var wheels []wheelFile
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".whl") {
			continue
		}
		name, err := pydist.ParseWheelName(e.Name())
		if err != nil {
			return nil, err
		}
		wheels = append(wheels, wheelFile{path: path.Join(dir, e.Name()), name: name})
	}
	return wheels, nil
}

// install unpacks one wheel for every pin into the paths of the image.
func (p *plan) install(ctx context.Context, platform v1.Platform) ([]entry, error) {
	files := map[string]entry{}
	var total int64
	for _, pin := range p.pins {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		wheel, err := p.pick(pin, platform)
		if err != nil {
			return nil, err
		}
		archive, err := p.openWheel(pin, wheel)
		if err != nil {
			return nil, err
		}
		unpacked, err := p.unpack(wheel.path, archive)
		if err != nil {
			return nil, err
		}
		for name, e := range unpacked {
			if _, twice := files[name]; twice {
				return nil, fmt.Errorf("%s: writes %s, which another wheel wrote already", wheel.path, name)
			}
			files[name] = e
			if total += e.size; total > limit.Wheel {
				return nil, &limit.Error{What: "the unpacked wheels together", Bound: limit.Wheel, Unit: "bytes"}
			}
		}
	}
	return sorted(files), nil
}

// pick finds the wheel of a pin that runs on the platform; the most specific
// one where there are several.
func (p *plan) pick(pin component.Component, platform v1.Platform) (wheelFile, error) {
	var candidates, others []wheelFile
	for _, wheel := range p.wheels {
		if wheel.name.Name != pin.Name || wheel.name.Version != pin.Version {
			continue
		}
		if runs(wheel.name, p.request.Layer.Python, platform) {
			candidates = append(candidates, wheel)
		} else {
			others = append(others, wheel)
		}
	}
	at := fmt.Sprintf("%s:%d: %s==%s", pin.Locations[0].Path, pin.Locations[0].Line, pin.Name, pin.Version)
	switch {
	case len(candidates) > 0:
		slices.SortFunc(candidates, func(a, b wheelFile) int { return specificity(b.name) - specificity(a.name) })
		return candidates[0], nil
	case len(others) > 0:
		return wheelFile{}, fmt.Errorf("%s: %s does not run on Python %s, %s/%s; add a wheel that does",
			at, others[0].path, p.request.Layer.Python, platform.OS, platform.Architecture)
	}
	return wheelFile{}, fmt.Errorf("%s has no wheel in %s; fetch it with pip download --only-binary=:all: -d %s -r %s, or say dependencies: declared",
		at, p.request.Layer.Wheels, p.request.Layer.Wheels, p.request.Layer.Requirements)
}

var machines = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "ppc64le": "ppc64le", "s390x": "s390x"}

// runs follows the compatibility tags of PEP 425 and PEP 600 for CPython.
func runs(name pydist.WheelName, python string, platform v1.Platform) bool {
	major, minor, _ := strings.Cut(python, ".")
	cp := "cp" + major + minor
	older := func(tag string) bool { // cp38-abi3 runs on every later cp3x
		var m, n int
		_, err := fmt.Sscanf(tag, "cp3%d", &m)
		_, err2 := fmt.Sscanf(minor, "%d", &n)
		return err == nil && err2 == nil && major == "3" && m <= n
	}
	interpreter := slices.ContainsFunc(name.PythonTags, func(tag string) bool {
		return tag == "py"+major || tag == "py"+major+minor || tag == cp ||
			slices.Contains(name.ABITags, "abi3") && older(tag)
	})
	abi := slices.ContainsFunc(name.ABITags, func(tag string) bool { return tag == "none" || tag == "abi3" || tag == cp })
	machine := machines[platform.Architecture]
	system := slices.ContainsFunc(name.PlatformTags, func(tag string) bool {
		return tag == "any" || platform.OS == "linux" && machine != "" &&
			(tag == "linux_"+machine || strings.HasPrefix(tag, "manylinux") && strings.HasSuffix(tag, "_"+machine))
	})
	return interpreter && abi && system
}

func specificity(name pydist.WheelName) int {
	if slices.Contains(name.PlatformTags, "any") {
		return 0
	}
	if slices.Contains(name.ABITags, "abi3") {
		return 1
	}
	return 2
}

// openWheel opens a wheel and holds it against the pin's hashes. The handle
// stays open until the image is written, so that what was checked is what is
// unpacked.
func (p *plan) openWheel(pin component.Component, wheel wheelFile) (*zip.Reader, error) {
	file, err := p.root.Open(wheel.path)
	if err != nil {
		return nil, err
	}
	p.open = append(p.open, file)
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > limit.Wheel {
		return nil, &limit.Error{What: wheel.path, Bound: limit.Wheel, Unit: "bytes"}
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return nil, fmt.Errorf("reading %s: %w", wheel.path, err)
	}
	digest, err := subject.Parse("sha256:" + hex.EncodeToString(hash.Sum(nil)))
	if err != nil {
		return nil, err
	}
	at := fmt.Sprintf("%s:%d: %s==%s", pin.Locations[0].Path, pin.Locations[0].Line, pin.Name, pin.Version)
	if len(pin.Hashes) == 0 {
		return nil, fmt.Errorf("%s has no hash to check %s against; if that wheel is the right one, add --hash=%s", at, wheel.path, digest)
	}
	if !slices.Contains(pin.Hashes, digest) {
		return nil, fmt.Errorf("%s: %s is %s, which is none of the pin's %d hashes", at, wheel.path, digest, len(pin.Hashes))
	}
	p.materials[wheel.path] = digest
	archive, err := zip.NewReader(file, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", wheel.path, err)
	}
	return archive, nil
}

// unpack maps the files of a wheel to their places, as the "Binary
// distribution format" specification of the Python Packaging Authority says:
// purelib and platlib into site-packages, scripts and data below /usr/local.
// Every file must be in RECORD; its hash is checked while it is written.
func (p *plan) unpack(name string, archive *zip.Reader) (map[string]entry, error) {
	if len(archive.File) > limit.ArchiveFiles {
		return nil, &limit.Error{What: name, Bound: limit.ArchiveFiles, Unit: "files"}
	}
	record, recordPath, err := readRecord(name, archive)
	if err != nil {
		return nil, err
	}
	files := map[string]entry{}
	for _, file := range archive.File {
		if strings.HasSuffix(file.Name, "/") {
			continue
		}
		if !fs.ValidPath(file.Name) || strings.Contains(file.Name, "\\") || file.Mode()&fs.ModeType != 0 {
			return nil, fmt.Errorf("%s: %q is no plain file below the wheel's root", name, file.Name)
		}
		want, listed := record[file.Name]
		unhashed := file.Name == recordPath || file.Name == recordPath+".jws" || file.Name == recordPath+".p7s"
		switch {
		case !listed && !unhashed:
			return nil, fmt.Errorf("%s: %s is not in RECORD", name, file.Name)
		case !unhashed && want.Algorithm != "sha256":
			return nil, fmt.Errorf("%s: RECORD gives %s no sha256 hash", name, file.Name)
		}
		if unhashed {
			want.Hex = ""
		}
		target, script, err := p.place(file.Name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if _, twice := files[target]; twice {
			return nil, fmt.Errorf("%s: %s is there twice", name, file.Name)
		}
		delete(record, file.Name)
		if files[target], err = p.member(name, file, want.Hex, target, script); err != nil {
			return nil, err
		}
	}
	for _, missing := range sortedKeys(record) {
		if record[missing].Hex != "" {
			return nil, fmt.Errorf("%s: RECORD lists %s, which the wheel does not have", name, missing)
		}
	}
	return files, nil
}

// member is one file of a wheel as an entry of the layer. Scripts are read
// now, because their first line changes their size.
func (p *plan) member(wheel string, file *zip.File, hash, target string, script bool) (entry, error) {
	size := int64(file.UncompressedSize64)
	if file.UncompressedSize64 > limit.Wheel {
		return entry{}, &limit.Error{What: wheel + ": " + file.Name, Bound: limit.Wheel, Unit: "bytes"}
	}
	open := func() (readCloser, error) {
		reader, err := file.Open()
		if err != nil {
			return nil, err
		}
		return &checked{readCloser: reader, hash: sha256.New(), want: hash, name: wheel + ": " + file.Name}, nil
	}
	if !script {
		return entry{name: target, size: size, executable: file.Mode()&0o111 != 0, open: open}, nil
	}
	reader, err := open()
	if err != nil {
		return entry{}, err
	}
	defer reader.Close()
	body, err := limit.ReadAll(reader, wheel+": "+file.Name, limit.PackageMetadata)
	if err != nil {
		return entry{}, err
	}
	body = interpreter(body, p.request.Layer.Python)
	return entry{name: target, size: int64(len(body)), executable: true,
		open: func() (readCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }}, nil
}

// checked fails at the end of a file whose content does not have its hash.
type checked struct {
	readCloser
	hash hash.Hash
	want string
	name string
}

// Read passes the file on.
func (c *checked) Read(b []byte) (int, error) {
	n, err := c.readCloser.Read(b)
	c.hash.Write(b[:n])
	if err == io.EOF && c.want != "" && hex.EncodeToString(c.hash.Sum(nil)) != c.want {
		return n, fmt.Errorf("%s does not have the hash that RECORD gives", c.name)
	}
	return n, err
}

func readMember(file *zip.File, wheel string, left int64) ([]byte, error) {
	reader, err := file.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", wheel, file.Name, err)
	}
	defer reader.Close()
	return limit.ReadAll(reader, wheel+": "+file.Name, left)
}

func readRecord(name string, archive *zip.Reader) (map[string]pydist.RecordEntry, string, error) {
	for _, file := range archive.File {
		dir, base := path.Split(file.Name)
		if base != "RECORD" || !strings.HasSuffix(dir, ".dist-info/") || strings.Count(file.Name, "/") != 1 {
			continue
		}
		content, err := readMember(file, name, limit.PackageMetadata)
		if err != nil {
			return nil, "", err
		}
		entries, err := pydist.ParseRecord(bytes.NewReader(content))
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", name, err)
		}
		record := map[string]pydist.RecordEntry{}
		for _, e := range entries {
			record[e.Path] = e
		}
		return record, file.Name, nil
	}
	return nil, "", fmt.Errorf("%s: has no *.dist-info/RECORD to check its files against", name)
}

// place is where a member goes in the image, without a leading slash.
func (p *plan) place(member string) (target string, executable bool, err error) {
	site := strings.TrimPrefix(path.Clean(p.request.Layer.SitePackages), "/")
	head, rest, _ := strings.Cut(member, "/")
	if !strings.HasSuffix(head, ".data") {
		return path.Join(site, member), false, nil
	}
	scheme, rest, found := strings.Cut(rest, "/")
	if !found {
		return "", false, fmt.Errorf("%s: a file directly below a .data directory", member)
	}
	switch scheme {
	case "purelib", "platlib":
		return path.Join(site, rest), false, nil
	case "scripts":
		return path.Join("usr/local/bin", rest), true, nil
	case "data":
		return path.Join("usr/local", rest), false, nil
	case "headers":
		return path.Join("usr/local/include/python"+p.request.Layer.Python, rest), false, nil
	}
	return "", false, fmt.Errorf("%s: unknown scheme %q", member, scheme)
}

// interpreter replaces the "#!python" of a wheel's script, as installers do.
func interpreter(body []byte, python string) []byte {
	rest, found := bytes.CutPrefix(body, []byte("#!python"))
	if !found {
		return body
	}
	rest, _ = bytes.CutPrefix(rest, []byte("w"))
	return append([]byte("#!/usr/local/bin/python"+python), rest...)
}
