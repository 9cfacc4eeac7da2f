package cli_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestRefusedByRegistry: who is refused is told where credentials, and
// authorities, come from.
func TestRefusedByRegistry(t *testing.T) {
	h := newHouse(t)
	h.key("ci")
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTeapot} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		image := strings.TrimPrefix(server.URL, "http://") + "/team/app:1"
		for _, command := range [][]string{{"verify", "--key", "ci.pub"}, {"sign", "--key", "ci.key"}, {"tree"}} {
			got := h.want(3, []string{http.StatusText(status)}, append(command, image)...)
			if told := strings.Contains(got.err, "DOCKER_CONFIG"); told != (status != http.StatusTeapot) {
				t.Errorf("%v at %d: %s", command, status, got.err)
			}
		}
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	h.want(3, []string{"unknown authority", "SSL_CERT_FILE"}, "verify", "--key", "ci.pub", strings.TrimPrefix(secure.URL, "https://")+"/x:1")
}
