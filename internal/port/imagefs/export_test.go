package imagefs

// WithBounds is a configuration with other bounds on the entries of an image
// and on the bytes that are kept of it; 0 is the usual one.
func WithBounds(files, bytes int64) Config {
	return Config{files: files, bytes: bytes}
}

// ChangeSize is what a kept change counts besides its texts.
const ChangeSize = changeSize
