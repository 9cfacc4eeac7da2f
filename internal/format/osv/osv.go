// Package osv reads advisories in the OSV format (https://ossf.github.io/osv-schema/).
//
// Entry points are [Decode] and [Record.Ratings]. Only what matching and
// reporting need is kept, so that a record can be written back small
// ([Record.Slim]). The package matches nothing; engine/advisory does.
package osv

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Record is one advisory.
type Record struct {
	ID         string      `json:"id"`
	Modified   time.Time   `json:"modified,omitzero"`
	Published  time.Time   `json:"published,omitzero"`
	Withdrawn  time.Time   `json:"withdrawn,omitzero"`
	Aliases    []string    `json:"aliases,omitempty"`
	Upstream   []string    `json:"upstream,omitempty"`
	Summary    string      `json:"summary,omitempty"`
	Details    string      `json:"details,omitempty"`
	Severity   []Severity  `json:"severity,omitempty"`
	Affected   []Affected  `json:"affected,omitempty"`
	References []Reference `json:"references,omitempty"`
	Database   Database    `json:"database_specific,omitzero"`
}

// Severity is a rating as the record has it: a CVSS vector and its version.
type Severity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

// Affected is one package and the versions of it that are affected.
type Affected struct {
	Package  Package    `json:"package"`
	Severity []Severity `json:"severity,omitempty"`
	Ranges   []Range    `json:"ranges,omitempty"`
	Versions []string   `json:"versions,omitempty"`
	// Database is what database_specific says beside the ranges.
	Database Bound `json:"database_specific,omitzero"`
}

// Bound is what GitHub's advisories say beside a range that nothing closes:
// the newest version that was known to be affected when it was written.
type Bound struct {
	// LastKnown is "<= 1.5.10" or "< 2.32.0".
	LastKnown string `json:"last_known_affected_version_range,omitempty"`
}

// UnmarshalJSON reads the field if it has the expected shape: database_specific
// is free-form.
func (b *Bound) UnmarshalJSON(raw []byte) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	if json.Unmarshal(fields["last_known_affected_version_range"], &b.LastKnown) != nil {
		b.LastKnown = ""
	}
	return nil
}

// Package names a package in its ecosystem.
type Package struct {
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
}

// Range is a list of events. Only ECOSYSTEM and SEMVER ranges speak of versions.
type Range struct {
	Type   string  `json:"type"`
	Events []Event `json:"events"`
}

// Event is one bound of a range; exactly one field is set.
type Event struct {
	Introduced   string `json:"introduced,omitempty"`
	Fixed        string `json:"fixed,omitempty"`
	LastAffected string `json:"last_affected,omitempty"`
	Limit        string `json:"limit,omitempty"`
}

// Reference is a link.
type Reference struct {
	Type string `json:"type,omitempty"`
	URL  string `json:"url"`
}

// Database is what database_specific says that is used here. Other databases
// put other shapes there, which are passed over.
type Database struct {
	Severity   string   `json:"severity,omitempty"`
	Weaknesses []string `json:"cwe_ids,omitempty"`
}

// UnmarshalJSON reads the fields that have the expected shape and leaves out
// the rest: database_specific is free-form.
func (d *Database) UnmarshalJSON(raw []byte) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	if json.Unmarshal(fields["severity"], &d.Severity) != nil {
		d.Severity = ""
	}
	if json.Unmarshal(fields["cwe_ids"], &d.Weaknesses) != nil {
		d.Weaknesses = nil // not the half of it that could be read
	}
	return nil
}

// Decode reads one record. What is no JSON object with an id is an error that
// starts with where, and so is a record that would match less than it means:
// an event without exactly one bound, a range of versions that begins nowhere,
// a package that is only half named.
func Decode(r io.Reader, where string) (Record, error) {
	content, err := limit.ReadAll(r, where, limit.Advisory)
	if err != nil {
		return Record{}, err
	}
	var record Record
	if err := json.Unmarshal(content, &record); err != nil {
		return Record{}, fmt.Errorf("%s: %w", where, err)
	}
	if !validID(record.ID) {
		return Record{}, fmt.Errorf("%s: id %.100q is no advisory's id", where, record.ID)
	}
	for _, alias := range append(record.Aliases[:len(record.Aliases):len(record.Aliases)], record.Upstream...) {
		if !validID(alias) {
			return Record{}, fmt.Errorf("%s: alias %.100q is no advisory's id", where, alias)
		}
	}
	for i, affected := range record.Affected {
		if err := affected.check(); err != nil {
			return Record{}, fmt.Errorf("%s: affected[%d]%w", where, i, err)
		}
	}
	return record, nil
}

func validID(id string) bool {
	return id != "" && len(id) <= 256 && !strings.ContainsFunc(id, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// check looks for what would silently match nothing.
func (a Affected) check() error {
	if (a.Package.Ecosystem == "") != (a.Package.Name == "") {
		return fmt.Errorf(".package: ecosystem %.100q and name %.100q: want both or neither", a.Package.Ecosystem, a.Package.Name)
	}
	for i, ranged := range a.Ranges {
		begins := false
		for j, e := range ranged.Events {
			set := 0
			for _, text := range []string{e.Introduced, e.Fixed, e.LastAffected, e.Limit} {
				if text != "" {
					set++
				}
			}
			if set != 1 {
				return fmt.Errorf(".ranges[%d].events[%d]: want one of introduced, fixed, last_affected and limit, found %d", i, j, set)
			}
			begins = begins || e.Introduced != ""
		}
		if !begins && (ranged.Type == "ECOSYSTEM" || ranged.Type == "SEMVER") {
			return fmt.Errorf(".ranges[%d].events: no introduced, so the range would contain nothing", i)
		}
	}
	return nil
}

// Slim is the record with only the affected entries that keep wants, and
// without what only people read in full: the details are cut to a paragraph.
func (r Record) Slim(keep func(Package) bool) Record {
	slim := r
	slim.Affected = nil
	for _, a := range r.Affected {
		if keep(a.Package) {
			slim.Affected = append(slim.Affected, a)
		}
	}
	const paragraph = 600
	if len(slim.Details) > paragraph {
		slim.Details = strings.ToValidUTF8(slim.Details[:paragraph], "") + "…"
	}
	if len(slim.References) > 8 {
		slim.References = slim.References[:8]
	}
	return slim
}

// Source is the database that an id belongs to, in Trivy's spelling.
func Source(id string) string {
	prefix, _, _ := strings.Cut(id, "-")
	switch prefix {
	case "GHSA":
		return "ghsa"
	case "PYSEC":
		return "pypa"
	case "CVE":
		return "nvd"
	case "MAL":
		return "malicious-packages"
	case "DSA", "DLA", "DTSA", "DEBIAN":
		return "debian"
	case "USN", "UBUNTU":
		return "ubuntu"
	}
	return "osv"
}

// Ratings are what the record says of how bad it is, with its source: every
// vector that can be scored, the vectors of the affected entries, and the
// database's own word. A malicious package is always critical.
func (r Record) Ratings() []finding.Severity {
	source := Source(r.ID)
	if strings.HasPrefix(r.ID, "MAL-") {
		return []finding.Severity{{Level: finding.Critical, Source: source}}
	}
	var ratings []finding.Severity
	vectors := r.Severity
	for _, a := range r.Affected {
		vectors = append(vectors[:len(vectors):len(vectors)], a.Severity...)
	}
	for _, s := range vectors {
		if score, ok := score(s.Score); ok && score > 0 {
			ratings = append(ratings, finding.Severity{Level: finding.LevelOf(score), Score: score, Vector: s.Score, Source: source})
		} else if level := word(s.Score); level != finding.Unknown {
			ratings = append(ratings, finding.Severity{Level: level, Source: source})
		}
	}
	if level := word(r.Database.Severity); level != finding.Unknown {
		ratings = append(ratings, finding.Severity{Level: level, Source: source})
	}
	return ratings
}

// word is the level that a database's own word means, Unknown for one that
// means none. Red Hat and SUSE say "important", Ubuntu "negligible".
func word(text string) finding.Level {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "important":
		return finding.High
	case "negligible":
		return finding.Low
	}
	level, err := finding.ParseLevel(text)
	if err != nil {
		return finding.Unknown
	}
	return level
}

// score is the base score of a CVSS vector of any version.
func score(vector string) (float64, bool) {
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0"):
		if v, err := gocvss40.ParseVector(vector); err == nil {
			return v.Score(), true
		}
	case strings.HasPrefix(vector, "CVSS:3.1"):
		if v, err := gocvss31.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case strings.HasPrefix(vector, "CVSS:3.0"):
		if v, err := gocvss30.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case strings.HasPrefix(vector, "AV:"):
		if v, err := gocvss20.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	}
	return 0, false
}
