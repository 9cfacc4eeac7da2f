package cli

import (
	"cmp"
	"context"
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

// digestOf reads "sha256:…" or "sha512:…" in hex, where no file is called so,
// and the digest of an image reference that has one.
func (h *Host) digestOf(name string) (subject.Digest, bool) {
	if _, err := os.Lstat(h.path(name)); err == nil {
		return subject.Digest{}, false
	}
	if _, pinned, found := strings.Cut(name, "@"); found {
		name = pinned
	}
	digest, err := subject.Parse(name)
	return digest, err == nil
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
	h.readOpen(name, file)
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return trust.Artifact{}, fmt.Errorf("reading %s: %w", name, err)
	}
	digest, err := subject.Parse("sha256:" + hex.EncodeToString(hash.Sum(nil)))
	return trust.Artifact{Digest: digest}, err
}

// judged hands a file, or the digest of one, to look. It is hashed first and not
// kept; where look says that it needs the content, it is read whole and handed
// over again, with the digest that it must still have.
func (h *Host) judged(name string, look func(trust.Artifact) (needsContent bool)) error {
	artifact, err := h.artifact(name)
	if err != nil {
		return err
	}
	if !look(artifact) {
		return nil
	}
	if _, digest := h.digestOf(name); digest {
		return nil
	}
	if artifact.Content, err = h.readFile(name, limit.FileContent); err != nil {
		return err
	}
	look(artifact)
	return nil
}

// bundleEvidence reads a bundle from a file.
func (h *Host) bundleEvidence(path string) (trust.Evidence, error) {
	content, err := h.readFile(path, limit.Evidence)
	if err != nil {
		return trust.Evidence{}, fmt.Errorf("--bundle: %w", err)
	}
	return trust.Evidence{Digest: subject.Of(content), Source: "file " + path, Form: trust.Bundle, Content: content}, nil
}

// blob verifies one file by its bundle.
func (f *verifyFlags) blob(ctx context.Context, host *Host, verifier *verify.Verifier, name string) (verify.Result, error) {
	evidence, err := host.bundleEvidence(f.path(name))
	if err != nil {
		return verify.Result{}, err
	}
	var result verify.Result
	var stopped error
	err = host.judged(name, func(artifact trust.Artifact) bool {
		result, stopped = verifier.Blob(ctx, name, artifact, []trust.Evidence{evidence})
		return needsContent(result)
	})
	return result, cmp.Or(err, stopped)
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
