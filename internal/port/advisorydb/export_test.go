package advisorydb

// WithBounds is the configuration with bounds small enough to go over.
func (c Config) WithBounds(archive int64, files int) Config {
	c.archive, c.files = archive, files
	return c
}
