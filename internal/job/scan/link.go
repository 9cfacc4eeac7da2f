package scan

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// irregular takes what is neither a directory nor a regular file. A symbolic
// link stands for what it leads to, as it does for who installs from it; what
// cannot be read under a name that tells of packages is said.
func (w *walk) irregular(name string) error {
	info, err := fs.Stat(w.fsys, name)
	k := kindOf(name)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !telling(name) && path.Base(path.Dir(name)) != "bin":
		// A bin directory's links are programs.
		w.outside = append(w.outside, name)
	case err != nil && telling(name):
		w.unread(name, "it is a symbolic link that leads nowhere, or out of what is scanned")
	case err != nil:
	case info.IsDir():
		return w.linked(name)
	case k == nil:
	case !info.Mode().IsRegular():
		w.unread(name, "it is no regular file")
	default:
		return k.read(w, name)
	}
	return nil
}

// linked takes a link to a directory of what is scanned. The walk comes by there
// itself; here are read the files that tell of packages under the link's name
// alone ("x.dist-info", "requirements").
func (w *walk) linked(dir string) error {
	entries, err := fs.ReadDir(w.fsys, dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		k := kindOf(name)
		if k == nil || kindOf(path.Join("-", entry.Name())) != nil {
			continue
		}
		switch info, err := fs.Stat(w.fsys, name); {
		case err != nil || !info.IsDir() && !info.Mode().IsRegular():
			w.unread(name, "it is no file that can be read")
		case !info.IsDir():
			if err := k.read(w, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// telling says whether the name of a link tells of packages, as a file's or as
// a directory's.
func telling(name string) bool {
	switch strings.ToLower(path.Base(name)) {
	case "site-packages", "dist-packages":
		return true
	}
	for _, file := range []string{"", "METADATA", "PKG-INFO", "x.txt", "x.json"} {
		if kindOf(path.Join(name, file)) != nil {
			return true
		}
	}
	return false
}

func (w *walk) unread(name, why string) {
	w.unresolved(component.Unresolved{Text: name, Reason: why + ", and it was not tested", Location: component.Location{Path: name}})
}

// noteOutside says that links lead to what is not scanned.
func (w *walk) noteOutside() {
	if len(w.outside) == 0 {
		return
	}
	count, verb := "a symbolic link", "leads"
	if n := len(w.outside); n > 1 {
		count, verb = fmt.Sprintf("%d symbolic links", n), "lead"
	}
	w.inventory.Notes = append(w.inventory.Notes, component.Note{Location: component.Location{Path: w.outside[0]},
		Text: fmt.Sprintf("%s %s out of what is scanned, and what lies there was not tested", count, verb)})
}

func (w *walk) unresolved(u component.Unresolved) {
	u.Text, u.Reason = cut(u.Text), cut(u.Reason)
	if !w.once[u] {
		w.once[u] = true
		w.inventory.Unresolved = append(w.inventory.Unresolved, u)
	}
}

// cut shortens what a file may make as long as it likes.
func cut(text string) string {
	if len(text) <= limit.RecordText {
		return text
	}
	return strings.ToValidUTF8(text[:limit.RecordText], "") + "…"
}
