package advisorydb

import (
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"

	"crypto/sha256"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/format/osv"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

//go:embed sample/*.json
var sample embed.FS

// Sample is the small set of advisories that is built in, for trying things
// out. Its Info says so, and evidence made from it is denied unless a policy
// says allowSample. It covers only PyPI, and only a handful of packages.
func Sample() (*Database, error) {
	db := &Database{sample: map[string][]osv.Record{}, info: finding.Database{Sample: true, URI: finding.SampleURI, Ecosystems: []string{pydist.Ecosystem}}}
	digest := sha256.New()
	err := fs.WalkDir(sample, "sample", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		file, err := sample.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		record, err := osv.Decode(file, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(digest, "%s %s\n", record.ID, record.Modified)
		db.info.Records++
		if record.Modified.After(db.info.LastUpdate) {
			db.info.LastUpdate = record.Modified.UTC()
		}
		seen := map[string]bool{}
		for _, affected := range record.Affected {
			ecosystem, name := normalise(affected.Package)
			k := key(ecosystem, name)
			if seen[k] {
				continue
			}
			seen[k] = true
			db.sample[k] = append(db.sample[k], record.Slim(func(p osv.Package) bool {
				e, n := normalise(p)
				return e == ecosystem && n == name
			}))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the built-in sample: %w", err)
	}
	db.info.Built, db.info.Current, db.info.Version = db.info.LastUpdate, db.info.LastUpdate, "sha256:"+hex.EncodeToString(digest.Sum(nil))
	return db, nil
}
