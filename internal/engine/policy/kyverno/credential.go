package kyverno

import (
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/engine/policy"
)

// providers of credentials that Kyverno knows.
var providers = []string{"default", "amazon", "azure", "github", "google"}

// credentials reads imageRegistryCredentials: the names of its secrets. Providers
// are the door's own way of logging in; what would weaken it is refused.
func (l loader) credentials(path []string, s *credentialsSpec) ([]string, error) {
	if s == nil {
		return nil, nil
	}
	if s.AllowInsecureRegistry {
		return nil, l.fail(at(path, "allowInsecureRegistry"), "is not supported: who answers for such a registry would choose what a tag means; give the registry a certificate")
	}
	for i, p := range s.Providers {
		if !slices.Contains(providers, p) {
			return nil, l.fail(at(path, "providers", strconv.Itoa(i)), "want one of %s, found %q", strings.Join(providers, ", "), p)
		}
	}
	for i, name := range s.Secrets {
		if name == "" || strings.Contains(name, "{{") {
			return nil, l.fail(at(path, "secrets", strconv.Itoa(i)), "want the name of a secret as static text, found %q", name)
		}
	}
	return s.Secrets, nil
}

// CredentialsFor are the secrets that rules name for an image.
func (p *verifier) CredentialsFor(image policy.Image, request policy.Request) []string {
	var names []string
	for _, b := range p.blocks(image, request) {
		for _, name := range b.secrets {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
