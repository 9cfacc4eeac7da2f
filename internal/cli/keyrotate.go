package cli

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/pkcs11uri"
	"github.com/seed-161fc314/assay/internal/port/signing/file"
	"github.com/seed-161fc314/assay/internal/port/signing/vault"
)

// rotateFlags are those of `assay key rotate`.
type rotateFlags struct {
	key, newKey, public, kind, overlap, format string
}

// rotated is what a rotation did.
type rotated struct {
	NewKey identity.Key `json:"newKey"`
	OldKey identity.Key `json:"oldKey"`
	// Signs is the reference that signs from now on, Kept the file of the old
	// private key.
	Signs string `json:"signs"`
	Kept  string `json:"kept,omitempty"`
	// Public is the file of public keys, with how many, and Until when the old
	// key stops counting.
	Public string    `json:"public"`
	Keys   int       `json:"keys"`
	Until  time.Time `json:"until"`
	// Resumed says that the new key was there already, of a rotation that was
	// broken off.
	Resumed bool `json:"resumed,omitempty"`
}

func newKeyRotate(host *Host) *cobra.Command {
	flags := rotateFlags{}
	command := &cobra.Command{
		Use: "rotate", Short: "Put a new key in the place of an old one", Args: cobra.NoArgs,
		Long: `Rotate makes a new key and writes the file of public keys: the new one first, and
behind it the older ones, which count until now and --overlap. Evidence that an
old key signed counts until then by the clock of who verifies; after that, only
with a trusted timestamp of a time before.

A key file is replaced by the new one; the old private key stays beside it, as
KEY.FINGERPRINT. A key in Vault gets a new version there. For any other key, or
to move from one kind to another, --new-key names a key that is there already.

A rotation that was broken off loses no key; the same command finishes it.
` + "`assay key --help`" + ` lists the kinds of keys and their environment.`,
		Example: "  assay key rotate --key assay.key\n  assay key rotate --key hashivault://release --public release.pub --overlap 7d\n  assay key rotate --key assay.key --new-key hashivault://release",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runKeyRotate(cmd.Context(), host, flags)
		},
	}
	command.Flags().StringVar(&flags.key, "key", "", "the key that signs until now: a private key file, or hashivault://KEY, …")
	command.Flags().StringVar(&flags.newKey, "new-key", "", "the key that signs from now on, instead of one that is made")
	command.Flags().StringVar(&flags.public, "public", "", "the file of public keys that verifiers have (default: that of the private key file)")
	command.Flags().StringVar(&flags.kind, "type", "", "type of the new key file (default: the old one's): "+strings.Join(cosignkey.Types(), ", "))
	command.Flags().StringVar(&flags.overlap, "overlap", "30d", "how long the old key counts from now on, such as 36h or 7d; 0s is not at all")
	formatFlag(command, &flags.format, "text", "text", "json")
	return command
}

func runKeyRotate(ctx context.Context, host *Host, flags rotateFlags) error {
	if err := oneOf("-o", flags.format, "text", "json"); err != nil {
		return err
	}
	overlap, err := parseDuration(flags.overlap)
	scheme := keyScheme(flags.key)
	inVault := scheme == "hashivault" || scheme == "openbao"
	switch {
	case flags.key == "":
		return usage("--key is missing").withHint("name the key that signs until now, such as --key assay.key")
	case err != nil || overlap < 0:
		return usage("--overlap %s: want a duration of 0 or more, such as 36h or 7d", flags.overlap)
	case flags.kind != "" && (scheme != "" || flags.newKey != ""):
		return usage("--type is for key files that are made; here none is")
	case flags.newKey == "" && scheme != "" && !inVault:
		return usage("a new key of kind %s is not made here", scheme).withHint("make it there, and name it with --new-key")
	case flags.public == "" && scheme == "" && strings.HasSuffix(flags.key, ".key"):
		flags.public = strings.TrimSuffix(flags.key, ".key") + ".pub"
	case strings.HasSuffix(flags.key, ".pub"):
		return usage("--key %s: want the private key, which signs until now", flags.key).withHint("--key %s, and its public keys stay in %s", strings.TrimSuffix(flags.key, ".pub")+".key", flags.key)
	case flags.public == "":
		return usage("--public is missing").withHint("name the file of public keys that verifiers have; it is made if it is not there")
	}
	r := rotation{host: host, flags: flags, until: host.Now().Add(overlap).UTC().Truncate(time.Second)}
	if err := r.read(); err != nil {
		return err
	}
	switch {
	case flags.newKey != "":
		err = r.to(ctx)
	case inVault:
		err = r.inVault(ctx, scheme)
	default:
		err = r.inFile(ctx)
	}
	if err != nil {
		return err
	}
	return r.print()
}

// rotation is one run of the command.
type rotation struct {
	host  *Host
	flags rotateFlags
	until time.Time
	// set are the public keys of --public; there says that the file is.
	set   []cosignkey.Public
	there bool
	files file.Rotation
	done  rotated
}

// read takes the public keys that verifiers have.
func (r *rotation) read() error {
	r.files = file.Rotation{Private: r.host.path(r.flags.key), Public: r.host.path(r.flags.public)}
	r.done = rotated{Public: r.flags.public, Until: r.until, Signs: pkcs11uri.Redact(r.flags.key)}
	content, err := r.host.readFile(r.flags.public, limit.KeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r.there = true
	if r.set, err = cosignkey.ReadPublic(content); err != nil {
		return fmt.Errorf("--public %s: %w", r.flags.public, err)
	}
	return nil
}

// known holds the file of public keys to a key that it must have: another
// one's file would be overwritten. Without a file the keys make one.
func (r *rotation) known(keys []crypto.PublicKey) error {
	if !r.there {
		for _, key := range keys {
			r.set = append(r.set, cosignkey.Public{Key: key})
		}
		return nil
	}
	for _, key := range keys {
		if cosignkey.Holds(r.set, key) {
			return nil
		}
	}
	return usage("--public %s does not hold the public key of %s", r.flags.public, pkcs11uri.Redact(r.flags.key)).
		withHint("name the file that verifiers have of this key; `assay key public` writes one")
}

// publish writes the set with next in front, the newest first.
func (r *rotation) publish(old crypto.PublicKey, next ...crypto.PublicKey) ([]byte, error) {
	set, err := cosignkey.Succeed(r.set, next, r.until)
	if err != nil {
		return nil, err
	}
	if r.done.NewKey, err = identity.KeyOf(next[0]); err != nil {
		return nil, err
	}
	if r.done.OldKey, err = identity.KeyOf(old); err != nil {
		return nil, err
	}
	r.done.Keys = len(set)
	for _, public := range set {
		if id, err := identity.KeyOf(public.Key); err == nil && id == r.done.OldKey {
			r.done.Until = public.NotAfter
		}
	}
	return cosignkey.EncodeSet(set)
}

// to rotates to a key that is there already.
func (r *rotation) to(ctx context.Context) error {
	old, err := r.host.ownKeys(ctx, r.flags.key)
	if err != nil {
		return err
	}
	next, err := r.host.signerOf(ctx, r.flags.newKey, r.host.password)
	if err != nil {
		return fmt.Errorf("--new-key: %w", err)
	}
	if err := r.known(old); err != nil {
		return err
	}
	if set := []cosignkey.Public{{Key: old[0]}}; cosignkey.Holds(set, next.Public()) {
		return usage("--key and --new-key are the same key")
	}
	content, err := r.publish(old[0], next.Public())
	if err != nil {
		return err
	}
	r.done.Signs = pkcs11uri.Redact(r.flags.newKey)
	return r.files.Publish(content)
}

// inVault has Vault make a version. Where the file lacks versions that are
// there already, an earlier rotation was broken off, or somebody else rotated:
// the file catches up, and no version is made.
func (r *rotation) inVault(ctx context.Context, scheme string) error {
	old, err := r.host.ownKeys(ctx, r.flags.key)
	if err != nil {
		return err
	}
	if err := r.known(old); err != nil {
		return err
	}
	if fresh := r.missing(old); len(fresh) > 0 {
		r.done.Resumed = true
		content, err := r.publish(old[len(fresh)], fresh...)
		if err != nil {
			return err
		}
		return r.files.Publish(content)
	}
	// That the file can be written, and will hold one key more, is found out
	// before there is a version that nobody knows.
	if _, err := cosignkey.EncodeSet(append(r.set[:len(r.set):len(r.set)], r.set[0])); err != nil {
		return err
	}
	before, err := cosignkey.EncodeSet(r.set)
	if err != nil {
		return err
	}
	if err := r.files.Publish(before); err != nil {
		return err
	}
	config, err := r.host.vaultConfig(scheme)
	if err != nil {
		return err
	}
	versions, err := vault.Rotate(ctx, config, r.flags.key)
	if err != nil {
		return err
	}
	var keys []crypto.PublicKey
	for _, version := range versions {
		keys = append(keys, version.Key)
	}
	content, err := r.publish(old[0], r.missing(keys)...)
	if err != nil {
		return err
	}
	return r.files.Publish(content)
}

// missing are the versions newer than any that the file has.
func (r *rotation) missing(keys []crypto.PublicKey) []crypto.PublicKey {
	for i, key := range keys {
		if cosignkey.Holds(r.set, key) {
			return keys[:i]
		}
	}
	return keys
}

// inFile makes a key file. The old private key stays in its place until
// everything else is written.
func (r *rotation) inFile(ctx context.Context) error {
	old, err := r.host.signerOf(ctx, r.flags.key, r.host.password)
	if err != nil {
		return err
	}
	if err := r.known([]crypto.PublicKey{old.Public()}); err != nil {
		return err
	}
	next, private, err := r.nextFile(old.Public())
	if err != nil {
		return err
	}
	content, err := r.publish(old.Public(), next)
	if err != nil {
		return err
	}
	_, short, _ := strings.Cut(old.KeyID().String(), ":")
	r.done.Kept = r.flags.key + "." + short[:12]
	r.files.Kept = r.host.path(r.done.Kept)
	if err := r.files.Stage(private); err != nil {
		return err
	}
	if err := r.files.Keep(); err != nil {
		return err
	}
	if err := r.files.Publish(content); err != nil {
		return err
	}
	return r.files.Promote()
}

// nextFile makes the new key pair, or takes the one that was left waiting.
func (r *rotation) nextFile(old crypto.PublicKey) (public crypto.PublicKey, private []byte, err error) {
	path, private, err := r.files.Staged()
	if err != nil {
		return nil, nil, err
	}
	if path != "" {
		r.done.Resumed = true
		signer, err := file.Open(path, r.host.password)
		if err != nil {
			return nil, nil, fmt.Errorf("%w (an earlier rotation left this key, and may have published it; if nobody has its public key, remove the file)", err)
		}
		return signer.Public(), private, nil
	}
	kind := r.flags.kind
	if kind == "" {
		kind = cosignkey.TypeOf(old)
	}
	if kind == "" {
		return nil, nil, usage("keys of the old key's type are not made here").withHint("name a type with --type: %s", strings.Join(cosignkey.Types(), ", "))
	}
	if err := oneOf("--type", kind, cosignkey.Types()...); err != nil {
		return nil, nil, err
	}
	password, err := r.host.newPassword()
	if err != nil {
		return nil, nil, err
	}
	private, pem, err := cosignkey.GenerateType(kind, password)
	if err != nil {
		return nil, nil, err
	}
	keys, err := cosignkey.ReadPublic(pem)
	if err != nil {
		return nil, nil, err
	}
	return keys[0].Key, private, nil
}

// print says what was done, and what is to be done.
func (r *rotation) print() error {
	if r.flags.format == "json" {
		return writeJSON(r.host.Out, r.done)
	}
	d, until := r.done, r.done.Until.Format(time.RFC3339)
	if d.Resumed {
		r.host.say("the new key was there already: an earlier rotation was broken off, and is finished now")
	}
	kept := ""
	if d.Kept != "" {
		kept = ", kept in " + d.Kept
	}
	_, err := fmt.Fprintf(r.host.Out, `new key      %s, signs as %s
old key      %s%s, counts until %s
public keys  %s, %d keys

Next: give %s to everybody who verifies, before they see evidence of the new key.
Evidence of the old key counts until %s by the verifier's clock,
and after that only with a trusted timestamp of a time before.
`, d.NewKey, d.Signs, d.OldKey, kept, until, d.Public, d.Keys, d.Public, until)
	return err
}
