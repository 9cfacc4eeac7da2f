package imagefs

import "path"

// apply lays the layers over each other. Each layer first takes away what its
// whiteouts, opaque directories and replaced directories hide of the layers
// below, in one pass over the files, and then adds its own.
func apply(layers [][]change) map[string]node {
	files := map[string]node{}
	for _, changes := range layers {
		gone, emptied := map[string]bool{}, map[string]bool{}
		for _, c := range changes {
			switch {
			case c.opaque:
				emptied[c.name] = true
			case c.removed:
				gone[c.name] = true
			default:
				emptied[c.name] = true // a file stands where a directory may have been
			}
		}
		if len(gone)+len(emptied) > 0 {
			for name := range files {
				if hidden(name, gone, emptied) {
					delete(files, name)
				}
			}
		}
		for _, c := range changes {
			switch {
			case c.removed || c.opaque:
			case c.hard != "":
				target, ok := files[c.hard]
				if !ok {
					target.missing = "it is a hard link to " + c.hard + ", which is not kept"
				}
				target.layer = c.node.layer
				files[c.name] = target
			default:
				files[c.name] = c.node
			}
		}
	}
	return files
}

// hidden says whether a path is taken away, itself or with a directory above.
func hidden(name string, gone, emptied map[string]bool) bool {
	if gone[name] || emptied[""] {
		return true
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if gone[dir] || emptied[dir] {
			return true
		}
	}
	return false
}

// follow gives the path that symbolic links lead to, and whether something is
// kept there.
func follow(files map[string]node, name string) (string, bool) {
	for range 16 {
		n, ok := files[name]
		if !ok || n.link == "" {
			return name, ok
		}
		if path.IsAbs(n.link) {
			name = clean(n.link)
		} else {
			name = clean(path.Join("/", path.Dir(name), n.link))
		}
	}
	return "", false
}

// resolve follows symbolic links to a file's content.
func resolve(files map[string]node, name string) (node, bool) {
	target, ok := follow(files, name)
	return files[target], ok
}
