// Package interop holds the tests against real peers: cosign, registries,
// buildah, git. They are behind the build tag "interop"; `make interop` builds
// the peers and runs them. There is nothing to import.
package interop
