package imagefs

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// node is what the layers leave at a path, as far as it is wanted.
type node struct {
	content []byte
	link    string // target of a symbolic link
	missing string // why there is no content, although there should be
	layer   subject.Digest
	// components, licences and expression are what was read of a file whose
	// content is not kept.
	components []component.Component
	licences   []string
	expression string
}

// size is what a change takes in memory, about.
func (c change) size() int64 {
	size := changeSize + len(c.name) + len(c.hard) + len(c.node.content) + len(c.node.link) + len(c.node.missing) + len(c.node.expression) + 2*changeSize*len(c.node.components)
	for _, text := range c.node.licences {
		size += len(text)
	}
	return int64(size)
}

// change is what one layer does at a path, in the order of the layer.
type change struct {
	name    string
	removed bool // a whiteout, or something that is no wanted file
	opaque  bool
	node    node
	hard    string // hard link to a path of the image so far
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
func readLayer(ctx context.Context, layer v1.Layer, diffID subject.Digest, want func(string) wish, total *budget) ([]change, error) {
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
		c.node.layer = diffID
		kept := int64(0)
		if c.name != "" || c.opaque { // the root itself may be opaque
			changes = append(changes, c)
			kept = c.size()
		}
		if err := total.take(1, kept); err != nil {
			return nil, err
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

// changeSize is what a change takes in memory besides its texts, in bytes: in
// its layer's list, among what the layer hides, among the image's files and in
// the record of what could not be read. A million whiteouts took 744 MB.
const changeSize = 768

const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// read turns one entry into a change; an empty name changes nothing that is
// wanted.
func read(archive *tar.Reader, header *tar.Header, want func(string) wish) (change, error) {
	name := clean(header.Name)
	switch header.Typeflag {
	case tar.TypeReg, tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo:
	case tar.TypeXGlobalHeader: // it is about the archive, whatever name it has
		return change{}, nil
	default:
		return change{}, fmt.Errorf("%.300q is an entry of type %q, which runtimes refuse or pass over: what it does to the image cannot be told", header.Name, header.Typeflag)
	}
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
	wish := want(name)
	switch header.Typeflag {
	case tar.TypeDir:
		return change{}, nil // a directory over a directory merges
	case tar.TypeReg:
		if wish.zero() {
			return replaced(name), nil
		}
		n, err := wish.read(archive, name, wish.bound)
		return change{name: name, node: n}, err
	case tar.TypeSymlink:
		if wish.zero() && !distribution(name) && !isDoc(name) { // it may stand where a directory with wanted files was
			return change{name: name, removed: true}, nil
		}
		return change{name: name, node: node{link: header.Linkname}}, nil
	case tar.TypeLink:
		if wish.zero() {
			return replaced(name), nil
		}
		return change{name: name, hard: clean(header.Linkname)}, nil
	}
	return change{name: name, removed: true}, nil
}

// clean makes a name relative to the image's root; names cannot lead above it.
func clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}
