package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/signingconfig"
	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/port/oidc"
	"github.com/seed-161fc314/assay/internal/port/signing"
	"github.com/seed-161fc314/assay/internal/port/signing/keyless"
	"github.com/seed-161fc314/assay/internal/port/trustroot"
)

const keylessHelp = `

Without --key, signing is keyless: a key is made for this run, and a certificate
authority vouches for whoever runs it, by an identity token. The token is
--identity-token, or what this machine gives (GitHub Actions, Buildkite,
SIGSTORE_ID_TOKEN, a mounted file, Google, SPIFFE), or a person logs in at the
terminal. Who is asked is what --signing-config says, or the URLs that are given, or
what ` + "`assay trust init`" + ` keeps; nobody else is. The identity is in the certificate,
and in the log for everybody to see.

With --key, logs and timestamp authorities are asked only where --rekor-url,
--timestamp-server-url or --signing-config name them.`

// keylessFlags say who vouches for what is signed, and for whom.
type keylessFlags struct {
	token, provider              string
	flow, issuer, client, secret string
	config, root                 string
	authority                    string
	logs, stamps                 []string
	logVersion                   int
	noAmbient                    bool
}

func (f *keylessFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.token, "identity-token", "", "identity token, or a file that holds one")
	flags.StringVar(&f.provider, "oidc-provider", "", "the one ambient provider to ask: "+strings.Join(oidc.Providers(), ", "))
	flags.BoolVar(&f.noAmbient, "oidc-disable-ambient-providers", false, "ask no ambient provider; a person logs in")
	flags.StringVar(&f.flow, "fulcio-auth-flow", "", "how a person logs in: normal (a browser on this machine) or device (any browser)")
	flags.StringVar(&f.issuer, "oidc-issuer", "", "where a person logs in (default: the signing configuration's)")
	flags.StringVar(&f.client, "oidc-client-id", oidc.Audience, "what that issuer knows this program as, and whom tokens are for")
	flags.StringVar(&f.secret, "oidc-client-secret-file", "", "file with the client secret, where the issuer wants one")
	flags.StringVar(&f.config, "signing-config", "", "file that says which certificate authority, logs and timestamp authorities are asked")
	flags.StringVar(&f.root, "trusted-root", "", "file with the authorities that all of it is held to before anything is stored (default: what assay trust init keeps)")
	flags.StringVar(&f.authority, "fulcio-url", "", "certificate authority, instead of --signing-config")
	flags.StringArrayVar(&f.logs, "rekor-url", nil, "transparency log, instead of --signing-config; may be repeated")
	flags.IntVar(&f.logVersion, "rekor-version", 1, "API of --rekor-url: 1, or 2 for Rekor on tiles")
	flags.StringArrayVar(&f.stamps, "timestamp-server-url", nil, "RFC 3161 timestamp authority, instead of --signing-config; may be repeated")
}

// outside are the services that are asked, and where they are named.
type outside struct {
	named               string
	authority, provider string
	logs                []keyless.Log
	stamps              []string
}

// String lists them, for people.
func (o outside) String() string {
	var asked []string
	for _, log := range o.logs {
		asked = append(asked, log.URL)
	}
	return strings.Join(append(asked, o.stamps...), ", ")
}

// urls says whether services are named one by one.
func (f *keylessFlags) urls() bool { return f.authority != "" || len(f.logs)+len(f.stamps) > 0 }

// check finds what contradicts itself, before anything is read.
func (f *keylessFlags) check(key bool) error {
	personal := f.flow != "" || f.issuer != "" || f.secret != ""
	switch {
	case key && (f.token != "" || f.provider != "" || f.authority != "" || f.noAmbient || personal):
		return usage("--key and keyless signing exclude each other: a signature is by one of them").
			withHint("leave --key out, or the flags about identity tokens and certificates")
	case f.config != "" && f.urls():
		return usage("--signing-config says who is asked; --fulcio-url, --rekor-url and --timestamp-server-url do not go with it")
	case !key && f.authority == "" && f.urls():
		return usage("--fulcio-url is missing: --rekor-url and --timestamp-server-url replace the signing configuration, and somebody must vouch for the key").
			withHint("add --fulcio-url, or sign with --key")
	case f.authority != "" && len(f.logs)+len(f.stamps) == 0:
		return usage("nobody would say when this was signed, and a certificate lives for minutes").
			withHint("add --rekor-url or --timestamp-server-url, or use --signing-config")
	case f.logVersion != 1 && f.logVersion != 2:
		return usage("--rekor-version %d: want 1 or 2", f.logVersion)
	case f.logVersion == 2 && len(f.logs) == 0:
		return usage("--rekor-version is of --rekor-url, and none is given")
	case f.logVersion == 2 && len(f.stamps) == 0 && !key:
		return usage("Rekor 2 signs no time, so that a certificate needs --timestamp-server-url too")
	case f.token != "" && (f.provider != "" || f.noAmbient || personal):
		return usage("--identity-token is who signs; the flags that ask for a token do not go with it")
	case f.provider != "" && (f.noAmbient || personal):
		return usage("--oidc-provider is who is asked; the flags about other ways do not go with it")
	}
	if f.flow != "" {
		return oneOf("--fulcio-auth-flow", f.flow, "normal", "device")
	}
	return nil
}

// outside finds who is asked; nobody, for a key about which nothing was said.
func (f *keylessFlags) outside(host *Host, key bool) (outside, error) {
	switch {
	case f.urls():
		o := outside{named: "the flags", authority: f.authority, stamps: f.stamps}
		for _, url := range f.logs {
			o.logs = append(o.logs, keyless.Log{URL: url, Version: f.logVersion})
		}
		return o, nil
	case f.config != "":
		content, err := host.readFile(f.config, limit.TrustedRoot)
		if err != nil {
			return outside{}, fmt.Errorf("--signing-config: %w", err)
		}
		return host.chosen(f.config, content, key)
	case key:
		return outside{}, nil
	}
	dir, material, err := host.trustMaterial()
	switch {
	case errors.Is(err, trustroot.ErrMissing):
		return outside{}, usage("neither a key is named, nor who would certify one for this run").
			withHint("sign with --key (`assay key generate` makes one), or name --signing-config and --trusted-root, or keep them once with `assay trust init`")
	case err != nil:
		return outside{}, err
	case material.SigningConfig == nil:
		return outside{}, usage("%s has a trusted root and no signing configuration: it says whom to believe, and not whom to ask", dir).
			withHint("give --signing-config, or keep one with `assay trust init --signing-config FILE --force`")
	}
	return host.chosen(dir, material.SigningConfig, key)
}

// chosen are the services of a signing configuration that are valid now.
func (h *Host) chosen(name string, content []byte, key bool) (outside, error) {
	config, err := signingconfig.Parse(name, content)
	if err != nil {
		return outside{}, err
	}
	if key { // nobody certifies it, and nobody logs in
		config.Authorities, config.Providers = nil, nil
	}
	chosen, err := config.Select(h.Now())
	if err != nil {
		return outside{}, fmt.Errorf("%s: %w", name, err)
	}
	o := outside{named: name}
	if chosen.Authority != nil {
		o.authority = chosen.Authority.URL
	} else if !key {
		return outside{}, fmt.Errorf("%s names no certificate authority", name)
	}
	if chosen.Provider != nil {
		o.provider = chosen.Provider.URL
	}
	for _, log := range chosen.Logs {
		o.logs = append(o.logs, keyless.Log{URL: log.URL, Version: int(log.Version)})
	}
	for _, stamp := range chosen.Timestamps {
		o.stamps = append(o.stamps, stamp.URL)
	}
	return o, nil
}

// witnessed adds to a configuration who vouches for what is signed. With a key
// and nobody named, that is nobody, and nothing is read or contacted.
func (f *keylessFlags) witnessed(ctx context.Context, host *Host, key signing.Signer, config *attest.Config) error {
	o, err := f.outside(host, key != nil)
	if err != nil {
		return err
	}
	config.Signer = key
	if key != nil && len(o.logs)+len(o.stamps) == 0 {
		if f.config != "" {
			return usage("--signing-config %s names neither a log nor a timestamp authority, and a key needs nobody else", f.config)
		}
		if f.root != "" {
			return usage("--trusted-root is what logs and timestamps are held to, and none are asked for").
				withHint("leave it out, or add --signing-config, --rekor-url or --timestamp-server-url")
		}
		return nil
	}
	if config.Root, err = (&signerFlags{root: f.root}).trustedRoot(host, true); err != nil {
		return err
	}
	from := keyless.Outside{UserAgent: "assay/" + versionString()}
	if len(o.logs)+len(o.stamps) > 0 {
		notary, err := keyless.NewNotary(keyless.NotaryConfig{Logs: o.logs, Timestamps: o.stamps, Outside: from})
		if err != nil {
			return fmt.Errorf("%s: %w", o.named, err)
		}
		config.Notary = notary
	}
	if key == nil {
		signer, err := keyless.Certify(ctx, keyless.Config{
			URL: o.authority, Now: host.Now, Outside: from,
			Token: func(ctx context.Context) (string, error) {
				token, err := f.who(ctx, host, o)
				return token.Text(), err
			},
		})
		if err != nil {
			return err
		}
		who := signer.Identity()
		config.Signer, config.Who = signer, identity.Pattern{Subject: who.Subject, Issuer: who.Issuer}
		host.say("signing as %s, vouched for by %s, certified by %s", who.Subject, who.Issuer, o.authority)
	}
	if config.Notary != nil {
		host.say("witnessed by %s", o)
	}
	return f.fits(host, config)
}

// fits has what the older layout cannot hold stored in bundles alone.
func (f *keylessFlags) fits(host *Host, config *attest.Config) error {
	notary, ok := config.Notary.(*keyless.Notary)
	if !ok || config.Layout == attest.LayoutBundle {
		return nil
	}
	why := notary.Older(config.Signer.Public())
	switch {
	case why == nil:
	case config.Layout == attest.LayoutLegacy:
		return usage("--layout legacy: %v", why).withHint("--layout bundle")
	default:
		host.say("only bundles are written (--layout bundle): %v", why)
		config.Layout = attest.LayoutBundle
	}
	return nil
}

// who gets an identity token.
func (f *keylessFlags) who(ctx context.Context, host *Host, o outside) (oidc.Token, error) {
	if f.token != "" {
		return oidc.Given(f.token, f.client, host.Now(), host.path)
	}
	ambient, err := host.ambient(f.client)
	if err != nil {
		return oidc.Token{}, err
	}
	personal := f.flow != "" || f.issuer != "" || f.noAmbient
	if f.provider != "" || !personal {
		token, err := ambient.Token(ctx, f.provider)
		if !errors.Is(err, oidc.ErrNone) || f.provider != "" {
			return token, err
		}
	}
	flow := f.flow
	switch {
	case flow != "":
	case host.ReadPassword == nil || !host.ErrTerminal:
		if personal {
			return oidc.Token{}, usage("nobody is at the terminal who could log in").withHint("--fulcio-auth-flow device prints where to log in all the same")
		}
		return oidc.Token{}, usage("nobody says who signs: no --identity-token, no identity provider on this machine, and no person at a terminal").
			withHint("in GitHub Actions, the job needs `permissions: id-token: write`; elsewhere set SIGSTORE_ID_TOKEN or --identity-token, or sign with --key")
	case host.env("DISPLAY")+host.env("WAYLAND_DISPLAY") != "":
		flow = "normal"
	default:
		flow = "device"
	}
	return f.login(ctx, host, flow, o)
}

// login has a person log in.
func (f *keylessFlags) login(ctx context.Context, host *Host, flow string, o outside) (oidc.Token, error) {
	person := oidc.Person{
		Issuer: f.issuer, ClientID: f.client, Now: host.Now,
		Show: func(address, code string) {
			host.say("log in with a browser, within five minutes: %s", address)
			if code != "" {
				host.say("the code there must be %s", code)
			}
		},
	}
	if person.Issuer == "" {
		person.Issuer = o.provider
	}
	if person.Issuer == "" {
		return oidc.Token{}, usage("%s says of no place where a person could log in", o.named).withHint("--oidc-issuer https://accounts.example.com")
	}
	if f.secret != "" {
		secret, err := host.readFile(f.secret, limit.IdentityToken)
		if err != nil {
			return oidc.Token{}, fmt.Errorf("--oidc-client-secret-file: %w", err)
		}
		person.ClientSecret = strings.TrimSpace(string(secret))
	}
	if flow == "device" {
		return oidc.Device(ctx, person)
	}
	return oidc.Browser(ctx, person)
}

// ambient are the identity providers of this machine.
func (h *Host) ambient(audience string) (*oidc.Ambient, error) {
	return oidc.New(oidc.Config{
		Audience: audience, Now: h.Now,
		GitHubURL: h.env("ACTIONS_ID_TOKEN_REQUEST_URL"), GitHubToken: h.env("ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
		BuildkiteToken: h.env("BUILDKITE_AGENT_ACCESS_TOKEN"), BuildkiteEndpoint: h.env("BUILDKITE_AGENT_ENDPOINT"), BuildkiteJob: h.env("BUILDKITE_JOB_ID"),
		Token: h.env("SIGSTORE_ID_TOKEN"), TokenFile: h.TokenFile,
		ServiceAccount: h.env("GOOGLE_SERVICE_ACCOUNT_NAME"), GoogleCredentials: h.env("GOOGLE_APPLICATION_CREDENTIALS"),
		MetadataHost: h.env("GCE_METADATA_HOST"), ProductFile: h.ProductFile, SPIFFESocket: h.env("SPIFFE_ENDPOINT_SOCKET"),
	})
}

// trustDir is where `assay trust` keeps trust material.
func (h *Host) trustDir() (string, error) {
	if dir := h.env("ASSAY_TRUST"); dir != "" {
		return h.path(dir), nil
	}
	dir, err := h.dataDir()
	if err != nil {
		return "", fmt.Errorf("trust material needs a directory: %w (ASSAY_TRUST)", err)
	}
	return filepath.Join(dir, "trust"), nil
}

// trustMaterial is what `assay trust` keeps; trustroot.ErrMissing says that it
// keeps nothing.
func (h *Host) trustMaterial() (dir string, m trustroot.Material, err error) {
	if dir, err = h.trustDir(); err != nil {
		return "", trustroot.Material{}, err
	}
	m, _, err = trustroot.Load(dir)
	return dir, m, err
}

// trustedRoot reads --trusted-root, or what `assay trust` keeps; nil where
// none is given and none needed.
func (f *signerFlags) trustedRoot(host *Host, needed bool) (*trust.Root, error) {
	if f.root != "" {
		content, err := host.readFile(f.root, limit.TrustedRoot)
		if err != nil {
			return nil, fmt.Errorf("--trusted-root: %w", err)
		}
		return trust.ParseRoot(f.root, content)
	}
	if !needed {
		return nil, nil
	}
	dir, material, err := host.trustMaterial()
	if errors.Is(err, trustroot.ErrMissing) {
		return nil, usage("--trusted-root is missing: certificates, log entries and timestamps say nothing without the authorities that vouch for them").
			withHint("name a trusted root in a file, such as --trusted-root trusted_root.json, or keep one with `assay trust init`")
	}
	if err != nil {
		return nil, err
	}
	f.root = filepath.Join(dir, trustroot.RootFile) // reports name it
	return trust.ParseRoot(f.root, material.Root)
}
