//go:build interop

package interop_test

import (
	"strings"
	"testing"
)

// TestFilesBothWays: files and statements about them, signed by one side and
// verified by the other, with every kind of key; never for another key, and
// never about another file.
func TestFilesBothWays(t *testing.T) {
	cosign, assay := peer(t, "cosign"), static(t)
	s := newStage(t)
	s.must(cosign, "signing-config", "create", "--out", "none.json")
	s.write("predicate.json", slsa)
	s.write("a.txt", "hello")
	s.write("b.txt", "hullo")
	for _, kind := range keyKinds {
		s.keyFile(cosign, kind.name, kind.make)
		s.keyFile(cosign, "other-"+kind.name, kind.make)
	}
	for _, kind := range keyKinds {
		t.Run(kind.name, func(t *testing.T) {
			cell := &stage{t: t, dir: s.dir, env: s.env}
			ours, theirs := kind.name+".ours.json", kind.name+".theirs.json"
			cell.must(assay, "sign", "--key", kind.name+".key", "--bundle", ours, "a.txt")
			check := func(key, file string) (string, error) {
				return cell.run(cosign, "verify-blob", "--key", key+".pub", "--insecure-ignore-tlog", "--signature-digest-algorithm", kind.hash, "--bundle", ours, file)
			}
			if out, err := check(kind.name, "a.txt"); err != nil {
				t.Errorf("cosign refuses what assay signed: %v\n%s", err, out)
			}
			for _, wrong := range [][2]string{{"other-" + kind.name, "a.txt"}, {kind.name, "b.txt"}} {
				if out, err := check(wrong[0], wrong[1]); err == nil {
					t.Errorf("cosign accepts %v\n%s", wrong, out)
				}
			}
			cell.must(cosign, "sign-blob", "--yes", "--key", kind.name+".key", "--signing-config", "none.json", "--bundle", theirs, "a.txt")
			cell.must(assay, "verify", "--key", kind.name+".pub", "--bundle", theirs, "a.txt")
			cell.must(assay, "verify-bundle", "--key", kind.name+".pub", "--bundle", theirs, "a.txt")
			for _, wrong := range [][2]string{{"other-" + kind.name, "a.txt"}, {kind.name, "b.txt"}} {
				if out, err := cell.run(assay, "verify", "--key", wrong[0]+".pub", "--bundle", theirs, wrong[1]); err == nil || !strings.Contains(out, "NOT VERIFIED") {
					t.Errorf("%v: %v\n%s", wrong, err, out)
				}
			}
			cell.must(assay, "attest", "--key", kind.name+".key", "--type", "slsaprovenance", "--predicate", "predicate.json", "--bundle", ours, "a.txt")
			attested := func(file string) (string, error) {
				return cell.run(cosign, "verify-blob-attestation", "--key", kind.name+".pub", "--insecure-ignore-tlog", "--signature-digest-algorithm", kind.hash, "--type", "slsaprovenance", "--bundle", ours, file)
			}
			if out, err := attested("a.txt"); err != nil {
				t.Errorf("cosign refuses what assay attested: %v\n%s", err, out)
			}
			if out, err := attested("b.txt"); err == nil {
				t.Errorf("cosign accepts another file\n%s", out)
			}
			cell.must(cosign, "attest-blob", "--yes", "--key", kind.name+".key", "--signing-config", "none.json", "--type", "slsaprovenance", "--predicate", "predicate.json", "--bundle", theirs, "a.txt")
			cell.must(assay, "verify-attestation", "--key", kind.name+".pub", "--type", "slsaprovenance", "--bundle", theirs, "a.txt")
			if out, err := cell.run(assay, "verify-attestation", "--key", kind.name+".pub", "--type", "slsaprovenance", "--bundle", theirs, "b.txt"); err == nil || !strings.Contains(out, "other subject") {
				t.Errorf("another file: %v\n%s", err, out)
			}
		})
	}
}

// TestKeylessFiles: with real Fulcio, Rekor and a timestamp authority, files
// signed by one side with a certificate are verified by the other, and images
// signed by cosign by assay; for the identity that signed and for no other.
func TestKeylessFiles(t *testing.T) {
	cosign, assay, stack := peer(t, "cosign"), static(t), private(t)
	s := newStage(t)
	s.write("a.txt", "hello")
	s.write("b.txt", "hullo")
	by := func(who string) []string {
		return []string{"--trusted-root", stack.RootFile, "--certificate-identity", who, "--certificate-oidc-issuer", stack.EmailIssuer()}
	}
	s.must(assay, "sign-bundle", "--identity-token", token(t, stack.Email, alice), "--bundle", "ours.json", "--trusted-root", stack.RootFile, "--signing-config", stack.ConfigFile, "a.txt")
	s.must(cosign, append(append([]string{"verify-blob", "--bundle", "ours.json"}, by(alice)...), "a.txt")...)
	s.must(assay, append(append([]string{"verify-bundle", "--bundle", "ours.json"}, by(alice)...), "a.txt")...)
	s.must(cosign, "sign-blob", "--yes", "--identity-token", token(t, stack.Email, alice), "--signing-config", stack.ConfigFile, "--trusted-root", stack.RootFile, "--bundle", "theirs.json", "a.txt")
	out := s.must(assay, append(append([]string{"verify", "--bundle", "theirs.json"}, by(alice)...), "a.txt")...)
	for _, word := range []string{"by   " + alice, "the log's signed entry", "the timestamp", "the SCT"} {
		if !strings.Contains(out, word) {
			t.Errorf("no %q in\n%s", word, out)
		}
	}
	for name, arguments := range map[string][]string{
		"unknown identity": append(append([]string{"verify", "--bundle", "theirs.json"}, by("eve@example.com")...), "a.txt"),
		"other subject":    append(append([]string{"verify", "--bundle", "theirs.json"}, by(alice)...), "b.txt"),
	} {
		if out, err := s.run(assay, arguments...); err == nil || !strings.Contains(out, name) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	image := s.image(registries(t)["embedded"](t), "keyless/verified")
	s.must(cosign, "sign", "--yes", "--identity-token", token(t, stack.Email, alice), "--signing-config", stack.ConfigFile, "--trusted-root", stack.RootFile, image)
	s.must(assay, append(append([]string{"verify", "--offline"}, by(alice)...), image)...)
	if out, err := s.run(assay, append(append([]string{"verify"}, by("eve@example.com")...), image)...); err == nil || !strings.Contains(out, alice) {
		t.Errorf("for eve: %v\n%s", err, out)
	}
}
