package cel_test

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/cel"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/predicate"
)

const whole = `apiVersion: assay.sh/v1alpha1
kind: EvidencePolicy
metadata: {name: p}
spec:
  match:
    images: ["registry.example.com/*"]
    excludeImages: ["registry.example.com/base/*"]
    namespaces: ["ml-*"]
  signers:
  - name: ci
    keys:
    - file: ci.pub
  requirements:
  - name: scanned
    type: vuln
    signers: [ci]
    maxAge: 168h
    checks:
    - name: no-critical
      deny: findings.filter(f, f.severity == "CRITICAL")
  - name: listed
    type: cyclonedx
    signers: [ci]
    checks:
    - name: something
      expr: size(components) > 0
`

func loadWith(t testing.TB, text string, keys map[string]string) (policy.Policy, error) {
	t.Helper()
	documents, err := strictyaml.Documents("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cel.Load(documents[0], policytest.Keys(func(path string) ([]byte, error) {
		if pem, ok := keys[path]; ok {
			return []byte(pem), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}))
}

func TestLoad(t *testing.T) {
	ci := newParty(t)
	p, err := loadWith(t, whole, map[string]string{"ci.pub": ci.pem})
	if err != nil {
		t.Fatal(err)
	}
	if p.Name() != cel.Kind+"/p" {
		t.Errorf("name %q", p.Name())
	}
	if spelled, ok := p.(interface{ Patterns() []string }); !ok || strings.Join(spelled.Patterns(), " ") != "registry.example.com/*" {
		t.Error("the patterns cannot be named")
	}
}

func TestLoadRefuses(t *testing.T) {
	ci := newParty(t)
	private, _, err := cosignkey.Generate([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]string{"ci.pub": ci.pem, "ci.key": string(private), "empty.pub": "",
		"until2026.pub": strings.Replace(ci.pem, "KEY-----\n", "KEY-----\nNot-After: 2026-01-01T00:00:00Z\n\n", 1)}
	for name, c := range map[string]struct {
		old, new string
		want     []string
	}{
		"version":                  {"assay.sh/v1alpha1", "assay.sh/v2", []string{"policy.yaml:1: apiVersion: want apiVersion assay.sh/v1alpha1"}},
		"kind":                     {"kind: EvidencePolicy", "kind: Policy", []string{"EvidencePolicy", `"Policy"`}},
		"no name":                  {"{name: p}", "{}", []string{"policy.yaml:3: metadata: the name is missing"}},
		"unknown field":            {"maxAge:", "maxage:", []string{"policy.yaml:17", `"maxage"`, `did you mean "maxAge"?`}},
		"no images":                {`images: ["registry.example.com/*"]`, "images: []", []string{"policy.yaml:6: spec.match.images: the list is empty"}},
		"images missing":           {`    images: ["registry.example.com/*"]` + "\n", "", []string{"spec.match.images: the list is empty"}},
		"empty pattern":            {`["registry.example.com/*"]`, `[""]`, []string{"policy.yaml:6: spec.match.images[0]"}},
		"no registry":              {`["registry.example.com/*"]`, `["library/python"]`, []string{"does not begin with a registry", "docker.io/library/python"}},
		"bare name":                {`["registry.example.com/*"]`, `["python:*"]`, []string{"names no repository"}},
		"half a registry":          {`["registry.example.com/*"]`, `["registry.example.com*"]`, []string{"names no repository"}},
		"excluded by tag":          {`["registry.example.com/base/*"]`, `["registry.example.com/base:v1"]`, []string{"policy.yaml:7: spec.match.excludeImages[0]", "has a tag"}},
		"excluded tag":             {`["registry.example.com/base/*"]`, `["*:debug"]`, []string{"has a tag"}},
		"excluded tag, pin":        {`["registry.example.com/base/*"]`, `["*/a:debug@sha256:*"]`, []string{"has a tag"}},
		"empty namespace":          {`["ml-*"]`, `[""]`, []string{"spec.match.namespaces[0]"}},
		"no keys":                  {"    keys:\n    - file: ci.pub\n", "    keys: []\n", []string{`signer "ci" has no keys and no identities`}},
		"key twice said":           {"- file: ci.pub", "- {file: ci.pub, publicKey: x}", []string{"exactly one of file, publicKey, ref and certificate"}},
		"key not said":             {"- file: ci.pub", "- {}", []string{"exactly one of file, publicKey, ref and certificate"}},
		"key missing":              {"file: ci.pub", "file: none.pub", []string{"policy.yaml:12: spec.signers[0].keys[0].file", "none.pub"}},
		"private key":              {"file: ci.pub", "file: ci.key", []string{"ci.key", "private key"}},
		"empty key":                {"file: ci.pub", "file: empty.pub", []string{"empty.pub", "no PEM block"}},
		"no time":                  {"- file: ci.pub", "- file: ci.pub\n      notAfter: tomorrow", []string{"policy.yaml:13: spec.signers[0].keys[0].notAfter", `"tomorrow" is no time; want RFC 3339`}},
		"no time of beginning":     {"- file: ci.pub", "- file: ci.pub\n      notBefore: 2026-01-01", []string{"policy.yaml:13: spec.signers[0].keys[0].notBefore", "is no time"}},
		"ends first":               {"- file: ci.pub", "- {file: ci.pub, notBefore: '2027-01-01T00:00:00Z', notAfter: '2026-01-01T00:00:00Z'}", []string{"spec.signers[0].keys[0].notAfter", "before it begins"}},
		"ends first with headers":  {"- file: ci.pub", "- {file: until2026.pub, notBefore: '2027-01-01T00:00:00Z'}", []string{"spec.signers[0].keys[0]: key sha256:", "by its own times and the policy together", "before it begins"}},
		"signer twice":             {"  requirements:", "  - {name: ci, keys: [{file: ci.pub}]}\n  requirements:", []string{"policy.yaml:13: spec.signers[1]", "given twice"}},
		"signer nameless":          {"  requirements:", "  - {keys: [{file: ci.pub}]}\n  requirements:", []string{"the name is missing"}},
		"unknown signer":           {"signers: [ci]\n    maxAge", "signers: [ic]\n    maxAge", []string{`policy.yaml:16: spec.requirements[0].signers[0]: "ic" is not among spec.signers`, `did you mean "ci"?`}},
		"no signer":                {"signers: [ci]\n    maxAge", "signers: []\n    maxAge", []string{"spec.requirements[0].signers: the list is empty"}},
		"signer named twice":       {"signers: [ci]\n    maxAge", "signers: [ci, ci]\n    maxAge", []string{"given twice"}},
		"requirement twice":        {"name: listed", "name: scanned", []string{`policy.yaml:21: spec.requirements[1]: the name "scanned" is given twice`}},
		"check twice":              {"    - name: something", "    - {name: something, expr: 'true'}\n    - name: something", []string{"given twice"}},
		"unknown type":             {"type: vuln", "type: vlun", []string{"policy.yaml:15: spec.requirements[0].type", `did you mean "vuln"?`}},
		"bad age":                  {"maxAge: 168h", "maxAge: 7d", []string{"policy.yaml:17: spec.requirements[0].maxAge", "168h"}},
		"negative age":             {"maxAge: 168h", "maxAge: -1h", []string{"positive"}},
		"zero age":                 {"maxAge: 168h", "maxAge: 0s", []string{"positive"}},
		"age without time":         {"type: vuln\n    signers: [ci]\n    maxAge: 168h\n    checks:\n    - name: no-critical\n      deny: findings.filter(f, f.severity == \"CRITICAL\")", "type: signature\n    signers: [ci]\n    maxAge: 168h", []string{"does not say when it was made"}},
		"neither":                  {"      expr: size(components) > 0\n", "", []string{"exactly one of expr"}},
		"both":                     {"expr: size(components) > 0", "expr: 'true'\n      deny: '[]'", []string{"exactly one of expr"}},
		"syntax":                   {"expr: size(components) > 0", "expr: size(components", []string{"policy.yaml:26: spec.requirements[1].checks[0].expr", "Syntax error"}},
		"misspelt field":           {`f.severity ==`, `f.sevrity ==`, []string{"policy.yaml:20: spec.requirements[0].checks[0].deny", "undefined field 'sevrity'", `did you mean "severity"?`}},
		"unknown variable":         {"size(components)", "size(component)", []string{"undeclared reference", `did you mean "components"?`}},
		"variable of another type": {"size(components)", "size(findings)", []string{"findings is there for vulnerability types", "of type cyclonedx"}},
		"wrong types":              {"size(components) > 0", `size(components) > "0"`, []string{"no matching overload"}},
		"no condition":             {"size(components) > 0", "size(components)", []string{"it gives int, want bool"}},
		"list in expr":             {"size(components) > 0", "components", []string{"goes into deny"}},
		"condition in deny":        {`findings.filter(f, f.severity == "CRITICAL")`, `findings.exists(f, f.severity == "CRITICAL")`, []string{"goes into expr"}},
		"no severity":              {`"CRITICAL"`, `"Critical"`, []string{"severity is never Critical", "HIGH"}},
		"no severity, turned":      {`f.severity == "CRITICAL"`, `"critical" == f.severity`, []string{"severity is never critical"}},
		"no severity in list":      {`f.severity == "CRITICAL"`, `!(f.severity in ["LOW", "MODERATE"])`, []string{"severity is never MODERATE"}},
		"by the alphabet":          {`f.severity == "CRITICAL"`, `f.severity >= "HIGH"`, []string{"by the alphabet"}},
		"no dependency":            {`f.severity == "CRITICAL"`, `f.dependency != "present"`, []string{"dependency is never present"}},
		"pattern from data":        {`f.severity == "CRITICAL"`, `f.id.matches(predicate.pattern)`, []string{"never a pattern"}},
		"computed pattern":         {`f.severity == "CRITICAL"`, `f.id.matches("a" + f.package)`, []string{"never a pattern"}},
		"broken pattern":           {`f.severity == "CRITICAL"`, `f.id.matches("(")`, []string{"invalid matches argument"}},
		"template from data":       {`f.severity == "CRITICAL"`, `f.id.format([1]) == ""`, []string{"never a template"}},
		"a number given":           {"maxAge: 168h", "maxAge: 168", []string{"maxAge"}},
		"action":                   {"  match:", "  action: enforce\n  match:", []string{"policy.yaml:5: spec.action", `"enforce" is none of Enforce, Warn, Audit`, `did you mean "Enforce"?`}},
		"audited for a time":       {"  match:", "  action: Audit\n  effectiveFrom: '2026-01-01T00:00:00Z'\n  match:", []string{"spec.action: Audit has nothing milder"}},
		"never in effect":          {"  match:", "  effectiveFrom: '2026-01-02T00:00:00Z'\n  effectiveUntil: '2026-01-01T00:00:00Z'\n  match:", []string{"spec.effectiveUntil", "never in effect"}},
		"effective some day":       {"  match:", "  effectiveFrom: soon\n  match:", []string{"policy.yaml:5: spec.effectiveFrom", `"soon" is no time`}},
		"fault audited":            {"  match:", "  onFault: {evidenceUnavailable: Audit}\n  match:", []string{"spec.onFault.evidenceUnavailable", `"Audit" is none of Enforce, Warn`}},
		"another fault":            {"  match:", "  onFault: {registryAway: Warn}\n  match:", []string{`"registryAway"`}},
		"empty selector":           {"    namespaces:", "    namespaceSelector: {}\n    namespaces:", []string{"spec.match.namespaceSelector: the selector is empty"}},
		"selector":                 {"    namespaces:", "    objectSelector: {matchExpressions: [{key: a, operator: Is}]}\n    namespaces:", []string{"spec.match.objectSelector", `"Is"`}},
		"selector's field":         {"    namespaces:", "    objectSelector: {matchLabel: {a: b}}\n    namespaces:", []string{`"matchLabel"`, `did you mean "matchLabels"?`}},
		"anybody":                  {"    keys:\n    - file: ci.pub\n", "    identities: [{subject: a@example.com}]\n", []string{"spec.signers[0].identities[0]", "issuer"}},
		"expression":               {"    keys:\n    - file: ci.pub\n", "    identities: [{subjectRegexp: '(', issuer: i}]\n", []string{"spec.signers[0].identities[0]"}},
		"extension":                {"    keys:\n    - file: ci.pub\n", "    identities: [{subject: s, issuer: i, extensions: {repo: x}}]\n", []string{"spec.signers[0].identities[0]", "repo"}},
		"no root":                  {"    keys:\n    - file: ci.pub\n", "    identities: [{subject: s, issuer: i}]\n", []string{`signer "ci"`, "trusted root"}},
		"root is no JSON":          {"    keys:\n", "    trustedRoot: '{'\n    keys:\n", []string{"spec.signers[0].trustedRoot"}},
		"log and no log":           {"    keys:\n", "    requireLog: true\n    insecureIgnoreLog: true\n    keys:\n", []string{"insecureIgnoreLog", "contradicts requireLog"}},
		"flag without meaning":     {"    keys:\n", "    insecureIgnoreSCT: true\n    keys:\n", []string{"are about certificates"}},
		"signer ends first":        {"    keys:\n", "    notBefore: '2027-01-01T00:00:00Z'\n    notAfter: '2026-01-01T00:00:00Z'\n    keys:\n", []string{"spec.signers[0].notAfter", "before it begins"}},
		"certificate":              {"file: ci.pub", "certificate: x", []string{"spec.signers[0].keys[0].certificate", "want a certificate in PEM"}},
		"threshold":                {"signers: [ci]\n    maxAge", "signers: [ci]\n    threshold: 2\n    maxAge", []string{"spec.requirements[0].threshold: want 1 to 1"}},
		"less than nobody":         {"signers: [ci]\n    maxAge", "signers: [ci]\n    threshold: -1\n    maxAge", []string{"threshold: want 1 to 1"}},
		"exception unowned":        {"  requirements:", "  exceptions: [{images: ['a.example.com/x'], reason: r, expires: '2027-01-01T00:00:00Z'}]\n  requirements:", []string{"spec.exceptions[0]: owner is missing"}},
		"exception without reason": {"  requirements:", "  exceptions: [{images: ['a.example.com/x'], owner: r, expires: '2027-01-01T00:00:00Z'}]\n  requirements:", []string{"reason is missing"}},
		"exception forever":        {"  requirements:", "  exceptions: [{images: ['a.example.com/x'], owner: r, reason: r}]\n  requirements:", []string{"expires is missing"}},
		"exception for all":        {"  requirements:", "  exceptions: [{owner: r, reason: r, expires: '2027-01-01T00:00:00Z'}]\n  requirements:", []string{"about no image in particular"}},
		"exception by tag":         {"  requirements:", "  exceptions: [{images: ['a.example.com/x:1'], owner: r, reason: r, expires: '2027-01-01T00:00:00Z'}]\n  requirements:", []string{"spec.exceptions[0].images[0]", "has a tag"}},
		"exception by no digest":   {"  requirements:", "  exceptions: [{digests: ['sha256:1'], owner: r, reason: r, expires: '2027-01-01T00:00:00Z'}]\n  requirements:", []string{"spec.exceptions[0].digests[0]"}},
		"exception from nothing":   {"  requirements:", "  exceptions: [{namespaces: ['a'], requirements: [scanned/no-critcal], owner: r, reason: r, expires: '2027-01-01T00:00:00Z'}]\n  requirements:", []string{"spec.exceptions[0].requirements[0]", `did you mean "scanned/no-critical"?`}},
		"computed glob":            {`f.severity == "CRITICAL"`, `glob(f.id, "x")`, []string{"never a pattern"}},
		"found pattern":            {`f.severity == "CRITICAL"`, `f.id.find(f.package) == ""`, []string{"the pattern of find()"}},
		"misspelt function":        {`f.severity == "CRITICAL"`, `purl.cover("pkg:pypi/a", f.purl)`, []string{"undeclared reference", `did you mean "purl.covers"?`}},
		"no such severity":         {`findings.filter(f, f.severity == "CRITICAL")`, `findings.atLeast("SEVERE")`, []string{`"SEVERE" is no severity`, "CRITICAL"}},
		"no such ecosystem":        {`f.severity == "CRITICAL"`, `version.compare("npm", f.installed, f.fixed) < 0`, []string{`no ecosystem "npm"`, "pypi"}},
		"ecosystem from data":      {`f.severity == "CRITICAL"`, `version.compare(f.purl, f.installed, f.fixed) < 0`, []string{"must be written in the policy"}},
		"no versions":              {`f.severity == "CRITICAL"`, `version.within(f.installed, ">>1")`, []string{">>1"}},
		"no licence":               {"size(components) > 0", `components.all(c, c.licenses.all(l, spdx.allows(["MIT", "GPL"], l)))`, []string{`"GPL" is no licence of the SPDX list`}},
		"no package URL":           {"size(components) > 0", `size(components.among(["torch"])) == 0`, []string{`"torch" is no package URL`}},
		"loops in loops":           {"size(components) > 0", `components.all(a, components.all(b, components.all(c, components.all(d, a.name + b.name != c.name + d.name))))`, []string{"steps with lists of 32 entries", "loop less often"}},
		"range from data":          {"size(components) > 0", `lists.range(predicate.n).all(a, a >= 0)`, []string{"nothing bounds how many steps"}},
		"select is no condition":   {"maxAge: 168h", "select: {expr: findings}", []string{"policy.yaml:17: spec.requirements[0].select.expr", "want bool"}},
		"select misspelt":          {"maxAge: 168h", "select: {expr: claim.tol == 'x'}", []string{"spec.requirements[0].select.expr", `did you mean "tool"?`}},
		"select among selected":    {"maxAge: 168h", "select: {expr: size(evidence) > 0}", []string{"cannot look into them"}},
		"select which":             {"maxAge: 168h", "select: {which: newest}", []string{"spec.requirements[0].select.which", `did you mean "Newest"?`}},
		"select any tool":          {"maxAge: 168h", "select: {tools: ['']}", []string{"spec.requirements[0].select.tools[0]"}},
		"provenance elsewhere":     {"size(components) > 0", "size(provenance.sources) > 0", []string{"provenance is there for provenance types"}},
		"long":                     {"size(components) > 0", "size(components) > " + strings.Repeat("1 + ", 5000) + "1", []string{"size exceeds"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(whole, c.old, c.new, 1)
			if text == whole {
				t.Fatal("the test changes nothing")
			}
			p, err := loadWith(t, text, keys)
			if err == nil {
				t.Fatalf("loaded: %s", p.Name())
			}
			if p != nil {
				t.Error("a policy came beside the error")
			}
			for _, want := range append(c.want, "policy.yaml:") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("want %q in: %v", want, err)
				}
			}
		})
	}
}

// TestKeyWindow: a key speaks for its signer within the times that its PEM
// headers and the policy give, by the narrower of the two.
func TestKeyWindow(t *testing.T) {
	ci := newParty(t)
	at := func(d time.Duration) string { return now.Add(d).Format(time.RFC3339) }
	header := func(line string) string { return strings.Replace(ci.pem, "KEY-----\n", "KEY-----\n"+line+"\n\n", 1) }
	only := strings.NewReplacer("    maxAge: 168h\n    checks:\n    - name: no-critical\n      deny: findings.filter(f, f.severity == \"CRITICAL\")\n  - name: listed\n    type: cyclonedx\n    signers: [ci]\n    checks:\n    - name: something\n      expr: size(components) > 0\n", "", "type: vuln", "type: signature").Replace(whole)
	for name, test := range map[string]struct {
		pem, key, denied string
	}{
		"open":                     {ci.pem, "{file: ci.pub}", ""},
		"inside":                   {ci.pem, "{file: ci.pub, notBefore: '" + at(-time.Hour) + "', notAfter: '" + at(time.Hour) + "'}", ""},
		"over":                     {ci.pem, "{file: ci.pub, notAfter: '" + at(-time.Hour) + "'}", "key out of time"},
		"not yet":                  {ci.pem, "{file: ci.pub, notBefore: '" + at(time.Hour) + "'}", "key out of time"},
		"over by the header":       {header("Not-After: " + at(-time.Hour)), "{file: ci.pub, notAfter: '" + at(time.Hour) + "'}", "key out of time"},
		"over by the policy":       {header("Not-After: " + at(time.Hour)), "{file: ci.pub, notAfter: '" + at(-time.Hour) + "'}", "key out of time"},
		"not yet by the header":    {header("Not-Before: " + at(time.Hour)), "{file: ci.pub, notBefore: '" + at(-time.Hour) + "'}", "key out of time"},
		"inside both, in the text": {"", "{publicKey: \"" + strings.ReplaceAll(header("Not-After: "+at(time.Hour)), "\n", "\\n") + "\", notBefore: '" + at(-time.Hour) + "'}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := loadWith(t, strings.Replace(only, "- file: ci.pub", "- "+test.key, 1), map[string]string{"ci.pub": test.pem})
			if err != nil {
				t.Fatal(err)
			}
			in := input(ci.attest(t, predicate.TypeCosignSign, "{}"))
			if test.denied == "" {
				allowed(t, p, in)
			} else {
				denied(t, p, in, test.denied)
			}
		})
	}
}

// TestLoadSaysEverything: one error names all that is wrong.
func TestLoadSaysEverything(t *testing.T) {
	_, err := loadWith(t, strings.NewReplacer("maxAge: 168h", "maxAge: x", "f.severity", "f.sevrity", "size(components)", "size(findings)").Replace(whole), nil)
	if err == nil {
		t.Fatal("loaded")
	}
	for _, want := range []string{"keys[0].file", "maxAge", "sevrity", "findings is there for"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in: %v", want, err)
		}
	}
}

func TestMatch(t *testing.T) {
	ci := newParty(t)
	at := func(registry, repository, tag string) policy.Image {
		return policy.Image{Registry: registry, Repository: repository, Tag: tag, Digest: digest}
	}
	app, pinned := at("registry.example.com", "ml/app", "v1"), at("registry.example.com", "ml/app", "")
	hub := at("index.docker.io", "library/python", "3.12")
	pod := func(namespace string) policy.Request {
		return policy.Request{Known: true, Kind: "Pod", Namespace: namespace, Name: "x"}
	}
	for name, c := range map[string]struct {
		match   string
		image   policy.Image
		request policy.Request
		want    bool
	}{
		"everything":               {`images: ["*"]`, app, policy.Request{}, true},
		"across slashes":           {`images: ["registry.example.com/*"]`, app, policy.Request{}, true},
		"another registry":         {`images: ["registry.example.com/*"]`, at("registry.example.community", "ml/app", ""), policy.Request{}, false},
		"a registry in the path":   {`images: ["registry.example.com/*"]`, at("evil.example", "registry.example.com/x", ""), policy.Request{}, false},
		"repository":               {`images: ["registry.example.com/ml/app"]`, app, policy.Request{}, true},
		"longer repository":        {`images: ["registry.example.com/ml/app"]`, at("registry.example.com", "ml/app2", ""), policy.Request{}, false},
		"tag":                      {`images: ["registry.example.com/ml/app:v1"]`, app, policy.Request{}, true},
		"another tag":              {`images: ["registry.example.com/ml/app:v2"]`, app, policy.Request{}, false},
		"any tag, of a pinned one": {`images: ["registry.example.com/ml/app:*"]`, pinned, policy.Request{}, true},
		"a tag, of a pinned one":   {`images: ["registry.example.com/ml/app:v1"]`, pinned, policy.Request{}, false},
		"digest":                   {`images: ["*/app@` + digest.String() + `"]`, app, policy.Request{}, true},
		"another digest":           {`images: ["*/app@` + subject.Of(nil).String() + `"]`, app, policy.Request{}, false},
		"one character":            {`images: ["registry.example.com/ml/ap?"]`, app, policy.Request{}, true},
		"a dot is a dot":           {`images: ["registry.example.com/*"]`, at("registryXexample.com", "a", ""), policy.Request{}, false},
		"case":                     {`images: ["registry.example.com/ML/*"]`, app, policy.Request{}, false},
		"docker.io":                {`images: ["docker.io/library/python:*"]`, hub, policy.Request{}, true},
		"index.docker.io":          {`images: ["index.docker.io/library/*"]`, hub, policy.Request{}, true},
		"excluded":                 {`{images: ["*"], excludeImages: ["registry.example.com/ml/*"]}`, app, policy.Request{}, false},
		"excluded by digest":       {`{images: ["*"], excludeImages: ["*@` + digest.String() + `"]}`, app, policy.Request{}, false},
		"not excluded":             {`{images: ["*"], excludeImages: ["registry.example.com/web/*"]}`, app, policy.Request{}, true},
		"a tag does not exclude":   {`{images: ["*"], excludeImages: ["*/v1"]}`, app, policy.Request{}, true},
		"namespace":                {`{images: ["*"], namespaces: ["ml-*"]}`, app, pod("ml-a"), true},
		"another namespace":        {`{images: ["*"], namespaces: ["ml-*"]}`, app, pod("web"), false},
		"unknown namespace":        {`{images: ["*"], namespaces: ["ml-*"]}`, app, pod(""), true},
		"no workload":              {`{images: ["*"], namespaces: ["ml-*"]}`, app, policy.Request{}, true},
		"many stars":               {`images: ["*` + strings.Repeat("a*", 200) + `b/*"]`, at("registry.example.com", strings.Repeat("a", 2000), ""), policy.Request{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			match := strings.TrimSuffix(strings.TrimPrefix(c.match, "{"), "}")
			text := strings.Replace(document(ci, "type: signature\nsigners: [ci]"), `match:
    images: ["*"]`, "match: {"+match+"}", 1)
			p, err := load(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Match(c.image, c.request); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(whole)
	f.Add(strings.Replace(whole, "findings.filter(f, f.severity == \"CRITICAL\")", "predicate.a[0].?b.map(x, x.matches(\"a\"))", 1))
	f.Add(strings.Replace(whole, "size(components) > 0", "components.all(c, c.licenses.all(l, spdx.allows(['MIT'], l))) && image.config.user != '' && evidence.all(e, e.claim.tool != '')", 1))
	f.Add(strings.Replace(whole, "    keys:\n    - file: ci.pub\n", "    notAfter: '2027-01-01T00:00:00Z'\n    keys:\n    - {ref: 'k8s://a/b', notBefore: '2026-01-01T00:00:00Z'}\n", 1))
	f.Add(strings.Replace(whole, "  requirements:", "  action: Warn\n  effectiveFrom: '2026-01-01T00:00:00Z'\n  exceptions: [{digests: ['sha256:1'], images: ['*'], requirements: [scanned], owner: o, reason: r, expires: '2027-01-01T00:00:00Z'}]\n  onFault: {evidenceUnavailable: Warn}\n  requirements:", 1))
	f.Add(strings.Replace(whole, "maxAge: 168h", "threshold: 1\n    select: {which: All, tools: ['a*'], expr: 'scan.packages > 0'}", 1))
	f.Add("apiVersion: assay.sh/v1alpha1\nkind: EvidencePolicy\nspec: {requirements: [{checks: [{expr: '[1].all(x, y)'}]}]}")
	ci := newParty(f)
	f.Fuzz(func(t *testing.T, text string) {
		documents, err := strictyaml.Documents("p", []byte(text))
		if err != nil || len(documents) == 0 || len(text) > limit.KeyFile {
			return
		}
		p, err := cel.Load(documents[0], policytest.Keys(func(string) ([]byte, error) { return []byte(ci.pem), nil }))
		if (p == nil) == (err == nil) {
			t.Fatalf("policy %v and error %v", p, err)
		}
		if err != nil {
			return
		}
		// Nothing is ever allowed without evidence.
		in := input()
		in.Scopes[0].Config = &policy.ImageConfig{}
		checks, err := p.Judge(t.Context(), in)
		if err != nil || len(checks) == 0 {
			t.Fatalf("%d checks, %v", len(checks), err)
		}
		for _, c := range checks {
			if c.Outcome.String() == "passed" {
				t.Fatalf("passed without evidence: %+v", c)
			}
		}
	})
}
