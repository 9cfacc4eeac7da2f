// Package subject names what evidence is about.
//
// Entry points are [Parse], which turns "sha256:<hex>" into a [Digest] that is
// known to be valid, and [Of], which hashes bytes. A subject is always
// named by digest: tags, paths and model names are labels beside it and are
// never compared.
//
// The package resolves nothing: turning a tag into a digest is port/oci's job.
package subject

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest is an algorithm and the bytes it gave, spelled "sha256:<64 hex>" or
// "sha512:<128 hex>" as in the OCI image specification (descriptor.md,
// "Digests"). The zero value is no digest; Parse never returns it without an
// error. Digests are comparable with ==.
type Digest struct {
	text string
}

var hexLength = map[string]int{"sha256": 64, "sha512": 128}

// Parse reads the spelling of the OCI image specification. Upper-case hex, an
// unknown algorithm and a wrong length are errors that name the text.
func Parse(text string) (Digest, error) {
	algorithm, value, found := strings.Cut(text, ":")
	if !found {
		return Digest{}, fmt.Errorf("digest %q: want algorithm:hex, such as sha256:<64 hex digits>", text)
	}
	want, known := hexLength[algorithm]
	if !known {
		return Digest{}, fmt.Errorf("digest %q: unknown algorithm %q; sha256 and sha512 are read", text, algorithm)
	}
	if len(value) != want {
		return Digest{}, fmt.Errorf("digest %q: %s has %d hex digits, found %d", text, algorithm, want, len(value))
	}
	for _, r := range value {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return Digest{}, fmt.Errorf("digest %q: %q is not a lower-case hex digit", text, r)
		}
	}
	return Digest{text: text}, nil
}

// Of is the SHA-256 digest of content.
func Of(content []byte) Digest {
	sum := sha256.Sum256(content)
	return Digest{text: "sha256:" + hex.EncodeToString(sum[:])}
}

// String is the spelling that Parse reads, or "" for the zero value.
func (d Digest) String() string { return d.text }

// Algorithm is "sha256" or "sha512", or "" for the zero value.
func (d Digest) Algorithm() string {
	algorithm, _, _ := strings.Cut(d.text, ":")
	return algorithm
}

// Hex is the digest's value in lower-case hex, or "" for the zero value.
func (d Digest) Hex() string {
	_, value, _ := strings.Cut(d.text, ":")
	return value
}

// Short is the algorithm and the first twelve hex digits, for people to read;
// it is never compared.
func (d Digest) Short() string {
	if len(d.Hex()) < 12 {
		return d.text
	}
	return d.Algorithm() + ":" + d.Hex()[:12]
}

// IsZero says whether this is no digest at all.
func (d Digest) IsZero() bool { return d.text == "" }

// MarshalText writes the spelling that Parse reads.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.text), nil }

// UnmarshalText reads what Parse reads; the empty text gives the zero value.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Digest{}
		return nil
	}
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
