package lint

import (
	"slices"

	"github.com/seed-161fc314/assay/internal/domain/remark"
)

// Rules are all rules, sorted by their names.
func Rules() []remark.Rule {
	rules := slices.Concat(imageRules(), evidenceRules(), signerRules(), patternRules(), matchRules(), effectRules())
	slices.SortFunc(rules, func(a, b remark.Rule) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return rules
}

// levelOf is the level of a rule; every rule that is used is listed, and a test
// holds them to it.
func levelOf(id string) remark.Level {
	for _, rule := range Rules() {
		if rule.ID == id {
			return rule.Level
		}
	}
	panic("lint: no rule is called " + id)
}

// imageRules are about the evidence that an image really has; package job/fit
// finds these.
func imageRules() []remark.Rule {
	return []remark.Rule{
		{ID: "evidence-missing", Level: remark.Error, Title: "the image has no evidence of this type",
			Help: "Only with --image: nothing in the registry says that it is of the type that the policy asks for."},
		{ID: "evidence-lacks", Level: remark.Error, Title: "the image's evidence does not have the path",
			Help: "Only with --image: evidence of the type is there, and none of it has what the condition looks at."},
		{ID: "evidence-fails", Level: remark.Error, Title: "the image's evidence does not satisfy the check",
			Help: "Only with --image: what the evidence says does not satisfy the policy, even if all of it is taken as signed by whom the policy names."},
	}
}

// evidenceRules are about what conditions read.
func evidenceRules() []remark.Rule {
	return []remark.Rule{
		{ID: "path-impossible", Level: remark.Error, Title: "no predicate of this type has the path",
			Help: "A condition on something that is never there never holds, or, in a filter, finds nothing and lets everything through."},
		{ID: "predicate-prefix", Level: remark.Error, Title: "the predicate's fields stand at the top level",
			Help: "In Kyverno a condition sees the fields of the predicate themselves; there is nothing called predicate."},
		{ID: "path-foreign", Level: remark.Warning, Title: "evidence that Assay makes does not have the path",
			Help: "Other tools write this. If the policy is for evidence of `assay scan`, the condition does not find what it looks for."},
		{ID: "value-impossible", Level: remark.Error, Title: "what stands there is never this word",
			Help: "The field has one of a few words, and the policy compares it with another."},
		{ID: "type-unknown", Level: remark.Error, Title: "the predicate type is misspelt or none",
			Help: "Evidence counts only if its type is the one that the policy names, letter by letter."},
		{ID: "condition-always", Level: remark.Error, Title: "the condition always holds",
			Help: "A condition that says nothing about the evidence lets every piece of it through."},
		{ID: "condition-never", Level: remark.Error, Title: "the condition never holds",
			Help: "Whatever the evidence says, the policy denies."},
		{ID: "loop-vacuous", Level: remark.Warning, Title: "an empty list satisfies the check",
			Help: "all() holds for a list without elements: an SBOM that lists nothing passes."},
		{ID: "age-unbounded", Level: remark.Warning, Title: "a scan of any age counts",
			Help: "A scan says what was known on its day. Without a bound on its age, an image that was clean a year ago is clean for ever."},
	}
}

// signerRules are about who may sign.
func signerRules() []remark.Rule {
	return []remark.Rule{
		{ID: "signer-anybody", Level: remark.Error, Title: "anybody can be this signer",
			Help: "A certificate authority that is open to everybody gives a certificate to everybody: without subject and issuer any of them counts."},
		{ID: "signer-wide", Level: remark.Error, Title: "strangers can be this signer",
			Help: "The subject is so wide that somebody outside of the organisation has such an identity."},
		{ID: "signer-nobody", Level: remark.Error, Title: "nobody can be this signer",
			Help: "What the policy asks of the signer excludes itself, so that every image is denied."},
		{ID: "signer-unused", Level: remark.Warning, Title: "no requirement names the signer",
			Help: "What the signer signs does not count anywhere; a requirement was forgotten, or the signer is left over."},
		{ID: "attestors-missing", Level: remark.Error, Title: "an attestation that nobody needs to sign",
			Help: "In Kyverno an attestation without attestors is satisfied by any identity with a certificate of the public authority; Assay does not load it."},
		{ID: "key-twice", Level: remark.Error, Title: "the same key stands twice in one set",
			Help: "One party can then be counted as two."},
		{ID: "key-expired", Level: remark.Error, Title: "the key or the certificate is over",
			Help: "Evidence that is made from now on by this key does not count."},
		{ID: "public-good", Level: remark.Warning, Title: "the public instance is asked where a private one is meant",
			Help: "Where nothing else is named, Kyverno takes the public Fulcio and Rekor. They do not know private issuers, and an entry in the public log tells everybody that the image exists."},
		{ID: "log-ignored", Level: remark.Warning, Title: "no log vouches for the certificate",
			Help: "The certificate of a keyless signature is valid for minutes. Without a log or a timestamp nobody knows that the signature was made in them, and a stolen key signs for ever."},
	}
}

// patternRules are about regular expressions and image patterns.
func patternRules() []remark.Rule {
	return []remark.Rule{
		{ID: "regexp-unanchored", Level: remark.Error, Title: "the expression matches a part of the text",
			Help: "Without ^ and $ it is enough that the text contains a match: https://evil.example/?https://github.com/org/repo."},
		{ID: "regexp-always", Level: remark.Error, Title: "the expression matches everything",
			Help: "What matches everything asks for nothing."},
		{ID: "regexp-dot", Level: remark.Warning, Title: "a dot in a host name stands for any character",
			Help: "github.com as an expression also matches githubXcom, which somebody can register."},
		{ID: "regexp-broken", Level: remark.Error, Title: "the expression cannot be read",
			Help: "The expression is no regular expression in RE2's syntax."},
		{ID: "tag-pattern", Level: remark.Warning, Title: "a reference by digest escapes the pattern",
			Help: "Kyverno compares registry/repository@digest where a reference has a digest, and drops the tag. A pattern with a tag does not match it, so that whoever pins a digest is not asked for evidence."},
		{ID: "skip-by-tag", Level: remark.Warning, Title: "a tag exempts an image",
			Help: "A tag can be moved to any image, by whoever may push; what was exempted once is exempted with any content."},
		{ID: "pattern-never", Level: remark.Error, Title: "the pattern matches no image",
			Help: "Patterns are compared with the whole reference, which begins with a registry: docker.io/library/nginx:1.27."},
		{ID: "pattern-open", Level: remark.Error, Title: "the exemption covers registries of strangers",
			Help: "A star runs over dots and slashes: registry.example.com* also matches registry.example.com.evil.example/image."},
	}
}

// matchRules are about what a policy sees.
func matchRules() []remark.Rule {
	return []remark.Rule{
		{ID: "opt-in", Level: remark.Error, Title: "who deploys decides whether the policy applies",
			Help: "Labels and annotations of a workload are written by whoever makes it. A policy that applies only where one stands is left out by leaving it out."},
		{ID: "workloads-unseen", Level: remark.Warning, Title: "workloads that the rule does not see",
			Help: "A rule for controllers does not see a pod that somebody makes directly, and a rule for other kinds sees no image without imageExtractors."},
		{ID: "updates-unseen", Level: remark.Warning, Title: "updates that the rule does not see",
			Help: "The image of a pod can be changed, and an ephemeral container be added, by an update."},
		{ID: "volumes-unseen", Level: remark.Note, Title: "Kyverno does not look at image volumes",
			Help: "spec.volumes[].image is read by no default extractor of Kyverno. Assay's doors look at it."},
		{ID: "images-elsewhere", Level: remark.Note, Title: "images of other registries are not judged",
			Help: "Kyverno admits an image that no policy matches. Assay denies it, unless it is configured otherwise."},
		{ID: "unreachable", Level: remark.Error, Title: "never applies",
			Help: "What is matched is exempted again, or lies elsewhere: the rule never judges anything."},
		{ID: "repeated", Level: remark.Warning, Title: "the same stands twice",
			Help: "The second of two equal rules or conditions adds nothing; probably something else was meant."},
	}
}

// effectRules are about what a finding of the policy leads to.
func effectRules() []remark.Rule {
	return []remark.Rule{
		{ID: "never-enforced", Level: remark.Warning, Title: "the policy denies nothing",
			Help: "Audit and Warn let everything through and write it down."},
		{ID: "fault-open", Level: remark.Error, Title: "a fault admits",
			Help: "With failurePolicy Ignore, an API server that does not reach the webhook admits everything: whoever can make it slow or full is through."},
		{ID: "not-required", Level: remark.Warning, Title: "an image that was not verified is accepted",
			Help: "required: false lets Kyverno's validating phase accept an image without a verification on record."},
		{ID: "digest-optional", Level: remark.Warning, Title: "what is verified need not be what runs",
			Help: "Without a digest in the manifest the node resolves the tag again, later, and may get another image."},
		{ID: "registry-insecure", Level: remark.Warning, Title: "the registry is asked without TLS",
			Help: "Whoever is between can answer with another image, and with older evidence."},
		{ID: "sample-allowed", Level: remark.Warning, Title: "a scan by the sample of advisories counts",
			Help: "The sample that is built into Assay knows a handful of vulnerabilities. It is for trying things out."},
		{ID: "exception-expired", Level: remark.Warning, Title: "the exception is over",
			Help: "It has no effect any more."},
		{ID: "exception-unbounded", Level: remark.Error, Title: "an exception for ever",
			Help: "What is excepted without an end is forgotten, and stays excepted."},
		{ID: "field-deprecated", Level: remark.Note, Title: "the field has a newer name",
			Help: "Kyverno will drop the older one."},
		{ID: "kind-removed", Level: remark.Note, Title: "Kyverno removes this kind after 1.19",
			Help: "ClusterPolicy and Policy are deprecated since Kyverno 1.17. Assay reads them on, and converts them."},
		{ID: "not-loadable", Level: remark.Error, Title: "the policy does not load",
			Help: "No door takes a policy of which it does not understand every field."},
		{ID: "ignore-reason", Level: remark.Error, Title: "an ignore without a reason, or of no rule",
			Help: "Whoever reads the policy later must know why: # assay:ignore RULE REASON."},
		{ID: "ignore-unused", Level: remark.Warning, Title: "an ignore that takes out nothing",
			Help: "It is left over, or stands at the wrong line."},
	}
}
