// Package gcpkms signs with keys of Google Cloud's Key Management Service.
//
// Entry points are [Open], for signing, and [Public], for verifying.
// References are those of cosign:
//
//	gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/N]
//
// "versions" is read for "cryptoKeyVersions" too. Without a version, Open takes
// the newest one that is enabled, and the signer keeps to it; Public gives all
// that are enabled, so that what was signed before a rotation still verifies.
//
// It speaks the REST interface (cloudkms.googleapis.com, v1): a list of versions
// only where the reference names none, one request for a public key, one for
// each signature. Checksums (CRC32C) are sent and verified both ways. The
// credentials are Google's application default credentials: a file that
// GOOGLE_APPLICATION_CREDENTIALS or gcloud names (workload identity federation
// included), else the metadata server, as on GKE with workload identity. Nothing
// is contacted before Open or Public.
//
// The package makes, changes and rotates no key.
package gcpkms

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
)

// Scheme starts a reference.
const Scheme = "gcpkms"

// Config says how the service is reached; the zero value is what to use.
type Config struct {
	Reach keyservice.Reach
	// Endpoint is where the service is, with https://; "" is Google's own.
	Endpoint string
}

// Open finds the key version that a reference means now: one request where it
// names a version, two where it does not.
func Open(ctx context.Context, config Config, reference string) (*keyservice.Signer, error) {
	target, c, err := dial(ctx, config, reference)
	if err != nil {
		return nil, err
	}
	name := target.version
	if name == "" {
		versions, err := c.enabled(ctx, target.key)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", reference, err)
		}
		name = versions[0]
	}
	public, err := c.public(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	return keyservice.New(reference, public, c.sign)
}

// Public fetches the public keys that a reference speaks for: of the version
// that it names, else of every version that is enabled, the newest first. A
// version whose algorithm is not one of signing.Digest's is an error where it
// is named, and passed over where others can verify.
func Public(ctx context.Context, config Config, reference string) ([]keyservice.PublicKey, error) {
	target, c, err := dial(ctx, config, reference)
	if err != nil {
		return nil, err
	}
	names := []string{target.version}
	if target.version == "" {
		if names, err = c.enabled(ctx, target.key); err != nil {
			return nil, fmt.Errorf("%s: %w", reference, err)
		}
	}
	keys, errs := make([]keyservice.PublicKey, len(names)), make([]error, len(names))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, name := range names {
		group.Go(func() error {
			keys[i], errs[i] = c.public(groupCtx, name)
			if errors.Is(errs[i], errAlgorithm) {
				return nil
			}
			return errs[i]
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	var usable []keyservice.PublicKey
	for _, key := range keys {
		if key.Key != nil {
			usable = append(usable, key)
		}
	}
	if len(usable) == 0 {
		return nil, fmt.Errorf("%s: %w", reference, errs[0])
	}
	return usable, nil
}

// parallel is how many public keys are fetched at once.
const parallel = 8

// target is a reference, taken apart: the resource names of the key and, where
// it is said, of the version.
type target struct{ key, version string }

const reference = `^gcpkms://(projects/[a-z0-9][a-z0-9.:-]{0,99}/locations/[a-z0-9-]{1,63}/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63})(?:/(?:cryptoKeyVersions|versions)/([1-9][0-9]{0,9}))?$`

func parse(text string) (target, error) {
	found := regexp.MustCompile(reference).FindStringSubmatch(text) // compiled here: it would cost every start
	if found == nil {
		return target{}, &keyservice.ReferenceError{Reference: text, Want: "gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K, with or without /cryptoKeyVersions/N"}
	}
	t := target{key: found[1]}
	if found[2] != "" {
		t.version = t.key + "/cryptoKeyVersions/" + found[2]
	}
	return t, nil
}

// enabled lists the versions of a key that are enabled, the newest first; at
// least one.
func (c *client) enabled(ctx context.Context, key string) ([]string, error) {
	numbers := map[int]bool{}
	query := url.Values{"filter": {"state=ENABLED"}, "pageSize": {"100"}}
	seen := 0
	for {
		var page struct {
			CryptoKeyVersions []struct{ Name, State string }
			NextPageToken     string
		}
		if err := c.call(ctx, "cloudkms.cryptoKeyVersions.list", http.MethodGet, key+"/cryptoKeyVersions?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		// A page counts too, so that empty ones come to an end.
		if seen += 1 + len(page.CryptoKeyVersions); seen > limit.KeyVersions {
			return nil, &limit.Error{What: "the list of the key's versions", Bound: limit.KeyVersions, Unit: "versions and pages"}
		}
		for _, version := range page.CryptoKeyVersions {
			text, found := strings.CutPrefix(version.Name, key+"/cryptoKeyVersions/")
			number, err := strconv.Atoi(text)
			if !found || err != nil {
				return nil, fmt.Errorf("the service lists %q as a version of the key", keyservice.Said(version.Name))
			}
			if version.State == "ENABLED" {
				numbers[number] = true
			}
		}
		if page.NextPageToken == "" {
			break
		}
		query.Set("pageToken", page.NextPageToken)
	}
	if len(numbers) == 0 {
		return nil, errors.New("the key has no version that is enabled: enable one, or create one")
	}
	return newestFirst(key, numbers), nil
}

// errAlgorithm says that a version cannot make signatures that anybody here
// verifies.
var errAlgorithm = errors.New("signing needs EC_SIGN_P256_SHA256, EC_SIGN_P384_SHA384, EC_SIGN_ED25519, or RSA_SIGN_PKCS1_2048_SHA256, _3072_SHA256 or _4096_SHA256")

func supported(algorithm string) bool {
	switch algorithm {
	case "EC_SIGN_P256_SHA256", "EC_SIGN_P384_SHA384", "EC_SIGN_ED25519",
		"RSA_SIGN_PKCS1_2048_SHA256", "RSA_SIGN_PKCS1_3072_SHA256", "RSA_SIGN_PKCS1_4096_SHA256":
		return true
	}
	return false
}

// public fetches the public key of one version.
func (c *client) public(ctx context.Context, name string) (keyservice.PublicKey, error) {
	var answer struct {
		Name, Algorithm, Pem string
		PemCrc32C            checksum `json:"pemCrc32c"`
	}
	if err := c.call(ctx, "cloudkms.cryptoKeyVersions.viewPublicKey", http.MethodGet, name+"/publicKey", nil, &answer); err != nil {
		return keyservice.PublicKey{}, err
	}
	if answer.Name != name {
		return keyservice.PublicKey{}, fmt.Errorf("asked for the public key of %s, the service answered with that of %q", name, keyservice.Said(answer.Name))
	}
	if !supported(answer.Algorithm) {
		return keyservice.PublicKey{}, fmt.Errorf("%s has the algorithm %q: %w", name, keyservice.Said(answer.Algorithm), errAlgorithm)
	}
	if err := answer.PemCrc32C.verify("the public key", []byte(answer.Pem)); err != nil {
		return keyservice.PublicKey{}, err
	}
	key, err := keyservice.ParsePEM([]byte(answer.Pem))
	if err != nil {
		return keyservice.PublicKey{}, err
	}
	return keyservice.PublicKey{Key: key, Version: name}, nil
}

// sign has one signature made.
func (c *client) sign(ctx context.Context, request keyservice.Request) ([]byte, error) {
	var answer struct {
		Name                 string
		Signature            []byte
		SignatureCrc32C      checksum `json:"signatureCrc32c"`
		VerifiedDigestCrc32C bool     `json:"verifiedDigestCrc32c"`
		VerifiedDataCrc32C   bool     `json:"verifiedDataCrc32c"`
	}
	if err := c.call(ctx, "cloudkms.cryptoKeyVersions.useToSign", http.MethodPost, request.Version+":asymmetricSign", ask(request), &answer); err != nil {
		return nil, err
	}
	if answer.Name != request.Version {
		return nil, fmt.Errorf("the service signed with %q instead of %s", keyservice.Said(answer.Name), request.Version)
	}
	if verified := answer.VerifiedDigestCrc32C || request.Hash == 0 && answer.VerifiedDataCrc32C; !verified {
		return nil, errors.New("the service did not verify the checksum of what it was sent; it may have been damaged on the way: try again")
	}
	return answer.Signature, answer.SignatureCrc32C.verify("the signature", answer.Signature)
}

// ask is the body of a request to sign. Ed25519 takes the message itself.
func ask(request keyservice.Request) map[string]any {
	sum := checksumOf(request.Digest)
	switch request.Hash {
	case crypto.SHA256:
		return map[string]any{"digest": map[string][]byte{"sha256": request.Digest}, "digestCrc32c": sum}
	case crypto.SHA384:
		return map[string]any{"digest": map[string][]byte{"sha384": request.Digest}, "digestCrc32c": sum}
	case crypto.SHA512:
		return map[string]any{"digest": map[string][]byte{"sha512": request.Digest}, "digestCrc32c": sum}
	}
	return map[string]any{"data": request.Digest, "dataCrc32c": sum}
}

// checksum is a CRC32C as the interface has it: a decimal number in a string.
type checksum string

func checksumOf(content []byte) checksum {
	return checksum(strconv.FormatUint(uint64(crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli))), 10))
}

func (c checksum) verify(what string, content []byte) error {
	if want := checksumOf(content); c != want {
		return fmt.Errorf("%s was damaged on the way: its CRC32C is %s, and the service says %q: try again", what, want, keyservice.Said(string(c)))
	}
	return nil
}
