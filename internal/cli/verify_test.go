package cli_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
)

// TestSignatureIsNoAttestation: what cosign 3.1.3 lets through. An attestation
// is no image signature in any layout, nor the other way round.
func TestSignatureIsNoAttestation(t *testing.T) {
	for _, layout := range []string{"both", "bundle", "legacy"} {
		t.Run(layout, func(t *testing.T) {
			h := newHouse(t)
			h.key("ci")
			h.write("p.json", []byte(`{"author":"somebody"}`))
			attested, _ := h.push("attested")
			signed, _ := h.push("signed")
			h.want(0, nil, "attest", "--key", "ci.key", "--layout", layout, "--type", "openvex", "--predicate", "p.json", attested)
			h.want(0, nil, "sign", "--key", "ci.key", "--layout", layout, signed)
			h.want(1, []string{"NOT VERIFIED", "expected  a signature by ci.pub", "it is of type https://openvex.dev/ns", "an attestation is no signature"},
				"verify", "--key", "ci.pub", attested)
			h.want(1, []string{"NOT VERIFIED", "expected  an attestation of type https://openvex.dev/ns", "it is of type https://sigstore.dev/cosign/sign/v1", "a signature says nothing of its own"},
				"verify-attestation", "--type", "openvex", "--key", "ci.pub", signed)
			h.want(0, []string{"VERIFIED", "attestation https://openvex.dev/ns"}, "verify-attestation", "--type", "openvex", "--key", "ci.pub", attested)
			h.want(0, []string{"VERIFIED", "image signature"}, "verify", "--key", "ci.pub", signed)
			h.want(1, []string{"no evidence at all", "`assay sign --key …"}, "verify", "--key", "ci.pub", func() string { r, _ := h.push("bare"); return r }())
		})
	}
}

// TestAnnotations: each must be signed along with its value.
func TestAnnotations(t *testing.T) {
	h := newHouse(t)
	h.key("ci")
	image, _ := h.push("app")
	h.want(0, nil, "sign", "--key", "ci.key", "-a", "commit=abc", "-a", "branch=main", image)
	h.want(0, []string{"note branch=main, commit=abc", "the annotations"}, "verify", "--key", "ci.pub", "-a", "commit=abc", image)
	h.want(1, []string{`its annotation commit is "abc", not "abd"`}, "verify", "--key", "ci.pub", "-a", "commit=abd", image)
	h.want(1, []string{"it has no annotation tag"}, "verify", "--key", "ci.pub", "-a", "commit=abc", "-a", "tag=x", image)
	h.want(2, []string{"want key=value"}, "verify", "--key", "ci.pub", "-a", "commit", image)
}

// TestThreshold: m of n different signers; none counts twice, however often it
// is named or has signed.
func TestThreshold(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"a", "b", "c"} {
		h.key(name)
	}
	image, _ := h.push("app")
	h.want(0, nil, "sign", "--key", "a.key", image)
	h.want(0, nil, "sign", "--key", "a.key", "-a", "again=yes", image)
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(h.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	h.write("copy.pub", read("a.pub"))
	h.write("rotated.pub", append(read("a.pub"), read("b.pub")...))
	one := []string{"found     1 different signer, of 2 demanded", "signatures by one of them count once"}
	for _, keys := range [][]string{
		{"a.pub", "a.pub"}, {"a.pub", "copy.pub"}, {"a.pub", "b.pub"}, {"a.pub", "rotated.pub"},
	} {
		if keys[1] == "a.pub" || keys[1] == "copy.pub" { // one key can never be two signers
			h.want(2, []string{"only 1 signer is named, so that no evidence could satisfy it"}, "verify", "--threshold", "2", "--key", keys[0], "--key", keys[1], image)
			continue
		}
		h.want(1, one, "verify", "--threshold", "2", "--key", keys[0], "--key", keys[1], image)
	}
	h.want(0, nil, "sign", "--key", "b.key", image)
	h.want(0, []string{"signed by 2 different signers, of 2 demanded"}, "verify", "--threshold", "2", "--key", "a.pub", "--key", "b.pub", "--key", "c.pub", image)
	h.want(1, []string{"2 different signers, of 3 demanded"}, "verify", "--threshold", "3", "--key", "a.pub", "--key", "b.pub", "--key", "c.pub", image)
	// Two keys in one file are one party's, over time.
	h.want(1, one, "verify", "--threshold", "2", "--key", "rotated.pub", image)
	h.want(0, nil, "verify", "--threshold", "2", "--key", "rotated.pub", "--key", "a.pub", image)
	// Annotations and type are asked of each.
	h.want(1, one, "verify", "--threshold", "2", "--key", "a.pub", "--key", "b.pub", "-a", "again=yes", image)
}

// TestRecursive: the index and every manifest in it must hold.
func TestRecursive(t *testing.T) {
	h := newHouse(t)
	h.key("ci")
	image, resolved := h.push("app", "linux/amd64", "linux/arm64", "linux/arm/v7")
	h.want(0, nil, "sign", "--key", "ci.key", image)
	h.want(0, nil, "verify", "--key", "ci.pub", image)
	h.want(1, []string{"NOT VERIFIED", "index     holds", "manifest  linux/arm64", "no evidence at all", "digest    " + resolved.Platforms[2].Digest.String()},
		"verify", "--recursive", "--key", "ci.pub", image)
	for _, platform := range resolved.Platforms[:2] {
		h.want(0, nil, "sign", "--key", "ci.key", resolved.Name()+"@"+platform.Digest.String())
	}
	h.want(1, []string{"linux/amd64 holds", "manifest  linux/arm/v7", "!manifest  linux/arm64"}, "verify", "-r", "--key", "ci.pub", image)

	other, pushed := h.push("other", "linux/amd64", "linux/arm64")
	got := h.want(0, nil, "sign", "-r", "--layout", "bundle", "--key", "ci.key", other)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if len(lines) != 3 || !strings.Contains(lines[2], pushed.Digest.String()) {
		t.Errorf("want the index signed last of three:\n%s", got.out)
	}
	h.want(0, []string{"  index", "  linux/amd64", "  linux/arm64", pushed.Platforms[1].Digest.String()}, "verify", "-r", "--key", "ci.pub", other)
	h.write("p.json", []byte(`{"author":"somebody"}`))
	h.want(0, nil, "attest", "-r", "--key", "ci.key", "--type", "openvex", "--predicate", "p.json", other)
	h.want(0, nil, "verify-attestation", "-r", "--type", "openvex", "--key", "ci.pub", pushed.Pinned())
	// A signature of the index is none of its manifests', and the reverse.
	h.want(1, []string{"no evidence at all"}, "verify", "--key", "ci.pub", resolved.Name()+"@"+resolved.Platforms[2].Digest.String())
}

// TestBatch: many images, in the order asked for; one that fails stops no other.
func TestBatch(t *testing.T) {
	h := newHouse(t)
	h.key("ci")
	var images []string
	for i := range 5 {
		image, _ := h.push(fmt.Sprintf("app%d", i))
		images = append(images, image)
	}
	absent := h.server.Host + "/absent:1.0"
	h.write("list", []byte("# the images of the release\n\n"+images[0]+"\n  "+images[1]+"\t\n"+images[0]+"\n"))
	got := h.want(0, nil, "sign", "--layout", "bundle", "--key", "ci.key", "-f", "list", "--parallel", "3", images[2])
	if order := repositories(got.out); order != "app2 app0 app1" {
		t.Errorf("signed %s\n%s", order, got.out)
	}
	h.stdin = strings.Join([]string{images[0], images[3], absent, images[1]}, "\n")
	got = h.want(3, []string{"NOT VERIFIED", "assay: error: " + absent + ": resolving"}, "verify", "--key", "ci.pub", "-f", "-")
	if order := repositories(got.out); order != "app0 app1" {
		t.Errorf("verified %s\n%s", order, got.out)
	}
	h.stdin = strings.Join([]string{images[3], images[1]}, "\n")
	h.want(1, []string{"NOT VERIFIED", "VERIFIED  " + h.server.Host + "/app1"}, "verify", "--key", "ci.pub", "-f", "-")
	h.want(0, nil, "verify", "--key", "ci.pub", "--parallel", "1", "-f", "list", images[2])

	got = h.want(3, nil, "verify", "--key", "ci.pub", "-o", "json", images[0], images[4], absent, images[1])
	var list []struct {
		Reference, Result, Error string
		Digests                  []struct {
			Claims []struct {
				KeyID               string
				Checked, NotChecked []string
				Log, Timestamps     []any
			}
		}
	}
	if err := json.Unmarshal([]byte(got.out), &list); err != nil {
		t.Fatalf("%v\n%s", err, got.out)
	}
	want := []struct{ reference, result string }{{images[0], "allow"}, {images[4], "deny"}, {absent, "fault"}, {images[1], "allow"}}
	if len(list) != len(want) {
		t.Fatalf("%d objects, want %d", len(list), len(want))
	}
	for i, one := range list {
		if one.Reference != want[i].reference || one.Result != want[i].result || (one.Error != "") != (one.Result == "fault") {
			t.Errorf("object %d: %+v", i, one)
		}
	}
	claim := list[0].Digests[0].Claims[0]
	if claim.Log != nil || claim.Timestamps != nil || !strings.Contains(strings.Join(claim.NotChecked, ","), "no transparency log was asked") || strings.Contains(strings.Join(claim.Checked, ","), "log") {
		t.Errorf("claims a log that was not looked at: %+v", claim)
	}
	for name, words := range map[string]string{"two words": images[0] + " " + images[1], "none": "# nothing\n", "too long a line": strings.Repeat("a", 5000)} {
		h.stdin = words
		h.want(2, []string{"-f -"}, "verify", "--key", "ci.pub", "-f", "-")
		_ = name
	}
	h.stdin = strings.Repeat("#", 4<<20+1)
	h.want(3, []string{"larger than the bound of 4194304 bytes"}, "verify", "--key", "ci.pub", "-f", "-")
	var many strings.Builder
	for i := range 10_001 {
		fmt.Fprintf(&many, "app%d\n", i)
	}
	h.stdin = many.String()
	h.want(2, []string{"10001 references are named; the bound of one run is 10000"}, "verify", "--key", "ci.pub", "-f", "-")
}

// repositories are the images that lines of output are about, in order.
func repositories(out string) string {
	var list []string
	for line := range strings.Lines(out) {
		if _, rest, found := strings.Cut(line, "/app"); found {
			list = append(list, "app"+rest[:1])
		}
	}
	return strings.Join(list, " ")
}

// TestFaultIsNoDenial: a registry that does not answer well gives no answer.
func TestFaultIsNoDenial(t *testing.T) {
	h := newHouse(t)
	h.key("ci")
	image, resolved := h.push("app")
	h.want(0, nil, "sign", "--key", "ci.key", image)
	for name, fault := range map[string]ocitest.Fault{
		"listing down":    {Match: "GET /v2/app/referrers", Status: http.StatusInternalServerError},
		"blob gone":       {Match: "GET /v2/app/blobs", Status: http.StatusNotFound},
		"blob cut short":  {Match: "GET /v2/app/blobs", Truncate: true},
		"manifest denied": {Match: "GET /v2/app/manifests/" + resolved.Digest.String(), Status: http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			h.server.Break(fault)
			defer h.server.Mend()
			h.want(3, []string{"assay: error:", "!VERIFIED"}, "verify", "--key", "ci.pub", resolved.Pinned())
		})
	}
	h.want(0, []string{"VERIFIED"}, "verify", "--key", "ci.pub", resolved.Pinned())
}

// TestKeysOfFiles: every type of key signs files, whatever it signs of them.
func TestKeysOfFiles(t *testing.T) {
	h := newHouse(t)
	h.write("a.txt", []byte("hello"))
	h.write("b.txt", []byte("hullo"))
	h.write("empty", nil)
	h.write("huge", nil)
	if err := os.Truncate(filepath.Join(h.dir, "huge"), 1<<30+1); err != nil {
		t.Fatal(err)
	}
	const digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
	for name, byDigest := range map[string]bool{"p256": true, "p384": false, "p521": false, "rsa": true, "ed25519": false} {
		t.Run(name, func(t *testing.T) {
			switch name {
			case "rsa":
				key, err := rsa.GenerateKey(rand.Reader, 2048)
				if err != nil {
					t.Fatal(err)
				}
				h.keep(name, key)
			case "ed25519":
				_, key, err := ed25519.GenerateKey(rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				h.keep(name, key)
			default:
				key, err := ecdsa.GenerateKey(map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()}[name], rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				h.keep(name, key)
			}
			sealed := name + ".json"
			if !byDigest {
				h.want(3, []string{"huge is larger than the bound of 1073741824 bytes"}, "sign", "--key", name+".key", "--bundle", sealed, "huge")
			}
			for _, file := range []string{"empty", "a.txt"} {
				h.want(0, nil, "sign", "--key", name+".key", "--bundle", sealed, file)
				h.want(0, []string{"VERIFIED"}, "verify", "--key", name+".pub", "--bundle", sealed, file)
			}
			h.want(1, []string{"NOT VERIFIED", "other subject"}, "verify", "--key", name+".pub", "--bundle", sealed, "b.txt")
			h.write("bare.json", undigested(t, filepath.Join(h.dir, sealed)))
			h.want(0, nil, "verify", "--key", name+".pub", "--bundle", "bare.json", "a.txt")
			h.want(1, []string{"NOT VERIFIED", "bad signature"}, "verify", "--key", name+".pub", "--bundle", "bare.json", "b.txt")
			if byDigest {
				h.want(0, nil, "verify", "--key", name+".pub", "--bundle", sealed, digest)
				return
			}
			h.want(1, []string{"needs the content", "name the file instead of its digest"}, "verify", "--key", name+".pub", "--bundle", sealed, digest)
		})
	}
}

// undigested is a bundle without the digest that nothing signs, as cosign
// writes it for some keys.
func undigested(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Decode(content)
	if err != nil {
		t.Fatal(err)
	}
	b.Message.Algorithm, b.Message.Digest = "", nil
	if content, err = bundle.EncodeWith(b); err != nil {
		t.Fatal(err)
	}
	return content
}

// TestStatementOnImage: a whole statement is signed as it is, beside the image
// that it must be about.
func TestStatementOnImage(t *testing.T) {
	h := newHouse(t)
	h.key("ci")
	image, resolved := h.push("app")
	other, _ := h.push("other")
	const statement = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app","digest":{"sha256":%q}}],"predicateType":"https://example.com/x/v1","predicate":{"level":7}}`
	h.write("s.json", fmt.Appendf(nil, statement, resolved.Digest.Hex()))
	h.want(0, []string{"https://example.com/x/v1 as bundle", "https://example.com/x/v1 as envelope"}, "attest", "--key", "ci.key", "--statement", "s.json", image)
	h.want(0, []string{`"level": 7`}, "verify-attestation", "--key", "ci.pub", "--type", "https://example.com/x/v1", "-o", "json", image)
	h.want(3, []string{"s.json: ", "the statement is not about sha256:", "its subjects are " + resolved.Digest.String()}, "attest", "--key", "ci.key", "--statement", "s.json", other)
	h.want(1, []string{"no evidence at all"}, "verify-attestation", "--key", "ci.pub", "--type", "https://example.com/x/v1", other)
	// Of two images one, and the other all the same.
	h.want(3, []string{"attested " + resolved.Name(), "the statement is not about"}, "attest", "--key", "ci.key", "--statement", "s.json", other, image)
}

// TestLayout: evidence in an image layout is verified without any registry.
func TestLayout(t *testing.T) {
	h := newHouse(t)
	h.key("ci")
	image, resolved := h.push("app", "linux/amd64", "linux/arm64")
	h.want(0, nil, "sign", "-r", "--key", "ci.key", image)
	h.want(0, nil, "copy", image, "oci:copied")
	h.server.Break(ocitest.Fault{Match: "/v2/", Status: http.StatusInternalServerError})
	h.want(0, []string{"VERIFIED", resolved.Digest.String(), "  linux/arm64"}, "verify", "--offline", "-r", "--key", "ci.pub", "oci:copied")
	h.key("other")
	h.want(1, []string{"NOT VERIFIED", "unknown key"}, "verify", "--offline", "--key", "other.pub", "oci:copied")
	h.want(3, []string{"nosuch is no OCI image layout"}, "verify", "--key", "ci.pub", "oci:nosuch")
}
