package holdings

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

const (
	bundlePrefix      = "application/vnd.dev.sigstore.bundle"
	simpleSigningType = "application/vnd.dev.cosign.simplesigning.v1+json"
	envelopeType      = "application/vnd.dsse.envelope.v1+json"
)

// bundleClaims reads what a Sigstore bundle says of itself. It is read less
// strictly than trust does: what is shown is a claim in any case.
func bundleClaims(content []byte, claims Claims) (Claims, string) {
	var b struct {
		Material struct {
			PublicKey struct {
				Hint string `json:"hint"`
			} `json:"publicKey"`
			Certificate certificate `json:"certificate"`
			Chain       struct {
				Certificates []certificate `json:"certificates"`
			} `json:"x509CertificateChain"`
		} `json:"verificationMaterial"`
		Envelope json.RawMessage `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(content, &b); err != nil {
		return claims, "the bundle in it cannot be read: " + err.Error()
	}
	claims.KeyHint = b.Material.PublicKey.Hint
	if signed := predicateTypeOf(b.Envelope); signed != "" {
		claims.PredicateType = signed
	}
	leaf := b.Material.Certificate
	if chain := b.Material.Chain.Certificates; len(leaf.Raw) == 0 && len(chain) > 0 {
		leaf = chain[0]
	}
	return identityOf(leaf.Raw, claims), ""
}

type certificate struct {
	Raw []byte `json:"rawBytes"`
}

// certificateClaims reads a certificate in PEM; "" has none.
func certificateClaims(text string, claims Claims) Claims {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return claims
	}
	return identityOf(block.Bytes, claims)
}

// predicateTypeOf reads the predicate type of the statement in an envelope, ""
// where there is none to be read.
func predicateTypeOf(envelope []byte) string {
	var e struct {
		Payload []byte `json:"payload"`
	}
	var statement struct {
		PredicateType string `json:"predicateType"`
	}
	if json.Unmarshal(envelope, &e) != nil || json.Unmarshal(e.Payload, &statement) != nil {
		return ""
	}
	return statement.PredicateType
}

// identityOf reads the names in a Fulcio certificate (sigstore/fulcio,
// docs/oid-info.md): the subject alternative name and the issuer of the token.
func identityOf(der []byte, claims Claims) Claims {
	c, err := x509.ParseCertificate(der)
	if err != nil { // also where there is none
		return claims
	}
	switch {
	case len(c.URIs) > 0:
		claims.Subject = c.URIs[0].String()
	case len(c.EmailAddresses) > 0:
		claims.Subject = c.EmailAddresses[0]
	case len(c.DNSNames) > 0:
		claims.Subject = c.DNSNames[0]
	default:
		claims.Subject = c.Subject.String()
	}
	issuer, older := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
	for _, extension := range c.Extensions {
		switch {
		case extension.Id.Equal(issuer):
			var text string
			if rest, err := asn1.Unmarshal(extension.Value, &text); err == nil && len(rest) == 0 {
				claims.Issuer = text
			}
		case extension.Id.Equal(older) && claims.Issuer == "":
			claims.Issuer = string(extension.Value)
		}
	}
	return claims
}

// clipped bounds what is shown of a claim.
func (c Claims) clipped() Claims {
	for _, text := range []*string{&c.PredicateType, &c.KeyHint, &c.Subject, &c.Issuer} {
		if len(*text) > limit.ClaimText {
			*text = strings.ToValidUTF8((*text)[:limit.ClaimText], "") + fmt.Sprintf("… (%d bytes)", len(*text))
		}
	}
	return c
}
