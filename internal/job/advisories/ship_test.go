package advisories_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/job/advisories"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// shelf holds one artifact; read counts who looked into it.
type shelf struct {
	artifact oci.Artifact
	evidence []trust.Evidence
	fault    error
	read     int
}

func (s *shelf) Evidence(context.Context, string, subject.Digest) ([]trust.Evidence, error) {
	return s.evidence, s.fault
}

func (s *shelf) PullArtifact(context.Context, string, subject.Digest, string) (oci.Artifact, error) {
	s.read++
	return s.artifact, nil
}

func somebody(t *testing.T) trust.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.KeyOf(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return trust.Signer{Name: "somebody", Keys: []trust.Key{{ID: id, Public: key.Public()}}}
}

// TestPullDenies: of what is not signed nothing is read.
func TestPullDenies(t *testing.T) {
	digest := subject.Of([]byte("artifact"))
	config := advisorydb.Config{Now: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
	for name, s := range map[string]*shelf{
		"unsigned": {},
		"garbage":  {evidence: []trust.Evidence{{Attached: digest, Form: trust.Bundle, Content: []byte("{}"), Digest: subject.Of([]byte("{}"))}}},
	} {
		dir := t.TempDir()
		_, err := advisories.Pull(t.Context(), s, "r", digest, somebody(t), dir, config)
		var unsigned *advisories.UnsignedError
		if !errors.As(err, &unsigned) || unsigned.Digest != digest || len(unsigned.Rejected) != len(s.evidence) || s.read != 0 || !strings.Contains(err.Error(), "somebody") {
			t.Errorf("%s: %v, read %d times", name, err, s.read)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
			t.Errorf("%s: %v, %v", name, entries, err)
		}
	}
	// A shelf that cannot be asked is a fault and no denial.
	s := &shelf{fault: errors.New("the registry is away")}
	var unsigned *advisories.UnsignedError
	if _, err := advisories.Pull(t.Context(), s, "r", digest, somebody(t), t.TempDir(), config); err == nil || errors.As(err, &unsigned) || s.read != 0 {
		t.Errorf("%v", err)
	}
}

func TestPack(t *testing.T) {
	a := advisories.Pack([]advisorydb.File{{Name: "PyPI.assaydb", Content: []byte("x")}, {Name: "kev.assayfeed", Feed: true}})
	if a.Type != advisories.ArtifactType || len(a.Files) != 2 || a.Files[0].MediaType == a.Files[1].MediaType || a.Files[0].Name != "PyPI.assaydb" {
		t.Errorf("%+v", a)
	}
}
