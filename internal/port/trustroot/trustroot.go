// Package trustroot keeps trust material in a directory: whom verifiers
// believe (trusted_root.json) and whom signers ask (signing_config.json).
//
// Entry points are [Load], [Import], which keeps files that were handed over,
// and [Fetch] and [Update], which get them from a TUF repository: a URL or a
// directory. Nothing but those two contacts anybody.
//
// Files are replaced whole, and only once everything that goes with them was
// read and checked; after any failure what was there before is there still.
// What a TUF repository said last is remembered, so that an older answer is
// refused. The package judges no evidence.
package trustroot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/signingconfig"
)

// The files of a directory.
const (
	RootFile          = "trusted_root.json"
	SigningConfigFile = "signing_config.json"
	sourceFile        = "source.json"
	metadataDir       = "tuf"
)

// ErrMissing says that a directory holds no trust material.
var ErrMissing = errors.New("no trust material is there")

// ErrPresent says that a directory holds trust material already.
var ErrPresent = errors.New("trust material is there already")

// Material is what is kept, in JSON.
type Material struct {
	Root []byte
	// SigningConfig is nil where there is none.
	SigningConfig []byte
}

// Source is where material was fetched from; the zero value is files that
// were handed over.
type Source struct {
	// Mirror is the TUF repository: a URL or a directory.
	Mirror  string    `json:"mirror,omitempty"`
	Fetched time.Time `json:"fetched,omitzero"`
}

// check reads both files as those who use them will.
func (m Material) check() error {
	if _, err := trust.ParseRoot(RootFile, m.Root); err != nil {
		return err
	}
	if m.SigningConfig == nil {
		return nil
	}
	_, err := signingconfig.Parse(SigningConfigFile, m.SigningConfig)
	return err
}

// Load reads a directory. ErrMissing says that there is nothing.
func Load(dir string) (Material, Source, error) {
	var m Material
	var s Source
	var err error
	if m.Root, err = read(filepath.Join(dir, RootFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Material{}, Source{}, fmt.Errorf("%s: %w", dir, ErrMissing)
		}
		return Material{}, Source{}, err
	}
	if m.SigningConfig, err = read(filepath.Join(dir, SigningConfigFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Material{}, Source{}, err
	}
	source, err := read(filepath.Join(dir, sourceFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, s, nil
	}
	if err == nil {
		err = json.Unmarshal(source, &s)
	}
	if err != nil {
		return Material{}, Source{}, fmt.Errorf("%s: %w", filepath.Join(dir, sourceFile), err)
	}
	return m, s, nil
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return limit.ReadAll(file, path, limit.TrustedRoot)
}

// Import keeps material that was handed over. What is there already is
// replaced only if that is asked for; else it is an error matching ErrPresent.
func Import(dir string, m Material, replace bool) error {
	if err := m.check(); err != nil {
		return err
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := absent(dir, replace); err != nil {
		return err
	}
	// Where it came from before counts for nothing now.
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, metadataDir)), remove(filepath.Join(dir, sourceFile))); err != nil {
		return err
	}
	return store(dir, m)
}

func absent(dir string, replace bool) error {
	if _, err := os.Lstat(filepath.Join(dir, RootFile)); err == nil && !replace {
		return fmt.Errorf("%s: %w", dir, ErrPresent)
	}
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// store writes both files whole before the first takes its place.
func store(dir string, m Material) error {
	files := map[string][]byte{RootFile: m.Root}
	if m.SigningConfig != nil {
		files[SigningConfigFile] = m.SigningConfig
	}
	if err := place(dir, files); err != nil {
		return err
	}
	if m.SigningConfig == nil {
		return remove(filepath.Join(dir, SigningConfigFile))
	}
	return nil
}

// place puts files into a directory: all are written before one is renamed.
func place(dir string, files map[string][]byte) (err error) {
	staged := map[string]string{}
	defer func() {
		for _, temporary := range staged {
			err = errors.Join(err, remove(temporary))
		}
	}()
	for name, content := range files {
		file, err := os.CreateTemp(dir, "."+name+".*")
		if err != nil {
			return err
		}
		staged[name] = file.Name()
		_, writeErr := file.Write(content)
		if err := errors.Join(writeErr, file.Chmod(0o644), file.Sync(), file.Close()); err != nil {
			return fmt.Errorf("writing %s: %w", filepath.Join(dir, name), err)
		}
	}
	for name, temporary := range staged {
		if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// lock keeps a second writer out; it fails at once.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	handle, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	if err := syscall.Flock(int(handle.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		handle.Close()
		return nil, fmt.Errorf("another run is writing to %s; wait for it to end", dir)
	}
	return func() { handle.Close() }, nil // closing releases the lock
}
