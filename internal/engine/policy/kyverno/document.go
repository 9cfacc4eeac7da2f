package kyverno

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/distribution/reference"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

func parseJSON(s []string) (any, error) {
	var value any
	err := json.Unmarshal([]byte(s[0]), &value)
	return value, err
}

func parseYAML(s []string) (any, error) {
	documents, err := strictyaml.Documents("the text", []byte(s[0]))
	if err != nil {
		return nil, err
	}
	if len(documents) != 1 {
		return nil, fmt.Errorf("want one YAML document, found %d", len(documents))
	}
	encoded, err := documents[0].JSON()
	if err != nil {
		return nil, err
	}
	var value any
	err = json.NewDecoder(bytes.NewReader(encoded)).Decode(&value)
	return value, err
}

// decodeX509 gives the fields of a certificate, or of a request for one, by
// the names that Go's crypto/x509 has for them, as JSON; PublicKey is N in
// decimal and E. Nothing is verified. As in Kyverno, the key must be RSA.
func decodeX509(s []string) (any, error) {
	block, _ := pem.Decode([]byte(s[0]))
	if block == nil {
		return nil, errors.New("want a certificate in PEM")
	}
	if len(block.Bytes) > limit.Certificate {
		return nil, &limit.Error{What: "the certificate", Bound: limit.Certificate, Unit: "bytes"}
	}
	var fields any
	var err error
	switch block.Type {
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			certificate.PublicKey, err = publicNumbers(certificate.PublicKey)
			fields = certificate
		}
	case "CERTIFICATE REQUEST":
		var request *x509.CertificateRequest
		if request, err = x509.ParseCertificateRequest(block.Bytes); err == nil {
			request.PublicKey, err = publicNumbers(request.PublicKey)
			fields = request
		}
	default:
		err = fmt.Errorf("a PEM block %q, want CERTIFICATE or CERTIFICATE REQUEST", block.Type)
	}
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	result := map[string]any{}
	err = json.Unmarshal(encoded, &result)
	return result, err
}

func publicNumbers(key any) (any, error) {
	public, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of the type %T, and only RSA keys are read", key)
	}
	return struct {
		N string
		E int
	}{public.N.String(), public.E}, nil
}

// normalizeImage spells a reference in full, as Kyverno does where its
// configuration is not changed: docker.io is the registry that is not named,
// "library/" is not added, "latest" the tag, and a digest replaces a tag.
func normalizeImage(s []string) (string, error) {
	name := s[0]
	host, _, found := strings.Cut(name, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" && strings.ToLower(host) == host {
		name = "docker.io/" + name
	}
	parsed, err := reference.Parse(name)
	if err != nil {
		return "", fmt.Errorf("%s is no image: %w", brief(s[0]), err)
	}
	named, ok := parsed.(reference.Named)
	if !ok {
		return "", fmt.Errorf("%s names no image", brief(s[0]))
	}
	if digested, ok := parsed.(reference.Digested); ok {
		return named.Name() + "@" + digested.Digest().String(), nil
	}
	if tagged, ok := parsed.(reference.Tagged); ok {
		return named.Name() + ":" + tagged.Tag(), nil
	}
	return named.Name() + ":latest", nil
}

// externalURL says whether the host of a URL, which must be an address, is
// neither private nor loopback. A name is an error: to know where it leads,
// the network would have to be asked.
func externalURL(s []string) (bool, error) {
	parsed, err := url.Parse(s[0])
	if err != nil {
		return false, err
	}
	address, err := netip.ParseAddr(parsed.Hostname())
	if err != nil || address.Zone() != "" {
		return false, fmt.Errorf("the host of %s is no address, and no name is looked up to judge; name the hosts in the policy", brief(s[0]))
	}
	address = address.Unmap()
	return !address.IsLoopback() && !address.IsPrivate(), nil
}
