package verify

import (
	"slices"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// nearest are reasons by how near they come to a claim, the nearest first.
// Those that are not in it are the farthest.
var nearest = [...]trust.Reason{
	trust.NeedsContent, trust.NoLogEntry, trust.NoTimestamp, trust.NoSCT, trust.KeyOutOfTime, trust.CertificateOutOfTime,
	trust.OtherSubject, trust.BadStatement, trust.BadSCT, trust.UntrustedCertificate,
	trust.OtherLogEntry, trust.BadLogEntry, trust.BadTimestamp, trust.UnknownIdentity, trust.BadSignature, trust.UnknownKey,
}

func distance(reason trust.Reason) int {
	if at := slices.Index(nearest[:], reason); at >= 0 {
		return at
	}
	return len(nearest)
}

// anyone matches every certificate that names a subject and an issuer.
func anyone() []identity.Pattern {
	return []identity.Pattern{{SubjectRegexp: `(?s).+`, IssuerRegexp: `(?s).+`}}
}
