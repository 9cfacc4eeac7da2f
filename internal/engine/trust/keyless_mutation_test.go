package trust_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sigstorebundle "github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// sigstoreGo is what sigstore-go itself says of a bundle about the image.
func sigstoreGo(t testing.TB, rootJSON, content []byte) error {
	t.Helper()
	trusted, err := root.NewTrustedRootFromJSON(rootJSON)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.NewVerifier(trusted, verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1), verify.WithSignedCertificateTimestamps(1))
	if err != nil {
		t.Fatal(err)
	}
	who, err := verify.NewShortCertificateIdentity(release.Issuer, "", release.Subject, "")
	if err != nil {
		t.Fatal(err)
	}
	digest, err := hex.DecodeString(image.Hex())
	if err != nil {
		t.Fatal(err)
	}
	var b sigstorebundle.Bundle
	if err := b.UnmarshalJSON(content); err != nil {
		return err
	}
	_, err = verifier.Verify(&b, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest), verify.WithCertificateIdentity(who)))
	return err
}

// mutants changes every value of a JSON document, and takes every member away,
// one at a time.
func mutants(value any, path string, yield func(path string)) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			was := v[name]
			at := path + "." + name
			mutants(was, at, yield)
			for _, changed := range changes(was) {
				v[name] = changed.value
				yield(at + changed.how)
			}
			delete(v, name)
			yield(at + " taken away")
			v[name] = was
		}
	case []any:
		for i, was := range v {
			at := path + "[" + strconv.Itoa(i) + "]"
			mutants(was, at, yield)
			for _, changed := range changes(was) {
				v[i] = changed.value
				yield(at + changed.how)
			}
			v[i] = was
		}
	}
}

type change struct {
	how   string
	value any
}

// changes flips a bit of every byte of a short value, and of some of a long.
func changes(value any) (list []change) {
	text, ok := value.(string)
	if !ok {
		if number, ok := value.(float64); ok {
			return []change{{" + 1", number + 1}, {" as 0", 0}}
		}
		return nil
	}
	flip := func(content []byte, show func([]byte) string, how string) {
		for at := 0; at < len(content); at += 1 + len(content)/300 {
			changed := slices.Clone(content)
			changed[at] ^= 1
			list = append(list, change{how + strconv.Itoa(at), show(changed)})
		}
		list = append(list, change{" empty", ""}, change{" longer", show(append(slices.Clone(content), 0))})
	}
	if content, err := base64.StdEncoding.Strict().DecodeString(text); err == nil && len(text) > 0 && strings.ContainsAny(text, "=+/ABCDEFGHIJKLMNOPQRSTUVWXYZ") && !strings.HasPrefix(text, "SHA2") {
		flip(content, base64.StdEncoding.EncodeToString, " byte ")
	} else if _, err := strconv.Atoi(text); err == nil {
		for _, to := range []string{text + "1", "7", "0"} {
			list = append(list, change{" as " + to, to})
		}
	} else {
		flip([]byte(text), func(b []byte) string { return strings.ToValidUTF8(string(b), "?") }, " char ")
	}
	return list
}

// TestMutateKeylessBundle: whatever is changed in a bundle, it is denied. What
// does not matter is named, and makes no other claim.
func TestMutateKeylessBundle(t *testing.T) {
	w := newWorld(t)
	for name, v2 := range map[string]bool{"log v1": false, "log v2 and a timestamp": true} {
		t.Run(name, func(t *testing.T) {
			good := encoded(t, w.logged(t, v2))
			want := accept(t, good, w.signer)
			if err := sigstoreGo(t, w.Root(), good.Content); err != nil {
				t.Fatalf("sigstore-go: %v", err)
			}
			var document map[string]any
			if err := json.Unmarshal(good.Content, &document); err != nil {
				t.Fatal(err)
			}
			reasons := map[trust.Reason]int{}
			mutants(document, "", func(path string) {
				content, err := json.Marshal(document)
				if err != nil {
					t.Fatal(err)
				}
				e := good
				e.Content = content
				claim, rejection := trust.Verify(e, []trust.Signer{w.signer}, []subject.Digest{image}, verifyTime)
				if rejection != nil {
					reasons[rejection.Reason]++
					return
				}
				reasons["claim"]++
				if diff := cmp.Diff(want.Witnesses(), claim.Witnesses()); diff != "" || string(want.Predicate()) != string(claim.Predicate()) {
					t.Errorf("%s: another claim: %s", path, diff)
				}
				if err := sigstoreGo(t, w.Root(), content); err != nil {
					t.Errorf("%s: sigstore-go refuses it: %v", path, err)
				}
				// The CMS around a timestamp has parts that nothing signs.
				if !strings.HasPrefix(path, ".verificationMaterial.timestampVerificationData.rfc3161Timestamps[0].signedTimestamp byte ") {
					t.Errorf("%s: it verifies", path)
				}
			})
			if reasons["claim"] > 12 {
				t.Errorf("%d changes of a timestamp verify", reasons["claim"])
			}
			for _, reason := range []trust.Reason{trust.Unreadable, trust.BadSignature, trust.UnknownIdentity, trust.OtherLogEntry, trust.BadLogEntry, trust.NoLogEntry, trust.NoTimestamp} {
				if reasons[reason] == 0 {
					t.Errorf("no change was refused as %q: %v", reason, reasons)
				}
			}
		})
	}
}

// TestMutateOlderLayout changes every byte of what cosign's older layout keeps,
// and takes each of it away.
func TestMutateOlderLayout(t *testing.T) {
	w := newWorld(t)
	stranger := newWorld(t)
	for _, form := range []trust.Form{trust.Envelope, trust.SimpleSigning} {
		t.Run(string(form), func(t *testing.T) {
			good := w.older(t, form)
			want := accept(t, good, w.signer)
			reasons := map[trust.Reason]int{}
			check := func(name string, e trust.Evidence, harmless bool) {
				claim, rejection := trust.Verify(e, []trust.Signer{w.signer}, []subject.Digest{image}, verifyTime)
				if rejection != nil {
					reasons[rejection.Reason]++
					return
				}
				reasons["claim"]++
				if !harmless {
					t.Fatalf("%s: it verifies", name)
				}
				expected := want.Witnesses()
				if name == "timestamp taken away" || name == "timestamp of another" {
					expected.Timestamps = nil
				}
				if diff := cmp.Diff(expected, claim.Witnesses()); diff != "" || claim.Certificate().Subject != release.Subject {
					t.Fatalf("%s: another claim: %s", name, diff)
				}
			}
			for name, part := range map[string]func(*trust.Evidence) *string{
				"signature":   func(e *trust.Evidence) *string { return &e.Signature },
				"certificate": func(e *trust.Evidence) *string { return &e.Certificate },
				"log entry":   func(e *trust.Evidence) *string { return &e.LogEntry },
				"timestamp":   func(e *trust.Evidence) *string { return &e.Timestamp },
				"chain":       func(e *trust.Evidence) *string { return &e.Chain },
			} {
				text := *part(&good)
				for at := 0; at < len(text); at += 1 + len(text)/400 {
					changed := good
					content := []byte(text)
					content[at] ^= 1
					*part(&changed) = string(content)
					// What issued the certificate is in the root; the CMS around a
					// timestamp has parts that nothing signs; PEM may wrap its lines
					// in other ways.
					check(name+" byte "+strconv.Itoa(at), changed, name == "chain" || name == "timestamp" || text[at] == '\n')
				}
				without, foreign := good, stranger.older(t, form)
				*part(&without) = ""
				check(name+" taken away", without, name == "chain" || name == "timestamp" || form == trust.Envelope && name == "signature")
				another := good
				*part(&another) = *part(&foreign)
				check(name+" of another", another, name == "chain" || name == "timestamp" || form == trust.Envelope && name == "signature")
			}
			for _, reason := range []trust.Reason{trust.Unreadable, trust.BadSignature, trust.OtherLogEntry, trust.BadLogEntry, trust.NoLogEntry, trust.BadTimestamp} {
				if reasons[reason] == 0 {
					t.Errorf("no change was refused as %q: %v", reason, reasons)
				}
			}
		})
	}
}
