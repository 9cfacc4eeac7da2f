package cli

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// requested is one value of a flag that may be given as it is or as an expression.
type requested struct {
	flag, text string
	expression bool
}

// requestValue appends to a list that two flags share, so that their order on
// the command line is known.
type requestValue struct {
	list       *[]requested
	flag       string
	expression bool
}

// String is empty: there is no default to show.
func (v requestValue) String() string { return "" }

// Type is what help calls the value.
func (v requestValue) Type() string {
	if v.expression {
		return "regexp"
	}
	return "string"
}

// Set appends one value; what compiles not, says so at once.
func (v requestValue) Set(text string) error {
	if text == "" {
		return fmt.Errorf("want a value")
	}
	if v.expression {
		if len(text) > limit.Expression {
			return &limit.Error{What: "the expression", Bound: limit.Expression, Unit: "bytes"}
		}
		if _, err := regexp.Compile(text); err != nil {
			return err
		}
	}
	*v.list = append(*v.list, requested{v.flag, text, v.expression})
	return nil
}

// signerFlags name who may have signed, and what must vouch for it.
type signerFlags struct {
	keys                          []string
	subjects, issuers, extensions []requested
	workflow                      map[string]*string
	root                          string
	offline                       bool
	ignoreLog, ignoreSCT          bool
	requireLog, requireTimestamp  bool
	threshold                     int
}

// workflowFlags are cosign's names for extensions of GitHub's certificates.
var workflowFlags = [...][2]string{
	{"trigger", "githubWorkflowTrigger"}, {"sha", "githubWorkflowSHA"}, {"name", "githubWorkflowName"},
	{"repository", "githubWorkflowRepository"}, {"ref", "githubWorkflowRef"},
}

func (f *signerFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringArrayVar(&f.keys, "key", nil, "public key: a file or another key reference; may be repeated")
	f.addIdentity(command)
	value := func(list *[]requested, name string, expression bool, help string) {
		flags.Var(requestValue{list, "--" + name, expression}, name, help)
	}
	value(&f.subjects, "certificate-identity-regexp", true, "expression for the whole subject; may be repeated")
	value(&f.issuers, "certificate-oidc-issuer-regexp", true, "expression for the whole issuer; may be repeated")
	value(&f.extensions, "certificate-extension", false, "name=value that the certificate must have, such as sourceRepositoryRef=refs/heads/main; may be repeated")
	value(&f.extensions, "certificate-extension-regexp", true, "name=expression for the whole value; may be repeated")
	f.workflow = map[string]*string{}
	for _, names := range workflowFlags {
		f.workflow[names[0]] = flags.String("certificate-github-workflow-"+names[0], "", names[1]+" that the certificate must have")
	}
	flags.BoolVar(&f.offline, "offline", false, "contact nothing but the registry; with --bundle or oci:DIR, nothing at all")
	flags.BoolVar(&f.ignoreLog, "insecure-ignore-tlog", false, "accept a certificate's signature that no transparency log has")
	flags.BoolVar(&f.ignoreSCT, "insecure-ignore-sct", false, "accept a certificate that no certificate log promised to list")
	flags.BoolVar(&f.requireLog, "require-tlog", false, "demand a transparency log's entry of signatures by keys too")
	flags.BoolVar(&f.requireTimestamp, "require-timestamp", false, "demand a trusted time of signatures by keys too")
	flags.IntVar(&f.threshold, "threshold", 1, "how many different keys or identities must have signed")
}

// addIdentity adds the flags that the conformance verb has too.
func (f *signerFlags) addIdentity(command *cobra.Command) {
	flags := command.Flags()
	flags.Var(requestValue{&f.subjects, "--certificate-identity", false}, "certificate-identity", "subject that the certificate must have: an email address or a URI; may be repeated")
	flags.Var(requestValue{&f.issuers, "--certificate-oidc-issuer", false}, "certificate-oidc-issuer", "URL of the OpenID provider that vouched for it; one for all identities, or one for each in order")
	flags.StringVar(&f.root, "trusted-root", "", "file with the authorities that vouch for certificates, log entries and timestamps (default: what assay trust init keeps)")
}

// signers are those that the flags name.
func (f *signerFlags) signers(ctx context.Context, host *Host) ([]trust.Signer, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	patterns, err := f.patterns()
	if err != nil {
		return nil, err
	}
	root, err := f.trustedRoot(host, len(patterns) > 0 || f.requireLog || f.requireTimestamp)
	if err != nil {
		return nil, err
	}
	demand := trust.Demand{Log: f.requireLog, Timestamp: f.requireTimestamp, WithoutLogUnsafe: f.ignoreLog, WithoutSCTUnsafe: f.ignoreSCT}
	var signers []trust.Signer
	known := map[string]bool{}
	for _, reference := range f.keys {
		if known[reference] {
			continue
		}
		known[reference] = true
		if f.offline && !offlineKey(reference) {
			return nil, usage("--key %s: --offline contacts no key service", reference).
				withHint("save the public key once (`assay key public --key %s --output ci.pub`) and name that file", reference)
		}
		signer, err := host.trusted(ctx, "--key", reference)
		if err != nil {
			return nil, err
		}
		signer.Root, signer.Demand = root, demand
		signers = append(signers, signer)
	}
	for _, pattern := range patterns {
		signers = append(signers, trust.Signer{Name: pattern.String(), Identities: []identity.Pattern{pattern}, Root: root, Demand: demand})
	}
	return signers, nil
}

// check finds what contradicts itself, before anything is read.
func (f *signerFlags) check() error {
	keyless := len(f.subjects)+len(f.issuers) > 0
	extended := len(f.extensions) > 0
	for _, value := range f.workflow {
		extended = extended || *value != ""
	}
	switch {
	case len(f.keys) == 0 && !keyless:
		return usage("nobody is named whose signature would count").
			withHint("name a public key, such as --key assay.pub, or a certificate identity: --certificate-identity and --certificate-oidc-issuer")
	case keyless && len(f.subjects) == 0:
		return usage("%s without --certificate-identity: an issuer alone is everybody who has an account there", f.issuers[0].flag).
			withHint("--certificate-identity ci@example.com, or --certificate-identity-regexp 'https://github\\.com/example/app/.+'")
	case keyless && len(f.issuers) == 0:
		return usage("%s without --certificate-oidc-issuer: another provider can vouch for the same subject", f.subjects[0].flag).
			withHint("--certificate-oidc-issuer https://token.actions.githubusercontent.com")
	case keyless && len(f.issuers) > 1 && len(f.issuers) != len(f.subjects):
		return usage("%d issuers for %d identities: give one issuer for all, or one for each, in the same order", len(f.issuers), len(f.subjects))
	case extended && !keyless:
		return usage("extensions are of certificates, and no certificate identity is named").withHint("--certificate-identity and --certificate-oidc-issuer say whose certificate")
	case f.requireLog && f.ignoreLog:
		return usage("--require-tlog and --insecure-ignore-tlog contradict each other")
	case f.threshold < 1:
		return usage("--threshold %d: want 1 or more", f.threshold)
	}
	return nil
}

// patterns pairs subjects with issuers.
func (f *signerFlags) patterns() ([]identity.Pattern, error) {
	exact, expressions := map[string]string{}, map[string]string{}
	for _, names := range workflowFlags {
		if value := f.workflow[names[0]]; value != nil && *value != "" {
			exact[names[1]] = *value
		}
	}
	for _, extension := range f.extensions {
		name, value, found := strings.Cut(extension.text, "=")
		if !found || name == "" || value == "" {
			return nil, usage("%s %s: want name=value", extension.flag, extension.text).withHint("names are %s", strings.Join(identity.ExtensionNames(), ", "))
		}
		into := exact
		if extension.expression {
			into = expressions
		}
		if before, twice := into[name]; twice && before != value {
			return nil, usage("%s: %s cannot be both %q and %q", extension.flag, name, before, value)
		}
		into[name] = value
	}
	var patterns []identity.Pattern
	for i, subject := range f.subjects {
		issuer := f.issuers[0]
		if len(f.issuers) > 1 {
			issuer = f.issuers[i]
		}
		pattern := identity.Pattern{Extensions: exact, ExtensionRegexps: expressions}
		if pattern.Subject = subject.text; subject.expression {
			pattern.Subject, pattern.SubjectRegexp = "", subject.text
		}
		if pattern.Issuer = issuer.text; issuer.expression {
			pattern.Issuer, pattern.IssuerRegexp = "", issuer.text
		}
		if err := pattern.Check(); err != nil {
			return nil, usage("%s: %v", subject.flag, err)
		}
		patterns = append(patterns, pattern)
	}
	return patterns, nil
}

// offlineKey says whether reading a public key contacts nobody, as far as this
// program knows: what a PKCS#11 module does is its own affair.
func offlineKey(reference string) bool {
	scheme := keyScheme(reference)
	return scheme == "" || scheme == envScheme || scheme == tokenScheme
}
