package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/job/verify"
)

// bundleFlags say where the Sigstore bundles of files are.
type bundleFlags struct {
	bundle, suffix string
}

func (f *bundleFlags) add(command *cobra.Command, help string) {
	command.Flags().StringVar(&f.bundle, "bundle", "", help)
	command.Flags().StringVar(&f.suffix, "bundle-suffix", "", "as --bundle, for one or many files: each one's bundle is beside it, at FILE and this, such as .sigstore.json")
}

// files says whether the verb is about files, and not about images.
func (f *bundleFlags) files() bool { return f.bundle != "" || f.suffix != "" }

func (f *bundleFlags) check(files int) error {
	switch {
	case f.bundle != "" && f.suffix != "":
		return usage("--bundle and --bundle-suffix exclude each other")
	case f.bundle != "" && files > 1:
		return usage("--bundle is for one file, and %d are named", files).withHint("--bundle-suffix .sigstore.json gives each FILE its own FILE.sigstore.json")
	case strings.ContainsAny(f.suffix, `/\`):
		return usage("--bundle-suffix %s: want an ending such as .sigstore.json, no path", f.suffix)
	}
	return nil
}

// path is where the bundle of a file is.
func (f *bundleFlags) path(file string) string {
	if f.bundle != "" {
		return f.bundle
	}
	return file + f.suffix
}

// digestOf reads "sha256:…" of 64 hex digits, where no file is called so, and
// the digest of an image reference that has one.
func (h *Host) digestOf(name string) (subject.Digest, bool) {
	if _, err := os.Lstat(h.path(name)); err == nil {
		return subject.Digest{}, false
	}
	if _, pinned, found := strings.Cut(name, "@"); found {
		name = pinned
	}
	digest, err := subject.Parse(name)
	return digest, err == nil && digest.Algorithm() == "sha256"
}

// artifact is the file, or the digest of one, that evidence is about. A file
// is hashed and not kept.
func (h *Host) artifact(name string) (trust.Artifact, error) {
	if digest, ok := h.digestOf(name); ok {
		return trust.Artifact{Digest: digest}, nil
	}
	file, err := os.Open(h.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return trust.Artifact{}, usage("%s is no file, and no digest (sha256: and 64 hex digits)", name)
	}
	if err != nil {
		return trust.Artifact{}, err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return trust.Artifact{}, fmt.Errorf("reading %s: %w", name, err)
	}
	digest, err := subject.Parse("sha256:" + hex.EncodeToString(hash.Sum(nil)))
	return trust.Artifact{Digest: digest}, err
}

// blob verifies one file by its bundle.
func (f *verifyFlags) blob(host *Host, verifier *verify.Verifier, name string) (verify.Result, error) {
	path := f.path(name)
	content, err := host.readFile(path, limit.Evidence)
	if err != nil {
		return verify.Result{}, fmt.Errorf("bundle of %s: %w", name, err)
	}
	artifact, err := host.artifact(name)
	if err != nil {
		return verify.Result{}, err
	}
	evidence := []trust.Evidence{{Digest: subject.Of(content), Source: "file " + path, Form: trust.Bundle, Content: content}}
	result := verifier.Blob(name, artifact, evidence)
	if !needsContent(result) {
		return result, nil
	}
	if _, digest := host.digestOf(name); digest {
		return result, nil
	}
	// Its key signs more than the digest that is asked for first. What is read
	// now must be the file that was hashed.
	if artifact.Content, err = host.readFile(name, limit.FileContent); err != nil {
		return verify.Result{}, err
	}
	return verifier.Blob(name, artifact, evidence), nil
}

func needsContent(result verify.Result) bool {
	for _, part := range result.Parts {
		for _, rejection := range part.Rejections {
			if rejection.Reason == trust.NeedsContent {
				return true
			}
		}
	}
	return false
}
