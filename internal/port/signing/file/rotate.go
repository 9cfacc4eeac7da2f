package file

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Rotation puts a new private key in the place of an old one. Its steps are
// Stage, Keep, Publish and Promote, in this order; each is there whole or not
// at all, and each may be taken again. Wherever it is broken off, Private
// holds a usable key, and Public no key less than before: taking the steps
// again finishes it, with the key that was staged.
type Rotation struct {
	// Private is the private key's file, Public that of the public keys, Kept
	// where the old private key stays.
	Private, Public, Kept string
	// at is called between any two things that change a file.
	at func(step string) error
}

// staged is where the new private key waits.
func (r Rotation) staged() string { return r.Private + ".new" }

// Staged is the private key that an earlier rotation left waiting, and its
// path; nil if none did.
func (r Rotation) Staged() (path string, content []byte, err error) {
	content, err = readWhole(r.staged())
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	}
	return r.staged(), content, err
}

// Stage writes the new private key beside the old one (mode 0600). Another
// one that waits there is an error matching fs.ErrExist.
func (r Rotation) Stage(private []byte) error {
	return r.once(r.staged(), private)
}

// Keep copies the old private key to Kept (0600). Another file there is an
// error matching fs.ErrExist.
func (r Rotation) Keep() error {
	content, err := readWhole(r.Private)
	if err != nil {
		return fmt.Errorf("keeping the old private key: %w", err)
	}
	return r.once(r.Kept, content)
}

// Publish puts the public keys into Public, in the place of what it held.
func (r Rotation) Publish(public []byte) error {
	if err := r.replace(r.Public, public, 0o644); err != nil {
		return fmt.Errorf("writing the public keys: %w", err)
	}
	return nil
}

// Promote puts the staged private key in the place of the old one.
func (r Rotation) Promote() error {
	if err := r.reach("promote " + r.Private); err != nil {
		return err
	}
	if err := os.Rename(r.staged(), r.Private); err != nil {
		return fmt.Errorf("putting the new private key in place: %w", err)
	}
	return settle(filepath.Dir(r.Private))
}

// once writes a private key that must not be there yet, or be the same.
func (r Rotation) once(path string, content []byte) error {
	there, err := readWhole(path)
	switch {
	case err == nil && bytes.Equal(there, content):
		return nil
	case err == nil:
		return fmt.Errorf("%s is there already, with another key: %w", path, fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return r.replace(path, content, 0o600)
}

// replace writes a file whole, or not at all.
func (r Rotation) replace(path string, content []byte, mode fs.FileMode) (err error) {
	if err := r.reach("write " + path); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	moved := false
	defer func() {
		if !moved {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	_, writeErr := temporary.Write(content)
	if err := errors.Join(writeErr, temporary.Chmod(mode), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := r.reach("rename " + path); err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	moved = true
	return settle(filepath.Dir(path))
}

func (r Rotation) reach(step string) error {
	if r.at == nil {
		return nil
	}
	return r.at(step)
}

// settle makes the names of a directory last.
func settle(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func readWhole(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return limit.ReadAll(f, path, limit.KeyFile)
}
