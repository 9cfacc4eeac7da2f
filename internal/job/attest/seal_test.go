package attest_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/port/signing"
)

// whole is a signer that is handed messages, and no digests.
type whole struct{ signing.Signer }

// forger signs another message than it is handed.
type forger struct{ signing.DigestSigner }

func (l forger) SignDigest(ctx context.Context, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	return l.Sign(ctx, []byte("something else"))
}

func clock() time.Time { return now }

func sealer(t *testing.T, signer signing.Signer) *attest.Sealer {
	t.Helper()
	s, err := attest.NewSealer(attest.Config{Signer: signer, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func judge(content []byte, signer signing.Signer, artifact trust.Artifact) (trust.Claim, *trust.Rejection) {
	return trust.VerifyBlob(trust.Evidence{Form: trust.Bundle, Content: content},
		artifact, []trust.Signer{{Name: "it", Keys: []trust.Key{{ID: signer.KeyID(), Public: signer.Public()}}}}, now)
}

// TestSealFile: a file is streamed where its key allows that, and the result
// is what a signature over the whole file is.
func TestSealFile(t *testing.T) {
	signer := newSigner(t)
	content := bytes.Repeat([]byte("weights "), 1<<17)
	for name, s := range map[string]signing.Signer{"streamed": signer, "whole": whole{signer}} {
		sealed, err := sealer(t, s).File(t.Context(), "model.bin", iotest.HalfReader(bytes.NewReader(content)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		claim, rejection := judge(sealed, signer, trust.Artifact{Digest: subject.Of(content)})
		if rejection != nil || claim.Type() != trust.TypeMessage {
			t.Errorf("%s: %+v, type %s", name, rejection, claim.Type())
		}
		if _, rejection := judge(sealed, signer, trust.Artifact{Digest: subject.Of([]byte("x"))}); rejection == nil || rejection.Reason != trust.OtherSubject {
			t.Errorf("%s, about another file: %+v", name, rejection)
		}
	}
	broken := errors.New("the disk is gone")
	for name, s := range map[string]signing.Signer{"streamed": signer, "whole": whole{signer}} {
		if sealed, err := sealer(t, s).File(t.Context(), "model.bin", iotest.ErrReader(broken)); !errors.Is(err, broken) || sealed != nil {
			t.Errorf("%s, a file that cannot be read: %v", name, err)
		}
	}
	huge, err := os.Create(filepath.Join(t.TempDir(), "huge"))
	if err != nil {
		t.Fatal(err)
	}
	defer huge.Close()
	if err := huge.Truncate(limit.FileContent + 1); err != nil {
		t.Fatal(err)
	}
	var over *limit.Error
	if _, err := sealer(t, whole{signer}).File(t.Context(), "huge", huge); !errors.As(err, &over) || over.Bound != limit.FileContent {
		t.Errorf("over the bound: %v", err)
	}
	if sealed, err := sealer(t, forger{signer.(signing.DigestSigner)}).File(t.Context(), "model.bin", bytes.NewReader(content)); err == nil || sealed != nil || !strings.Contains(err.Error(), "no door would accept this: bad signature") {
		t.Errorf("a signature of something else: %v", err)
	}
}

// TestSealStatement: a statement is signed byte for byte, and only about what
// it says that it is about.
func TestSealStatement(t *testing.T) {
	signer := newSigner(t)
	about, other := subject.Of([]byte("a")), subject.Of([]byte("b"))
	statement := func(predicateType, digests string) []byte {
		return fmt.Appendf(nil, `{ "_type":"https://in-toto.io/Statement/v0.1", "subject":[{"name":"a","digest":{%s}}],"predicateType":%q,"predicate":{"b":1.0,"a":2}}`, digests, predicateType)
	}
	sha256 := fmt.Sprintf(`"sha256":%q`, about.Hex())
	good := statement("https://example.com/x/v1", sha256+`,"gitCommit":"0123"`)
	for _, want := range []subject.Digest{about, {}} {
		sealed, err := sealer(t, signer).Statement(t.Context(), good, want)
		if err != nil {
			t.Fatal(err)
		}
		claim, rejection := judge(sealed, signer, trust.Artifact{Digest: about})
		if rejection != nil || string(claim.Predicate()) != `{"b":1.0,"a":2}` {
			t.Errorf("%+v, predicate %s", rejection, claim.Predicate())
		}
	}
	for name, test := range map[string]struct {
		payload []byte
		about   subject.Digest
		want    string
	}{
		"another subject":    {good, other, "the statement is not about " + other.String() + ": its subjects are " + about.String()},
		"no sha256":          {statement("https://example.com/x/v1", `"gitCommit":"0123"`), subject.Digest{}, "no subject with a sha256 or sha512 digest"},
		"an image signature": {statement("https://sigstore.dev/cosign/sign/v1", sha256), about, "sign the image instead"},
		"no statement":       {[]byte(`{"a":1}`), about, `"_type"`},
		"a bad predicate":    {statement("https://cosign.sigstore.dev/attestation/vuln/v1", sha256), about, "no door would accept this: bad statement"},
	} {
		payload := test.payload
		if name == "a bad predicate" {
			payload = bytes.Replace(payload, []byte(`{"b":1.0,"a":2}`), []byte(`{"metadata":{"scanFinishedOn":"yesterday"}}`), 1)
		}
		if sealed, err := sealer(t, signer).Statement(t.Context(), payload, test.about); err == nil || sealed != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// TestStatementOfImage: an order may have whole statements, which must be
// about the image; otherwise nothing is stored.
func TestStatementOfImage(t *testing.T) {
	store := &memory{}
	a, err := attest.New(attest.Config{Signer: newSigner(t), Store: store, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	payload := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":"https://example.com/x/v1","predicate":{}}`, index.Digest.Hex())
	stored, err := a.Publish(t.Context(), []attest.Order{{Image: index, Statements: [][]byte{payload}}})
	if err != nil || len(stored) != 2 || stored[0].Type != "https://example.com/x/v1" {
		t.Errorf("%+v, %v", stored, err)
	}
	kept := len(store.kept)
	_, err = a.Publish(t.Context(), []attest.Order{{Image: index, Statements: [][]byte{payload}}, {Image: platform, Statements: [][]byte{payload}}})
	if err == nil || !strings.Contains(err.Error(), "the statement is not about "+platform.Digest.String()) || len(store.kept) != kept {
		t.Errorf("%v, %d more pieces stored", err, len(store.kept)-kept)
	}
}

func TestNewSealerRefuses(t *testing.T) {
	for name, config := range map[string]attest.Config{"no signer": {Now: clock}, "no clock": {Signer: newSigner(t)}} {
		if _, err := attest.NewSealer(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
