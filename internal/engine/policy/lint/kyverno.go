package lint

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
	"github.com/seed-161fc314/assay/internal/engine/policy/shape"
	"github.com/seed-161fc314/assay/predicate"
)

// kyvernoPolicy looks into a ClusterPolicy or Policy.
func (l *linter) kyvernoPolicy(root place) {
	spec := root.at("spec")
	if l.document.Field("apiVersion") != "" {
		l.say("kind-removed", root.at("kind"), "assay policy convert "+l.document.File, "Kyverno removes %s after version 1.19; Assay reads it on", root.at("kind").text())
	}
	if value := root.at("metadata", "annotations", "assay.sh/allow-sample"); value.text() == "true" {
		l.say("sample-allowed", value, "leave the annotation out, and scan with real advisories", "evidence from the built-in sample of advisories counts")
	}
	l.kyvernoEffect(spec)
	volumes := false
	var seen []string
	for _, rule := range spec.at("rules").list() {
		blocks := rule.at("verifyImages").list()
		if len(blocks) == 0 {
			continue
		}
		l.kyvernoMatch(root, rule)
		volumes = volumes || !strings.Contains(rule.at("imageExtractors").json(), "volumes")
		for _, block := range blocks {
			l.kyvernoBlock(spec, rule, block)
			if spelled := rule.at("match").json() + rule.at("exclude").json() + rule.at("preconditions").json() + block.json(); slices.Contains(seen, spelled) {
				l.say("repeated", block, "leave it out, or write what was meant", "an equal element of verifyImages stands above")
			} else {
				seen = append(seen, spelled)
			}
		}
	}
	if volumes {
		l.say("volumes-unseen", spec.at("rules"), "in Kyverno, add imageExtractors with the path /spec/volumes/*/image/reference", "Kyverno does not see the images that volumes mount")
	}
	l.elsewhere(spec.at("rules"))
}

// elsewhere says that no policy of the run judges some registries.
func (l *linter) elsewhere(at place) {
	if !slices.ContainsFunc(l.config.Images, func(pattern string) bool { return glob(pattern, "registry.stranger.example/any/image@sha256:0") }) && len(l.config.Images) > 0 {
		l.say("images-elsewhere", at, "add a policy for \"*\" that denies, or asks for a signature", "no policy here judges images of a registry that is not named")
	}
}

// kyvernoEffect looks at what the fields for the whole policy make of it.
func (l *linter) kyvernoEffect(spec place) {
	for _, at := range []place{spec.at("failurePolicy"), spec.at("webhookConfiguration", "failurePolicy")} {
		if at.text() == "Ignore" {
			l.say("fault-open", at, "write Fail, and run more than one replica of the webhook", "an API server that does not reach the webhook admits everything")
		}
	}
	action := spec.at("validationFailureAction")
	switch text := action.text(); {
	case strings.EqualFold(text, "Audit"):
	case text == "enforce":
		l.edit(l.say("field-deprecated", action, "write Enforce", "enforce is the older spelling of Enforce"), action, "enforce", "Enforce")
	}
	for _, field := range []string{"validationFailureActionOverrides", "failureActionOverrides"} {
		for _, override := range spec.at(field).list() {
			if strings.EqualFold(override.at("action").text(), "Audit") {
				l.say("never-enforced", override, "write Enforce, or leave the element out when the trial is over", "in the namespaces %s the policy only audits", override.at("namespaces").json())
			}
		}
	}
}

// kyvernoMatch looks at what a rule sees.
func (l *linter) kyvernoMatch(root, rule place) {
	filters, any := rule.at("match", "any").list(), true
	if len(filters) == 0 {
		filters, any = rule.at("match", "all").list(), false
	}
	if direct := rule.at("match", "resources"); direct.there() {
		filters = append(filters, rule.at("match"))
		l.say("field-deprecated", direct, "write match.any with one element", "resources right below match is the older form")
	}
	l.optIn(filters, any)
	for _, key := range []string{"any", "all"} {
		for _, filter := range append(rule.at("exclude", key).list(), rule.at("exclude")) {
			if at := chosen(filter); at.there() && (key == "any" || len(filter.path) > len(rule.path)+1) {
				l.say("opt-in", at, "exempt by namespace, or by who asks", "whoever writes this into a workload is exempt from the rule")
			}
		}
	}
	l.optInBy(rule.at("preconditions"))
	l.kinds(rule, filters)
	l.unreachableRule(root, rule, filters)
}

// chosen is what in a filter is written by whoever makes the workload.
func chosen(filter place) place {
	for _, field := range []string{"annotations", "selector"} {
		if at := filter.at("resources", field); at.there() {
			return at
		}
	}
	return place{}
}

// optIn says where a rule applies only to workloads that ask for it.
func (l *linter) optIn(filters []place, any bool) {
	var found []place
	for _, filter := range filters {
		if at := chosen(filter); at.there() {
			found = append(found, at)
		}
	}
	if len(found) == 0 || any && len(found) < len(filters) {
		return
	}
	for _, at := range found {
		what := at.path[len(at.path)-1]
		l.say("opt-in", at, "match by kind and namespace; labels of the namespace are written by its owner (namespaceSelector)",
			"the rule applies only where the workload has these %s, and whoever makes the workload leaves them out", map[string]string{"annotations": "annotations", "selector": "labels"}[what])
	}
}

// workloadWords are expressions for what a workload says of itself.
var workloadWords = regexp.MustCompile(`request\.(object|oldObject)\.metadata\.(annotations|labels)`)

// optInBy looks for preconditions on what the workload says of itself.
func (l *linter) optInBy(preconditions place) {
	var walk func(p place)
	walk = func(p place) {
		if key := p.at("key"); key.there() && p.has("operator") {
			if workloadWords.MatchString(key.text()) {
				l.say("opt-in", key, "ask about the namespace, or about who asks", "whoever makes the workload writes %s, and so decides whether the rule applies", workloadWords.FindString(key.text()))
			}
			return
		}
		for _, child := range p.list() {
			walk(child)
		}
		for _, key := range p.keys() {
			walk(p.at(key))
		}
	}
	walk(preconditions)
}

// controllers make pods, and Kyverno finds their images by itself.
var controllers = []string{"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"}

// kinds looks at the kinds and operations that a rule sees.
func (l *linter) kinds(rule place, filters []place) {
	pods := false
	for _, filter := range filters {
		kinds := filter.at("resources", "kinds")
		for _, at := range kinds.list() {
			kind := at.text()[strings.LastIndex(at.text(), "/")+1:]
			pods = pods || kind == "Pod" || kind == "*"
			if kind != "Pod" && kind != "*" && !slices.Contains(controllers, kind) && !rule.at("imageExtractors", kind).there() && kind != "ephemeralcontainers" {
				l.say("workloads-unseen", at, "add imageExtractors for the kind, or match the pods that it makes", "Kyverno does not know where a %s names images", kind)
			}
		}
		if operations := filter.at("resources", "operations"); operations.there() && !slices.Contains(operations.texts(), "UPDATE") {
			l.say("updates-unseen", operations, "add UPDATE", "the rule sees %s and no updates", strings.Join(operations.texts(), ", "))
		}
	}
	if !pods && len(filters) > 0 && len(filters[0].at("resources", "kinds").list()) > 0 {
		l.say("workloads-unseen", filters[0].at("resources", "kinds"), "match Pod, from which Kyverno derives the rules for controllers", "a pod that somebody makes directly is not judged")
	}
}

// unreachableRule says where a rule exempts what it matches.
func (l *linter) unreachableRule(root, rule place, filters []place) {
	namespaces := func(filter place) []string { return filter.at("resources", "namespaces").texts() }
	own := root.at("metadata", "namespace").text()
	for _, filter := range filters {
		if l.document.Field("kind") == "Policy" && own != "" && len(namespaces(filter)) > 0 && !covered([]string{own}, namespaces(filter)) {
			l.say("unreachable", filter.at("resources", "namespaces"), "leave the namespaces out: a Policy applies to its own", "the policy applies to namespace %s alone, which is not among these", own)
		}
	}
	for _, excluded := range append(rule.at("exclude", "any").list(), rule.at("exclude")) {
		resources := excluded.at("resources")
		if !resources.there() {
			continue
		}
		only := len(resources.keys()) > 0 && !slices.ContainsFunc(resources.keys(), func(key string) bool { return key != "kinds" && key != "namespaces" })
		inside := only && len(filters) > 0 && !slices.ContainsFunc(filters, func(filter place) bool {
			kinds := resources.at("kinds").texts()
			return len(kinds) > 0 && !covered(filter.at("resources", "kinds").texts(), kinds) ||
				len(namespaces(excluded)) > 0 && !slices.Contains(namespaces(excluded), "*") && !covered(namespaces(filter), namespaces(excluded))
		})
		if inside {
			l.say("unreachable", resources, "exempt less", "everything that the rule matches is excluded here")
		}
	}
}

// kyvernoBlock looks into one element of verifyImages.
func (l *linter) kyvernoBlock(spec, rule, block place) {
	references, skipped := block.at("imageReferences"), block.at("skipImageReferences")
	for _, at := range references.list() {
		l.imagePattern(at, references.texts(), true)
	}
	for _, at := range skipped.list() {
		l.exemption(at)
	}
	if covered(references.texts(), skipped.texts()) {
		l.say("unreachable", skipped, "exempt less", "every image that is matched is exempt")
	}
	l.blockEffect(spec, block)
	l.blockNames(block)
	if sets := block.at("attestors"); len(sets.list()) > 0 {
		l.want(sets, predicate.TypeCosignSign)
	}
	for _, set := range block.at("attestors").list() {
		l.attestors(set)
	}
	names := []string{}
	for _, a := range block.at("attestations").list() {
		names = append(names, a.at("name").text())
	}
	for _, c := range rule.at("context").list() {
		names = append(names, c.at("name").text())
	}
	types := map[string]string{}
	for _, a := range block.at("attestations").list() {
		l.attestation(a, names)
		if name := a.at("name").text(); name != "" {
			types[name] = a.at("type").text()
		}
	}
	l.denied(block.at("validate", "deny", "conditions"), types)
}

// denied looks into conditions over attestations that have names.
func (l *linter) denied(conditions place, types map[string]string) {
	encoded, err := json.Marshal([]any{conditions.value})
	if err != nil {
		return
	}
	for _, looked := range kyverno.Reads(encoded, nil) {
		c := conditions.at(listName(looked), strconv.Itoa(looked.Index))
		l.comparison(c, looked.Constant, looked.Holds)
		for _, r := range looked.Reads {
			if uri := types[r.Path.Name()]; uri != "" && len(r.Path) > 1 {
				r.Path = r.Path[1:]
				l.read(c.at("key"), []string{uri}, r, "")
			}
		}
	}
}

// blockEffect looks at what a finding of the block leads to.
func (l *linter) blockEffect(spec, block place) {
	action, at := block.at("failureAction"), block.at("failureAction")
	if !action.there() {
		action = spec.at("validationFailureAction")
		at = action
	}
	switch {
	case !action.there():
		l.sayAs("never-enforced", remark.Warning, block, "write failureAction: Enforce into the element", "no failureAction is set: Kyverno takes Audit, and denies nothing; Assay enforces")
	case strings.EqualFold(action.text(), "Audit"):
		l.say("never-enforced", at, "write Enforce when the trial is over", "the policy audits, and denies nothing")
	}
	audits := strings.EqualFold(action.text(), "Audit")
	if at := block.at("required"); at.is(false) {
		l.say("not-required", at, "leave required out; it is true then", "Kyverno's validating phase accepts an image that nobody verified")
	}
	if at := block.at("mutateDigest"); at.is(false) && !audits {
		l.say("digest-optional", at, "leave mutateDigest out; it is true then, and Audit is the one thing that needs it off", "a tag stays in the manifest, and what runs may be another image than the one that was verified")
	}
	if at := block.at("verifyDigest"); at.is(false) {
		l.say("digest-optional", at, "leave verifyDigest out; it is true then", "Kyverno's validating phase accepts a reference without a digest")
	}
	if at := block.at("imageRegistryCredentials", "allowInsecureRegistry"); at.is(true) {
		l.say("registry-insecure", at, "leave it out, and give the registry a certificate", "the registry is asked without TLS, or without looking at its certificate")
	}
}

// blockNames are the names that Kyverno will drop.
func (l *linter) blockNames(block place) {
	for _, old := range [][2]string{{"image", "imageReferences"}, {"key", "attestors"}, {"roots", "attestors"}, {"subject", "attestors"}, {"issuer", "attestors"},
		{"annotations", "attestors"}, {"additionalExtensions", "attestors"}, {"repository", ""}} {
		if at := block.at(old[0]); at.there() && old[1] != "" {
			l.say("field-deprecated", at, "write it into "+old[1], "%s is read as part of %s", old[0], old[1])
		}
	}
}

// attestation looks into one element of attestations.
func (l *linter) attestation(a place, names []string) {
	typeAt := a.at("type")
	if old := a.at("predicateType"); old.there() {
		f := l.say("field-deprecated", old, "write type", "predicateType is the older name of type")
		if line, column, found := l.document.KeyPosition(old.path...); found && !typeAt.there() {
			l.editAt(f, line, column, "predicateType:", "type:")
		}
		if !typeAt.there() {
			typeAt = old
		}
	}
	uri := typeAt.text()
	l.want(typeAt, uri)
	l.predicateType(typeAt, uri, false)
	if len(a.at("attestors").list()) == 0 {
		l.say("attestors-missing", a, "name who must have signed: attestors with keys or keyless", "nobody is named who must have signed the attestation")
	}
	for _, set := range a.at("attestors").list() {
		l.attestors(set)
	}
	dated := l.conditions(a.at("conditions"), uri, names)
	if predicate.Family(uri) == predicate.TypeCosignVuln && !dated {
		l.say("age-unbounded", typeAt, "add a condition: key \"{{ time_since('', '{{ metadata.scanFinishedOn }}', '') }}\", operator LessThan, value 168h",
			"a scan of any age satisfies the policy")
	}
}

// conditions looks into the conditions of an attestation, and says whether one
// of them asks how old the evidence is.
func (l *linter) conditions(conditions place, uri string, names []string) (dated bool) {
	for _, block := range conditions.list() {
		for _, key := range []string{"any", "all"} {
			list := block.at(key)
			if block.has(key) && len(list.list()) == 0 {
				l.say("condition-never", block, "write the condition, or leave the list out", "the list %s is empty: here it never holds, in Kyverno it always does", key)
			}
			seen := map[string]bool{}
			for _, c := range list.list() {
				l.operator(c)
				if seen[c.json()] {
					l.say("repeated", c, "leave it out, or write what was meant", "an equal condition stands above")
				}
				seen[c.json()] = true
			}
		}
	}
	encoded, err := json.Marshal(conditions.value)
	if err != nil {
		return false
	}
	for _, looked := range kyverno.Reads(encoded, names) {
		c := conditions.at(strconv.Itoa(looked.Block), listName(looked), strconv.Itoa(looked.Index))
		dated = dated || looked.Dated
		l.comparison(c, looked.Constant, looked.Holds)
		l.reads(c.at("key"), []string{uri}, looked.Reads, "")
		l.said(c.at("message"), uri, looked)
		for _, pattern := range looked.Patterns {
			l.expression(c.at("key"), pattern, true, false)
		}
	}
	return dated
}

// listName is the list that a condition stands in.
func listName(looked kyverno.Looked) string {
	if looked.Alternative {
		return "any"
	}
	return "all"
}

// said holds what a message reads against the type: a message is no hole, and
// says less than it should.
func (l *linter) said(at place, uri string, looked kyverno.Looked) {
	before := len(l.findings)
	for _, read := range looked.Said {
		if !slices.ContainsFunc(looked.Reads, func(r shape.Read) bool { return slices.Equal(r.Path, read.Path) }) {
			l.read(at, []string{uri}, read, "")
		}
	}
	for i := before; i < len(l.findings); i++ {
		l.findings[i].Level = min(l.findings[i].Level, remark.Warning)
	}
}

// operator says where an operator has a newer name.
func (l *linter) operator(c place) {
	at := c.at("operator")
	newer := map[string]string{"in": "AnyIn or AllIn", "notin": "AnyNotIn or AllNotIn", "durationgreaterthan": "GreaterThan", "durationgreaterthanorequals": "GreaterThanOrEquals",
		"durationlessthan": "LessThan", "durationlessthanorequals": "LessThanOrEquals"}[strings.ToLower(at.text())]
	if newer == "" {
		return
	}
	f := l.say("field-deprecated", at, "write "+newer, "the operator %s is deprecated", at.text())
	if !strings.Contains(newer, " ") {
		l.edit(f, at, at.text(), newer)
	}
}
