package cli

import (
	"fmt"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/job/verify"
	"github.com/seed-161fc314/assay/predicate"
)

// remedy is what would fix a denial, by the nearest miss.
func (r *verifyReport) remedy(result verify.Result, part verify.Part) string {
	if len(part.Strangers) > 0 {
		who := part.Strangers[0].Certificate()
		if r.named(who) != "" {
			return "have it signed by a run that has what is asked for, or ask for what it has"
		}
		return fmt.Sprintf("if they may sign, name them: --certificate-identity %q --certificate-oidc-issuer %q", who.Subject, who.Issuer)
	}
	if part.Signers > 0 {
		return "have it signed by more of those who are named; signatures by one of them count once"
	}
	if len(part.Rejections) > 0 {
		if text := r.reasoned(part.Rejections[0]); text != "" {
			return text
		}
	}
	if len(part.Others) > 0 {
		return r.mistaken(part.Others[0])
	}
	return r.missing(result)
}

// named says in which way a certificate differs that has the subject and the
// issuer of an identity which is asked for; "" where no such identity is.
func (r *verifyReport) named(who identity.Certificate) string {
	for _, signer := range r.signers {
		for _, pattern := range signer.Identities {
			bare := pattern
			bare.Extensions, bare.ExtensionRegexps = nil, nil
			if bare.Differs(who) == "" {
				return pattern.Differs(who)
			}
		}
	}
	return ""
}

// missing is for where there is nothing.
func (r *verifyReport) missing(result verify.Result) string {
	verb, options := "sign", ""
	if r.what != "signature" {
		verb, options = "attest", " --type … --predicate …"
	}
	if len(r.flags.keys) > 0 {
		verb += " --key …"
	}
	if r.flags.files() {
		return fmt.Sprintf("`assay %s --bundle …%s %s` makes one", verb, options, result.Reference)
	}
	if r.flags.recursive { // the index alone may have one already
		return fmt.Sprintf("`assay %s --recursive%s %s` makes one on every manifest", verb, options, subjectName(result))
	}
	return fmt.Sprintf("`assay %s%s %s` makes one", verb, options, subjectName(result))
}

// mistaken is for what is truly signed and something else.
func (r *verifyReport) mistaken(other verify.Other) string {
	switch uri := other.Claim.Type(); {
	case uri == predicate.TypeCosignSign || uri == trust.TypeMessage:
		if r.what == "signature" {
			return "sign it with those annotations, or ask for what it has"
		}
		return "a signature says nothing of its own: `assay attest` makes an attestation"
	case r.what == "signature":
		return fmt.Sprintf("an attestation is no signature: sign it with `assay sign`, or ask for the attestation with `assay verify-attestation --type %s`", uri)
	default:
		return fmt.Sprintf("ask for the type that it has: --type %s", uri)
	}
}

// reasoned is for what was rejected.
func (r *verifyReport) reasoned(rejection trust.Rejection) string {
	switch rejection.Reason {
	case trust.NeedsContent:
		return "name the file instead of its digest"
	case trust.NoLogEntry:
		if r.flags.requireLog {
			return "sign it again with a transparency log, or leave --require-tlog out"
		}
		return "sign it again with a transparency log that --trusted-root lists; --insecure-ignore-tlog accepts it without one"
	case trust.NoTimestamp:
		return "sign it again with a timestamp authority that --trusted-root lists"
	case trust.BadLogEntry, trust.BadTimestamp:
		return "what vouches for it does not fit: it was changed, or --trusted-root is another instance's; sign it again, or name that root"
	case trust.NoSCT, trust.BadSCT:
		return "have the certificate authority promise its certificates to a log that --trusted-root lists; --insecure-ignore-sct accepts it without"
	case trust.KeyOutOfTime:
		return "sign it again with the key that is in use now; a retired key's signature needs a trusted timestamp from its time"
	case trust.CertificateOutOfTime:
		return "sign it again: the certificate was not valid when it signed"
	case trust.UntrustedCertificate:
		return "name the trusted root of the authority that issued it with --trusted-root"
	case trust.OtherSubject:
		return "this evidence is of something else; sign what is meant"
	case trust.UnknownIdentity:
		return "name whom you trust with --certificate-identity and --certificate-oidc-issuer; sign it again if it should be one of those"
	case trust.UnknownKey, trust.BadSignature:
		return "name whom you trust (--key, or a certificate identity), or have it signed by those"
	}
	return ""
}
