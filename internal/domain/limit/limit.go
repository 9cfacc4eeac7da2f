// Package limit names every bound in one place. Parsers, ports and engines
// import it, and a test beside each use feeds input just over the bound.
//
// Going over a bound is an error that names the bound ([Error]); nothing is
// truncated in silence.
package limit

import (
	"fmt"
	"io"
)

// Bounds on bytes.
const (
	// Manifest is the largest OCI manifest or index read, in bytes; the
	// distribution specification asks registries to take at least 4 MiB.
	Manifest = 4 << 20
	// ReferrersPage is one page of a list of referrers: each entry repeats the
	// annotations of a manifest.
	ReferrersPage = 32 << 20
	// Told is how much of what cannot count is read to say what it is, in bytes.
	Told = 64 << 10
	// ImageConfig is the largest image configuration read, in bytes.
	ImageConfig = 4 << 20
	// Evidence is the largest stored bundle, envelope or payload, in bytes:
	// an SBOM of 16 MB in base64 inside a bundle, with room.
	Evidence = 64 << 20
	// EvidenceTotal is what all evidence on one digest may hold together, in
	// bytes.
	EvidenceTotal = 512 << 20
	// Policy is the largest policy, configuration or Kubernetes manifest
	// file, in bytes.
	Policy = 4 << 20
	// Lockfile is the largest requirements file, lockfile or project file, in
	// bytes.
	Lockfile = 16 << 20
	// Marker is the longest environment marker, in bytes; uv writes some of
	// many kilobytes.
	Marker = 256 << 10
	// PackageMetadata is the largest METADATA, RECORD, os-release or label
	// file, in bytes.
	PackageMetadata = 16 << 20
	// ImagePackages is what all package metadata of an image may hold
	// together, in bytes.
	ImagePackages = 512 << 20
	// Notebook is the largest Jupyter notebook, in bytes: outputs hold images.
	Notebook = 64 << 20
	// LicenceText is the longest licence statement read as an expression, in
	// bytes.
	LicenceText = 4 << 10
	// PathName is the longest path of a file in a layer, in bytes: Linux's
	// PATH_MAX.
	PathName = 4096
	// PackageDatabase is the largest database of a distribution's packages, in
	// bytes: dpkg's status, apk's installed, rpm's in any form.
	PackageDatabase = 256 << 20
	// RPMHeader is the largest header of one rpm package, in bytes; that of a
	// package with 100,000 files has about ten megabytes.
	RPMHeader = 32 << 20
	// Advisory is the largest OSV record, in bytes.
	Advisory = 8 << 20
	// AdvisoryArchive is what one import may unpack to, in bytes.
	AdvisoryArchive = 8 << 30
	// AdvisoryBlock is the largest inflated block of the local index: all
	// advisories of one package, in bytes.
	AdvisoryBlock = 64 << 20
	// SBOM is the largest CycloneDX or SPDX document read, in bytes.
	SBOM = 64 << 20
	// AdvisoryHeader is the largest header of an index file, in bytes.
	AdvisoryHeader = 1 << 20
	// AdvisoryIndex is the largest index file that is shipped, in bytes.
	AdvisoryIndex = 1 << 30
	// Export is the largest OSV export that is fetched, in bytes.
	Export = 4 << 30
	// ExportChanges is the largest list of changes fetched, in bytes.
	ExportChanges = 64 << 20
	// Feed is what a KEV catalogue or a list of EPSS scores may unpack to, in
	// bytes.
	Feed = 32 << 20
	// Wheel is what one wheel may unpack to, in bytes.
	Wheel = 8 << 30
	// WheelDirectory is the largest list of files of a wheel or egg that is
	// looked into, in bytes: some 100,000 files.
	WheelDirectory = 8 << 20
	// TestReport is the largest JUnit, coverage or SARIF file, in bytes.
	TestReport = 64 << 20
	// VEX is the largest OpenVEX or CSAF document, in bytes: distributions
	// publish some of tens of megabytes.
	VEX = 64 << 20
	// KeyFile is the largest key file, in bytes.
	KeyFile = 64 << 10
	// KeyURI is the longest reference to a key in a token, in bytes.
	KeyURI = 4 << 10
	// ServiceAnswer is the largest answer of a key service or of a Kubernetes
	// API server about one secret, in bytes; a secret has at most 1 MiB.
	ServiceAnswer = 2 << 20
	// ReferenceList is the largest list of references for one run, in bytes.
	ReferenceList = 4 << 20
	// FileContent is the largest file that is read whole to be signed or
	// verified, in bytes: keys that sign more than a SHA-256 digest need it.
	// Others take a file of any size.
	FileContent = 1 << 30
	// TrustedRoot is the largest trusted root or signing configuration, in
	// bytes; the public one has about 10 KB.
	TrustedRoot = 4 << 20
	// IdentityToken is the largest identity token, in bytes; tokens of CI
	// systems have two or three kilobytes.
	IdentityToken = 64 << 10
	// Answer is the largest answer of an identity provider, a certificate
	// authority, a transparency log or a timestamp authority, in bytes.
	Answer = 1 << 20
	// Certificate is the largest certificate read, in bytes of DER: Fulcio's
	// have two thousand.
	Certificate = 32 << 10
	// LogEntry is the largest body of a transparency log entry, in bytes;
	// LogSignature the largest signature of a log over one (SET), and the
	// largest checkpoint.
	LogEntry     = 256 << 10
	LogSignature = 16 << 10
	// Timestamp is the largest RFC 3161 timestamp, in bytes: one that carries
	// its certificates has six thousand.
	Timestamp = 64 << 10
	// Annotation is the longest annotation beside a layer that is read as
	// evidence, in bytes: a log entry in base64, or a chain in PEM.
	Annotation = 512 << 10
	// Expression is the longest regular expression for an identity, and the
	// longest value that one is held against, in bytes.
	Expression = 4 << 10
	// PolicyExpression is the longest expression between the braces of a
	// Kyverno policy, in bytes.
	PolicyExpression = 16 << 10
	// WildcardText is the longest text that a pattern with wildcards is held
	// against, in bytes.
	WildcardText = 1 << 20
	// Quantity is the longest Kubernetes quantity, in bytes; Version the longest
	// semantic version or range of them.
	Quantity = 64
	Version  = 1 << 10
)

// Bounds on counts.
const (
	// Referrers is how many descriptors one listing of evidence may hold,
	// over all its pages: 1,000 of a stranger's, and room for the real ones. Each
	// that says that it is a bundle costs two requests.
	Referrers = 1280
	// ReferrerPages is how many pages a listing of referrers may have.
	ReferrerPages = 64
	// AttachmentLayers is how many layers a .sig or .att manifest may have, and
	// all referrers with layers of that kind together.
	AttachmentLayers = 1280
	// CopiedManifests is how many manifests one copy or one tree may have to do
	// with: the image's own, and all evidence on them. LayoutEntries is how many
	// an image layout's index.json may list.
	CopiedManifests = 8192
	LayoutEntries   = 8192
	// EvidenceDepth is how deep evidence on evidence, and indexes in indexes,
	// are followed.
	EvidenceDepth = 8
	// ClaimText is how many bytes of what a piece of evidence says of itself
	// are shown where nothing is verified.
	ClaimText = 1024
	// Subjects is how many subjects one statement may have.
	Subjects = 1024
	// Signatures is how many signatures one DSSE envelope may carry.
	Signatures = 8
	// LogEntries is how many log entries one signature may have, Timestamps how
	// many timestamps; both as sigstore-go bounds them.
	LogEntries = 32
	Timestamps = 32
	// Certificates is how many certificates one signature may bring along.
	Certificates = 16
	// ProofHashes is how many hashes an inclusion proof may have: the height
	// of a tree that no log will fill.
	ProofHashes = 64
	// Authorities is how many authorities of one kind a trusted root, or services
	// of one kind a signing configuration, may list,
	// Chain how many certificates one of them may have.
	Authorities = 64
	Chain       = 16
	// Identities is how many certificate identities one signer may have.
	Identities = 64
	// KeyVersions is how many versions of one key a key service may list.
	KeyVersions = 1000
	// ServiceWords is how many characters of a key service's own words an error
	// message shows.
	ServiceWords = 300
	// References is how many references one run may name, Parallel how many of
	// them it may work on at once.
	References = 10_000
	Parallel   = 64
	// Platforms is how many manifests an image index may list.
	Platforms = 128
	// VEXStatements is how many statements a VEX document may have, and how
	// many products or parts one list in it.
	VEXStatements = 100_000
	// IgnoreEntries is how many entries an ignore file may have.
	IgnoreEntries = 10_000
	// Layers is how many layers an image may have.
	Layers = 1024
	// RequirementIncludes is how many files a requirements file may pull in
	// through -r and -c, itself included.
	RequirementIncludes = 256
	// Requirements is how many lines of a requirements file, and of those that it
	// includes, may ask for something.
	Requirements = 100_000
	// RecordText is how many bytes of a line or a reason a record of what is
	// untested shows: reports and step summaries are read by people.
	RecordText = 4096
	// LockedPackages is how many entries for packages one lockfile may hold;
	// the largest monorepos have a few thousand.
	LockedPackages = 20_000
	// LockedEdges is how many dependencies between its packages one lockfile
	// may hold.
	LockedEdges = 1_000_000
	// LockedGroups is how many extras and dependency groups one lockfile or
	// project file may name.
	LockedGroups = 1024
	// TOMLDepth is how deeply a TOML document may nest, TOMLValues how many
	// values it may hold.
	TOMLDepth  = 128
	TOMLValues = 1_000_000
	// ConstraintChecks is how often the requirements of one file and those
	// that it includes may be held against a constraint (-c).
	ConstraintChecks = 1_000_000
	// NotebookLines is how many requirements the cells of a notebook may
	// install.
	NotebookLines = 10_000
	// WheelMetadata is how many files of metadata a wheel or egg may hold: its
	// own and those of what it carries along.
	WheelMetadata = 256
	// ImageFiles is how many entries the layers of an image may hold.
	ImageFiles = 20_000_000
	// ArchiveEntries is how many entries a Docker archive may have: a few for
	// each layer.
	ArchiveEntries = 65_536
	// InstalledPackages is how many packages one database of a distribution may
	// list; all of Debian has under 100,000 of an architecture.
	InstalledPackages = 200_000
	// RPMTags is how many tags one rpm header may have, as rpm itself bounds it.
	RPMTags = 65_535
	// ArchiveFiles is how many files an OSV archive or a wheel may hold.
	ArchiveFiles = 4_000_000
	// SBOMComponents is how many components an SBOM may list, nested ones and
	// files included.
	SBOMComponents = 500_000
	// SBOMEdges is how many dependencies or relationships an SBOM may list.
	SBOMEdges = 2_000_000
	// SBOMDepth is how deeply components may nest in components.
	SBOMDepth = 16
	// PURL is the longest package URL, in bytes.
	PURL = 4096
	// AdvisoryVersions is how many versions the advisories of one package may
	// list together.
	AdvisoryVersions = 4_000_000
	// AdvisoryRecords is how many advisories one package may have.
	AdvisoryRecords = 200_000
	// FeedEntries is how many entries a KEV catalogue or a list of EPSS scores
	// may have.
	FeedEntries = 1_000_000
	// ArtifactFiles is how many files an artifact may hold.
	ArtifactFiles = 256
	// Increment is how many changed records are fetched one by one; where more
	// changed, the whole export is fetched.
	Increment = 2000
	// ExtractedImages is how many images the extractors of a policy may find in
	// one object.
	ExtractedImages = 1000
	// Manifests is how many documents one Kubernetes manifest file may hold.
	Manifests = 10_000
	// JSONDepth is how deeply a statement or predicate may nest.
	JSONDepth = 256
	// YAMLAliases is how many nodes a YAML document may have once its
	// aliases are followed.
	YAMLNodes = 1_000_000
	// TemplateDepth is how deeply the braces of a Kyverno policy may nest.
	TemplateDepth = 8
	// Comparisons is how many elements times patterns one condition may compare.
	Comparisons = 10_000_000
	// PolicyCost is the cost bound of one CEL expression, in cel-go's units.
	PolicyCost = 2_000_000
	// Notes is how many notes on VEX and ignores one report has before it says
	// how many more there are.
	Notes = 100
	// DenialItems is how many found things (CVEs) one check lists by name
	// before it says how many more there are.
	DenialItems = 50
	// AdmissionMessage is how many bytes a denial in an admission answer has:
	// it is copied into events and conditions, which have room for some
	// kilobytes.
	AdmissionMessage = 4 << 10
)

// Error says that input went over a bound.
type Error struct {
	// What names the input, Bound the limit that it went over, in Unit.
	What  string
	Bound int64
	Unit  string
}

// Error is one sentence with the bound in it.
func (e *Error) Error() string {
	return fmt.Sprintf("%s is larger than the bound of %d %s", e.What, e.Bound, e.Unit)
}

// ReadAll reads r to its end, or returns an *Error once more than bound bytes
// came.
func ReadAll(r io.Reader, what string, bound int64) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, bound+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	if int64(len(content)) > bound {
		return nil, &Error{What: what, Bound: bound, Unit: "bytes"}
	}
	return content, nil
}

// Reader passes on at most bound bytes of r; reading beyond them gives an
// *Error instead of a silent end.
func Reader(r io.Reader, what string, bound int64) io.Reader {
	return &reader{r: r, what: what, bound: bound, left: bound}
}

type reader struct {
	r           io.Reader
	what        string
	bound, left int64
}

func (l *reader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		var one [1]byte
		n, err := l.r.Read(one[:])
		if n > 0 {
			return 0, &Error{What: l.what, Bound: l.bound, Unit: "bytes"}
		}
		return 0, err
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	return n, err
}
