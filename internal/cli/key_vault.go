package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
	"github.com/seed-161fc314/assay/internal/port/signing/vault"
)

const vaultHelp = `Vault and OpenBao are reached as their own command lines are: VAULT_ADDR,
VAULT_TOKEN (or ~/.vault-token), VAULT_NAMESPACE, VAULT_CACERT, VAULT_CAPATH,
VAULT_CLIENT_CERT, VAULT_CLIENT_KEY, VAULT_TLS_SERVER_NAME, VAULT_SKIP_VERIFY,
VAULT_CLIENT_TIMEOUT, or all of them with BAO_, never some of each; TRANSIT_SECRET_ENGINE_PATH is the
engine's mount. ASSAY_VAULT_ROLE and ASSAY_VAULT_JWT_FILE log in with a JSON web
token, at auth/ASSAY_VAULT_AUTH_PATH (default jwt; kubernetes works too).`

// vaultKeys are keys of a transit engine of Vault or OpenBao, as the scheme says.
func (h *Host) vaultKeys(scheme string) keyKind {
	return keyKind{
		scheme: scheme, form: scheme + "://KEY",
		open: func(ctx context.Context, reference string, _ func() ([]byte, error)) (signing.Signer, error) {
			config, err := h.vaultConfig(scheme)
			if err != nil {
				return nil, err
			}
			return vault.Open(ctx, config, reference)
		},
		public: func(ctx context.Context, reference string) (trust.Signer, error) {
			config, err := h.vaultConfig(scheme)
			if err != nil {
				return trust.Signer{}, err
			}
			versions, err := vault.Public(ctx, config, reference)
			var keys []keyservice.PublicKey
			for _, version := range versions {
				keys = append(keys, keyservice.PublicKey{Key: version.Key})
			}
			return serviceSigner(reference, keys, err)
		},
	}
}

// vaultEnv gives the variables by which Vault or OpenBao is reached: all of them
// are of the family whose ADDR is set, so that the token of one is never sent to
// the other. Where both are, it is the one that the reference's scheme names.
func (h *Host) vaultEnv(scheme string) func(name string) string {
	prefix, other := "VAULT_", "BAO_"
	if scheme == "openbao" {
		prefix, other = other, prefix
	}
	if h.env(prefix+"ADDR") == "" && h.env(other+"ADDR") != "" {
		prefix = other
	}
	return func(name string) string { return h.env(prefix + name) }
}

// vaultConfig is how the environment says that Vault is reached.
func (h *Host) vaultConfig(scheme string) (vault.Config, error) {
	env := h.vaultEnv(scheme)
	config := vault.Config{
		Address: env("ADDR"), Namespace: env("NAMESPACE"), ServerName: env("TLS_SERVER_NAME"), Mount: h.env("TRANSIT_SECRET_ENGINE_PATH"),
	}
	var err error
	if text := env("SKIP_VERIFY"); text != "" {
		if config.SkipVerifyUnsafe, err = strconv.ParseBool(text); err != nil {
			return config, usage("VAULT_SKIP_VERIFY is %q; want true or false", text)
		}
	}
	if text := env("CLIENT_TIMEOUT"); text != "" {
		if seconds, err := strconv.Atoi(text); err == nil {
			config.Timeout = time.Duration(seconds) * time.Second
		} else if config.Timeout, err = time.ParseDuration(text); err != nil {
			return config, usage("VAULT_CLIENT_TIMEOUT is %q; want seconds, or a duration such as 30s", text)
		}
		if config.Timeout <= 0 {
			return config, usage("VAULT_CLIENT_TIMEOUT is %q; want more than nothing", text)
		}
	}
	if config.CA, err = h.vaultAuthorities(env("CACERT"), env("CAPATH")); err != nil {
		return config, err
	}
	if certificate, key := env("CLIENT_CERT"), env("CLIENT_KEY"); certificate != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(h.path(certificate), h.path(key))
		if err != nil {
			return config, fmt.Errorf("VAULT_CLIENT_CERT and VAULT_CLIENT_KEY: %w", err)
		}
		config.Certificate = &pair
	}
	return config, h.vaultToken(&config, env("TOKEN"))
}

// vaultToken fills in what authenticates: the variable's token, a login, or
// what `vault login` left behind.
func (h *Host) vaultToken(config *vault.Config, token string) error {
	if config.Token = token; token != "" {
		return nil
	}
	if file := h.env("ASSAY_VAULT_JWT_FILE"); file != "" {
		jwt, err := h.readFile(file, limit.KeyFile)
		if err != nil {
			return fmt.Errorf("ASSAY_VAULT_JWT_FILE: %w", err)
		}
		config.Login = vault.Login{Path: h.env("ASSAY_VAULT_AUTH_PATH"), Role: h.env("ASSAY_VAULT_ROLE"), JWT: strings.TrimSpace(string(jwt))}
		return nil
	}
	if home := h.env("HOME"); home != "" {
		left, err := h.readFile(filepath.Join(home, ".vault-token"), limit.KeyFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		config.Token = strings.TrimSpace(string(left))
	}
	return nil
}

// vaultAuthorities reads the certificates in a file, or of a directory.
func (h *Host) vaultAuthorities(file, dir string) ([]byte, error) {
	if file != "" {
		pem, err := h.readFile(file, limit.TrustedRoot)
		if err != nil {
			return nil, fmt.Errorf("VAULT_CACERT: %w", err)
		}
		return pem, nil
	}
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(h.path(dir))
	if err != nil {
		return nil, fmt.Errorf("VAULT_CAPATH: %w", err)
	}
	all := []byte{}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		pem, err := h.readFile(filepath.Join(dir, entry.Name()), limit.TrustedRoot)
		if err != nil {
			return nil, fmt.Errorf("VAULT_CAPATH: %w", err)
		}
		if all = append(append(all, pem...), '\n'); len(all) > limit.TrustedRoot {
			return nil, &limit.Error{What: "VAULT_CAPATH", Bound: limit.TrustedRoot, Unit: "bytes"}
		}
	}
	return all, nil
}
