// Package imagefs reads what is installed in an image from its layers.
//
// Entry point is [Read]. The layers are streamed once; nothing is unpacked to
// disk, and only the files that are wanted stay in memory. Layers are applied
// as the OCI image specification's "Layer Filesystem Changeset" says, with
// whiteouts and opaque directories; every layer's bytes are held against the
// image's configuration. What is wanted and cannot be read is an unresolved
// record or an error, never nothing.
//
// It executes nothing and trusts no path in a layer: names are taken relative
// to the image's root, and none leads above it.
package imagefs

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/dpkg"
	"github.com/seed-161fc314/assay/internal/format/osrelease"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// DeclaredLabel is the label of an image's configuration that names, comma
// separated, the requirements files in the image whose packages were only
// declared when it was built.
const DeclaredLabel = "sh.assay.dependencies.declared"

// Config says how to read. The zero value is safe.
type Config struct {
	// Environment is what markers in declared requirements mean; zero is
	// requirement.DefaultEnvironment.
	Environment requirement.Environment
	// files bounds the entries, and bytes what is kept, over all layers; 0 is
	// limit.ImageFiles and limit.ImagePackages.
	files, bytes int64
}

// parallel is how many layers are read at once.
const parallel = 4

// node is what the layers leave at a path, as far as it is wanted.
type node struct {
	content []byte
	link    string // target of a symbolic link
	missing string // why there is no content, although there should be
	layer   subject.Digest
}

// change is what one layer does at a path, in the order of the layer.
type change struct {
	name    string
	removed bool // a whiteout, or something that is no wanted file
	opaque  bool
	node    node
	hard    string // hard link to a path of the image so far
}

// Read lists the packages of an image, and describes the image itself.
func Read(ctx context.Context, image v1.Image, config Config) (component.Inventory, finding.Image, error) {
	if config.Environment == (requirement.Environment{}) {
		config.Environment = requirement.DefaultEnvironment()
	}
	total := &budget{files: cmp.Or(config.files, limit.ImageFiles), bytes: cmp.Or(config.bytes, limit.ImagePackages)}
	description, declared, err := describe(image)
	if err != nil {
		return component.Inventory{}, finding.Image{}, err
	}
	layers, err := image.Layers()
	if err != nil {
		return component.Inventory{}, finding.Image{}, fmt.Errorf("reading the image: %w", err)
	}
	if len(layers) > limit.Layers {
		return component.Inventory{}, finding.Image{}, &limit.Error{What: "the image", Bound: limit.Layers, Unit: "layers"}
	}
	if len(layers) != len(description.DiffIDs) {
		return component.Inventory{}, finding.Image{}, fmt.Errorf("reading the image: it has %d layers, and its configuration names %d", len(layers), len(description.DiffIDs))
	}
	want := wanted(declared)
	changes := make([][]change, len(layers))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, layer := range layers {
		group.Go(func() (err error) {
			changes[i], err = readLayer(ctx, layer, description.DiffIDs[i], want, total)
			if err != nil {
				err = fmt.Errorf("reading layer %d (%s): %w", i+1, description.DiffIDs[i].Short(), err)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return component.Inventory{}, finding.Image{}, err
	}
	inventory, err := extract(apply(changes), declared, config.Environment)
	return inventory, description, err
}

func describe(image v1.Image) (finding.Image, []string, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return finding.Image{}, nil, fmt.Errorf("reading the image's manifest: %w", err)
	}
	if manifest.Config.Size > limit.ImageConfig {
		return finding.Image{}, nil, &limit.Error{What: "the image's configuration", Bound: limit.ImageConfig, Unit: "bytes"}
	}
	file, err := image.ConfigFile()
	if err != nil {
		return finding.Image{}, nil, fmt.Errorf("reading the image's configuration: %w", err)
	}
	hash, err := image.ConfigName()
	if err != nil {
		return finding.Image{}, nil, fmt.Errorf("reading the image's configuration: %w", err)
	}
	description := finding.Image{Labels: file.Config.Labels}
	if platform := file.Platform(); platform != nil {
		description.Platform = platform.String()
	}
	if !file.Created.IsZero() {
		description.Created = file.Created.UTC()
	}
	if description.ConfigDigest, err = subject.Parse(hash.String()); err != nil {
		return finding.Image{}, nil, err
	}
	for _, diff := range file.RootFS.DiffIDs {
		digest, err := subject.Parse(diff.String())
		if err != nil {
			return finding.Image{}, nil, fmt.Errorf("reading the image's configuration: %w", err)
		}
		description.DiffIDs = append(description.DiffIDs, digest)
	}
	var declared []string
	for _, name := range strings.Split(file.Config.Labels[DeclaredLabel], ",") {
		if name = strings.TrimPrefix(path.Clean("/"+strings.TrimSpace(name)), "/"); name != "" {
			declared = append(declared, name)
		}
	}
	return description, declared, nil
}

const (
	statusFile = "var/lib/dpkg/status"
	statusDir  = "var/lib/dpkg/status.d/"
)

// wanted gives the bound for a path's content, 0 for one that is not wanted.
func wanted(declared []string) func(name string) int64 {
	var dirs []string
	for _, name := range declared {
		dirs = append(dirs, path.Dir(name)+"/")
	}
	return func(name string) int64 {
		switch {
		case name == statusFile:
			return limit.PackageDatabase
		case strings.HasPrefix(name, statusDir):
			return limit.PackageMetadata
		case name == "etc/os-release" || name == "usr/lib/os-release":
			return limit.PackageMetadata
		case pydist.IsMetadata(name):
			return limit.PackageMetadata
		case slices.Contains(declared, name):
			return limit.Lockfile
		}
		// What a declared file may include by -r or -c lies beside it or below.
		if ext := path.Ext(name); ext == ".txt" || ext == ".in" {
			for _, dir := range dirs {
				if dir == "./" || strings.HasPrefix(name, dir) {
					return limit.Lockfile
				}
			}
		}
		return 0
	}
}

// budget is what the layers of an image may still hold.
type budget struct {
	mutex        sync.Mutex
	files, bytes int64
}

func (b *budget) take(files, bytes int64) error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.files, b.bytes = b.files-files, b.bytes-bytes
	switch {
	case b.files < 0:
		return &limit.Error{What: "the image", Bound: limit.ImageFiles, Unit: "files"}
	case b.bytes < 0:
		return &limit.Error{What: "the package metadata of the image", Bound: limit.ImagePackages, Unit: "bytes"}
	}
	return nil
}

// readLayer streams one layer and keeps what is wanted of it.
func readLayer(ctx context.Context, layer v1.Layer, diffID subject.Digest, want func(string) int64, total *budget) ([]change, error) {
	stream, err := layer.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	hash := sha256.New()
	reader := bufio.NewReaderSize(io.TeeReader(&cancelled{ctx, stream}, hash), 1<<20)
	archive := tar.NewReader(reader)
	var changes []change
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(header.Name) > limit.PathName || len(header.Linkname) > limit.PathName {
			return nil, &limit.Error{What: fmt.Sprintf("the path %.60q…", header.Name), Bound: limit.PathName, Unit: "bytes"}
		}
		c, err := read(archive, header, want)
		if err != nil {
			return nil, err
		}
		if err := total.take(1, int64(len(c.node.content))); err != nil {
			return nil, err
		}
		c.node.layer = diffID
		if c.name != "" || c.opaque { // the root itself may be opaque
			changes = append(changes, c)
		}
	}
	// What comes after the archive's end is part of the digest too.
	if _, err := io.Copy(io.Discard, reader); err != nil {
		return nil, err
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); diffID.Algorithm() != "sha256" || sum != diffID.Hex() {
		return nil, fmt.Errorf("its content is sha256:%s, and the image's configuration says %s", sum, diffID)
	}
	return changes, nil
}

// cancelled stops a long read when its context is done.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

// Read passes on, or gives the context's error.
func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// read turns one entry into a change; an empty name changes nothing that is
// wanted.
func read(archive *tar.Reader, header *tar.Header, want func(string) int64) (change, error) {
	name := clean(header.Name)
	if name == "" {
		return change{}, nil
	}
	dir, base := path.Split(name)
	switch {
	case base == opaque:
		return change{name: strings.TrimSuffix(dir, "/"), opaque: true}, nil
	case strings.HasPrefix(base, whiteout):
		return change{name: dir + strings.TrimPrefix(base, whiteout), removed: true}, nil
	}
	bound := want(name)
	switch header.Typeflag {
	case tar.TypeDir:
		return change{}, nil // a directory over a directory merges
	case tar.TypeReg:
		if manager := unread(name); manager != "" {
			return change{name: name, node: node{missing: "the packages of " + manager + " are not read by this version, and were not tested"}}, nil
		}
		if bound == 0 {
			return replaced(name), nil
		}
		content, err := limit.ReadAll(archive, name, bound)
		if err != nil {
			return change{}, err
		}
		return change{name: name, node: node{content: content}}, nil
	case tar.TypeSymlink:
		if bound == 0 && !distribution(name) { // it may stand where a directory with wanted files was
			return change{name: name, removed: true}, nil
		}
		return change{name: name, node: node{link: header.Linkname}}, nil
	case tar.TypeLink:
		if bound == 0 {
			return replaced(name), nil
		}
		return change{name: name, hard: clean(header.Linkname)}, nil
	}
	return change{name: name, removed: true}, nil
}

// distribution says whether a path is a directory of metadata by its name.
func distribution(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return ext == ".dist-info" || ext == ".egg-info"
}

// unread names the package manager whose database a path is, where this
// version cannot read it: what is in it must not look tested.
func unread(name string) string {
	switch {
	case strings.HasSuffix(name, "/conda-meta/history") || name == "conda-meta/history":
		return "conda"
	case strings.HasSuffix(name, ".egg"):
		return "a zipped egg"
	}
	switch name {
	case "lib/apk/db/installed", "usr/lib/apk/db/installed":
		return "apk"
	case "var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/Packages", "var/lib/rpm/Packages.db",
		"usr/lib/sysimage/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/Packages", "usr/lib/sysimage/rpm/Packages.db":
		return "rpm"
	}
	return ""
}

// replaced is a file that nobody wants. Only where it has the name of a
// directory that could hold wanted files does it change anything.
func replaced(name string) change {
	switch path.Base(name) {
	case "var", "lib", "dpkg", "status.d", "etc", "usr":
		return change{name: name, removed: true}
	}
	if distribution(name) || path.Base(name) == "site-packages" || path.Base(name) == "dist-packages" {
		return change{name: name, removed: true}
	}
	return change{}
}

// clean makes a name relative to the image's root; names cannot lead above it.
func clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

// apply lays the layers over each other. Each layer first takes away what its
// whiteouts, opaque directories and replaced directories hide of the layers
// below, in one pass over the files, and then adds its own.
func apply(layers [][]change) map[string]node {
	files := map[string]node{}
	for _, changes := range layers {
		gone, emptied := map[string]bool{}, map[string]bool{}
		for _, c := range changes {
			switch {
			case c.opaque:
				emptied[c.name] = true
			case c.removed:
				gone[c.name] = true
			default:
				emptied[c.name] = true // a file stands where a directory may have been
			}
		}
		if len(gone)+len(emptied) > 0 {
			for name := range files {
				if hidden(name, gone, emptied) {
					delete(files, name)
				}
			}
		}
		for _, c := range changes {
			switch {
			case c.removed || c.opaque:
			case c.hard != "":
				target, ok := files[c.hard]
				if !ok {
					target.missing = "it is a hard link to " + c.hard + ", which is not kept"
				}
				target.layer = c.node.layer
				files[c.name] = target
			default:
				files[c.name] = c.node
			}
		}
	}
	return files
}

// hidden says whether a path is taken away, itself or with a directory above.
func hidden(name string, gone, emptied map[string]bool) bool {
	if gone[name] || emptied[""] {
		return true
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if gone[dir] || emptied[dir] {
			return true
		}
	}
	return false
}

// packages says whether what lies at a path lists packages.
func packages(name string) bool {
	return name == statusFile || strings.HasPrefix(name, statusDir) && !strings.HasSuffix(name, ".md5sums") || pydist.IsMetadata(name) || distribution(name)
}

// follow gives the path that symbolic links lead to, and whether something is
// kept there.
func follow(files map[string]node, name string) (string, bool) {
	for range 16 {
		n, ok := files[name]
		if !ok || n.link == "" {
			return name, ok
		}
		if path.IsAbs(n.link) {
			name = clean(n.link)
		} else {
			name = clean(path.Join("/", path.Dir(name), n.link))
		}
	}
	return "", false
}

// resolve follows symbolic links to a file's content.
func resolve(files map[string]node, name string) (node, bool) {
	target, ok := follow(files, name)
	return files[target], ok
}

// extract reads the wanted files.
func extract(files map[string]node, declared []string, environment requirement.Environment) (component.Inventory, error) {
	var inventory component.Inventory
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		if n, ok := resolve(files, name); ok && inventory.OperatingSystem == nil {
			os, err := osrelease.Parse(bytes.NewReader(n.content), name)
			if err != nil {
				return component.Inventory{}, err
			}
			os.Location.Layer = n.layer
			inventory.OperatingSystem = &os
		}
	}
	for _, name := range names {
		n := files[name]
		where := component.Location{Path: name, Layer: n.layer}
		if n.link != "" {
			target, ok := follow(files, name)
			switch {
			case !packages(name):
				continue
			case ok && packages(target): // it is read there
				continue
			case distribution(name) && (files[path.Join(target, "METADATA")].content != nil || files[path.Join(target, "PKG-INFO")].content != nil):
				continue
			case ok:
				n = files[target]
			default:
				n.missing = "it is a symbolic link that leads nowhere that is read"
			}
		}
		if n.missing != "" {
			inventory.Unresolved = append(inventory.Unresolved, component.Unresolved{Text: name, Reason: n.missing, Location: where})
			continue
		}
		switch {
		case name == statusFile || strings.HasPrefix(name, statusDir) && !strings.HasSuffix(name, ".md5sums"):
			if err := readDpkg(&inventory, n.content, where); err != nil {
				return component.Inventory{}, err
			}
		case pydist.IsMetadata(name):
			readMetadata(&inventory, n.content, where)
		}
	}
	noteMissingDatabase(&inventory)
	err := readDeclared(&inventory, files, declared, environment)
	return inventory, err
}

// noteMissingDatabase says so where there is a distribution and nothing that
// lists its packages: they may be there all the same.
func noteMissingDatabase(inventory *component.Inventory) {
	os := inventory.OperatingSystem
	if os == nil {
		return
	}
	for _, c := range inventory.Components {
		if c.Ecosystem != pydist.Ecosystem {
			return
		}
	}
	for _, u := range inventory.Unresolved {
		if name := u.Text; name == statusFile || strings.HasPrefix(name, statusDir) || unread(name) == "apk" || unread(name) == "rpm" {
			return // that is said already
		}
	}
	inventory.Unresolved = append(inventory.Unresolved, component.Unresolved{Text: os.Location.Path, Location: os.Location,
		Reason: fmt.Sprintf("it says that this is %s, and no database lists a package of the distribution; they were not tested", cmp.Or(os.PrettyName, os.ID))})
}

func readDpkg(inventory *component.Inventory, content []byte, where component.Location) error {
	packages, err := dpkg.Parse(bytes.NewReader(content), where.Path)
	if err != nil {
		return err
	}
	os := component.OperatingSystem{ID: "unknown"}
	if inventory.OperatingSystem != nil {
		os = *inventory.OperatingSystem
	}
	for _, p := range packages {
		place := where
		place.Line = p.Line
		inventory.Components = append(inventory.Components, p.Component(os, place))
	}
	inventory.Sources = append(inventory.Sources, component.Source{Path: where.Path, Digest: subject.Of(content)})
	return nil
}

func readMetadata(inventory *component.Inventory, content []byte, where component.Location) {
	m, err := pydist.ParseMetadata(bytes.NewReader(content), where.Path)
	if err != nil {
		inventory.Unresolved = append(inventory.Unresolved, component.Unresolved{Text: where.Path, Reason: err.Error(), Location: where})
		return
	}
	inventory.Components = append(inventory.Components, pydist.Component(m, where))
}

// readDeclared adds what requirements files in the image declare, except what
// is installed: that is the truth.
func readDeclared(inventory *component.Inventory, files map[string]node, declared []string, environment requirement.Environment) error {
	installed := map[string]bool{}
	for _, c := range inventory.Components {
		installed[c.Ecosystem+"\x00"+c.Name] = true
	}
	for _, name := range declared {
		n, ok := resolve(files, name)
		if !ok {
			inventory.Unresolved = append(inventory.Unresolved, component.Unresolved{Text: name,
				Reason: "the image says that it declares its packages here, and the file is not there", Location: component.Location{Path: name}})
			continue
		}
		result, err := requirement.Read(memory(files), name, environment)
		if err != nil {
			return err
		}
		for _, c := range result.Components {
			for i := range c.Locations {
				c.Locations[i].Layer = n.layer
			}
			if !installed[c.Ecosystem+"\x00"+c.Name] {
				inventory.Components = append(inventory.Components, c)
			}
		}
		for _, note := range result.Notes(environment) {
			note.Location.Layer = n.layer
			inventory.Notes = append(inventory.Notes, note)
		}
		for _, u := range result.Unresolved {
			u.Location.Layer = n.layer
			if u.Name == "" || !installed[pydist.Ecosystem+"\x00"+u.Name] {
				inventory.Unresolved = append(inventory.Unresolved, u)
			}
		}
		inventory.Sources = append(inventory.Sources, result.Sources...)
	}
	return nil
}

// memory is the wanted files as a file system.
type memory map[string]node

// Open gives a file's content; directories cannot be opened.
func (m memory) Open(name string) (fs.File, error) {
	n, ok := resolve(m, name)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &open{Reader: bytes.NewReader(n.content), name: name, size: int64(len(n.content))}, nil
}

// open is an open file of memory, and its own description.
type open struct {
	*bytes.Reader
	name string
	size int64
}

// The methods of fs.File and fs.FileInfo.
func (o *open) Stat() (fs.FileInfo, error) { return fileInfo{o.name, o.size}, nil }
func (o *open) Close() error               { return nil }

type fileInfo struct {
	name string
	size int64
}

func (i fileInfo) Name() string       { return path.Base(i.name) }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return 0o444 }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return false }
func (i fileInfo) Sys() any           { return nil }
