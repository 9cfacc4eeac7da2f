//go:build !pkcs11

package cli_test

import "testing"

// TestTokensAbsent: the static build says what a pkcs11: reference needs, and
// shows no PIN.
func TestTokensAbsent(t *testing.T) {
	h := newHouse(t)
	for _, verb := range [][]string{{"sign"}, {"verify", "--offline"}} {
		h.want(3, []string{"go build -tags pkcs11", "!4711"}, append(verb, "--key", "pkcs11:token=t;object=o?pin-value=4711", "registry.example.com/app:1")...)
		h.want(3, []string{"is not known here", "!4711"}, append(verb, "--key", "pkcs11:tokn=t?pin-value=4711", "registry.example.com/app:1")...)
		h.want(3, []string{"begins with", "!4711"}, append(verb, "--key", "PKCS11:token=t?pin-value=4711", "registry.example.com/app:1")...)
	}
}
