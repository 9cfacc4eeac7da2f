package predicate

import "time"

// VerificationSummary is SLSA's verification summary v1
// (https://slsa.dev/spec/v1.1/verification_summary): that somebody verified an
// artifact, against which policy, and with what result.
type VerificationSummary struct {
	Verifier     Verifier  `json:"verifier"`
	TimeVerified time.Time `json:"timeVerified"`
	// ResourceURI is where the artifact is, as its user names it.
	ResourceURI string             `json:"resourceUri"`
	Policy      ResourceDescriptor `json:"policy"`
	// InputAttestations are the evidence that was looked at.
	InputAttestations []ResourceDescriptor `json:"inputAttestations,omitempty"`
	// VerificationResult is VerificationPassed or VerificationFailed.
	VerificationResult string `json:"verificationResult"`
	// VerifiedLevels are SLSA's, or names that do not begin with SLSA_.
	VerifiedLevels []string `json:"verifiedLevels"`
	SLSAVersion    string   `json:"slsaVersion,omitempty"`
}

// Verifier is who verified.
type Verifier struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

// What VerificationResult may be.
const (
	VerificationPassed = "PASSED"
	VerificationFailed = "FAILED"
)
