package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

type readCloser = io.ReadCloser

// entry is one regular file of a layer; its name has no leading slash.
type entry struct {
	name       string
	size       int64
	executable bool
	open       func() (readCloser, error)
}

func sorted(entries map[string]entry) []entry {
	list := make([]entry, 0, len(entries))
	for _, name := range sortedKeys(entries) {
		list = append(list, entries[name])
	}
	return list
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// opener streams the entries as a tar: sorted, owned by root, with one time
// and two modes, each parent directory once. Equal entries give equal bytes.
func opener(ctx context.Context, entries []entry, created time.Time) tarball.Opener {
	return func() (io.ReadCloser, error) {
		reader, writer := io.Pipe()
		go func() { writer.CloseWithError(writeTar(ctx, writer, entries, created)) }()
		return reader, nil
	}
}

func writeTar(ctx context.Context, w io.Writer, entries []entry, created time.Time) error {
	buffered := bufio.NewWriterSize(w, 1<<20)
	archive := tar.NewWriter(buffered)
	made := map[string]bool{}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeParents(archive, made, path.Dir(e.name), created); err != nil {
			return err
		}
		if err := writeFile(archive, e, created); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

func writeParents(archive *tar.Writer, made map[string]bool, dir string, created time.Time) error {
	if dir == "." || dir == "/" || made[dir] {
		return nil
	}
	if err := writeParents(archive, made, path.Dir(dir), created); err != nil {
		return err
	}
	made[dir] = true
	return archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimSuffix(dir, "/") + "/",
		Mode: 0o755, ModTime: created, Format: tar.FormatPAX})
}

func writeFile(archive *tar.Writer, e entry, created time.Time) error {
	mode := int64(0o644)
	if e.executable {
		mode = 0o755
	}
	if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: e.name, Size: e.size,
		Mode: mode, ModTime: created, Format: tar.FormatPAX}); err != nil {
		return err
	}
	content, err := e.open()
	if err != nil {
		return err
	}
	defer content.Close()
	n, err := io.Copy(archive, content)
	if err != nil {
		return err
	}
	if n != e.size {
		return fmt.Errorf("changed while it was read: %d bytes, then %d", e.size, n)
	}
	return nil
}
