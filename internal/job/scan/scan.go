// Package scan finds the packages of a target and what is wrong with them.
//
// Entry points are [New] and a [Scanner]'s Directory, File and Image; the
// functions of the same names with Inventory give the packages without
// advisories, for an SBOM. A scan that could not test something says so: in an
// unresolved record, or as an error, but never by leaving it out.
//
// The package opens no path and contacts nothing: it is given file systems,
// images and advisories.
package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/engine/triage"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/port/imagefs"
)

// Advisories are what a scan matches against.
type Advisories interface {
	advisory.Source
	// Info names them all; Used names those of some ecosystems, for reports and
	// evidence.
	Info() finding.Database
	Used(ecosystems []string) finding.Database
}

// Config is what a Scanner works with; Advisories and Now must be there.
type Config struct {
	Advisories Advisories
	Now        func() time.Time
	// Environment is what markers mean; zero is requirement.DefaultEnvironment.
	Environment requirement.Environment
	// BaseDiffIDs are the layers of the base image, as imagefs.Config has them.
	BaseDiffIDs []subject.Digest
	// Rules take findings out of what counts; the zero value takes none.
	Rules triage.Rules
	// RequirePinned makes everything unresolved count as a finding does.
	RequirePinned bool
}

// Scanner scans targets.
type Scanner struct {
	config Config
}

// New checks the configuration.
func New(config Config) (*Scanner, error) {
	if config.Advisories == nil || config.Now == nil {
		return nil, errors.New("scan: advisories and a clock are needed")
	}
	return &Scanner{config: config}, nil
}

// NothingFoundError says that a target holds no package, so that nothing was
// tested and nothing can be said.
type NothingFoundError struct {
	Target string
	// Looked is what was looked for.
	Looked string
}

// Error says what was looked for.
func (e *NothingFoundError) Error() string {
	return fmt.Sprintf("%s: no package was found, so nothing was tested; looked for %s", e.Target, e.Looked)
}

const lookedImage = "the databases of dpkg, apk, rpm and conda, Python packages (*.dist-info, *.egg-info, *.whl, *.egg), and requirements files that the image's label " + imagefs.DeclaredLabel + " names"

// Directory scans the files below a directory that name packages: what asks for
// them, what locks them, and what shows them to be there. name is what the user
// calls it.
func (s *Scanner) Directory(ctx context.Context, fsys fs.FS, name string) (finding.Report, error) {
	return s.report(ctx, finding.Report{Target: name, Kind: finding.Filesystem}, looked(), func() (component.Inventory, error) {
		return DirectoryInventory(ctx, fsys, s.config.Environment)
	})
}

// File scans one file of a directory, as what its base name says that it is, or
// else as a requirements file.
func (s *Scanner) File(ctx context.Context, fsys fs.FS, name string) (finding.Report, error) {
	return s.report(ctx, finding.Report{Target: name, Kind: finding.Filesystem}, "packages in the file", func() (component.Inventory, error) {
		return FileInventory(fsys, name, s.config.Environment)
	})
}

// Named is what a user calls an image, and what that came to.
type Named struct {
	// Reference is what the user named, Digest the manifest's; Index is that of
	// the index that the reference names, zero where it names the image itself.
	Reference     string
	Digest, Index subject.Digest
}

// Image scans an image.
func (s *Scanner) Image(ctx context.Context, image v1.Image, named Named) (finding.Report, error) {
	report := finding.Report{Target: named.Reference, Kind: finding.Container, Digest: named.Digest, Index: named.Index, Image: &finding.Image{}}
	return s.report(ctx, report, lookedImage, func() (component.Inventory, error) {
		inventory, description, err := imagefs.Read(ctx, image, imagefs.Config{Environment: defaulted(s.config.Environment), BaseDiffIDs: s.config.BaseDiffIDs})
		if err == nil {
			err = stored(image, &description)
		}
		*report.Image = description
		return inventory, err
	})
}

func (s *Scanner) report(ctx context.Context, report finding.Report, looked string, find func() (component.Inventory, error)) (finding.Report, error) {
	report.Started = s.config.Now().UTC()
	inventory, err := find()
	if err != nil {
		return finding.Report{}, fmt.Errorf("scanning %s: %w", report.Target, err)
	}
	report.Inventory = inventory
	if len(inventory.Components)+len(inventory.Unresolved) == 0 {
		return finding.Report{}, &NothingFoundError{Target: report.Target, Looked: looked}
	}
	tested := s.testable(&report)
	report.Inventory.Sort()
	report.Database = s.config.Advisories.Used(ecosystems(tested))
	report.Findings, err = advisory.Match(ctx, tested, s.config.Advisories)
	if err != nil {
		return finding.Report{}, fmt.Errorf("scanning %s: %w", report.Target, err)
	}
	report.RequirePinned = s.config.RequirePinned
	report = triage.Apply(report, s.config.Rules, report.Started)
	report.Finished = s.config.Now().UTC()
	return report, nil
}

func defaulted(environment requirement.Environment) requirement.Environment {
	if environment == (requirement.Environment{}) {
		return requirement.DefaultEnvironment()
	}
	return environment
}

// ImageInventory lists what Image would test, and describes the image. base are
// the layers of the image that it was built on, none where nobody says.
func ImageInventory(ctx context.Context, image v1.Image, environment requirement.Environment, base []subject.Digest) (component.Inventory, finding.Image, error) {
	inventory, description, err := imagefs.Read(ctx, image, imagefs.Config{Environment: defaulted(environment), BaseDiffIDs: base})
	inventory.Sort()
	return inventory, description, err
}
