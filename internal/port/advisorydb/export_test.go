package advisorydb

import (
	"io"

	"github.com/seed-161fc314/assay/internal/format/osv"
)

// WithBounds is the configuration with bounds small enough to go over.
func (c Config) WithBounds(archive int64, files int) Config {
	c.archive, c.files = archive, files
	return c
}

// WithDisk is the configuration with something between the files and the disk.
func (c Config) WithDisk(wrap func(io.Writer) io.Writer) Config {
	c.wrap = wrap
	return c
}

// DecodeBlock reads a block, and text as that of all of its records.
func DecodeBlock(match, text []byte) ([]osv.Record, error) {
	b, err := decodeBlock(match)
	if err != nil {
		return nil, err
	}
	return b.records, decodeText(text, b.records)
}
