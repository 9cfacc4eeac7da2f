// Package finding holds what is wrong with a component, and the report of one
// scan.
//
// Entry points are [Finding], [Severity] and [Report]; [Urgency] orders findings
// by what to do first, and [Threshold] says which are too much. A severity
// always says who gave it; UNKNOWN is a class of its own and never reads as
// "low".
package finding

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

// Level is the qualitative rating of CVSS v3.1 section 5, with Unknown for a
// record that nobody rated. Levels are ordered; Unknown is the zero value.
type Level uint8

// The levels, from unrated to worst.
const (
	Unknown Level = iota
	Low
	Medium
	High
	Critical
)

var levelNames = [...]string{"UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"}

// String is the upper-case word that Trivy's users know.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

// MarshalText writes String.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what ParseLevel reads.
func (l *Level) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLevel(string(text))
	return err
}

// ParseLevel reads a level in any case; GitHub's MODERATE is Medium.
func ParseLevel(word string) (Level, error) {
	upper := strings.ToUpper(strings.TrimSpace(word))
	if upper == "MODERATE" {
		return Medium, nil
	}
	for level, name := range levelNames {
		if name == upper {
			return Level(level), nil
		}
	}
	return Unknown, fmt.Errorf("severity %q: want one of unknown, low, medium, high, critical", word)
}

// LevelOf turns a CVSS base score (0.0 to 10.0) into its rating, by CVSS v3.1
// section 5. A score of 0 or below is Unknown: nobody publishes an advisory
// to say "none".
func LevelOf(score float64) Level {
	switch {
	case score >= 9:
		return Critical
	case score >= 7:
		return High
	case score >= 4:
		return Medium
	case score > 0:
		return Low
	}
	return Unknown
}

// Severity is one rating and who gave it.
type Severity struct {
	Level Level `json:"level"`
	// Score is the CVSS base score, 0 where the source gave only a word.
	Score float64 `json:"score,omitempty"`
	// Vector is the CVSS vector, empty where the source gave only a word.
	Vector string `json:"vector,omitempty"`
	// Source is the advisory's database in Trivy's spelling: "ghsa",
	// "pypa", "osv", "nvd". Empty only when Level is Unknown.
	Source string `json:"source,omitempty"`
}

// Finding is one vulnerability of one component, after aliases were merged.
type Finding struct {
	// ID is the CVE where one is known, else the advisory's own id.
	ID string `json:"id"`
	// Aliases are the other ids of the same vulnerability, sorted.
	Aliases []string `json:"aliases,omitempty"`
	// Title is one line about it, Details the longer text; either may be empty.
	Title   string `json:"title,omitempty"`
	Details string `json:"details,omitempty"`
	// Severity is the rating that counts; Ratings are all that are known.
	Severity Severity   `json:"severity"`
	Ratings  []Severity `json:"ratings,omitempty"`
	// Component is what is affected, as it was found.
	Component component.Component `json:"component"`
	// Threat is what is known of attacks that use it.
	Threat Threat `json:"threat,omitzero"`
	// Fixed is the smallest version that heals this finding, "" where none
	// is known.
	Fixed string `json:"fixed,omitempty"`
	// Weaknesses are CWE ids, References URLs.
	Weaknesses []string `json:"weaknesses,omitempty"`
	References []string `json:"references,omitempty"`
	// Published and Modified are the advisory's own dates, UTC.
	Published time.Time `json:"published,omitzero"`
	Modified  time.Time `json:"modified,omitzero"`
}

// Headline is one line about the finding for people: its title, or else the
// first line of the details; "" where there is neither.
func (f Finding) Headline() string {
	line, _, _ := strings.Cut(strings.TrimSpace(cmp.Or(f.Title, f.Details)), "\n")
	return strings.TrimSpace(line)
}

// Malicious says whether it is about a malicious package (MAL-), by its id or an
// alias.
func (f Finding) Malicious() bool {
	return strings.HasPrefix(f.ID, "MAL-") || slices.ContainsFunc(f.Aliases, func(id string) bool { return strings.HasPrefix(id, "MAL-") })
}

// Unfixed says whether there is nothing to do but to wait for a version that
// heals it. A malicious package is removed.
func (f Finding) Unfixed() bool { return f.Fixed == "" && !f.Malicious() }

// Threat is what is known of attacks on a vulnerability. The zero value says
// that nothing is known, and not that there are none.
type Threat struct {
	// Exploited is its entry in CISA's catalogue of known exploited
	// vulnerabilities, nil where it has none.
	Exploited *Exploited `json:"exploited,omitempty"`
	// EPSS is FIRST's estimate, nil where there is none.
	EPSS *EPSS `json:"epss,omitempty"`
}

// Exploited is an entry of CISA's catalogue
// (https://www.cisa.gov/known-exploited-vulnerabilities-catalog).
type Exploited struct {
	// Added and Due are days, UTC; Due is when US agencies must have acted.
	Added time.Time `json:"added,omitzero"`
	Due   time.Time `json:"due,omitzero"`
	// Ransomware says that campaigns are known to have used it.
	Ransomware bool `json:"ransomware,omitempty"`
}

// EPSS is the exploit prediction score of one day
// (https://www.first.org/epss/).
type EPSS struct {
	// Probability that it is exploited within 30 days, and its Percentile
	// among all scored vulnerabilities, both 0 to 1.
	Probability float64 `json:"probability"`
	Percentile  float64 `json:"percentile"`
	// Date is the day that was scored, UTC.
	Date time.Time `json:"date"`
}

// Suppressed is a finding that a statement about this product (VEX) or an
// ignore file takes out of what counts. It is reported all the same.
type Suppressed struct {
	Finding Finding `json:"finding"`
	// Status is "not_affected", "fixed" or "ignored"; Justification is VEX's
	// word for why, Statement the author's sentence; either may be empty.
	Status        string `json:"status"`
	Justification string `json:"justification,omitempty"`
	Statement     string `json:"statement,omitempty"`
	// By names who said so, where the document does; Source is the document.
	By     string             `json:"by,omitempty"`
	Source component.Location `json:"source"`
	// Until is when it ends, UTC; zero for never.
	Until time.Time `json:"until,omitzero"`
}

// Expired is an ignore whose time is over. It takes nothing out of what counts
// any more, and it counts itself: somebody must look at it again.
type Expired struct {
	// ID is the vulnerability's; Scope what else the ignore asks for, in words
	// ("of torch in dev/*.txt"), empty where it asks for nothing else.
	ID    string `json:"id"`
	Scope string `json:"scope,omitempty"`
	// Reason and Owner are the ignore's own; either may be empty.
	Reason string `json:"reason,omitempty"`
	Owner  string `json:"owner,omitempty"`
	// Ended is when its time was over, UTC; Source where it stands.
	Ended  time.Time          `json:"ended"`
	Source component.Location `json:"source"`
	// Findings is how many findings it would take out if it still held.
	Findings int `json:"findings"`
}

// Database says which advisories a scan was matched against.
type Database struct {
	// Sample marks the small set that is built into the binary. Evidence
	// made from it is denied unless a policy says allowSample.
	Sample bool `json:"sample"`
	// URI names the database: "https://osv.dev" for OSV records, or
	// SampleURI.
	URI string `json:"uri"`
	// Ecosystems are those of it that were asked, sorted; in what is said of a
	// whole database, all.
	Ecosystems []string `json:"ecosystems"`
	// Records counts the advisories of these ecosystems. The dates below are
	// theirs, too.
	Records int `json:"records"`
	// Version is a digest over the index files: the same advisories give
	// the same version.
	Version string `json:"version"`
	// LastUpdate is the newest "modified" of any record, UTC; Built is when
	// the index was made.
	LastUpdate time.Time `json:"lastUpdate"`
	Built      time.Time `json:"built"`
	// Current is when the source of the oldest ecosystem is known to have
	// been current, UTC: what a bound on age is about.
	Current time.Time `json:"current"`
	// Feeds are the editions of what is known of attacks, none where there is
	// none.
	Feeds []Feed `json:"feeds,omitempty"`
}

// Feed is one edition of what is known of attacks.
type Feed struct {
	// Name is "KEV" or "EPSS", Version the edition's or the model's.
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// Date is the edition's own, UTC.
	Date time.Time `json:"date"`
}

// SampleURI is the name, in every output and in evidence, of the advisories
// that are built into the binary.
const SampleURI = "https://assay.sh/advisories/builtin-sample"

// Report is the result of one scan. Sort it before it is written.
type Report struct {
	// Target is what the user named; Kind is how it was read.
	Target string     `json:"target"`
	Kind   TargetKind `json:"kind"`
	// Digest is the image's manifest digest; zero for files.
	Digest subject.Digest `json:"digest,omitzero"`
	// Index is the digest of the multi-platform index that the target named, and
	// from which the image was chosen; zero where it named the image itself.
	Index subject.Digest `json:"index,omitzero"`
	// Image is set for images only.
	Image *Image `json:"image,omitempty"`
	// SBOMs are the documents that the inventory was read from; none where the
	// target itself was read.
	SBOMs []SBOM `json:"sboms,omitempty"`
	// Inventory is what was found, Findings what is wrong with it: sorted
	// worst first, then by package and id.
	Inventory component.Inventory `json:"inventory"`
	Findings  []Finding           `json:"findings"`
	// Untested are the ecosystems in the inventory whose advisories could not be
	// asked, sorted; records in Inventory.Unresolved say how many packages that
	// are, and why.
	Untested []string `json:"untested,omitempty"`
	// Suppressed are the findings that do not count, in the same order.
	Suppressed []Suppressed `json:"suppressed,omitempty"`
	// Upgrades are the versions that heal the components of Findings, in the
	// order of Findings, one for each component; what no version heals has none.
	Upgrades []Upgrade `json:"upgrades,omitempty"`
	// Expired are ignores whose time is over, in the order of their files. Each
	// counts, whatever severity was asked for.
	Expired []Expired `json:"expired,omitempty"`
	// RequirePinned says that everything in Inventory.Unresolved counts, as a
	// finding does, whatever severity was asked for.
	RequirePinned bool `json:"requirePinned,omitempty"`
	// Notes say in words what VEX documents and ignores had no effect, and
	// why. They do not count.
	Notes    []string `json:"notes,omitempty"`
	Database Database `json:"database"`
	// Started and Finished are the scan's own clock, UTC.
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
}

// Upgrade is the upgrade of a finding's component, nil where there is none.
func (r *Report) Upgrade(c component.Component) *Upgrade {
	for i, u := range r.Upgrades {
		if u.Component.PURL == c.PURL && u.Component.Name == c.Name && u.Component.Version == c.Version && u.Component.Dependency == c.Dependency {
			return &r.Upgrades[i]
		}
	}
	return nil
}

// Unpinned are the unresolved things that count: all of them with
// RequirePinned, and none without.
func (r Report) Unpinned() []component.Unresolved {
	if !r.RequirePinned {
		return nil
	}
	return r.Inventory.Unresolved
}

// TargetKind is how a target was read.
type TargetKind string

// The kinds of target, in Trivy's words (ArtifactType).
const (
	Filesystem TargetKind = "filesystem"
	Container  TargetKind = "container_image"
	// CycloneDX and SPDX are documents that list what is in something else.
	CycloneDX TargetKind = "cyclonedx"
	SPDX      TargetKind = "spdx"
)

// SBOM is a document that packages were read from, in place of the target
// itself.
type SBOM struct {
	// Format is "CycloneDX 1.6", "SPDX 2.3" and the like, Tool what made it
	// ("syft 1.51.0"), Created when it says so; each may be empty.
	Format  string    `json:"format"`
	Tool    string    `json:"tool,omitempty"`
	Created time.Time `json:"created,omitzero"`
	// Digest is that of the document, or of the evidence that holds it.
	Digest subject.Digest `json:"digest"`
	// Source says where it was found: a file, "referrer sha256:…".
	Source string `json:"source"`
	// Signer and KeyID say whose signature on it was verified. They are empty
	// for a file, which is nobody's word.
	Signer string `json:"signer,omitempty"`
	KeyID  string `json:"keyID,omitempty"`
}

// String is one sentence for people.
func (s SBOM) String() string {
	text := s.Format
	if s.Tool != "" {
		text += " by " + s.Tool
	}
	if !s.Created.IsZero() {
		text += ", dated " + s.Created.UTC().Format(time.RFC3339)
	}
	text += ", " + s.Source
	if s.Source != s.Digest.String() {
		text += " (" + s.Digest.Short() + ")"
	}
	if s.Signer == "" {
		return text + ", signed by nobody"
	}
	return text + ", signed by " + s.Signer + " (" + s.KeyID + ")"
}

// Image is what a scan knows of an image besides its packages.
type Image struct {
	// ConfigDigest is the digest of the image's configuration.
	ConfigDigest subject.Digest `json:"configDigest"`
	// DiffIDs are the uncompressed layer digests, base layer first.
	DiffIDs []subject.Digest `json:"diffIDs"`
	// BaseLayers is how many of the first layers come from the base image, 0
	// where that is not known; Base says in words how it is known.
	BaseLayers int    `json:"baseLayers,omitempty"`
	Base       string `json:"base,omitempty"`
	// Platform is "linux/amd64" and the like.
	Platform string `json:"platform"`
	// Created is what the image's configuration says; zero where it does not.
	Created time.Time `json:"created,omitzero"`
	// Labels are the configuration's labels.
	Labels map[string]string `json:"labels,omitempty"`
	// Layers are what the manifest says of the layers, base layer first; nil
	// where it was not looked at. Config is the configuration, as it is stored.
	Layers []Layer         `json:"layers,omitempty"`
	Config json.RawMessage `json:"config,omitempty"`
}
