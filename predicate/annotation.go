package predicate

import "time"

// The annotation keys of our own vulns v0.2 predicates.
const (
	annotationPackage    = "package"
	annotationPURL       = "purl"
	annotationInstalled  = "installedVersion"
	annotationFixed      = "fixedVersion"
	annotationSeverity   = "severity"
	annotationScore      = "score"
	annotationAliases    = "aliases"
	annotationDependency = "dependency"
	annotationPath       = "path"
	annotationLine       = "line"
	annotationPackages   = "packages"
	annotationUnresolved = "unresolved"
	annotationSuppressed = "suppressed"
	annotationExploited  = "knownExploited"
	annotationEPSS       = "epss"
	annotationDatabase   = "database"
	annotationExpired    = "expired"
)

// Annotation is v as an entry of VulnsResult.Annotations.
func (v Vulnerability) Annotation() map[string]any {
	annotation := map[string]any{annotationPackage: v.Package, annotationInstalled: v.Installed, annotationSeverity: v.Severity}
	for key, value := range map[string]string{annotationPURL: v.PURL, annotationFixed: v.Fixed, annotationDependency: v.Dependency, annotationPath: v.Path} {
		if value != "" {
			annotation[key] = value
		}
	}
	if len(v.Aliases) > 0 {
		annotation[annotationAliases] = v.Aliases
	}
	if v.Score > 0 {
		annotation[annotationScore] = v.Score
	}
	if v.Line > 0 {
		annotation[annotationLine] = v.Line
	}
	if v.KnownExploited {
		annotation[annotationExploited] = true
	}
	if v.EPSS > 0 {
		annotation[annotationEPSS] = v.EPSS
	}
	return annotation
}

// ScanAnnotation says, in VulnsMetadata.Annotations, how many packages were
// tested and what could not be.
func ScanAnnotation(packages int, unresolved []UnresolvedPackage) map[string]any {
	annotation := map[string]any{annotationPackages: packages}
	if len(unresolved) > 0 {
		annotation[annotationUnresolved] = unresolved
	}
	return annotation
}

// Feed is an edition of what is known of attacks: "KEV" or "EPSS", and its date.
type Feed struct {
	Name    string    `json:"name"`
	Version string    `json:"version,omitempty"`
	Date    time.Time `json:"date"`
}

// currency is what VulnsDatabase has no field for.
type currency struct {
	Current time.Time `json:"current,omitzero"`
	Feeds   []Feed    `json:"feeds,omitempty"`
}

func (c currency) into(info *DatabaseInfo) {
	info.Current = c.Current
	for _, f := range c.Feeds {
		switch f.Name {
		case "KEV":
			info.KEV = f.Date
		case "EPSS":
			info.EPSS = f.Date
		}
	}
}

// DatabaseAnnotation says, in VulnsMetadata.Annotations, when the advisories
// were known to be current, and what was known of attacks.
func DatabaseAnnotation(current time.Time, feeds []Feed) map[string]any {
	return map[string]any{annotationDatabase: currency{Current: current.UTC(), Feeds: feeds}}
}

// ExpiredIgnore is an ignore whose time is over. It is written for readers;
// ReadVulnerabilities does not give it back.
type ExpiredIgnore struct {
	ID     string    `json:"id"`
	Scope  string    `json:"scope,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Owner  string    `json:"owner,omitempty"`
	Ended  time.Time `json:"ended"`
	Source string    `json:"source,omitempty"`
	// Findings is how many findings it would take out if it still held.
	Findings int `json:"findings"`
}

// ExpiredAnnotation lists, in VulnsMetadata.Annotations, ignores that are over.
func ExpiredAnnotation(list []ExpiredIgnore) map[string]any {
	return map[string]any{annotationExpired: list}
}

// SuppressedVulnerability is a finding that somebody took out of what counts.
// It is written for readers; ReadVulnerabilities does not give it back.
type SuppressedVulnerability struct {
	ID        string `json:"id"`
	Package   string `json:"package"`
	PURL      string `json:"purl,omitempty"`
	Installed string `json:"installedVersion"`
	Severity  string `json:"severity"`
	// Status is VEX's ("not_affected", "fixed") or "ignored".
	Status        string `json:"status"`
	Justification string `json:"justification,omitempty"`
	Statement     string `json:"statement,omitempty"`
	// By names who said so; Source is the document, Until when it ends.
	By     string    `json:"by,omitempty"`
	Source string    `json:"source,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

// SuppressionAnnotation lists, in VulnsMetadata.Annotations, the findings that
// do not count.
func SuppressionAnnotation(list []SuppressedVulnerability) map[string]any {
	return map[string]any{annotationSuppressed: list}
}
