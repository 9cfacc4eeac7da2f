package advisorydb

import "io"

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
