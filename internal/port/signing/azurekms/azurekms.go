// Package azurekms signs with keys of Azure Key Vault and Managed HSM.
//
// Entry points are [Open], for signing, and [Public], for verifying.
// References are those of cosign: azurekms://VAULT.vault.azure.net/KEY[/VERSION];
// the vaults of other clouds (vault.azure.cn, vault.usgovcloudapi.net) and
// managed HSMs (managedhsm.azure.net) are named the same way.
//
// Without a version, Open takes the one that the vault calls current, and the
// signer keeps to it; Public gives all that are enabled, so that what was signed
// before a rotation still verifies. The first request is answered by a
// challenge; each signature is one request with a digest.
//
// The credentials are what Azure's own SDK finds (variables, workload identity,
// managed identity, then the az, azd and PowerShell programs);
// AZURE_TOKEN_CREDENTIALS picks among them. Nothing is contacted before Open or
// Public, and only the vault that a reference names is ever sent a token for it.
//
// The package makes, changes and rotates no key.
package azurekms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"golang.org/x/sync/errgroup"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/signing/keyservice"
)

// Scheme starts a reference.
const Scheme = "azurekms"

// Method is which credentials are looked for.
type Method string

// The methods: all that the SDK knows, only its variables, only the az program.
const (
	Default     Method = ""
	Environment Method = "environment"
	CLI         Method = "cli"
)

// Config says how the service is reached; the zero value is what to use.
type Config struct {
	Reach  keyservice.Reach
	Method Method
}

// Open finds the key version that a reference means now: two requests, the
// first of them answered by a challenge.
func Open(ctx context.Context, config Config, reference string) (*keyservice.Signer, error) {
	v, err := dial(config, reference)
	if err != nil {
		return nil, err
	}
	public, operations, err := v.public(ctx, v.version)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	if len(operations) > 0 && !slices.Contains(operations, azkeys.KeyOperationSign) {
		return nil, fmt.Errorf("%s: the key's permitted operations are %q, without sign", reference, operations)
	}
	return keyservice.New(reference, public, v.sign)
}

// Public fetches the public keys that a reference speaks for: of the version
// that it names, else of every version that is enabled. A version that nothing
// here could sign with is an error where it is named, and passed over where
// others can verify.
func Public(ctx context.Context, config Config, reference string) ([]keyservice.PublicKey, error) {
	v, err := dial(config, reference)
	if err != nil {
		return nil, err
	}
	versions := []string{v.version}
	if v.version == "" {
		if versions, err = v.enabled(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", reference, err)
		}
	}
	keys, errs := make([]keyservice.PublicKey, len(versions)), make([]error, len(versions))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, version := range versions {
		group.Go(func() error {
			keys[i], _, errs[i] = v.public(groupCtx, version)
			if errors.Is(errs[i], errKind) {
				return nil
			}
			return errs[i]
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w", reference, err)
	}
	usable := slices.DeleteFunc(keys, func(key keyservice.PublicKey) bool { return key.Key == nil })
	if len(usable) == 0 {
		return nil, fmt.Errorf("%s: %w", reference, errs[0])
	}
	return usable, nil
}

// parallel is how many public keys are fetched at once.
const parallel = 8

// vault speaks to one vault about one key.
type vault struct {
	client              *azkeys.Client
	host, name, version string
}

const reference = `^azurekms://([A-Za-z0-9.-]+(?::[0-9]{1,5})?)/([A-Za-z0-9-]{1,127})(?:/([A-Za-z0-9]{1,64})?)?$`

// dial makes the client; nothing is contacted yet.
func dial(config Config, text string) (*vault, error) {
	found := regexp.MustCompile(reference).FindStringSubmatch(text) // compiled here: it would cost every start
	if found == nil {
		return nil, &keyservice.ReferenceError{Reference: text, Want: "azurekms://VAULT.vault.azure.net/KEY, with or without /VERSION"}
	}
	v := &vault{host: found[1], name: found[2], version: found[3]}
	retry := policy.RetryOptions{MaxRetries: keyservice.Attempts - 1, RetryDelay: min(keyservice.FirstPause, config.Reach.Pause()), MaxRetryDelay: config.Reach.Pause()}
	credential, err := credentials(config, azcore.ClientOptions{Cloud: cloudOf(v.host), Transport: config.Reach.Client(nil), Retry: retry})
	if err != nil {
		return nil, fmt.Errorf("%s: no Azure credentials: %s", text, keyservice.Said(err.Error()))
	}
	options := &azkeys.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: only{v.host, config.Reach.Client(nil)}, Retry: retry}}
	if v.client, err = azkeys.NewClient("https://"+v.host, credential, options); err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	return v, nil
}

func credentials(config Config, options azcore.ClientOptions) (azcore.TokenCredential, error) {
	switch config.Method {
	case Default:
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
	case Environment:
		return azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{ClientOptions: options})
	case CLI:
		return azidentity.NewAzureCLICredential(nil)
	}
	return nil, fmt.Errorf("no method is called %q: want %q, %q or none", config.Method, Environment, CLI)
}

// cloudOf is whose identity service vouches for the callers of a vault. The
// zero value is the public cloud's, or AZURE_AUTHORITY_HOST.
func cloudOf(host string) cloud.Configuration {
	switch {
	case strings.HasSuffix(host, ".azure.cn"):
		return cloud.AzureChina
	case strings.HasSuffix(host, ".usgovcloudapi.net"):
		return cloud.AzureGovernment
	}
	return cloud.Configuration{}
}

// enabled lists the versions of the key that are enabled, at least one, the
// newest first as far as the vault says when they were made.
func (v *vault) enabled(ctx context.Context) ([]string, error) {
	type made struct {
		version string
		created int64
	}
	var versions []made
	seen := 0
	for pager := v.client.NewListKeyPropertiesVersionsPager(v.name, nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, explain(ctx, "keys/list", err)
		}
		// A page counts too, so that empty ones come to an end.
		if seen += 1 + len(page.Value); seen > limit.KeyVersions {
			return nil, &limit.Error{What: "the list of the key's versions", Bound: limit.KeyVersions, Unit: "versions and pages"}
		}
		for _, properties := range page.Value {
			if properties == nil || properties.KID == nil {
				return nil, errors.New("the vault lists a version without an identifier")
			}
			version, err := v.versionOf(string(*properties.KID))
			if err != nil {
				return nil, err
			}
			if a := properties.Attributes; a != nil && a.Enabled != nil && *a.Enabled {
				one := made{version: version}
				if a.Created != nil {
					one.created = a.Created.Unix()
				}
				versions = append(versions, one)
			}
		}
	}
	if len(versions) == 0 {
		return nil, errors.New("the key has no version that is enabled: enable one, or create one")
	}
	slices.SortStableFunc(versions, func(a, b made) int { return cmp.Compare(b.created, a.created) })
	var names []string
	for _, one := range versions {
		names = append(names, one.version)
	}
	return names, nil
}

// versionOf takes the version out of a key's identifier, and holds the rest of
// it to what was asked for.
func (v *vault) versionOf(identifier string) (string, error) {
	path, found := cutFold(identifier, "https://"+v.host+"/keys/"+v.name+"/")
	if !found || path == "" || strings.ContainsAny(path, "/?#") {
		return "", fmt.Errorf("asked about the key %s, the vault answered about %q", v.name, keyservice.Said(identifier))
	}
	return path, nil
}

// cutFold is strings.CutPrefix for names whose letters' case does not count.
func cutFold(text, prefix string) (string, bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return "", false
	}
	return text[len(prefix):], true
}
