// Package awskms signs with keys of AWS's Key Management Service.
//
// Entry points are [Open], for signing, and [Public], for verifying.
// References are those of cosign: awskms://[ENDPOINT]/KEY, where KEY is a key
// id, a key ARN, alias/NAME or an alias ARN, and ENDPOINT a host of another
// endpoint than the region's own.
//
// One request (GetPublicKey) turns a reference into a key's ARN and its public
// key; a signer keeps to that key, wherever an alias points later. Each
// signature is one request (Sign) with a digest. The credentials and the region
// are what AWS's own SDK finds (variables, shared configuration, web identity,
// container, instance metadata, in this order); the region of an ARN comes
// first. Nothing is contacted before Open or Public.
//
// The package makes, changes and rotates no key.
package awskms

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha512"
	"errors"
	"fmt"
	"net/http"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go/logging"

	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
)

// Scheme starts a reference.
const Scheme = "awskms"

// Config says how the service is reached; the zero value is what to use.
type Config struct {
	Reach keyservice.Reach
}

// Open finds the key that a reference means now: one request.
func Open(ctx context.Context, config Config, reference string) (*keyservice.Signer, error) {
	s, public, err := find(ctx, config, reference)
	if err != nil {
		return nil, err
	}
	return keyservice.New(reference, public, s.sign)
}

// Public fetches the public key that a reference means now: one request. An
// AWS key has no versions: an alias that moves on leaves its old key behind.
func Public(ctx context.Context, config Config, reference string) ([]keyservice.PublicKey, error) {
	_, public, err := find(ctx, config, reference)
	if err != nil {
		return nil, err
	}
	return []keyservice.PublicKey{public}, nil
}

// target is a reference, taken apart.
type target struct{ endpoint, key, region string }

// The forms of a reference.
const (
	keyID     = `(?:mrk-)?[A-Fa-f0-9]{8}-?[A-Fa-f0-9]{4}-?[A-Fa-f0-9]{4}-?[A-Fa-f0-9]{4}-?[A-Fa-f0-9]{12}|mrk-[A-Fa-f0-9]{32}`
	alias     = `alias/[A-Za-z0-9/_-]{1,250}`
	arn       = `arn:aws[a-z-]*:kms:([a-z0-9-]+):[0-9]{12}:(?:key/(?:` + keyID + `)|` + alias + `)`
	reference = `^awskms://([^/?#@\s]*)/((?:` + keyID + `)|` + alias + `|` + arn + `)$`
)

func parse(text string) (target, error) {
	found := regexp.MustCompile(reference).FindStringSubmatch(text) // compiled here: it would cost every start
	if found == nil {
		return target{}, &keyservice.ReferenceError{Reference: text, Want: "awskms://[ENDPOINT]/KEY, where KEY is a key id, a key ARN, alias/NAME or an alias ARN, such as awskms:///alias/release"}
	}
	return target{endpoint: found[1], key: found[2], region: found[3]}, nil
}

// service speaks to KMS.
type service struct{ client *kms.Client }

func find(ctx context.Context, c Config, reference string) (*service, keyservice.PublicKey, error) {
	target, err := parse(reference)
	if err != nil {
		return nil, keyservice.PublicKey{}, err
	}
	client, err := dial(ctx, c, target)
	if err != nil {
		return nil, keyservice.PublicKey{}, fmt.Errorf("%s: %w", reference, err)
	}
	s := &service{client: client}
	answer, err := client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &target.key})
	if err != nil {
		return nil, keyservice.PublicKey{}, fmt.Errorf("%s: %w", reference, explain(ctx, "kms:GetPublicKey", err))
	}
	public, err := read(answer)
	if err != nil {
		return nil, keyservice.PublicKey{}, fmt.Errorf("%s: %w", reference, err)
	}
	return s, public, nil
}

// dial reads AWS's configuration; nothing is contacted yet.
func dial(ctx context.Context, c Config, target target) (*kms.Client, error) {
	options := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if target.region != "" {
		options = append(options, config.WithRegion(target.region))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("reading AWS's configuration: %s", keyservice.Said(err.Error()))
	}
	if loaded.Region == "" {
		return nil, errors.New("no AWS region is configured: set AWS_REGION, or give the key's ARN, which names it")
	}
	var base http.RoundTripper
	if buildable, ok := loaded.HTTPClient.(*awshttp.BuildableClient); ok {
		base = buildable.GetTransport() // it has AWS_CA_BUNDLE's authorities
	}
	return kms.NewFromConfig(loaded, func(o *kms.Options) {
		o.HTTPClient = c.Reach.Client(base)
		o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts, s.MaxBackoff = keyservice.Attempts, c.Reach.Pause()
		})
		if target.endpoint != "" {
			o.BaseEndpoint = aws.String("https://" + target.endpoint)
		}
	}), nil
}

// read takes the key out of an answer.
func read(answer *kms.GetPublicKeyOutput) (keyservice.PublicKey, error) {
	if answer.KeyUsage != types.KeyUsageTypeSignVerify {
		return keyservice.PublicKey{}, fmt.Errorf("the key's usage is %q; signing needs a key made for %s", keyservice.Said(string(answer.KeyUsage)), types.KeyUsageTypeSignVerify)
	}
	switch answer.KeySpec {
	case types.KeySpecEccNistP256, types.KeySpecEccNistP384, types.KeySpecEccNistP521, types.KeySpecEccNistEdwards25519,
		types.KeySpecRsa2048, types.KeySpecRsa3072, types.KeySpecRsa4096:
	default:
		return keyservice.PublicKey{}, fmt.Errorf("the key is of kind %q; signing needs ECC_NIST_P256, _P384, _P521 or _EDWARDS25519, or RSA_2048, _3072 or _4096", keyservice.Said(string(answer.KeySpec)))
	}
	name := aws.ToString(answer.KeyId)
	if name == "" || len(answer.PublicKey) == 0 {
		return keyservice.PublicKey{}, errors.New("the service's answer has no key in it")
	}
	key, err := keyservice.ParseDER(answer.PublicKey)
	if err != nil {
		return keyservice.PublicKey{}, err
	}
	return keyservice.PublicKey{Key: key, Version: name}, nil
}

// longest is the longest message that Sign takes, in bytes.
const longest = 4096

// algorithm says how a key of this type is asked to sign, and what.
func algorithm(request keyservice.Request) (types.SigningAlgorithmSpec, types.MessageType, []byte) {
	switch request.Public.(type) {
	case *rsa.PublicKey:
		return types.SigningAlgorithmSpecRsassaPkcs1V15Sha256, types.MessageTypeDigest, request.Digest
	case ed25519.PublicKey:
		if len(request.Message) <= longest {
			return types.SigningAlgorithmSpecEd25519Sha512, types.MessageTypeRaw, request.Message
		}
		sum := sha512.Sum512(request.Message)
		return types.SigningAlgorithmSpecEd25519PhSha512, types.MessageTypeDigest, sum[:]
	}
	switch request.Hash {
	case crypto.SHA384:
		return types.SigningAlgorithmSpecEcdsaSha384, types.MessageTypeDigest, request.Digest
	case crypto.SHA512:
		return types.SigningAlgorithmSpecEcdsaSha512, types.MessageTypeDigest, request.Digest
	}
	return types.SigningAlgorithmSpecEcdsaSha256, types.MessageTypeDigest, request.Digest
}

func (s *service) sign(ctx context.Context, request keyservice.Request) ([]byte, error) {
	spec, kind, message := algorithm(request)
	answer, err := s.client.Sign(ctx, &kms.SignInput{KeyId: &request.Version, Message: message, MessageType: kind, SigningAlgorithm: spec})
	if err != nil {
		return nil, explain(ctx, "kms:Sign", err)
	}
	if name := aws.ToString(answer.KeyId); name != request.Version {
		return nil, fmt.Errorf("the service signed with %q instead of %s", keyservice.Said(name), request.Version)
	}
	return answer.Signature, nil
}
