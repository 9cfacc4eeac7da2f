package advisories

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/predicate"
)

// The media types of a database as an OCI artifact.
const (
	ArtifactType = "application/vnd.assay.advisorydb.v2"
	indexType    = "application/vnd.assay.advisorydb.index.v2"
	feedType     = "application/vnd.assay.advisorydb.feed.v2"
)

// Shelf is where a shipped database is: a registry, or a layout on disk.
type Shelf interface {
	// Evidence lists what is stored about a digest, unbelieved.
	Evidence(ctx context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error)
	// PullArtifact reads an artifact whose digest is known.
	PullArtifact(ctx context.Context, repository string, digest subject.Digest, artifactType string) (oci.Artifact, error)
}

// Pack is a database as an artifact. The same files give the same digest.
func Pack(files []advisorydb.File) oci.Artifact {
	a := oci.Artifact{Type: ArtifactType}
	for _, f := range files {
		mediaType := indexType
		if f.Feed {
			mediaType = feedType
		}
		a.Files = append(a.Files, oci.ArtifactFile{Name: f.Name, MediaType: mediaType, Content: f.Content})
	}
	return a
}

// UnsignedError is a denial: nothing about the artifact is signed by the
// signer. Nothing was replaced, and of the artifact nothing was read.
type UnsignedError struct {
	Digest subject.Digest
	Signer string
	// Rejected is what was found and does not count.
	Rejected []verdict.Evidence
}

// Error names the digest and the signer.
func (e *UnsignedError) Error() string {
	return fmt.Sprintf("no signature of %s by %s, among %d that do not count", e.Digest, e.Signer, len(e.Rejected))
}

// Pull replaces index files by those of an artifact that signer signed. The
// signature is verified before anything of the artifact is read, and every
// byte of it before anything is replaced. A lacking signature is an
// *UnsignedError.
func Pull(ctx context.Context, shelf Shelf, repository string, digest subject.Digest, signer trust.Signer, dir string, config advisorydb.Config) (advisorydb.Summary, error) {
	if err := signed(ctx, shelf, repository, digest, signer, config.Now); err != nil {
		return advisorydb.Summary{}, err
	}
	artifact, err := shelf.PullArtifact(ctx, repository, digest, ArtifactType)
	if err != nil {
		return advisorydb.Summary{}, err
	}
	var files []advisorydb.File
	for _, f := range artifact.Files {
		if f.MediaType != indexType && f.MediaType != feedType {
			return advisorydb.Summary{}, fmt.Errorf("%s holds %.100q of type %.100q, which this version does not know", digest, f.Name, f.MediaType)
		}
		files = append(files, advisorydb.File{Name: f.Name, Feed: f.MediaType == feedType, Content: f.Content})
	}
	writer, err := advisorydb.OpenWriter(dir)
	if err != nil {
		return advisorydb.Summary{}, err
	}
	defer writer.Close()
	return writer.Install(ctx, files, config)
}

func signed(ctx context.Context, shelf Shelf, repository string, digest subject.Digest, signer trust.Signer, now time.Time) error {
	evidence, err := shelf.Evidence(ctx, repository, digest)
	if err != nil {
		return err
	}
	denial := &UnsignedError{Digest: digest, Signer: signer.Name}
	for _, piece := range evidence {
		claim, rejection := trust.Verify(piece, []trust.Signer{signer}, []subject.Digest{digest}, now)
		if rejection == nil && claim.Type() == predicate.TypeCosignSign {
			return nil
		}
		if rejection != nil {
			denial.Rejected = append(denial.Rejected, rejection.Evidence)
		}
	}
	return denial
}
