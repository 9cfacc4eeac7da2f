package keyless_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/bundle"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/keyless"
	"github.com/seed-161fc314/assay/internal/port/signing/keyless/keylesstest"
)

var image = subject.Of([]byte("image"))

func notary(t *testing.T, server *keylesstest.Server, services ...string) *keyless.Notary {
	t.Helper()
	config := keyless.NotaryConfig{Outside: keyless.Outside{Wait: noWait}}
	for _, service := range services {
		switch service {
		case keylesstest.Rekor:
			config.Logs = append(config.Logs, keyless.Log{URL: server.URL(service), Version: 1})
		case keylesstest.Rekor2:
			config.Logs = append(config.Logs, keyless.Log{URL: server.URL(service), Version: 2})
		case keylesstest.TSA:
			config.Timestamps = append(config.Timestamps, server.URL(service))
		}
	}
	n, err := keyless.NewNotary(config)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// key signs with a plain key.
type key struct{ crypto.Signer }

func (k key) KeyID() identity.Key {
	id, err := identity.KeyOf(k.Public())
	if err != nil {
		panic(err)
	}
	return id
}

func (k key) Sign(_ context.Context, message []byte) ([]byte, error) {
	digest, options, err := signing.Digest(k.Public(), message)
	if err != nil {
		return nil, err
	}
	return k.Signer.Sign(rand.Reader, digest, options)
}

// complete puts who signed into a bundle.
func complete(t *testing.T, signer signing.Signer, b bundle.Bundle) []byte {
	t.Helper()
	if certified, ok := signer.(signing.Certified); ok {
		b.Certificates = certified.Certificates()[:1]
	} else {
		b.KeyHint = signer.KeyID().Hint()
	}
	content, err := bundle.EncodeWith(b)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func envelope(t *testing.T, signer signing.Signer) []byte {
	t.Helper()
	payload, err := intoto.Encode(intoto.New([]intoto.Subject{intoto.SubjectOf("", image)}, "https://example.com/t/v1", json.RawMessage(`{}`)))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(t.Context(), dsse.PAE(dsse.InToto, payload))
	if err != nil {
		t.Fatal(err)
	}
	return complete(t, signer, bundle.Bundle{Envelope: dsse.Envelope{PayloadType: dsse.InToto, Payload: payload, Signatures: []dsse.Signature{{Sig: signature}}}})
}

var file = []byte("a file")

func message(t *testing.T, signer signing.Signer) []byte {
	t.Helper()
	signature, err := signer.Sign(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(file)
	return complete(t, signer, bundle.Bundle{Message: &bundle.Message{Algorithm: "sha256", Digest: sum[:], Signature: signature}})
}

// verify judges a bundle as a door does.
func verify(t *testing.T, server *keylesstest.Server, signer signing.Signer, content []byte, demand trust.Demand) (trust.Claim, *trust.Rejection) {
	t.Helper()
	root, err := trust.ParseRoot("test", server.Sigstore.Root())
	if err != nil {
		t.Fatal(err)
	}
	by := trust.Signer{Name: "robot", Root: root, Demand: demand}
	if _, ok := signer.(signing.Certified); ok {
		by.Identities = []identity.Pattern{{Subject: who, Issuer: keylesstest.Issuer}}
	} else {
		by.Keys = []trust.Key{{ID: signer.KeyID(), Public: signer.Public()}}
	}
	evidence := trust.Evidence{Digest: subject.Of(content), Attached: image, Form: trust.Bundle, Content: content}
	if b, err := bundle.Decode(content); err != nil {
		t.Fatal(err)
	} else if b.Message != nil {
		return trust.VerifyBlob(evidence, trust.Artifact{Digest: subject.Of(file), Content: file}, []trust.Signer{by}, server.Now())
	}
	return trust.Verify(evidence, []trust.Signer{by}, []subject.Digest{image}, server.Now())
}

func TestWitness(t *testing.T) {
	server := keylesstest.New(t, start().now)
	signer := certify(t, server)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	all := trust.Demand{Log: true, Timestamp: true}
	for name, test := range map[string]struct {
		services []string
		logs     int
		stamps   int
	}{
		"Rekor v1":               {[]string{keylesstest.Rekor}, 1, 0},
		"Rekor v1 and timestamp": {[]string{keylesstest.Rekor, keylesstest.TSA}, 1, 1},
		"Rekor v2 and timestamp": {[]string{keylesstest.Rekor2, keylesstest.TSA}, 1, 1},
		"both logs":              {[]string{keylesstest.Rekor, keylesstest.Rekor2, keylesstest.TSA}, 2, 1},
	} {
		n := notary(t, server, test.services...)
		for who, by := range map[string]signing.Signer{"keyless": signer, "key": key{p256}} {
			for what, content := range map[string][]byte{"envelope": envelope(t, by), "message": message(t, by)} {
				witnessed, err := n.Witness(t.Context(), content, by.Public())
				if err != nil {
					t.Errorf("%s, %s, %s: %v", name, who, what, err)
					continue
				}
				claim, rejection := verify(t, server, by, witnessed, all)
				if rejection != nil {
					t.Errorf("%s, %s, %s: %s: %s", name, who, what, rejection.Reason, rejection.Detail)
					continue
				}
				if w := claim.Witnesses(); len(w.Logs) != test.logs || len(w.Timestamps) != test.stamps {
					t.Errorf("%s, %s, %s: witnesses %+v", name, who, what, w)
				}
			}
		}
	}
	// What nobody witnessed is refused by the same judge.
	if _, rejection := verify(t, server, signer, envelope(t, signer), all); rejection == nil {
		t.Error("an unwitnessed signature is accepted")
	}
}

func TestWitnessKeys(t *testing.T) {
	server := keylesstest.New(t, start().now)
	keys := map[string]func() (crypto.Signer, error){
		"P-384":    func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
		"P-521":    func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
		"RSA 2048": func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
		"RSA 3072": func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 3072) },
	}
	for name, generate := range keys {
		private, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		witnessed, err := notary(t, server, keylesstest.Rekor2, keylesstest.TSA).Witness(t.Context(), envelope(t, key{private}), private.Public())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, rejection := verify(t, server, key{private}, witnessed, trust.Demand{Log: true}); rejection != nil {
			t.Errorf("%s: %s: %s", name, rejection.Reason, rejection.Detail)
		}
	}
	// Ed25519 signs messages, and only an older log takes those in envelopes.
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first, second := notary(t, server, keylesstest.Rekor), notary(t, server, keylesstest.Rekor2)
	witnessed, err := first.Witness(t.Context(), envelope(t, key{private}), private.Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, rejection := verify(t, server, key{private}, witnessed, trust.Demand{Log: true}); rejection != nil {
		t.Errorf("Ed25519: %s: %s", rejection.Reason, rejection.Detail)
	}
	before := server.Requests(keylesstest.Rekor2) + server.Requests(keylesstest.Rekor)
	for name, ask := range map[string]func() ([]byte, error){
		"envelope, v2": func() ([]byte, error) {
			return second.Witness(t.Context(), envelope(t, key{private}), private.Public())
		},
		"message, v1": func() ([]byte, error) { return first.Witness(t.Context(), message(t, key{private}), private.Public()) },
	} {
		if _, err := ask(); err == nil || !strings.Contains(err.Error(), "another kind of key is needed") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := server.Requests(keylesstest.Rekor2) + server.Requests(keylesstest.Rekor); after != before {
		t.Error("a log was asked in vain")
	}
	// The same signature again: the log has it, and says where.
	content := envelope(t, key{private})
	if again, err := first.Witness(t.Context(), content, private.Public()); err != nil {
		t.Errorf("entered twice: %v", err)
	} else if _, rejection := verify(t, server, key{private}, again, trust.Demand{Log: true}); rejection != nil {
		t.Errorf("entered twice: %s: %s", rejection.Reason, rejection.Detail)
	}
}

func TestOlder(t *testing.T) {
	server := keylesstest.New(t, start().now)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pure, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		services []string
		public   crypto.PublicKey
		want     string
	}{
		"v1":               {[]string{keylesstest.Rekor}, p256.Public(), ""},
		"timestamps":       {[]string{keylesstest.TSA}, pure, ""},
		"both":             {[]string{keylesstest.Rekor, keylesstest.Rekor2}, p256.Public(), ""},
		"v2":               {[]string{keylesstest.Rekor2, keylesstest.TSA}, p256.Public(), "Rekor v2"},
		"Ed25519 in a log": {[]string{keylesstest.Rekor}, pure, "Ed25519"},
	} {
		err := notary(t, server, test.services...).Older(test.public)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func TestWitnessLies(t *testing.T) {
	for _, test := range []struct{ service, lie, want string }{
		{keylesstest.Rekor, keylesstest.OtherEntry, "is about something else: its signature is another one"},
		{keylesstest.Rekor2, keylesstest.OtherEntry, "is about something else: its signature is another one"},
		{keylesstest.Rekor, keylesstest.OtherVerifier, "its key or certificate is another one"},
		{keylesstest.Rekor2, keylesstest.OtherVerifier, "its key or certificate is another one"},
		{keylesstest.Rekor, keylesstest.NoPromise, "no signed entry timestamp"},
		{keylesstest.Rekor, keylesstest.NoProof, "no inclusion proof"},
		{keylesstest.Rekor2, keylesstest.NoProof, "no inclusion proof"},
		{keylesstest.TSA, keylesstest.OtherTimestamp, "over other data than this signature"},
		{keylesstest.TSA, keylesstest.OldTimestamp, "the nonce differs"},
	} {
		server := keylesstest.New(t, start().now)
		signer := certify(t, server)
		server.Lie(test.lie)
		for what, content := range map[string][]byte{"envelope": envelope(t, signer), "message": message(t, signer)} {
			witnessed, err := notary(t, server, test.service).Witness(t.Context(), content, signer.Public())
			if err == nil || witnessed != nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), server.URL(test.service)) {
				t.Errorf("%s, %s, %s: got %v, want %q", test.service, test.lie, what, err, test.want)
			}
		}
	}
}

// TestWitnessFaults breaks one service while the others work: nothing comes
// back with less than was asked for.
func TestWitnessFaults(t *testing.T) {
	for _, broken := range []string{keylesstest.Rekor, keylesstest.Rekor2, keylesstest.TSA} {
		for name, test := range faults {
			server := keylesstest.New(t, start().now)
			signer := certify(t, server)
			server.Fault = func(service string, w http.ResponseWriter, request *http.Request) bool {
				if service == broken {
					test.answer(w, request)
				}
				return service == broken
			}
			content, err := notary(t, server, keylesstest.Rekor, keylesstest.Rekor2, keylesstest.TSA).Witness(t.Context(), envelope(t, signer), signer.Public())
			if err == nil || content != nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), server.URL(broken)) {
				t.Errorf("%s, %s: got %v, want %q", broken, name, err, test.want)
			}
		}
	}
}

func TestWitnessRefuses(t *testing.T) {
	server := keylesstest.New(t, start().now)
	signer, other := certify(t, server), certify(t, server)
	n := notary(t, server, keylesstest.Rekor)
	if _, err := n.Witness(t.Context(), envelope(t, signer), other.Public()); err == nil || !strings.Contains(err.Error(), "for another key") {
		t.Errorf("another key: %v", err)
	}
	if _, err := n.Witness(t.Context(), []byte("{}"), signer.Public()); err == nil {
		t.Error("no bundle: no error")
	}
	for name, config := range map[string]keyless.NotaryConfig{
		"nobody":      {},
		"a version":   {Logs: []keyless.Log{{URL: "https://a.example.com", Version: 3}}},
		"no log URL":  {Logs: []keyless.Log{{URL: "a", Version: 1}}},
		"no TSA URL":  {Timestamps: []string{"ftp://a"}},
		"no password": {Timestamps: []string{"https://a:b@c"}},
	} {
		if _, err := keyless.NewNotary(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if n := server.Requests(keylesstest.Rekor); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// TestMany: 64 signatures wait for a log that answers all of them at once, as
// Rekor v2 does at each checkpoint, and not one after the other.
func TestMany(t *testing.T) {
	const many = 64
	server := keylesstest.New(t, start().now)
	signer := certify(t, server)
	var mutex sync.Mutex
	waiting, checkpoint := 0, make(chan struct{})
	server.Fault = func(service string, _ http.ResponseWriter, _ *http.Request) bool {
		if service != keylesstest.Rekor2 {
			return false
		}
		mutex.Lock()
		if waiting++; waiting == many {
			close(checkpoint)
		}
		mutex.Unlock()
		<-checkpoint
		return false
	}
	n := notary(t, server, keylesstest.Rekor2, keylesstest.TSA)
	began := time.Now()
	failures := make([]error, many)
	contents := make([][]byte, many)
	var group sync.WaitGroup
	for i := range many {
		content := envelope(t, signer)
		group.Go(func() { contents[i], failures[i] = n.Witness(t.Context(), content, signer.Public()) })
	}
	group.Wait()
	if i := slices.IndexFunc(failures, func(err error) bool { return err != nil }); i >= 0 {
		t.Fatal(failures[i])
	}
	for _, content := range contents[:4] {
		if _, rejection := verify(t, server, signer, content, trust.Demand{}); rejection != nil {
			t.Errorf("%s: %s", rejection.Reason, rejection.Detail)
		}
	}
	t.Logf("%d signatures witnessed in %s, certificates %d", many, time.Since(began).Round(time.Millisecond), server.Requests(keylesstest.Fulcio))
}
