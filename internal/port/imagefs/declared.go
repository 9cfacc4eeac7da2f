package imagefs

import (
	"bytes"
	"io/fs"
	"path"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

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
