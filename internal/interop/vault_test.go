//go:build interop

package interop_test

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// transit starts Vault's transit engine on loopback, and gives its address.
func transit(t *testing.T, token string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), peer(t, "vault-transit"))
	command.Env, command.Stderr = append(os.Environ(), "VAULT_TOKEN="+token), os.Stderr
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended by itself
		_ = command.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the transit engine says no address: %v", err)
	}
	return strings.TrimSpace(line)
}

// TestVaultTransit signs with every type of key of the real engine and verifies
// by it, by the exported keys and with cosign; across a rotation too. cosign's
// own way to Vault fails at RSA, Ed25519 and rotation (docs/divergences.md),
// which is why it verifies by exported keys.
func TestVaultTransit(t *testing.T) {
	const token = "hvs.interop"
	address := transit(t, token)
	cosign := peer(t, "cosign")
	s := newStage(t)
	s.env = append(s.env, "VAULT_ADDR="+address, "VAULT_TOKEN="+token)
	host := registries(t)["embedded"](t)
	post := func(path, body string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/v1/transit/"+path, bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Vault-Token", token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode >= 300 {
			t.Fatalf("%s: %s", path, response.Status)
		}
	}
	for _, kind := range []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"} {
		t.Run(kind, func(t *testing.T) {
			s := &stage{t: t, dir: s.dir, env: s.env}
			post("keys/"+kind, `{"type": "`+kind+`"}`)
			key, exported := "hashivault://"+kind, kind+".pub"
			before, after := s.push(host+"/vault/before-"+kind), s.push(host+"/vault/after-"+kind)
			s.wants(0, nil, "sign", "--key", key, before)
			s.wants(0, nil, "key", "public", "--key", key, "--output", exported)
			verify := []string{"verify", "--insecure-ignore-tlog", "--key", exported}
			// cosign 3.1.3 does not find out what these sign.
			if hash := map[string]string{"ecdsa-p384": "sha384", "ecdsa-p521": "sha512"}[kind]; hash != "" {
				verify = append(verify, "--signature-digest-algorithm", hash)
			}
			if out, err := s.run(cosign, append(verify, before)...); err != nil {
				t.Errorf("cosign does not verify it: %v\n%s", err, out)
			}
			s.wants(0, []string{"2 keys"}, "key", "rotate", "--key", key, "--public", exported)
			s.wants(0, nil, "sign", "--key", key, after)
			for _, who := range []string{key, exported} {
				s.wants(0, []string{"VERIFIED"}, "verify", "--key", who, before)
				s.wants(0, []string{"VERIFIED"}, "verify", "--key", who, after)
			}
			if out, err := s.run(cosign, append(verify, after)...); err != nil { // it takes the first key of the file
				t.Errorf("cosign does not verify what the new version signed: %v\n%s", err, out)
			}
			// What the engine no longer lists, nobody but the exported keys know.
			post("keys/"+kind+"/config", `{"min_decryption_version": 2, "min_encryption_version": 2}`)
			s.wants(1, []string{"unknown key"}, "verify", "--key", key, before)
			s.wants(0, []string{"VERIFIED"}, "verify", "--key", key, after)
			s.wants(0, []string{"VERIFIED"}, "verify", "--key", exported, before)
		})
	}
	post("keys/aes", `{"type": "aes256-gcm96"}`)
	image := s.push(host + "/vault/refused")
	s.wants(3, []string{"aes256-gcm96"}, "sign", "--key", "hashivault://aes", image)
	s.wants(3, []string{"none"}, "sign", "--key", "hashivault://none", image)
	s.env = append(s.env, "VAULT_TOKEN=hvs.other")
	s.wants(3, []string{"permission denied"}, "sign", "--key", "hashivault://rsa-2048", image)
	s.wants(1, []string{"there is no evidence at all"}, "verify", "--key", "rsa-2048.pub", image)
}
