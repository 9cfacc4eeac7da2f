package kyverno_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
	"github.com/seed-161fc314/assay/internal/engine/policy/policytest"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

// ruled is a policy with parts that tests change; each part is YAML.
type ruled struct {
	annotations, spec, match, rule, verify, conditions string
}

func (r ruled) yaml(keys ...string) string {
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	text := fmt.Sprintf(`apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p, annotations: {%s}}
spec:
  %s
  rules:
  - name: r
    match: %s
    %s
    verifyImages:
    - imageReferences: ["*"]
      %s
      attestors:
      - entries:
        - keys: &key
            rekor: {ignoreTlog: true}
            publicKeys: |-
              @KEY@
`, r.annotations, or(r.spec, "background: false"), or(r.match, "{any: [{resources: {kinds: [Pod]}}]}"), or(r.rule, "skipBackgroundRequests: true"), or(r.verify, "useCache: true"))
	if r.conditions != "" {
		text += "      attestations:\n      - type: https://example.com/t\n        attestors: [{entries: [{keys: *key}]}]\n        conditions: " + r.conditions + "\n"
	}
	return withKey(text, keys...)
}

var pod = map[string]any{
	"apiVersion": "v1", "kind": "Pod",
	"metadata": map[string]any{"name": "web-1", "namespace": "ml", "labels": map[string]any{"app": "web", "tier": "front"}, "annotations": map[string]any{"team.example.com/owner": "vision"}},
	"spec":     map[string]any{"serviceAccountName": "runner"},
}

// asked is a request for the pod.
func asked() policy.Request {
	return policy.Request{Known: true, Version: "v1", Kind: "Pod", Namespace: "ml", Name: "web-1", Object: pod, Pod: pod,
		NamespaceLabels: map[string]string{"env": "prod"}, User: policy.User{Name: "system:serviceaccount:ci:deployer", Groups: []string{"system:serviceaccounts"},
			Roles: []string{"ml:editor"}, ClusterRoles: []string{"view"}}}
}

// deployment is a request for a controller that makes the pod.
func deployment() policy.Request {
	r := asked()
	template := map[string]any{"metadata": map[string]any{"generateName": "web-", "namespace": "ml", "labels": pod["metadata"].(map[string]any)["labels"], "annotations": pod["metadata"].(map[string]any)["annotations"]}, "spec": pod["spec"]}
	r.Group, r.Kind, r.Name = "apps", "Deployment", "web"
	r.Object = map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "namespace": "ml"}, "spec": map[string]any{"template": template}}
	made := maps.Clone(template)
	made["apiVersion"], made["kind"] = "v1", "Pod"
	r.Pod = made
	return r
}

func TestResourceFilters(t *testing.T) {
	ci := newSigner(t)
	blind := asked()
	blind.Object, blind.Pod, blind.NamespaceLabels, blind.User, blind.Namespace, blind.Name = nil, nil, nil, policy.User{}, "", ""
	custom := asked()
	custom.Group, custom.Version, custom.Kind = "serving.example.com", "v1beta1", "InferenceService"
	custom.Object = map[string]any{"metadata": map[string]any{"name": "web-1", "namespace": "ml"}}
	custom.Pod = nil
	update := asked()
	update.Operation = "UPDATE"
	node := asked()
	node.User = policy.User{Name: "system:node:a", Groups: []string{"system:nodes"}, Roles: []string{}, ClusterRoles: []string{}}
	for name, c := range map[string]struct {
		resources string
		request   policy.Request
		want      bool
		// excludes is what the same filter does as an exclude of a rule for pods.
		excludes bool
	}{
		"kind":                          {"kinds: [Pod]", asked(), true, true},
		"kind with version":             {"kinds: [v1/Pod]", asked(), true, true},
		"kind with another version":     {"kinds: [v2/Pod]", asked(), false, false},
		"kind with group":               {"kinds: [apps/v1/Deployment]", deployment(), true, true},
		"kind with another group":       {"kinds: [batch/v1/Deployment]", deployment(), false, false},
		"kind with any group":           {`kinds: ["apps/*/Deployment"]`, deployment(), true, true},
		"kind with wildcards":           {`kinds: ["*"]`, asked(), true, true},
		"everything":                    {`kinds: ["*/*"]`, asked(), true, true},
		"ephemeral containers":          {"kinds: [Pod/ephemeralcontainers]", asked(), true, true},
		"ephemeral containers by a dot": {"kinds: [v1/Pod.ephemeralcontainers]", asked(), true, true},
		"custom kind":                   {"kinds: [serving.example.com/*/InferenceService]", custom, true, true},
		"another kind":                  {"kinds: [Job]", asked(), false, false},
		"name":                          {"kinds: [Pod], name: web-1", asked(), true, true},
		"name with wildcards":           {"kinds: [Pod], names: [a, web-*]", asked(), true, true},
		"another name":                  {"kinds: [Pod], names: [api-*]", asked(), false, false},
		"name that is generated":        {"kinds: [Pod], names: [web-*]", deployment(), true, false},
		"another that is generated":     {"kinds: [Pod], names: [api-*]", deployment(), false, false},
		"name of an unknown pod":        {"kinds: [Pod], names: [api-*]", custom, true, false},
		"namespace":                     {`kinds: [Pod], namespaces: ["m?"]`, asked(), true, true},
		"another namespace":             {"kinds: [Pod], namespaces: [web]", asked(), false, false},
		"unknown namespace":             {"kinds: [Pod], namespaces: [web]", blind, true, false},
		"annotation":                    {`kinds: [Pod], annotations: {"team*/owner": "vis*"}`, asked(), true, true},
		"another annotation":            {"kinds: [Pod], annotations: {team.example.com/owner: speech}", asked(), false, false},
		"missing annotation":            {"kinds: [Pod], annotations: {a: b}", asked(), false, false},
		"annotation of a template":      {"kinds: [Pod], annotations: {team.example.com/owner: vision}", deployment(), true, false},
		"unknown annotations":           {"kinds: [Pod], annotations: {a: b}", blind, true, false},
		"labels":                        {"kinds: [Pod], selector: {matchLabels: {app: w*}}", asked(), true, true},
		"other labels":                  {"kinds: [Pod], selector: {matchLabels: {app: web, tier: back}}", asked(), false, false},
		"label in":                      {"kinds: [Pod], selector: {matchExpressions: [{key: app, operator: In, values: [web]}]}", asked(), true, true},
		"label not in":                  {"kinds: [Pod], selector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}", asked(), false, false},
		"label exists":                  {"kinds: [Pod], selector: {matchExpressions: [{key: app, operator: Exists}]}", asked(), true, true},
		"label does not exist":          {"kinds: [Pod], selector: {matchExpressions: [{key: app, operator: DoesNotExist}]}", asked(), false, false},
		"labels of a template":          {"kinds: [Pod], selector: {matchLabels: {app: web}}", deployment(), true, false},
		"unknown labels":                {"kinds: [Pod], selector: {matchLabels: {app: api}}", blind, true, false},
		"namespace's labels":            {"kinds: [Pod], namespaceSelector: {matchLabels: {env: prod}}", asked(), true, true},
		"namespace's other labels":      {"kinds: [Pod], namespaceSelector: {matchLabels: {env: dev}}", asked(), false, false},
		// A selector that cannot be told must not switch a policy off.
		"CVE-2025-46342 unknown labels of a namespace": {"kinds: [Pod], namespaceSelector: {matchLabels: {env: dev}}", blind, true, false},
		"operation":                 {"kinds: [Pod], operations: [CREATE]", asked(), true, true},
		"another operation":         {"kinds: [Pod], operations: [CREATE]", update, false, false},
		"service account":           {"kinds: [Pod]}, subjects: [{kind: ServiceAccount, namespace: ci, name: deploy*}], x: {", asked(), true, true},
		"another service account":   {"kinds: [Pod]}, subjects: [{kind: ServiceAccount, namespace: ml, name: deployer}], x: {", asked(), false, false},
		"user":                      {`kinds: [Pod]}, subjects: [{kind: User, name: "system:node:*"}], x: {`, node, true, true},
		"another user":              {`kinds: [Pod]}, subjects: [{kind: User, name: "system:node:*"}], x: {`, asked(), false, false},
		"group":                     {`kinds: [Pod]}, subjects: [{kind: User, name: x}, {kind: Group, name: "system:nodes"}], x: {`, node, true, true},
		"another group":             {`kinds: [Pod]}, subjects: [{kind: Group, name: "system:masters"}], x: {`, node, false, false},
		"unknown user":              {"kinds: [Pod]}, subjects: [{kind: User, name: a}], x: {", blind, true, false},
		"role":                      {`kinds: [Pod]}, roles: ["ml:editor"], x: {`, asked(), true, true},
		"another role":              {`kinds: [Pod]}, roles: ["web:editor"], x: {`, asked(), false, false},
		"cluster role":              {"kinds: [Pod]}, clusterRoles: [view], x: {", asked(), true, true},
		"another cluster role":      {"kinds: [Pod]}, clusterRoles: [admin], x: {", node, false, false},
		"unknown roles":             {"kinds: [Pod]}, clusterRoles: [admin], x: {", blind, true, false},
		"role, and not the subject": {"kinds: [Pod]}, clusterRoles: [view], subjects: [{kind: User, name: a}], x: {", asked(), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			filter := strings.Replace("{resources: {"+c.resources+"}}", ", x: {}", "", 1)
			p := mustLoad(t, ruled{match: "{any: [" + filter + "]}"}.yaml(ci.pem))
			if got := p.Match(image, c.request); got != c.want {
				t.Errorf("matches: %v", got)
			}
			p = mustLoad(t, ruled{match: `{any: [{resources: {kinds: ["*"]}}]}`, rule: "exclude: {any: [" + filter + "]}"}.yaml(ci.pem))
			if got := !p.Match(image, c.request); got != c.excludes && c.request.Kind != "Deployment" {
				t.Errorf("excludes: %v", got)
			}
		})
	}
	for name, c := range map[string]struct {
		match string
		want  bool
	}{
		"older form":              {"{resources: {kinds: [Pod], namespaces: [ml]}}", true},
		"older form of others":    {"{resources: {kinds: [Pod], namespaces: [web]}}", false},
		"older form with a user":  {"{resources: {kinds: [Pod]}, subjects: [{kind: User, name: a}]}", false},
		"all of them":             {"{all: [{resources: {kinds: [Pod]}}, {clusterRoles: [view]}]}", true},
		"all of them but for one": {"{all: [{resources: {kinds: [Pod]}}, {clusterRoles: [admin]}]}", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mustLoad(t, ruled{match: c.match}.yaml(ci.pem)).Match(image, asked()); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
	t.Run("excluded by all", func(t *testing.T) {
		both := "exclude: {all: [{resources: {namespaces: [ml]}}, {resources: {names: [%s]}}]}"
		for name, want := range map[string]bool{"web-1": false, "api": true} {
			if got := mustLoad(t, ruled{rule: fmt.Sprintf(both, name)}.yaml(ci.pem)).Match(image, asked()); got != want {
				t.Errorf("%s: matches %v", name, got)
			}
		}
	})
}

func TestAutogen(t *testing.T) {
	ci := newSigner(t)
	job, custom := deployment(), asked()
	job.Group, job.Kind = "batch", "CronJob"
	custom.Kind, custom.Group, custom.Pod = "Workflow", "argoproj.io", nil
	for name, c := range map[string]struct {
		annotation                string
		deploys, schedules, other bool
	}{
		"unset": {"", true, true, true},
		"none":  {"pod-policies.kyverno.io/autogen-controllers: none", false, false, false},
		"some":  {`pod-policies.kyverno.io/autogen-controllers: "Deployment, DaemonSet"`, true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustLoad(t, ruled{annotations: c.annotation}.yaml(ci.pem))
			for request, want := range map[*policy.Request]bool{ptr(asked()): true, ptr(deployment()): c.deploys, &job: c.schedules, &custom: c.other} {
				if got := p.Match(image, *request); got != want {
					t.Errorf("%s: %v", request.Kind, got)
				}
			}
		})
	}
	t.Run("expressions see the pod", func(t *testing.T) {
		p := mustLoad(t, ruled{rule: "preconditions: {all: [{key: '{{ request.object.spec.serviceAccountName }}', operator: Equals, value: runner}]}"}.yaml(ci.pem))
		in := input()
		in.Request = deployment()
		denied(t, p, in)
		in.Scopes[0].Evidence = append(in.Scopes[0].Evidence, ci.image(t))
		allowed(t, p, in)
	})
}

func ptr[T any](value T) *T { return &value }

func TestPreconditions(t *testing.T) {
	ci := newSigner(t)
	only := func(conditions string, request policy.Request) []verdict.Check {
		in := input()
		in.Request = request
		return judge(t, mustLoad(t, ruled{rule: "preconditions: " + conditions}.yaml(ci.pem)), in)
	}
	const operation = `{key: "{{ request.operation }}", operator: Equals, value: %s}`
	for name, c := range map[string]struct {
		conditions string
		request    policy.Request
		applies    bool
	}{
		"holds":              {"{all: [" + fmt.Sprintf(operation, "CREATE") + "]}", asked(), true},
		"does not":           {"{all: [" + fmt.Sprintf(operation, "DELETE") + "]}", asked(), false},
		"one of several":     {"{any: [" + fmt.Sprintf(operation, "DELETE") + ", " + fmt.Sprintf(operation, "CREATE") + "]}", asked(), true},
		"none of several":    {"{any: [" + fmt.Sprintf(operation, "DELETE") + ", " + fmt.Sprintf(operation, "UPDATE") + "]}", asked(), false},
		"older form":         {"[" + fmt.Sprintf(operation, "DELETE") + "]", asked(), false},
		"no workload":        {"{all: [" + fmt.Sprintf(operation, "DELETE") + "]}", policy.Request{}, true},
		"a key that is not":  {`{all: [{key: "{{ request.object.nothing }}", operator: Equals, value: a}]}`, asked(), true},
		"cannot be compared": {`{all: [{key: "{{ request.object }}", operator: GreaterThan, value: 1}]}`, asked(), true},
		"an empty list":      {`{all: [{key: "{{ request.userInfo.groups[?@=='a'] }}", operator: AllNotIn, value: [b]}]}`, asked(), true},
	} {
		t.Run(name, func(t *testing.T) {
			checks := only(c.conditions, c.request)
			if skipped := len(checks) == 1 && checks[0].Outcome == verdict.Skipped; skipped == c.applies {
				t.Errorf("%+v", checks)
			}
			if wrong := len(failures(checks)) > 0; wrong != c.applies {
				t.Errorf("failures: %v", wrong)
			}
		})
	}
}

// loadWith loads with config maps.
func loadWith(t testing.TB, content string, configMaps map[string]map[string]string) (policy.Policy, error) {
	t.Helper()
	documents, err := strictyaml.Documents("p.yaml", []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return kyverno.Load(documents[0], policytest.Material{ConfigMaps: configMaps})
}

func TestContext(t *testing.T) {
	ci, other := newSigner(t), newSigner(t)
	maps := map[string]map[string]string{"ops/allowed": {"teams": `["vision","speech"]`, "max": "3"}, "default/d": {"a": "b"}}
	for name, c := range map[string]struct {
		context, conditions, predicate string
		want                           bool
	}{
		"config map":                  {"[{name: allowed, configMap: {name: allowed, namespace: ops}}]", `{key: "{{ findings }}", operator: LessThan, value: "{{ allowed.data.max }}"}`, `{"findings":2}`, true},
		"config map, over it":         {"[{name: allowed, configMap: {name: allowed, namespace: ops}}]", `{key: "{{ findings }}", operator: LessThan, value: "{{ allowed.data.max }}"}`, `{"findings":4}`, false},
		"config map of default":       {"[{name: d, configMap: {name: d}}]", `{key: "{{ a }}", operator: Equals, value: "{{ d.data.a }}"}`, `{"a":"b"}`, true},
		"variable":                    {"[{name: team, variable: {value: vision}}]", `{key: "{{ team }}", operator: Equals, value: "{{ owner }}"}`, `{"owner":"vision"}`, true},
		"variable, another":           {"[{name: team, variable: {value: vision}}]", `{key: "{{ team }}", operator: Equals, value: "{{ owner }}"}`, `{"owner":"speech"}`, false},
		"variable of a request":       {"[{name: sa, variable: {jmesPath: request.object.spec.serviceAccountName}}]", `{key: "{{ by }}", operator: Equals, value: "{{ sa }}"}`, `{"by":"runner"}`, true},
		"variable of a variable":      {"[{name: a, variable: {value: {x: [1, 2]}}}, {name: b, variable: {value: '{{ a }}', jmesPath: 'x[1]'}}]", `{key: "{{ n }}", operator: Equals, value: "{{ b }}"}`, `{"n":2}`, true},
		"JSON in a config map":        {"[{name: m, configMap: {name: allowed, namespace: ops}}, {name: teams, variable: {jmesPath: 'parse_json(m.data.teams)'}}]", `{key: "{{ owner }}", operator: AnyIn, value: "{{ teams }}"}`, `{"owner":"speech"}`, true},
		"default":                     {"[{name: a, variable: {jmesPath: request.object.nothing, default: x}}]", `{key: "{{ a }}", operator: Equals, value: x}`, `{}`, true},
		"no default":                  {"[{name: a, variable: {jmesPath: request.object.nothing}}]", `{key: "{{ a || 'x' }}", operator: Equals, value: x}`, `{}`, false},
		"predicate answers for it":    {"[{name: a, variable: {jmesPath: request.object.nothing}}]", `{key: "{{ a }}", operator: Equals, value: x}`, `{"a":"x"}`, false},
		"unused and broken":           {"[{name: a, variable: {jmesPath: request.object.nothing}}]", `{key: "{{ n }}", operator: Equals, value: 1}`, `{"n":1}`, true},
		"service account":             {"[]", `{key: "{{ serviceAccountNamespace }}/{{ serviceAccountName }}", operator: Equals, value: ci/deployer}`, `{}`, true},
		"service account, another":    {"[]", `{key: "{{ serviceAccountName }}", operator: Equals, value: x}`, `{"serviceAccountName":"x"}`, false},
		"groups of who asks":          {"[]", `{key: "system:serviceaccounts", operator: AnyIn, value: "{{ request.userInfo.groups }}"}`, `{}`, true},
		"what was there before":       {"[]", `{key: "{{ request.oldObject.x }}", operator: Equals, value: 1}`, `{}`, false},
		"cluster roles":               {"[]", `{key: "{{ request.clusterRoles }}", operator: AnyIn, value: [view]}`, `{}`, true},
		"another namespace's request": {"[]", `{key: "{{ request.namespace }}", operator: Equals, value: other}`, `{"request":{"namespace":"other"}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := loadWith(t, ruled{rule: "context: " + c.context, conditions: "[{all: [" + c.conditions + "]}]"}.yaml(ci.pem), maps)
			if err != nil {
				t.Fatal(err)
			}
			in := input(ci.image(t), ci.attest(t, "https://example.com/t", c.predicate))
			in.Request = asked()
			if c.want {
				allowed(t, p, in)
			} else {
				denied(t, p, in)
			}
		})
	}
	t.Run("keys in a config map", func(t *testing.T) {
		content := strings.NewReplacer("publicKeys: |-", `publicKeys: "{{ keys.data.{{ request.namespace }} }}"`, "@KEY@", "").Replace(
			ruled{rule: "context: [{name: keys, configMap: {name: keys, namespace: ops}}]", verify: "useCache: true"}.yaml("@KEY@"))
		p, err := loadWith(t, content, map[string]map[string]string{"ops/keys": {"ml": ci.pem + other.pem, "web": other.pem, "bad": "k8s://a/b", "twice": ci.pem + ci.pem}})
		if err != nil {
			t.Fatal(err)
		}
		in := input(ci.image(t), other.image(t))
		in.Request = asked()
		allowed(t, p, in)
		in.Request.Namespace = "web"
		allowed(t, p, in)
		for namespace, want := range map[string]string{"bad": "public key", "twice": "twice", "none": "none"} {
			in.Request.Namespace = namespace
			denied(t, p, in, want, "Outcome:broken")
		}
		in = input(ci.image(t))
		in.Request = asked()
		denied(t, p, in, "1 of 2 signatures")
		in.Request.Namespace = "web"
		denied(t, p, in, "0 of 1 signatures")
		in.Request = policy.Request{}
		denied(t, p, in, "asks about the workload")
	})
}

func TestFailureAction(t *testing.T) {
	ci := newSigner(t)
	dev, unknown := asked(), asked()
	dev.Namespace = "dev-a"
	unknown.Namespace = ""
	const overrides = "validationFailureActionOverrides: [{action: %s, namespaces: [dev-*]}]"
	for name, c := range map[string]struct {
		spec, verify string
		request      policy.Request
		want         verdict.Action
	}{
		"unset":                          {"", "", asked(), verdict.Enforce},
		"policy audits":                  {"validationFailureAction: Audit", "", asked(), verdict.AuditOnly},
		"policy audits, in lower case":   {"validationFailureAction: audit", "", asked(), verdict.AuditOnly},
		"policy audits with warnings":    {"validationFailureAction: Audit\n  emitWarning: true", "", asked(), verdict.WarnOnly},
		"newer name":                     {"failureAction: Audit", "", asked(), verdict.AuditOnly},
		"block audits":                   {"validationFailureAction: Enforce", "failureAction: Audit", asked(), verdict.AuditOnly},
		"block enforces":                 {"validationFailureAction: Audit", "failureAction: Enforce", asked(), verdict.Enforce},
		"override of another namespace":  {fmt.Sprintf(overrides, "Audit"), "", asked(), verdict.Enforce},
		"override":                       {fmt.Sprintf(overrides, "Audit"), "", dev, verdict.AuditOnly},
		"override does not beat a block": {fmt.Sprintf(overrides, "Audit"), "failureAction: Enforce", dev, verdict.Enforce},
		"override of unknown namespace":  {fmt.Sprintf(overrides, "Audit"), "", unknown, verdict.Enforce},
		"stricter override, unknown":     {"failureAction: Audit\n  " + fmt.Sprintf(overrides, "Enforce"), "", unknown, verdict.Enforce},
		"override by labels":             {"failureActionOverrides: [{action: Audit, namespaceSelector: {matchLabels: {env: prod}}}]", "", asked(), verdict.AuditOnly},
		"override by other labels":       {"failureActionOverrides: [{action: Audit, namespaceSelector: {matchLabels: {env: dev}}}]", "", asked(), verdict.Enforce},
		"override in the block":          {"", "failureActionOverrides: [{action: Audit, namespaces: [ml]}]", asked(), verdict.AuditOnly},
		"first override":                 {"failureActionOverrides: [{action: Audit, namespaces: [ml]}, {action: Enforce, namespaces: ['*']}]", "", asked(), verdict.AuditOnly},
		"not at admission":               {"admission: false", "", asked(), verdict.AuditOnly},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustLoad(t, ruled{spec: c.spec, verify: c.verify}.yaml(ci.pem))
			in := input()
			in.Request = c.request
			for _, check := range judge(t, p, in) {
				if check.Outcome != verdict.Failed || check.Action != c.want {
					t.Errorf("%s %s", check.Outcome, check.Action)
				}
			}
		})
	}
}

func TestDigestsAndRules(t *testing.T) {
	ci := newSigner(t)
	in := input(ci.image(t))
	in.Request = asked()
	t.Run("left as they are", func(t *testing.T) {
		p := mustLoad(t, ruled{verify: "mutateDigest: false"}.yaml(ci.pem))
		denied(t, p, in, "missing digest for registry.example.com/ml/pandas-processor")
		pinned := in
		pinned.Image.Pinned = true
		allowed(t, p, pinned)
		allowed(t, mustLoad(t, ruled{verify: "mutateDigest: false\n      verifyDigest: false"}.yaml(ci.pem)), in)
		alone := in
		alone.Request = policy.Request{}
		allowed(t, p, alone)
	})
	t.Run("only pinned", func(t *testing.T) {
		p := mustLoad(t, `apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: resolve-image-to-digest}
spec:
  rules:
  - name: r
    match: {any: [{resources: {kinds: [Pod]}}]}
    verifyImages:
    - imageReferences: ["*"]
      mutateDigest: true
      verifyDigest: true
      required: false
`)
		if checks := judge(t, p, input()); len(checks) != 1 || checks[0].Outcome != verdict.Skipped {
			t.Errorf("proves something: %+v", checks)
		}
	})
	t.Run("the first rule alone", func(t *testing.T) {
		content := ruled{spec: "applyRules: One"}.yaml(ci.pem)
		_, second, _ := strings.Cut(content, "  - name: r\n")
		content += "  - name: second\n" + second
		content = strings.Replace(content, "&key", "", 2)
		if checks := judge(t, mustLoad(t, content), in); len(checks) != 1 {
			t.Errorf("%d checks", len(checks))
		}
		if checks := judge(t, mustLoad(t, strings.Replace(content, "One", "All", 1)), in); len(checks) != 2 {
			t.Errorf("%d checks", len(checks))
		}
	})
	t.Run("a registry that is away", func(t *testing.T) {
		for spec, want := range map[string]verdict.Action{"": verdict.Enforce, "failurePolicy: Fail": verdict.Enforce, "failurePolicy: Ignore": verdict.WarnOnly,
			"webhookConfiguration: {failurePolicy: Ignore, timeoutSeconds: 10}": verdict.WarnOnly} {
			tolerant, ok := mustLoad(t, ruled{spec: spec}.yaml(ci.pem)).(policy.Tolerant)
			if !ok || tolerant.OnFault(policy.EvidenceUnavailable, now) != want {
				t.Errorf("%s: want %s", spec, want)
			}
		}
	})
}

func TestExtractors(t *testing.T) {
	ci := newSigner(t)
	task := policy.Request{Known: true, Group: "tekton.dev", Version: "v1", Kind: "Task", Namespace: "ml", Name: "t", Object: map[string]any{
		"metadata": map[string]any{"name": "t"},
		"spec": map[string]any{
			"steps":  []any{map[string]any{"name": "a", "image": "registry.example.com/a:1"}, map[string]any{"name": "b"}, map[string]any{"name": "c", "image": " "}},
			"tools":  map[string]any{"x.y": map[string]any{"uses": "docker://registry.example.com/b@sha256:" + digest.Hex()}},
			"direct": "registry.example.com/c",
			"number": 1.0,
			"text":   []any{"a"},
		},
	}}
	for name, c := range map[string]struct {
		extractor, want string
	}{
		"path":                  {"{path: /spec/steps/*/image}", "[{spec.steps[0].image registry.example.com/a:1}]"},
		"path and value":        {"{path: /spec/steps/*, value: image, name: steps, key: name}", "[{spec.steps[0].image registry.example.com/a:1}]"},
		"mapping with jmesPath": {`{path: /spec/tools/*, value: uses, jmesPath: "trim_prefix(@, 'docker://')"}`, `[{spec.tools.x\.y.uses registry.example.com/b@sha256:` + digest.Hex() + `}]`},
		"one field":             {"{path: /spec/direct}", "[{spec.direct registry.example.com/c}]"},
		"nothing there":         {"{path: /spec/stages/*/image}", "[]"},
		"no text":               {"{path: /spec/number}", "error: spec.number is no text"},
		"no mapping":            {"{path: /spec/text/*/image}", "error: spec.text[0] is no mapping"},
		"jmesPath gives none":   {"{path: /spec/direct, jmesPath: 'length(@)'}", "error: spec.direct: the jmesPath gives"},
		"jmesPath fails":        {"{path: /spec/direct, jmesPath: 'abs(@)'}", "error: spec.direct: "},
	} {
		t.Run(name, func(t *testing.T) {
			p := mustLoad(t, ruled{match: "{any: [{resources: {kinds: [Task]}}]}", rule: "imageExtractors: {Task: [" + c.extractor + "]}"}.yaml(ci.pem))
			found, err := p.(policy.Extractor).Extract(task)
			got := fmt.Sprint(found)
			if err != nil {
				got = strings.Replace(err.Error(), "ClusterPolicy/p: rule r: imageExtractors of Task", "error", 1)
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
			other := task
			other.Kind = "Pipeline"
			if found, err := p.(policy.Extractor).Extract(other); len(found) > 0 || err != nil {
				t.Errorf("of another kind: %v, %v", found, err)
			}
		})
	}
	t.Run("too many", func(t *testing.T) {
		var steps []any
		for i := range limit.ExtractedImages + 1 {
			steps = append(steps, map[string]any{"image": fmt.Sprintf("a:%d", i)})
		}
		many := task
		many.Object = map[string]any{"spec": map[string]any{"steps": steps}}
		p := mustLoad(t, ruled{match: "{any: [{resources: {kinds: [Task]}}]}", rule: "imageExtractors: {Task: [{path: /spec/steps/*/image}]}"}.yaml(ci.pem))
		if _, err := p.(policy.Extractor).Extract(many); err == nil || !strings.Contains(err.Error(), "bound of 1000 images") {
			t.Errorf("%v", err)
		}
	})
}

func TestCredentialsFor(t *testing.T) {
	ci := newSigner(t)
	p := mustLoad(t, ruled{match: "{any: [{resources: {kinds: [Pod], namespaces: [ml]}}]}", verify: "imageRegistryCredentials: {providers: [default, amazon], secrets: [pull, ml/pull, pull]}"}.yaml(ci.pem))
	c, ok := p.(policy.Credentialed)
	if !ok || fmt.Sprint(c.CredentialsFor(image, asked())) != "[pull ml/pull]" {
		t.Errorf("%v", ok)
	}
	other := asked()
	other.Namespace = "web"
	if got := c.CredentialsFor(image, other); got != nil {
		t.Errorf("of another namespace: %q", got)
	}
}
