package cli_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestGarbledLayer: what somebody wrote beside a genuine signature, so that it does
// not verify, does not keep its owner from signing again, nor a copy from
// bringing it back. Ed25519 signs the same the same way.
func TestGarbledLayer(t *testing.T) {
	h := newHouse(t)
	h.env = append(h.env, "ASSAY_PASSWORD=secret")
	h.want(0, nil, "key", "generate", "--type", "ed25519", "--output-key-prefix", "ed")
	image, resolved := h.push("app")
	sign := func() { h.want(0, []string{"signed"}, "sign", "--key", "ed.key", "--layout", "legacy", image) }
	sign()
	h.want(0, []string{"VERIFIED"}, "verify", "--key", "ed.pub", image)
	h.want(0, nil, "copy", image, "oci:good")
	tag := "http://" + h.server.Host + "/v2/app/manifests/sha256-" + resolved.Digest.Hex() + ".sig"
	ask := func(method, body string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, tag, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		request.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		content, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode > 299 {
			t.Fatalf("%s: %s, %v, %s", method, response.Status, err, content)
		}
		return string(content)
	}
	good := ask(http.MethodGet, "")
	garble := func() {
		bad := strings.Replace(good, `"dev.cosignproject.cosign/signature":`, `"dev.sigstore.cosign/certificate":"garbage","dev.cosignproject.cosign/signature":`, 1)
		if bad == good {
			t.Fatalf("no signature in %s", good)
		}
		ask(http.MethodPut, bad)
		h.want(1, []string{"NOT VERIFIED"}, "verify", "--key", "ed.pub", image)
	}
	garble()
	sign()
	h.want(0, []string{"VERIFIED"}, "verify", "--key", "ed.pub", image)
	garble()
	h.want(0, nil, "copy", "oci:good", image)
	h.want(0, []string{"VERIFIED"}, "verify", "--key", "ed.pub", image)
}
