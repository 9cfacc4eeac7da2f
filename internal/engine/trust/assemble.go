package trust

import (
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// Assemble makes a root of the authorities of others: of each kind those of the
// root that is given for it. A kind without a root has no authority, and what
// only such an authority could vouch for is then refused.
func Assemble(name string, from map[Kind]*Root) (*Root, error) {
	var cas []root.CertificateAuthority
	var tsas []root.TimestampingAuthority
	ctlogs, tlogs := map[string]*root.TransparencyLog{}, map[string]*root.TransparencyLog{}
	for kind, r := range from {
		if r == nil || r.root == nil {
			continue
		}
		switch kind {
		case CertificateAuthority:
			cas = r.root.FulcioCertificateAuthorities()
		case CertificateLog:
			ctlogs = r.root.CTLogs()
		case TransparencyLog:
			tlogs = r.root.RekorLogs()
		case TimestampAuthority:
			tsas = r.root.TimestampingAuthorities()
		default:
			return nil, fmt.Errorf("%s: authorities of kind %q are not known", name, kind)
		}
	}
	assembled, err := root.NewTrustedRoot(root.TrustedRootMediaType01, cas, ctlogs, tsas, tlogs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	r := &Root{name: name, root: assembled}
	return r, r.check()
}
