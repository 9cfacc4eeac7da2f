package cli

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
)

func newKey(host *Host) *cobra.Command {
	command := &cobra.Command{
		Use: "key", Short: "Make key pairs, show public keys, and rotate keys",
		Long: `Keys are files in cosign's format: a private key that a password protects, and a
public key in PEM. The password comes from ASSAY_PASSWORD or COSIGN_PASSWORD, or
is asked for at the terminal; set to nothing, it means an empty password.

Wherever a command takes --key, the key may also be somewhere else:

  env://VARIABLE              what a file would hold, in the environment
  k8s://NAMESPACE/SECRET      a secret as cosign writes it
  awskms://[ENDPOINT]/KEY     AWS: a key id, an ARN, alias/NAME
  gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/N]
  azurekms://VAULT.vault.azure.net/KEY[/VERSION]
  hashivault://KEY, openbao://KEY
                              a key of a transit engine
  pkcs11:token=T;object=O     a key in a token (RFC 7512), in a build with PKCS#11

A key service is contacted only by a reference to it. To sign, the version is
found once and kept; to verify, the public keys are fetched once (of all enabled
versions, where none is named), and the rest is local.

` + vaultHelp + `

PKCS11_MODULE_PATH and PKCS11_PIN are the module and the PIN of a pkcs11: reference
that has neither module-path nor pin-value or pin-source (a file).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.AddCommand(newKeyGenerate(host), newKeyPublic(host), newKeyRotate(host))
	return command
}

func newKeyGenerate(host *Host) *cobra.Command {
	prefix, kind := "assay", cosignkey.Types()[0]
	command := &cobra.Command{
		Use: "generate", Short: "Make a key pair in cosign's format", Args: cobra.NoArgs,
		Example: "  ASSAY_PASSWORD=… assay key generate --output-key-prefix ci\n  assay key generate --type ed25519",
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("--type", kind, cosignkey.Types()...); err != nil {
				return err
			}
			password, err := host.newPassword()
			if err != nil {
				return err
			}
			private, public, err := cosignkey.GenerateType(kind, password)
			if err != nil {
				return err
			}
			privatePath, publicPath, err := file.Write(host.path(prefix), private, public)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%w; nothing was written (another --output-key-prefix gives another file)", err)
			}
			if err != nil {
				return err
			}
			key, err := fingerprint(public)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(host.Out, "private key  %s\npublic key   %s\nfingerprint  %s\n", privatePath, publicPath, key)
			return err
		},
	}
	command.Flags().StringVar(&kind, "type", kind, "type of the key: "+strings.Join(cosignkey.Types(), ", "))
	command.Flags().StringVar(&prefix, "output-key-prefix", prefix, "write PREFIX.key and PREFIX.pub; never replaces a file")
	return command
}

func newKeyPublic(host *Host) *cobra.Command {
	var key, output string
	command := &cobra.Command{
		Use: "public", Short: "Print the public key of a private key", Args: cobra.NoArgs,
		Long: `Public prints the public key of a private key in PEM. For a key in a key service
these are the public keys of all versions that count, the latest first.`,
		Example: "  assay key public --key assay.key --output assay.pub\n  assay key public --key hashivault://release",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if key == "" {
				return usage("--key is missing").withHint("name the private key, such as --key assay.key")
			}
			keys, err := host.publicKeys(cmd.Context(), key)
			if err != nil {
				return err
			}
			public, err := cosignkey.EncodeSet(keys)
			if err != nil {
				return err
			}
			if err := host.keepsOthers(output, keys); err != nil {
				return err
			}
			err = host.write(output, func(w io.Writer) error {
				_, err := w.Write(public)
				return err
			})
			if err == nil && output != "" && output != "-" {
				host.say("wrote %s to %s", explain.Count(len(keys), "public key", "public keys"), output)
			}
			return err
		},
	}
	command.Flags().StringVar(&key, "key", "", "private key: a file or a reference")
	command.Flags().StringVar(&output, "output", "", "write to this file instead of standard output")
	return command
}

// keepsOthers refuses to write public keys over a file with other ones: after a
// rotation, that is what evidence by the older key still counts by.
func (h *Host) keepsOthers(output string, keys []cosignkey.Public) error {
	if output == "" || output == "-" {
		return nil
	}
	content, err := h.readFile(output, limit.KeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	h.read.forget(output)
	there, err := cosignkey.ReadPublic(content)
	if err != nil {
		return nil // no public keys are lost; replace says what else would be
	}
	for _, old := range there {
		id, err := identity.KeyOf(old.Key)
		if err != nil {
			return err
		}
		same := func(k cosignkey.Public) bool { other, err := identity.KeyOf(k.Key); return err == nil && other == id }
		if !slices.ContainsFunc(keys, same) {
			return usage("--output %s: it holds another public key, %s, and evidence that it signed would no longer count", output, id).
				withHint("write to another file, or remove that one first")
		}
	}
	return nil
}

// publicKeys are those of the private key that a reference names.
func (h *Host) publicKeys(ctx context.Context, reference string) ([]cosignkey.Public, error) {
	keys, err := h.ownKeys(ctx, reference)
	if err != nil {
		return nil, err
	}
	var set []cosignkey.Public
	for _, key := range keys {
		set = append(set, cosignkey.Public{Key: key})
	}
	return set, nil
}

// ownKeys are the public keys of a key that signs, the one that signs now first.
func (h *Host) ownKeys(ctx context.Context, reference string) ([]crypto.PublicKey, error) {
	if scheme := keyScheme(reference); scheme == "" || scheme == envScheme {
		signer, err := h.signerOf(ctx, reference, h.password)
		if err != nil {
			return nil, err
		}
		return []crypto.PublicKey{signer.Public()}, nil
	}
	signer, err := h.trusted(ctx, "--key", reference)
	if err != nil {
		return nil, err
	}
	var keys []crypto.PublicKey
	for _, key := range signer.Keys {
		keys = append(keys, key.Public)
	}
	return keys, nil
}

// passwordVariables are looked at in order; the first one that is set counts,
// also when it is set to nothing.
var passwordVariables = [...]string{"ASSAY_PASSWORD", "COSIGN_PASSWORD"}

// password is the password of an existing key.
func (h *Host) password() ([]byte, error) {
	for _, name := range passwordVariables {
		if h.hasEnv(name) {
			return []byte(h.env(name)), nil
		}
	}
	if h.ReadPassword == nil {
		return nil, usage("the private key has a password, and there is no terminal to ask for it").
			withHint("set ASSAY_PASSWORD (or COSIGN_PASSWORD); set to nothing it means an empty password")
	}
	return h.ask("password for the private key: ")
}

// newPassword is the password of a key that is being made, asked for twice.
func (h *Host) newPassword() ([]byte, error) {
	for _, name := range passwordVariables {
		if h.hasEnv(name) {
			return []byte(h.env(name)), nil
		}
	}
	if h.ReadPassword == nil {
		return nil, usage("a new private key needs a password, and there is no terminal to ask for it").
			withHint("set ASSAY_PASSWORD (or COSIGN_PASSWORD); set to nothing it means an empty password")
	}
	first, err := h.ask("password for the new private key: ")
	if err != nil {
		return nil, err
	}
	second, err := h.ask("once more: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("the two passwords differ; nothing was written")
	}
	return first, nil
}

func (h *Host) ask(question string) ([]byte, error) {
	fmt.Fprint(h.Err, question)
	answer, err := h.askPassword()
	fmt.Fprintln(h.Err)
	if err != nil {
		return nil, fmt.Errorf("reading the password: %w", err)
	}
	return answer, nil
}

func fingerprint(public []byte) (identity.Key, error) {
	keys, err := cosignkey.ReadPublic(public)
	if err != nil {
		return identity.Key{}, err
	}
	return identity.KeyOf(keys[0].Key)
}

// readFile reads a file of the user's, with a bound.
func (h *Host) readFile(name string, bound int64) ([]byte, error) {
	f, err := os.Open(h.path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		if info.Size() > bound {
			return nil, &limit.Error{What: name, Bound: bound, Unit: "bytes"}
		}
		h.read.add(name, info)
	}
	return limit.ReadAll(f, name, bound)
}

// readFiles are the files that a run read, so that it does not write over one.
type readFiles struct {
	lock  sync.Mutex
	names []string
	infos []fs.FileInfo
}

func (r *readFiles) add(name string, info fs.FileInfo) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.names, r.infos = append(r.names, name), append(r.infos, info)
}

// forget takes a file out that was read to be compared with what is written.
func (r *readFiles) forget(name string) {
	r.lock.Lock()
	defer r.lock.Unlock()
	for i := len(r.names) - 1; i >= 0; i-- {
		if r.names[i] == name {
			r.names, r.infos = slices.Delete(r.names, i, i+1), slices.Delete(r.infos, i, i+1)
		}
	}
}

// find gives the name by which a file was read.
func (r *readFiles) find(info fs.FileInfo) (name string, found bool) {
	r.lock.Lock()
	defer r.lock.Unlock()
	for i, known := range r.infos {
		if os.SameFile(known, info) {
			return r.names[i], true
		}
	}
	return "", false
}
