package advisorydb

import (
	"io"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// directoryBytes is how much of a zip's directory is read for each file that it
// may hold: its entries take memory before anybody can count them.
const directoryBytes = 64

// directoryReader bounds what is read until done.
type directoryReader struct {
	r     io.ReaderAt
	left  int64
	done  bool
	what  string
	files int
}

// ReadAt passes on what is within the bound, with room for the zip's end.
func (d *directoryReader) ReadAt(p []byte, at int64) (int, error) {
	const end = 1 << 20
	n, err := d.r.ReadAt(p, at)
	if d.left -= int64(n); d.left < -end && !d.done {
		return 0, &limit.Error{What: d.what, Bound: int64(d.files), Unit: "files"}
	}
	return n, err
}

type counter struct {
	r io.Reader
	n int64
}

// Read counts what passes.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
