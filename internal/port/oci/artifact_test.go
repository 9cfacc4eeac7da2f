package oci_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// shelf is what a registry and a layout have in common.
type shelf interface {
	PushArtifact(ctx context.Context, repository string, a oci.Artifact) (subject.Digest, error)
	PullArtifact(ctx context.Context, repository string, digest subject.Digest, artifactType string) (oci.Artifact, error)
	Attach(ctx context.Context, a oci.Attachment) (oci.Attached, error)
	Remove(ctx context.Context, repository string, image subject.Digest, evidence []trust.Evidence) error
	Evidence(ctx context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error)
}

func some(files ...string) oci.Artifact {
	a := oci.Artifact{Type: "application/vnd.example"}
	for i, content := range files {
		a.Files = append(a.Files, oci.ArtifactFile{Name: fmt.Sprintf("file-%d", i), MediaType: "application/x", Content: []byte(content)})
	}
	return a
}

func newLayout(t *testing.T) (oci.ArtifactLayout, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	layout, err := oci.NewArtifactLayout(dir)
	if err != nil {
		t.Fatal(err)
	}
	return layout, dir
}

func TestArtifact(t *testing.T) {
	layout, dir := newLayout(t)
	server := ocitest.New(t, registry.Config{})
	var digests []subject.Digest
	for name, s := range map[string]shelf{"registry": oci.New(oci.Config{}), "layout": layout} {
		repository := server.Host + "/team/db"
		want := some("one", "two", "")
		digest, err := s.PushArtifact(t.Context(), repository, want)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest)
		got, err := s.PullArtifact(t.Context(), repository, digest, want.Type)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got.Files {
			got.Files[i].Content = append([]byte{}, got.Files[i].Content...)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if _, err := s.PullArtifact(t.Context(), repository, digest, "application/other"); err == nil || !strings.Contains(err.Error(), "want application/other") {
			t.Errorf("%s: another type: %v", name, err)
		}
		if evidence, err := s.Evidence(t.Context(), repository, digest); err != nil || len(evidence) != 0 {
			t.Errorf("%s: unsigned: %v, %v", name, evidence, err)
		}
		other, err := s.PushArtifact(t.Context(), repository, oci.Artifact{Type: "application/vnd.other"})
		if err != nil {
			t.Fatal(err)
		}
		for _, about := range []subject.Digest{digest, other} {
			if _, err := s.Attach(t.Context(), bundleOf(repository, about, "about "+about.String())); err != nil {
				t.Fatal(err)
			}
		}
		evidence, err := s.Evidence(t.Context(), repository, digest)
		if err != nil || len(evidence) != 1 || string(evidence[0].Content) != "about "+digest.String() || evidence[0].Attached != digest || evidence[0].Form != trust.Bundle {
			t.Errorf("%s: %v, %v", name, evidence, err)
		}
		if err := s.Remove(t.Context(), repository, digest, evidence); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if evidence, err := s.Evidence(t.Context(), repository, digest); err != nil || len(evidence) != 0 {
			t.Errorf("%s: removed: %v, %v", name, evidence, err)
		}
		if evidence, err := s.Evidence(t.Context(), repository, other); err != nil || len(evidence) != 1 {
			t.Errorf("%s: of the other: %v, %v", name, evidence, err)
		}
		if _, err := s.Attach(t.Context(), bundleOf(repository, subject.Of([]byte("nothing")), "x")); err == nil {
			t.Errorf("%s: a bundle about nothing", name)
		}
		many := some(make([]string, limit.ArtifactFiles+1)...)
		digest, err = s.PushArtifact(t.Context(), repository, many)
		if err != nil {
			t.Fatal(err)
		}
		var over *limit.Error
		if _, err := s.PullArtifact(t.Context(), repository, digest, many.Type); !errors.As(err, &over) || over.Bound != limit.ArtifactFiles {
			t.Errorf("%s: too many files: %v", name, err)
		}
	}
	huge := []byte(fmt.Sprintf(`{"schemaVersion":2,"artifactType":"application/vnd.example","layers":[{"mediaType":"application/x","size":%d,"digest":%q}]}`, limit.AdvisoryIndex+1, emptyDigest))
	if err := os.WriteFile(filepath.Join(dir, "blobs", "sha256", subject.Of(huge).Hex()), huge, 0o600); err != nil {
		t.Fatal(err)
	}
	var over *limit.Error
	if _, err := layout.PullArtifact(t.Context(), "", subject.Of(huge), "application/vnd.example"); !errors.As(err, &over) || over.Bound != limit.AdvisoryIndex {
		t.Errorf("a file over the bound: %v", err)
	}
	if digests[0] != digests[1] {
		t.Errorf("the same artifact is %v", digests)
	}
	if _, err := layout.Artifact("application/vnd.other"); err != nil {
		t.Error(err)
	}
	if _, err := layout.Artifact("application/vnd.example"); err == nil || !strings.Contains(err.Error(), "holds 2 artifacts") {
		t.Errorf("which one? %v", err)
	}
	if _, err := oci.NewArtifactLayout(dir); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("a second layout in one directory: %v", err)
	}
	for _, a := range []oci.Attachment{envelopeOf("", digests[0], "envelope"), signatureOf("", digests[0], "payload", "c2ln")} {
		_, err := layout.Attach(t.Context(), a)
		wantError(t, err, "has no place for cosign's tags", string(a.Evidence.Form))
	}
	if _, err := oci.OpenArtifactLayout(t.TempDir()); err == nil {
		t.Error("an empty directory is a layout")
	}
}

// TestArtifactDamage: no blob of a layout can change unnoticed.
func TestArtifactDamage(t *testing.T) {
	layout, dir := newLayout(t)
	digest, err := layout.PushArtifact(t.Context(), "", some("one", "two"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := layout.Attach(t.Context(), bundleOf("", digest, "bundle")); err != nil {
		t.Fatal(err)
	}
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil || len(blobs) != 6 { // two manifests, the empty configuration, two files, the bundle
		t.Fatalf("%v, %v", blobs, err)
	}
	noticed := 0
	for _, blob := range blobs {
		whole, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		for _, damaged := range [][]byte{append([]byte{whole[0] ^ 1}, whole[1:]...), whole[:len(whole)-1], append(whole[:len(whole):len(whole)], 'x')} {
			if err := os.WriteFile(blob, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			_, pull := layout.PullArtifact(t.Context(), "", digest, "application/vnd.example")
			_, evidence := layout.Evidence(t.Context(), "", digest)
			if pull != nil || evidence != nil {
				noticed++
			}
		}
		if err := os.WriteFile(blob, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if noticed != 15 { // all but the empty configuration, which nobody reads
		t.Errorf("%d of 15 damages are noticed", noticed)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := layout.Artifact("application/vnd.example"); err == nil {
		t.Error("a broken index.json")
	}
}
