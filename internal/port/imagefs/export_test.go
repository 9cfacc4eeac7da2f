package imagefs

// WithFiles is the configuration with another bound on the entries of a layer.
func WithFiles(config Config, files int) Config {
	config.files = files
	return config
}
