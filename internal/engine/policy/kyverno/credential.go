package kyverno

import (
	"slices"
	"strconv"
	"strings"
)

// providers of credentials that Kyverno knows.
var providers = []string{"default", "amazon", "azure", "github", "google"}

// credentials checks imageRegistryCredentials. Providers are the door's own way
// of logging in; what would weaken it, or needs a cluster, is refused.
func (l loader) credentials(path []string, s *credentialsSpec) error {
	if s == nil {
		return nil
	}
	if s.AllowInsecureRegistry {
		return l.fail(at(path, "allowInsecureRegistry"), "is not supported: who answers for such a registry would choose what a tag means; give the registry a certificate")
	}
	for i, p := range s.Providers {
		if !slices.Contains(providers, p) {
			return l.fail(at(path, "providers", strconv.Itoa(i)), "want one of %s, found %q", strings.Join(providers, ", "), p)
		}
	}
	if len(s.Secrets) > 0 {
		return l.fail(at(path, "secrets"), "are not read here: the door logs in with its own credentials (Docker's configuration and its helpers); leave them out")
	}
	return nil
}
