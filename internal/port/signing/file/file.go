// Package file signs with a private key that is kept in a file, and writes
// the files of a new key pair.
//
// Entry points are [Open], [Parse] and [Write]. Files have cosign's format; see
// format/cosignkey for what is read.
//
// The key is decrypted once, by Open, and stays in memory: deriving it takes
// some 200 ms and 64 MiB each time. The package asks nobody for a password
// and reads no environment.
package file

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// Signer signs with a key that was read from a file.
type Signer struct {
	key crypto.Signer
	id  identity.Key
}

var _ signing.DigestSigner = (*Signer)(nil)

// Open reads the private key at path. password is called once, and only where
// the key is encrypted; nil means that there is none to be had. The errors
// name the path; errors.Is(err, cosignkey.ErrPassword) where the password
// does not fit.
func Open(path string, password func() ([]byte, error)) (*Signer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening private key: %w", err)
	}
	defer f.Close()
	content, err := limit.ReadAll(f, path, limit.KeyFile)
	if err != nil {
		return nil, err
	}
	return Parse(path, content, password)
}

// Parse is Open of what a file would hold, wherever it came from; name is what
// the errors call it.
func Parse(name string, content []byte, password func() ([]byte, error)) (*Signer, error) {
	var secret []byte
	var err error
	if cosignkey.Encrypted(content) {
		if password == nil {
			return nil, fmt.Errorf("%s: the key is encrypted, and no password is given", name)
		}
		if secret, err = password(); err != nil {
			return nil, fmt.Errorf("%s: asking for the password: %w", name, err)
		}
	}
	key, err := cosignkey.ReadPrivate(content, secret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	id, err := identity.KeyOf(key.Public())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Signer{key: key, id: id}, nil
}

// Public is the key that verifies.
func (s *Signer) Public() crypto.PublicKey { return s.key.Public() }

// KeyID is the fingerprint of Public.
func (s *Signer) KeyID() identity.Key { return s.id }

// Sign signs message as signing.Signer says.
func (s *Signer) Sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	digest, options, err := signing.Digest(s.key.Public(), message)
	if err != nil {
		return nil, err
	}
	return s.sign(digest, options)
}

// SignDigest signs a digest as signing.DigestSigner says.
func (s *Signer) SignDigest(ctx context.Context, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	_, want, err := signing.Digest(s.key.Public(), nil)
	if err != nil {
		return nil, err
	}
	if hash := want.HashFunc(); hash == 0 || options.HashFunc() != hash || len(digest) != hash.Size() {
		return nil, fmt.Errorf("key %s does not sign a digest of %d bytes by %s", s.id, len(digest), options.HashFunc())
	}
	return s.sign(digest, want)
}

func (s *Signer) sign(digest []byte, options crypto.SignerOpts) ([]byte, error) {
	signature, err := s.key.Sign(rand.Reader, digest, options)
	if err != nil {
		return nil, fmt.Errorf("signing with key %s: %w", s.id, err)
	}
	return signature, nil
}

// Write puts a key pair, as cosignkey.Generate makes it, into prefix+".key"
// (mode 0600) and prefix+".pub" (0644). It never replaces a file: if either
// is there, that is an error matching fs.ErrExist, and neither is written.
// Each file appears whole, and after an error neither is left behind.
func Write(prefix string, private, public []byte) (privatePath, publicPath string, err error) {
	privatePath, publicPath = prefix+".key", prefix+".pub"
	if _, err := os.Lstat(publicPath); err == nil {
		return "", "", fmt.Errorf("writing key pair: %s is there already; choose another name: %w", publicPath, fs.ErrExist)
	}
	if err := create(privatePath, private, 0o600); err != nil {
		return "", "", fmt.Errorf("writing key pair: %w", err)
	}
	if err := create(publicPath, public, 0o644); err != nil {
		return "", "", fmt.Errorf("writing key pair: %w", errors.Join(err, os.Remove(privatePath)))
	}
	return privatePath, publicPath, nil
}

// create writes a file that must not be there yet. It takes the name first
// with an empty file, which fails if anybody has it, and then moves the
// finished content onto it.
func create(path string, content []byte, mode fs.FileMode) (err error) {
	place, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; choose another name: %w", path, err)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if err := place.Close(); err != nil {
		return err
	}
	// CreateTemp gives mode 0600, so that a private key is never readable
	// by others, not even for a moment.
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	_, writeErr := temporary.Write(content)
	if err := errors.Join(writeErr, temporary.Chmod(mode), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
