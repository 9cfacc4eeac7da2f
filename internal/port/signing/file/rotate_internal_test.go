package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestRotationBreaksOff breaks a rotation off before each change of a file, and
// takes its steps again: the private key's file always holds the old key or the
// new one, the public keys are the old or the new, and it ends as if nothing
// had happened.
func TestRotationBreaksOff(t *testing.T) {
	for broken := 0; ; broken++ {
		dir := t.TempDir()
		r := Rotation{Private: filepath.Join(dir, "k.key"), Public: filepath.Join(dir, "k.pub"), Kept: filepath.Join(dir, "k.key.old")}
		write := func(path, content string) {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(r.Private, "old private")
		write(r.Public, "old public")
		stop := errors.New("stop")
		count := 0
		r.at = func(string) error {
			if count++; count == broken+1 {
				return stop
			}
			return nil
		}
		steps := func() error {
			for _, step := range []func() error{
				func() error { return r.Stage([]byte("new private")) }, r.Keep,
				func() error { return r.Publish([]byte("new public")) }, r.Promote,
			} {
				if err := step(); err != nil {
					return err
				}
			}
			return nil
		}
		err := steps()
		if err == nil && broken >= 7 {
			return // there are no more places
		}
		if !errors.Is(err, stop) {
			t.Fatalf("place %d: %v", broken, err)
		}
		private, public := content(t, r.Private), content(t, r.Public)
		if private != "old private" || public == "new public" && content(t, r.Kept) != "old private" || public != "old public" && public != "new public" {
			t.Errorf("place %d: %q, %q", broken, private, public)
		}
		r.at = nil
		if err := steps(); err != nil {
			t.Fatalf("again after place %d: %v", broken, err)
		}
		if content(t, r.Private) != "new private" || content(t, r.Public) != "new public" || content(t, r.Kept) != "old private" {
			t.Errorf("after place %d it ends otherwise", broken)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 3 {
			t.Errorf("place %d left %v, %v", broken, entries, err)
		}
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestRotationReplacesNoKey: a private key that somebody else left is not
// written over.
func TestRotationReplacesNoKey(t *testing.T) {
	dir := t.TempDir()
	r := Rotation{Private: filepath.Join(dir, "k.key"), Public: filepath.Join(dir, "k.pub"), Kept: filepath.Join(dir, "kept")}
	for _, path := range []string{r.Private, r.staged(), r.Kept} {
		if err := os.WriteFile(path, []byte(path), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Stage([]byte("new")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("staged over another: %v", err)
	}
	if err := r.Keep(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("kept over another: %v", err)
	}
	if path, found, err := r.Staged(); path != r.staged() || string(found) != r.staged() || err != nil {
		t.Errorf("staged: %s, %q, %v", path, found, err)
	}
	for _, path := range []string{r.Private, r.staged(), r.Kept} {
		if content(t, path) != path {
			t.Errorf("%s changed", path)
		}
	}
}
