package kyverno_test

import (
	"fmt"
	"strings"
	"testing"
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
		"apiVersion":          {pandas, "kyverno.io/v1", "kyverno.io/v3", "apiVersion: want kyverno.io/v1"},
		"kind":                {pandas, "ClusterPolicy", "CleanupPolicy", "kind: want ClusterPolicy or Policy"},
		"no name":             {pandas, "  name: check-pandas-workload-attestation\n", "", "metadata.name: is missing"},
		"no namespace":        {pandas, "kind: ClusterPolicy", "kind: Policy", "metadata.namespace: is missing"},
		"webhook":             {base, "  background: false", "  webhookConfiguration: {failurePolicy: Fail}", "spec.webhookConfiguration is not supported yet"},
		"useCache":            {base, "required: false", "useCache: false", "spec.rules[0].verifyImages[0].useCache is not supported yet"},
		"registry":            {base, "required: false", "imageRegistryCredentials: {allowInsecureRegistry: true}", "imageRegistryCredentials is not supported yet"},
		"type of verifyImage": {base, "required: false", "type: SigstoreBundle", "verifyImages[0].type is not supported yet"},
		"misspelt":            {pandas, "publicKeys", "publicKey", `did you mean "publicKeys"?`},
		"nested attestor":     {pandas, "- keys: &ci", "- attestor: &ci", "entries[0].attestor is not supported yet"},
		"keyless":             {pandas, "- keys: *ci", "- keyless: {subject: x}", "keyless is not supported yet"},
		"annotations":         {pandas, "kinds: [Pod]", "kinds: [Pod]\n          annotations: {a: b}", "resources.annotations is not supported yet"},
		"exclude":             {pandas, "    match:\n", "    exclude: {any: []}\n    match:\n", "rules[0].exclude is not supported yet"},
		"validate":            {pandas, "    verifyImages:\n", "    validate: {message: m}\n    verifyImages:\n", "rules[0].validate is not supported yet"},
		"audit":               {pandas, "Enforce", "Audit", "failureAction Audit is not supported yet"},
		"audit in the block":  {base, "Enforce", "audit", "failureAction audit is not supported yet"},
		"other kind":          {pandas, "[Pod]", "[Service]", `kind "Service" is not supported yet`},
		"no kinds":            {pandas, "[Pod]", "[]", "kinds: is empty"},
		"no match":            {pandas, "any:\n      - resources:\n          kinds: [Pod]", "{}", "want either any or all"},
		"match of nothing":    {pandas, "any:\n      - resources:\n          kinds: [Pod]", "any: []", "is empty: the rule matches nothing"},
		"no references":       {pandas, "\n      - \"*/pandas-processor*\"", " []", "imageReferences: is empty"},
		"variable reference":  {pandas, `"*/pandas-processor*"`, `"{{ request.namespace }}/*"`, "want static text"},
		"no rekor":            {pandas, "            rekor:\n              ignoreTlog: true\n", "", "Kyverno demands an entry in the public Rekor log"},
		"rekor wanted":        {pandas, "ignoreTlog: true", "ignoreTlog: false", "Kyverno demands an entry in the public Rekor log"},
		"SCT wanted":          {pandas, "ignoreSCT: true", "ignoreSCT: false", "certificate logs are not checked here"},
		"rekor url":           {pandas, "ignoreTlog: true", "ignoreTlog: true\n              url: https://log.example.com", "rekor.url is not supported yet"},
		"no key":              {pandas, "-----BEGIN PUBLIC KEY-----", "k8s://ns/secret", "want public keys in PEM"},
		"count too high":      {pandas, "count: 1", "count: 2", "want 1 to 1, the number of keys in the set, found 2"},
		"count below one":     {pandas, "count: 1", "count: -1", "want 1 to 1"},
		"no attestors":        {pandas, "\n        attestors:\n        - count: 1\n          entries:\n          - keys: *ci", "", "has no attestors: Kyverno would take an attestation that anybody signed"},
		"both types":          {base, "- type: https", "- predicateType: x\n        type: https", "they mean the same"},
		"no type":             {base, "- type: https://cyclonedx.org/bom\n        attestors", "- attestors", "type: is missing"},
		"signature as type":   {base, "https://cyclonedx.org/bom", "https://sigstore.dev/cosign/sign/v1", "is an image signature"},
		"unknown operator":    {pandas, "operator: Equals", "operator: Equalz", `operator "Equalz" is not known`},
		"unknown function":    {pandas, "length(@)", "lengths(@)", "lengths() is not supported"},
		"random":              {pandas, "length(@)", "random('[a-z]')", "random() is not supported: a verdict must be the same each time"},
		"{{ @ }}":             {pandas, "value: 0", `value: "{{ @ }}"`, "stands for a field of what is mutated"},
		"arguments":           {pandas, "length(@)", "length(@, @)", "length() takes 1 arguments, found 2"},
		"not JMESPath":        {pandas, "length(@)", "length(@", "{{ scanner"},
		"open braces":         {pandas, "length(@) }}", "length(@) ", "is not closed"},
		"empty braces":        {pandas, "critical vulnerabilities: {{", "critical: {{ }} {{", "is empty"},
		"pattern from data":   {pandas, "length(@)", "regex_match(scanner.pattern, 'x')", "must be written in the policy"},
		"bound pattern":       {pandas, "length(@)", "regex_match('{{ scanner.pattern }}', 'x')", "must be written in the policy"},
		"bad pattern":         {pandas, "length(@)", "regex_match('(', 'x')", "missing closing )"},
		"images":              {pandas, "{{ scanner.result.Results[].Vulnerabilities[?Severity=='CRITICAL'][] | length(@) }}", "{{ images.containers }}", "images is not supported yet"},
		"reference":           {pandas, "critical vulnerabilities: ", "$(./../key) ", "references to other fields"},
		"no value":            {pandas, "            value: 0\n", "", "a condition needs key, operator and value"},
		"no any or all":       {pandas, "        - all:\n", "        - {}\n        - all:\n", "want any or all"},
		"not-range":           {pandas, "operator: Equals\n            value: 0", "operator: AnyIn\n            value: 1!-10", `use AnyNotIn or AllNotIn with "1-10"`},
		"no rules":            {"apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec: {rules: []}", "p", "p", "the policy asks for nothing"},
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
	if _, err := load(strings.Replace(base, "required: false", "useCache: false", 1)); !strings.HasPrefix(err.Error(), line(base, "required: false")) {
		t.Errorf("the line is wrong: %v", err)
	}
	t.Run("neither attestors nor attestations", func(t *testing.T) {
		head, _, _ := strings.Cut(base, "      attestations:")
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
	f.Add("apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nspec: {rules: [{verifyImages: [{attestations: [{conditions: [{any: []}]}]}]}]}")
	f.Fuzz(func(t *testing.T, content string) {
		p, err := load(content)
		if err != nil {
			return
		}
		checks, err := p.Judge(t.Context(), input())
		if err == nil && len(failures(checks)) == 0 {
			for _, c := range checks {
				if c.Outcome.String() != "skipped" {
					t.Fatalf("admitted without evidence: %+v", checks)
				}
			}
		}
	})
}
