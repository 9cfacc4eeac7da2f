package advisorydb_test

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/port/advisorydb"
)

// TestDiskFull: whenever the disk is full, nothing is replaced, of several
// files neither.
func TestDiskFull(t *testing.T) {
	dir := filled(t)
	input := writeZip(t, zip.Deflate, append(members(), member{"x.json", record("NEW-1", 9, "PyPI/x")})...)
	written := 0
	count := func(w io.Writer) io.Writer {
		return writerFunc(func(p []byte) (int, error) {
			written += len(p)
			return w.Write(p)
		})
	}
	if _, err := advisorydb.Import(t.Context(), t.TempDir(), []string{input}, advisorydb.Config{Now: now}.WithDisk(count)); err != nil {
		t.Fatal(err)
	}
	for room := 0; room < written; room += 97 {
		left := room
		full := func(w io.Writer) io.Writer {
			return writerFunc(func(p []byte) (int, error) {
				if left -= len(p); left < 0 {
					return 0, fmt.Errorf("no space left on device")
				}
				return w.Write(p)
			})
		}
		refuse(t, dir, advisorydb.Config{Now: now}.WithDisk(full), "no space left", input)
	}
	if got := files(t, dir); !slices.Equal(got, []string{".lock", "PyPI.assaydb"}) {
		t.Errorf("left behind: %v", got)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestOddDirectories: where the database is kept may be strange, but not half
// a database.
func TestOddDirectories(t *testing.T) {
	input := writeFile(t, filepath.Join(t.TempDir(), "a.json"), record("A-1", 1, "PyPI/x"))
	real := filled(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	importAll(t, link, input)
	if got := ids(t, open(t, real), "PyPI", "x"); !slices.Equal(got, []string{"A-1"}) {
		t.Errorf("through a link: %v", got)
	}
	file := writeFile(t, filepath.Join(t.TempDir(), "file"), "x")
	if _, err := advisorydb.Import(t.Context(), file, []string{input}, advisorydb.Config{Now: now}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file for a directory: %v", err)
	}
	for name, content := range map[string]string{"notes.txt": "mine", "deeper/PyPI.assaydb": "not read", ".import-9": "left by a crash"} {
		writeFile(t, filepath.Join(real, name), content)
	}
	if got := ids(t, open(t, real), "PyPI", "x"); !slices.Equal(got, []string{"A-1"}) {
		t.Errorf("with foreign files: %v", got)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(real, "Go.assaydb")); err != nil {
		t.Fatal(err)
	}
	if db, err := advisorydb.Open(real); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a device for an index: %v, %v", db, err)
	}
}

// TestOldFormat: an index of the version before is an error that says what to do.
func TestOldFormat(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "PyPI.assaydb"), "ASSAYDB1"+strings.Repeat("\x00", 200))
	if db, err := advisorydb.Open(dir); err == nil || !strings.Contains(err.Error(), "no index file of this version") || !strings.Contains(err.Error(), "import it again") {
		t.Errorf("%v, %v", db, err)
	}
	importAll(t, dir, writeFile(t, filepath.Join(t.TempDir(), "a.json"), record("A-1", 1, "PyPI/x")))
	if got := ids(t, open(t, dir), "PyPI", "x"); !slices.Equal(got, []string{"A-1"}) {
		t.Errorf("imported again: %v", got)
	}
}
