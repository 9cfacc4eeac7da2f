package limit_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

var errLine = errors.New("the line broke")

func TestReadAll(t *testing.T) {
	for _, bound := range []int64{3, 4, 100} {
		content, err := limit.ReadAll(iotest.OneByteReader(strings.NewReader("abc")), "the file", bound)
		if err != nil || string(content) != "abc" {
			t.Errorf("bound %d: %q, %v", bound, content, err)
		}
	}
	var over *limit.Error
	content, err := limit.ReadAll(strings.NewReader("abc"), "the file", 2)
	if !errors.As(err, &over) || over.Bound != 2 || content != nil || err.Error() != "the file is larger than the bound of 2 bytes" {
		t.Errorf("over the bound: %q, %v", content, err)
	}
	if _, err := limit.ReadAll(iotest.ErrReader(errLine), "the file", 2); !errors.Is(err, errLine) || !strings.Contains(err.Error(), "the file") {
		t.Errorf("a broken line: %v", err)
	}
}

// A reader at its bound ends with the input; over it, it fails and never ends
// as if all had been read.
func TestReader(t *testing.T) {
	for _, bound := range []int64{3, 4} {
		content, err := io.ReadAll(limit.Reader(strings.NewReader("abc"), "the file", bound))
		if err != nil || string(content) != "abc" {
			t.Errorf("bound %d: %q, %v", bound, content, err)
		}
	}
	for _, wrap := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
		content, err := io.ReadAll(limit.Reader(wrap(strings.NewReader("abcd")), "the file", 3))
		var over *limit.Error
		if !errors.As(err, &over) || over.Bound != 3 || string(content) != "abc" {
			t.Errorf("over the bound: %q, %v", content, err)
		}
	}
	if _, err := io.ReadAll(limit.Reader(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(errLine)), "the file", 3)); !errors.Is(err, errLine) {
		t.Errorf("a line that breaks at the bound: %v", err)
	}
}
