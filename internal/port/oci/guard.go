package oci

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"

	"golang.org/x/net/publicsuffix"
)

// guard watches what a registry makes its reader do: where it sends it, and
// whom it has it show credentials.
type guard struct {
	registry string // host and port, as in a reference
	scheme   string
	inner    http.RoundTripper
}

// RoundTrip passes a request on, unless it leads from the registry to an
// address inside, from https to http, or takes credentials to a foreign realm.
func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	host := request.URL.Host
	if g.scheme == "https" && request.URL.Scheme != "https" {
		return nil, fmt.Errorf("%s leads to %s without encryption, which is not followed", g.registry, host)
	}
	if !strings.EqualFold(host, g.registry) {
		switch {
		case inside(host) && !inside(g.registry):
			return nil, fmt.Errorf("%s leads to the address %s inside, which is not followed", g.registry, host)
		case secret(request) && !kin(g.registry, request.URL.Hostname()):
			return nil, fmt.Errorf("%s wants credentials to be sent to %s, which is not its own: nothing was sent", g.registry, host)
		}
	}
	return g.inner.RoundTrip(request)
}

// secret says whether a request carries what a user logs in with. A bearer
// token is what the registry itself gave out.
func secret(request *http.Request) bool {
	return strings.HasPrefix(request.Header.Get("Authorization"), "Basic ") ||
		request.Method == http.MethodPost && strings.HasPrefix(request.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// kin says whether a token service belongs to a registry: it has the same
// name, or both are under one registered domain (Docker Hub's is).
func kin(registry, service string) bool {
	if host, _, err := net.SplitHostPort(registry); err == nil {
		registry = host
	}
	if strings.EqualFold(registry, service) {
		return true
	}
	own, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(registry))
	if err != nil {
		return false // an address, or a name without a domain
	}
	its, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(service))
	return err == nil && own == its
}

// inside says whether a host is spelled as an address of this machine or of a
// private network.
func inside(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	address = address.Unmap()
	return address.IsLoopback() || address.IsPrivate() || address.IsLinkLocalUnicast() || address.IsUnspecified()
}

var errLinkLocal = errors.New("a link-local address is no registry: clouds serve credentials there")

// refuseLinkLocal is a net.Dialer's Control: it sees the address after the
// name was resolved.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	parsed, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := parsed.Addr().Unmap(); ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() {
		return fmt.Errorf("%s: %w", address, errLinkLocal)
	}
	return nil
}
