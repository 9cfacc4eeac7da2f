package kyverno_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
)

func TestLoadRefuses(t *testing.T) {
	ci := newSigner(t)
	pandas := withKey(file(t, "pandas.yaml"), ci.pem)
	base := withKey(file(t, "base-image.yaml"), ci.pem)
	line := func(content, word string) string {
		before, _, found := strings.Cut(content, word)
		if !found {
			t.Fatalf("%q is not there", word)
		}
		return fmt.Sprintf("p.yaml:%d: ", strings.Count(before, "\n")+1)
	}
	for name, c := range map[string]struct{ from, old, new, want string }{
		"apiVersion":           {pandas, "kyverno.io/v1", "kyverno.io/v3", "apiVersion: want kyverno.io/v1"},
		"kind":                 {pandas, "ClusterPolicy", "CleanupPolicy", "kind: want ClusterPolicy or Policy"},
		"no name":              {pandas, "  name: check-pandas-workload-attestation\n", "", "metadata.name: is missing"},
		"no namespace":         {pandas, "kind: ClusterPolicy", "kind: Policy", "metadata.namespace: is missing"},
		"webhook conditions":   {base, "  background: false", "  webhookConfiguration: {matchConditions: [{name: a, expression: b}]}", "spec.webhookConfiguration.matchConditions: are not supported: the API server"},
		"older conditions":     {base, "  background: false", "  matchConditions: [{name: a, expression: b}]", "spec.matchConditions: are not supported"},
		"webhook timeout":      {base, "  background: false", "  webhookConfiguration: {timeoutSeconds: 31}", "timeoutSeconds: want 1 to 30, found 31"},
		"failure policy":       {base, "  background: false", "  failurePolicy: Open", "failurePolicy: want Fail or Ignore, found \"Open\""},
		"applyRules":           {base, "  background: false", "  applyRules: Some", "applyRules: want One or All"},
		"autogen":              {pandas, "  annotations:\n", "  annotations:\n    pod-policies.kyverno.io/autogen-controllers: Deployment,Service\n", "want none, or a list of DaemonSet"},
		"registry":             {base, "required: false", "imageRegistryCredentials: {allowInsecureRegistry: true}", "allowInsecureRegistry: is not supported: who answers"},
		"provider":             {base, "required: false", "imageRegistryCredentials: {providers: [ibm]}", "providers[0]: want one of default, amazon, azure, github, google"},
		"pull secrets":         {base, "required: false", "imageRegistryCredentials: {secrets: ['{{ request.name }}']}", "secrets[0]: want the name of a secret as static text"},
		"notary":               {base, "required: false", "type: Notary", "type: Notary is not supported: Notary Project signatures"},
		"type of verifyImage":  {base, "required: false", "type: GPG", "want Cosign or SigstoreBundle"},
		"misspelt":             {pandas, "publicKeys", "publicKey", `did you mean "publicKeys"?`},
		"nested attestor":      {pandas, "- keys: *ci", "- attestor: {entries: []}", "attestations[0].attestors[0].entries[0].attestor.entries: is empty"},
		"nested annotations":   {pandas, "- keys: *ci", "- {attestor: {entries: [{keys: *ci}]}, annotations: {a: b}}", "beside a nested attestor have no effect"},
		"two attestors":        {pandas, "- keys: *ci", "- {keys: *ci, keyless: {subject: a, issuer: b}}", "want exactly one of keys, certificates, keyless and attestor, found 2"},
		"empty attestor":       {pandas, "- keys: *ci", "- {}", "want exactly one of keys, certificates, keyless and attestor, found 0"},
		"keyless of anybody":   {pandas, "- keys: *ci", "- keyless: {subject: x}", "keyless: want an issuer and a subject"},
		"keyless, no issuer":   {pandas, "- keys: *ci", "- keyless: {subjectRegExp: x}", "anybody's certificate would do"},
		"keyless, no regexp":   {pandas, "- keys: *ci", "- keyless: {subjectRegExp: '(', issuer: x}", "expression for the subject"},
		"keyless, both":        {pandas, "- keys: *ci", "- keyless: {subjectRegExp: a, subject: 'b*', issuer: x}", "has wildcards, and an expression stands beside it"},
		"keyless extension":    {pandas, "- keys: *ci", "- keyless: {subject: a, issuer: x, additionalExtensions: {colour: red}}", "extension \"colour\" is not known"},
		"keyless, no root":     {pandas, "- keys: *ci", "- keyless: {subject: a, issuer: x}", "a certificate authority must vouch here, and which one is believed is not said: name it with roots"},
		"keyless variable":     {pandas, "- keys: *ci", "- keyless: {subject: '{{ request.name }}', issuer: x}", "want static text"},
		"certificate chain":    {pandas, "- keys: *ci", "- certificates: {certChain: x}", "cert: is missing: with certChain alone anybody"},
		"certificate":          {pandas, "- keys: *ci", "- certificates: {cert: x}", "cert: there is text beside the certificates"},
		"algorithm":            {pandas, "- keys: *ci", "- {keys: *ci, signatureAlgorithm: md5}", "want sha224, sha256, sha384 or sha512"},
		"no key at all":        {pandas, "- keys: *ci", "- keys: {rekor: {ignoreTlog: true}}", "want exactly one of publicKeys, kms and secret, found 0"},
		"key and KMS":          {pandas, "- keys: *ci", "- keys: {kms: 'awskms://a', publicKeys: 'k8s://a/b', rekor: {ignoreTlog: true}}", "want exactly one of publicKeys, kms and secret, found 2"},
		"secret of nowhere":    {pandas, "- keys: *ci", "- keys: {secret: {name: a}, rekor: {ignoreTlog: true}}", "secret: want name and namespace"},
		"key of who asks":      {pandas, "- keys: *ci", "- keys: {publicKeys: '{{ request.object.metadata.annotations.key }}', rekor: {ignoreTlog: true}}", "whoever asks for a workload must not choose the key"},
		"key in a file":        {pandas, "- keys: *ci", "- keys: {publicKeys: cosign.pub, rekor: {ignoreTlog: true}}", "want public keys in PEM"},
		"operation":            {pandas, "kinds: [Pod]", "kinds: [Pod]\n          operations: [PATCH]", "operations[0]: want one of CREATE"},
		"selector":             {pandas, "kinds: [Pod]", "kinds: [Pod]\n          selector: {}", "selector: is empty"},
		"selector operator":    {pandas, "kinds: [Pod]", "kinds: [Pod]\n          selector: {matchExpressions: [{key: a, operator: Like}]}", "want In, NotIn, Exists or DoesNotExist"},
		"selector values":      {pandas, "kinds: [Pod]", "kinds: [Pod]\n          namespaceSelector: {matchExpressions: [{key: a, operator: In}]}", "In and NotIn want values"},
		"name and names":       {pandas, "kinds: [Pod]", "kinds: [Pod]\n          name: a\n          names: [b]", "name and names both stand here"},
		"subject":              {pandas, "      - resources:\n", "      - subjects: [{kind: Robot, name: a}]\n        resources:\n", "subjects[0].kind: want User, Group or ServiceAccount"},
		"exclude everything":   {pandas, "    match:\n", "    exclude: {any: [{resources: {}}]}\n    match:\n", "exclude.any[0].resources: is empty: it would exclude everything"},
		"validate":             {pandas, "    verifyImages:\n", "    validate: {message: m}\n    verifyImages:\n", "rules[0].validate: is not judged here"},
		"mutate":               {pandas, "    verifyImages:\n", "    mutate: {targets: []}\n    verifyImages:\n", "rules[0].mutate: is not done here"},
		"CEL":                  {pandas, "    verifyImages:\n", "    celPreconditions: [{name: a}]\n    verifyImages:\n", "rules[0].celPreconditions: are for rules that validate with CEL"},
		"apiCall":              {pandas, "    verifyImages:\n", "    context: [{name: a, apiCall: {urlPath: /api}}]\n    verifyImages:\n", "context[0].apiCall: is not supported: nobody is asked"},
		"imageRegistry":        {pandas, "    verifyImages:\n", "    context: [{name: a, imageRegistry: {reference: b}}]\n    verifyImages:\n", "context[0].imageRegistry: is not supported"},
		"globalReference":      {pandas, "    verifyImages:\n", "    context: [{name: a, globalReference: {name: b}}]\n    verifyImages:\n", "context[0].globalReference: is not supported"},
		"context of a request": {pandas, "    verifyImages:\n", "    context: [{name: request, variable: {value: 1}}]\n    verifyImages:\n", "is what expressions know already"},
		"context twice":        {pandas, "    verifyImages:\n", "    context: [{name: a, variable: {value: 1}}, {name: a, variable: {value: 1}}]\n    verifyImages:\n", "the name \"a\" is given twice"},
		"no config map":        {pandas, "    verifyImages:\n", "    context: [{name: a, configMap: {name: b, namespace: c}}]\n    verifyImages:\n", "there is no config map c/b"},
		"computed config map":  {pandas, "    verifyImages:\n", "    context: [{name: a, configMap: {name: '{{ request.name }}'}}]\n    verifyImages:\n", "config maps are read when the policy is loaded"},
		"empty variable":       {pandas, "    verifyImages:\n", "    context: [{name: a, variable: {default: 1}}]\n    verifyImages:\n", "want value, jmesPath or both"},
		"preconditions":        {pandas, "    verifyImages:\n", "    preconditions: {any: []}\n    verifyImages:\n", "has a list without conditions"},
		"precondition":         {pandas, "    verifyImages:\n", "    preconditions: {all: [{key: a, operator: Is, value: b}]}\n    verifyImages:\n", "preconditions.all[0]: operator \"Is\" is not known"},
		"extractor":            {pandas, "    verifyImages:\n", "    imageExtractors: {Task: [{path: /spec/steps/*}]}\n    verifyImages:\n", "imageExtractors.Task[0].path: ends with *"},
		"deny of nothing":      {base, "required: false", "validate: {message: m}", "validate.deny: wants conditions"},
		"attestation's name":   {base, "- type: https", "- name: image\n        type: https", "is what expressions know already"},
		"action":               {pandas, "Enforce", "Warn", "validationFailureAction: want Enforce or Audit, found \"Warn\""},
		"action in the block":  {base, "Enforce", "Log", "failureAction: want Enforce or Audit, found \"Log\""},
		"override of nothing":  {base, "failureAction: Enforce", "failureActionOverrides: [{action: Audit}]", "failureActionOverrides[0]: covers nothing"},
		"subresource":          {pandas, "[Pod]", "[Pod/status]", "of subresources only ephemeralcontainers names images"},
		"no kinds":             {pandas, "[Pod]", "[]", "kinds: is empty"},
		"no match":             {pandas, "any:\n      - resources:\n          kinds: [Pod]", "{}", "want either any or all"},
		"match of nothing":     {pandas, "any:\n      - resources:\n          kinds: [Pod]", "any: []", "is empty: the rule matches nothing"},
		"no references":        {pandas, "\n      - \"*/pandas-processor*\"", " []", "imageReferences: is empty"},
		"variable reference":   {pandas, `"*/pandas-processor*"`, `"{{ request.namespace }}/*"`, "want static text"},
		"no rekor":             {pandas, "            rekor:\n              ignoreTlog: true\n", "", "a transparency log must vouch here, and which one is believed is not said"},
		"rekor wanted":         {pandas, "ignoreTlog: true", "ignoreTlog: false", "name it with rekor.pubkey"},
		"rekor key":            {pandas, "ignoreTlog: true", "pubkey: x", "rekor.pubkey: public key: text outside of the blocks"},
		"timestamp chain":      {pandas, "ignoreSCT: true", "tsaCertChain: x", "ctlog.tsaCertChain: there is text beside the certificates"},
		"no key":               {pandas, "-----BEGIN PUBLIC KEY-----", "k8s://ns/secret", "want public keys in PEM"},
		"count too high":       {pandas, "count: 1", "count: 2", "want 1 to 1, the number of entries in the set, found 2"},
		"count below one":      {pandas, "count: 1", "count: -1", "want 1 to 1"},
		"no attestors":         {pandas, "\n        attestors:\n        - count: 1\n          entries:\n          - keys: *ci", "", "has no attestors: Kyverno would take an attestation that anybody signed"},
		"both types":           {base, "- type: https", "- predicateType: x\n        type: https", "they mean the same"},
		"no type":              {base, "- type: https://cyclonedx.org/bom\n        attestors", "- attestors", "type: is missing"},
		"signature as type":    {base, "https://cyclonedx.org/bom", "https://sigstore.dev/cosign/sign/v1", "is an image signature"},
		"unknown operator":     {pandas, "operator: Equals", "operator: Equalz", `operator "Equalz" is not known`},
		"unknown function":     {pandas, "length(@)", "lengths(@)", "lengths() is not supported"},
		"random":               {pandas, "length(@)", "random('[a-z]')", "random() is not supported: a verdict must be the same each time"},
		"{{ @ }}":              {pandas, "value: 0", `value: "{{ @ }}"`, "stands for a field of what is mutated"},
		"arguments":            {pandas, "length(@)", "length(@, @)", "length() takes 1 arguments, found 2"},
		"not JMESPath":         {pandas, "length(@)", "length(@", "{{ scanner"},
		"open braces":          {pandas, "length(@) }}", "length(@) ", "is not closed"},
		"empty braces":         {pandas, "critical vulnerabilities: {{", "critical: {{ }} {{", "is empty"},
		"pattern from data":    {pandas, "length(@)", "regex_match(scanner.pattern, 'x')", "must be written in the policy"},
		"bound pattern":        {pandas, "length(@)", "regex_match('{{ scanner.pattern }}', 'x')", "must be written in the policy"},
		"bad pattern":          {pandas, "length(@)", "regex_match('(', 'x')", "missing closing )"},
		"images":               {pandas, "{{ scanner.result.Results[].Vulnerabilities[?Severity=='CRITICAL'][] | length(@) }}", "{{ images.containers }}", "images is not supported yet"},
		"reference":            {pandas, "critical vulnerabilities: ", "$(./../key) ", "references to other fields"},
		"no value":             {pandas, "            value: 0\n", "", "a condition needs key, operator and value"},
		"no any or all":        {pandas, "        - all:\n", "        - {}\n        - all:\n", "want any or all"},
		"not-range":            {pandas, "operator: Equals\n            value: 0", "operator: AnyIn\n            value: 1!-10", `use AnyNotIn or AllNotIn with "1-10"`},
		"no rules":             {"apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec: {rules: []}", "p", "p", "the policy asks for nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(c.from, c.old) {
				t.Fatalf("%q is not in the policy", c.old)
			}
			p, err := load(strings.Replace(c.from, c.old, c.new, 1))
			if err == nil {
				t.Fatalf("loaded %s", p.Name())
			}
			if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "p.yaml:") {
				t.Errorf("got %v\nwant %q", err, c.want)
			}
		})
	}
	if _, err := load(strings.Replace(base, "required: false", "type: Notary", 1)); !strings.HasPrefix(err.Error(), line(base, "required: false")) {
		t.Errorf("the line is wrong: %v", err)
	}
	t.Run("neither attestors nor attestations", func(t *testing.T) {
		head, _, _ := strings.Cut(base, "      attestations:")
		if _, err := load(head); err != nil {
			t.Errorf("a policy that only pins: %v", err)
		}
		head = strings.Replace(head, "required: false", "required: true", 1)
		if _, err := load(head); err == nil || !strings.Contains(err.Error(), "neither attestors nor attestations") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the same key twice", func(t *testing.T) {
		if _, err := load(withKey(file(t, "pandas.yaml"), ci.pem, ci.pem)); err == nil {
			t.Error("loaded a set in which a key counts twice")
		}
	})
}

func FuzzLoad(f *testing.F) {
	ci := newSigner(f)
	for _, name := range []string{"pandas.yaml", "base-image.yaml"} {
		f.Add(withKey(file(f, name), ci.pem))
	}
	collection, err := os.ReadDir("testdata/collection")
	if err != nil {
		f.Fatal(err)
	}
	for _, entry := range collection {
		f.Add(withKey(file(f, "collection/"+entry.Name()), ci.pem))
	}
	f.Add("apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nspec: {rules: [{verifyImages: [{attestations: [{conditions: [{any: []}]}]}]}]}")
	f.Fuzz(func(t *testing.T, content string) {
		p, err := load(content)
		if err != nil {
			return
		}
		known := input()
		known.Request = asked()
		for _, in := range []policy.Input{input(), known} {
			if extractor, ok := p.(policy.Extractor); ok {
				_, _ = extractor.Extract(in.Request)
			}
			checks, err := p.Judge(t.Context(), in)
			if err != nil {
				continue
			}
			for _, c := range checks {
				if c.Outcome == verdict.Passed {
					t.Fatalf("proven without evidence: %+v", checks)
				}
			}
			_ = kyverno.Denial("Pod/a/b", []verdict.Verdict{{Reference: "a", Checks: checks}}, []policy.Policy{p})
		}
	})
}
