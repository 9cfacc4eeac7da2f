package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/policycase"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/job/rehearse"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

func newPolicyTest(host *Host) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use: "test PATH…", Short: "Run the tests beside policies",
		Long: `Test runs documents of kind PolicyTest and Kyverno's kyverno-test.yaml, in files
or below directories. A case says who signed what about an image, and the decision
that the policies must give. Signers are played by keys that are made for the run:
policies are loaded, evidence is verified and judged as at every door, and nothing
is contacted.

kyverno-test.yaml says what rules say of resources. The evidence about their images
is in assay-evidence.yaml beside it (kind PolicyEvidence); without that file it is
read from the registries that the resources name.`,
		Example: "  assay policy test policies/\n  assay policy test policies/no-critical-test.yaml -o json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("-o", format, "text", "json"); err != nil {
				return err
			}
			results, err := host.policyTests(cmd.Context(), args)
			if err != nil {
				return err
			}
			return host.printTests(results, format)
		},
	}
	formatFlag(command, &format, "text", "text", "json")
	return command
}

// tested is how one case, or one result of Kyverno's, ended.
type tested struct {
	Place  string `json:"place"`
	Test   string `json:"test"`
	Case   string `json:"case"`
	Passed bool   `json:"passed"`
	// Differences say in which way the answer is not the one that is wanted.
	Differences []string         `json:"differences,omitempty"`
	Verdict     *verdict.Verdict `json:"verdict,omitempty"`
}

// policyTests finds the tests in files and directories, and runs them.
func (h *Host) policyTests(ctx context.Context, paths []string) ([]tested, error) {
	files, err := h.manifests(paths)
	if err != nil {
		return nil, err
	}
	var results []tested
	for _, file := range files {
		content, err := h.readFile(file, limit.Policy)
		if err != nil {
			return nil, err
		}
		documents, err := strictyaml.Documents(file, content)
		if err != nil {
			if slices.Contains(paths, file) || isTest(file, content) {
				return nil, err
			}
			continue // below a directory, a file that is no policy's test may be anything
		}
		for _, document := range documents {
			var made []tested
			switch {
			case policycase.Is(document):
				made, err = h.policyTest(ctx, file, document)
			case policycase.IsKyverno(document):
				made, err = h.kyvernoTest(ctx, file, document)
			case knownKind(document) != nil:
				err = knownKind(document)
			case slices.Contains(paths, file):
				err = fmt.Errorf("%s:%d: is no test of a policy; want kind %s of %s, or Kyverno's kind %s", file, document.Line, policycase.Kind, policycase.APIVersion, policycase.KyvernoKind)
			}
			if err != nil {
				return nil, err
			}
			results = append(results, made...)
		}
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("%s: no test of a policy was found, so nothing was tested", strings.Join(paths, ", "))
	}
	return results, nil
}

// isTest says whether a file that cannot be read seems to be a test: by its name,
// or by what it says.
func isTest(file string, content []byte) bool {
	name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".yaml"), ".yml")
	return strings.HasSuffix(name, "-test") || strings.Contains(string(content), policycase.Kind) || strings.Contains(string(content), policycase.KyvernoAPIVersion)
}

func (h *Host) clock(written time.Time) time.Time {
	if written.IsZero() {
		return h.Now()
	}
	return written
}

// policyTest runs the cases of a PolicyTest.
func (h *Host) policyTest(ctx context.Context, file string, document strictyaml.Document) ([]tested, error) {
	test, err := policycase.Decode(document)
	if err != nil {
		return nil, err
	}
	r, err := h.rehearse(ctx, filepath.Dir(file), test.Policies, test.ConfigMaps)
	if err != nil {
		return nil, err
	}
	var results []tested
	for _, c := range test.Cases {
		v, err := r.decide(ctx, c, h.clock(test.Clock))
		if err != nil {
			return nil, fmt.Errorf("%s:%d: case %q: %w", file, c.Line, c.Name, err)
		}
		different := rehearse.Differences(v, rehearse.Expectation{Decision: c.Want, Failed: c.Failed, Message: c.Message})
		results = append(results, tested{Place: fmt.Sprintf("%s:%d", file, c.Line), Test: test.Metadata.Name, Case: c.Name,
			Passed: len(different) == 0, Differences: different, Verdict: &v})
	}
	return results, nil
}

// decide asks what a case asks. A fault is a verdict here.
func (r *rehearsal) decide(ctx context.Context, c policycase.Case, now time.Time) (verdict.Verdict, error) {
	scene := rehearse.Scene{Policies: r.policies, Now: now, Config: oci.ImageConfig(c.Config)}
	reference := c.Image
	var err error
	if c.Resource != "" {
		if reference, scene.Request, err = r.asks(c.Resource, c.Image); err != nil {
			return verdict.Verdict{}, err
		}
	}
	if scene.Image, err = rehearse.Image(reference); err != nil {
		return verdict.Verdict{}, err
	}
	if scene.Evidence, err = r.evidence(scene.Image, c.Evidence); err != nil {
		return verdict.Verdict{}, err
	}
	v, err := rehearse.Decide(ctx, scene)
	if fault := (*gate.FaultError)(nil); errors.As(err, &fault) {
		return v, nil
	}
	return v, err
}

// sceneryFile holds the evidence for Kyverno's tests.
const sceneryFile = "assay-evidence.yaml"

// kyvernoTest runs the results of a kyverno-test.yaml.
func (h *Host) kyvernoTest(ctx context.Context, file string, document strictyaml.Document) ([]tested, error) {
	test, err := policycase.DecodeKyverno(document)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(file)
	scenery, scripted, err := h.scenery(filepath.Join(dir, sceneryFile))
	if err != nil {
		return nil, err
	}
	var decide func(question) (verdict.Verdict, error)
	var loaded []policy.Policy
	if scripted {
		r, err := h.rehearse(ctx, dir, test.Policies, test.Resources)
		if err != nil {
			return nil, err
		}
		loaded = r.policies
		decide = func(q question) (verdict.Verdict, error) {
			return r.scripted(ctx, q, scenery, h.clock(scenery.Clock))
		}
	} else {
		var policies []string
		for _, path := range test.Policies {
			policies = append(policies, filepath.Join(dir, path))
		}
		g, set, err := h.gateWith(ctx, policies, nil, h.registries())
		if err != nil {
			return nil, err
		}
		loaded = set.policies
		decide = func(q question) (verdict.Verdict, error) { return g.Decide(ctx, q.Question) }
	}
	var resources []string
	for _, path := range test.Resources {
		resources = append(resources, filepath.Join(dir, path))
	}
	asked, err := h.questions(nil, resources, "default")
	if err != nil {
		return nil, err
	}
	if err := asked.extract(loaded, test.Resources); err != nil {
		return nil, err
	}
	return kyvernoResults(file, test, asked.questions, decide)
}

func (h *Host) scenery(path string) (policycase.Scenery, bool, error) {
	content, err := h.readFile(path, limit.Policy)
	if errors.Is(err, fs.ErrNotExist) {
		return policycase.Scenery{}, false, nil
	}
	if err != nil {
		return policycase.Scenery{}, false, err
	}
	documents, err := strictyaml.Documents(path, content)
	if err != nil {
		return policycase.Scenery{}, false, err
	}
	if len(documents) != 1 {
		return policycase.Scenery{}, false, fmt.Errorf("%s: want one document, found %d", path, len(documents))
	}
	s, err := policycase.DecodeScenery(documents[0])
	return s, true, err
}

// scripted judges one image by what a PolicyEvidence says of it.
func (r *rehearsal) scripted(ctx context.Context, q question, scenery policycase.Scenery, now time.Time) (verdict.Verdict, error) {
	c := policycase.Case{Image: q.Reference}
	known := false
	for _, image := range scenery.Images {
		if image.Image == q.Reference {
			c.Evidence, known = image.Evidence, true
		}
	}
	if !known {
		return verdict.Verdict{}, fmt.Errorf("%s is not among the images of %s", q.Reference, sceneryFile)
	}
	image, err := rehearse.Image(q.Reference)
	if err != nil {
		return verdict.Verdict{}, err
	}
	evidence, err := r.evidence(image, c.Evidence)
	if err != nil {
		return verdict.Verdict{}, err
	}
	return rehearse.Decide(ctx, rehearse.Scene{Policies: r.policies, Image: image, Request: q.Request, Evidence: evidence, Now: now})
}

// kyvernoResults compares what rules say with what a test wants of them.
func kyvernoResults(file string, test policycase.KyvernoTest, questions []question, decide func(question) (verdict.Verdict, error)) ([]tested, error) {
	var list []tested
	for _, want := range test.Results {
		for _, resource := range want.Resources {
			one := tested{Place: fmt.Sprintf("%s:%d", file, want.Line), Test: test.Name, Case: fmt.Sprintf("%s/%s on %s %s", want.Policy, want.Rule, want.Kind, resource)}
			outcomes := []string{}
			for _, q := range questions {
				namespace, name, spaced := strings.Cut(resource, "/")
				if !spaced {
					namespace, name = want.Namespace, resource
				}
				if q.Request.Name != name || want.Kind != "" && q.Request.Kind != want.Kind || namespace != "" && q.Request.Namespace != namespace {
					continue
				}
				v, err := decide(q)
				if fault := (*gate.FaultError)(nil); err != nil && !errors.As(err, &fault) {
					return nil, fmt.Errorf("%s:%d: %w", file, want.Line, err)
				}
				if v.Decision == verdict.Fault {
					one.Differences = append(one.Differences, "no verdict: "+v.Reason)
				}
				outcome := "skip"
				// A rule about pods is judged for what makes pods too, under its own name.
				rule := strings.TrimPrefix(strings.TrimPrefix(want.Rule, "autogen-"), "cronjob-")
				for _, kind := range []string{"ClusterPolicy/", "Policy/"} {
					for _, name := range []string{want.Rule, rule} {
						if said := rehearse.Outcome(v, kind+want.Policy, name); said != "skip" {
							outcome = said
						}
					}
				}
				one.Verdict = &v
				outcomes = append(outcomes, outcome)
			}
			one.compare(want.Result, outcomes)
			list = append(list, one)
		}
	}
	return list, nil
}

// compare says whether the worst of the outcomes is the one that is wanted; what
// fails without denying is a fail or a warn, as Kyverno's flags have it.
func (t *tested) compare(want string, outcomes []string) {
	order := []string{"skip", "pass", "warn", "fail"}
	worst := ""
	for _, o := range outcomes {
		if worst == "" || slices.Index(order, o) > slices.Index(order, worst) {
			worst = o
		}
	}
	switch {
	case worst == "":
		t.Differences = append(t.Differences, "no such resource asks for an image")
	case worst != want && !(worst == "warn" && want == "fail"):
		t.Differences = append(t.Differences, fmt.Sprintf("the rule says %s, want %s", worst, want))
	}
	t.Passed = len(t.Differences) == 0
}

func (h *Host) printTests(results []tested, format string) error {
	failed := 0
	for _, r := range results {
		if !r.Passed {
			failed++
		}
	}
	if format == "json" {
		if err := writeJSON(h.Out, results); err != nil {
			return err
		}
	} else {
		for _, r := range results {
			word := h.colour("32", "PASS")
			if !r.Passed {
				word = h.colour("1;31", "FAIL")
			}
			fmt.Fprintf(h.Out, "%s  %s  %s\n", word, clean(cmp.Or(r.Test, r.Place)), clean(r.Case))
			if r.Passed {
				continue
			}
			fmt.Fprintf(h.Out, "      at %s\n", clean(r.Place))
			for _, d := range r.Differences {
				fmt.Fprint(h.Out, explain.Wrap("      - ", "        ", d, h.Width))
			}
			if r.Verdict != nil {
				for line := range strings.Lines(explain.Brief(*r.Verdict, limit.AdmissionMessage)) {
					fmt.Fprint(h.Out, explain.Wrap("        ", "          ", line, h.Width))
				}
			}
		}
		fmt.Fprintf(h.Out, "%d passed, %d failed\n", len(results)-failed, failed)
	}
	if failed > 0 {
		return &deniedError{text: fmt.Sprintf("%d of %d tests of policies failed", failed, len(results))}
	}
	return nil
}
