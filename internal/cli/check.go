package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/evidence"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/format/manifest"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/predicate"
)

func newCheck(host *Host) *cobra.Command {
	var files, policies []string
	var namespace, format string
	command := &cobra.Command{
		Use: "check [IMAGE…] [-f FILES] --policy FILES", Short: "Ask the gate: may these images run?",
		Long: `Check gives the decision that every door gives, for the images of Kubernetes
manifests (-f, files or directories) or for images that are named. All policies
whose match covers an image must be satisfied; an image that no policy covers is
denied. One answer carries all that is wrong; -o kyverno words it as Kyverno's
webhook does, for scripts that read that.`,
		Example: "  assay check -f deployment.yaml --policy policy.yaml\n  assay check registry.example.com/app:1.0 --policy policy.yaml -o json",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("-o", format, checkFormats...); err != nil {
				return err
			}
			if len(args)+len(files) == 0 {
				return usage("nothing to check").withHint("name an image, or manifests with -f")
			}
			asked, err := host.questions(args, files, namespace)
			if err != nil {
				return err
			}
			g, set, err := host.gateWith(cmd.Context(), policies, asked.around.ConfigMaps, host.registries())
			if err != nil {
				return err
			}
			if err := asked.extract(set.policies, files); err != nil {
				return err
			}
			host.warnOfSecrets(set.policies, asked.questions)
			return runCheck(cmd.Context(), host, g, asked.questions, func(answers []answered) error { return host.printAnswers(answers, format, set) })
		},
	}
	command.Flags().StringSliceVarP(&files, "filename", "f", nil, "Kubernetes manifests: files or directories")
	command.Flags().StringSliceVar(&policies, "policy", nil, "policy files")
	command.Flags().StringVarP(&namespace, "namespace", "n", "default", "namespace of workloads that name none")
	formatFlag(command, &format, "text", checkFormats...)
	return command
}

// checkFormats are what check prints: text folds to the terminal, brief is what
// an admission message says, kyverno what Kyverno would say, vsa one SLSA
// verification summary on each line.
var checkFormats = []string{"text", "brief", "json", "kyverno", "vsa"}

// question is a gate's question, the workload that asks it (by its number; 0 is
// the command line) and the place.
type question struct {
	gate.Question
	workload int
	place    string
}

// resource is what asks, as Kyverno names it.
func (q question) resource() string {
	if r := q.Request; r.Known {
		return r.Kind + "/" + r.Namespace + "/" + r.Name
	}
	return "Image/" + q.Reference
}

// asking is what a command was given: the questions, the objects that ask them,
// and what the manifests say of the cluster.
type asking struct {
	questions []question
	objects   []manifest.Workload
	namespace string
	around    manifest.Surroundings
}

// extract adds the images that policies find in objects. An image that nobody
// found is judged by nobody: objects without any are not enough.
func (a *asking) extract(policies []policy.Policy, files []string) error {
	for i, w := range a.objects {
		for _, p := range policies {
			extractor, ok := p.(policy.Extractor)
			if !ok {
				continue
			}
			found, err := extractor.Extract(request(w, "", a.namespace, a.around))
			if err != nil {
				return fmt.Errorf("%s:%d: %w", w.File, w.Line, err)
			}
			for _, e := range found {
				if !slices.ContainsFunc(w.Images, func(use manifest.ImageUse) bool { return use.Reference == e.Reference }) {
					a.ask(i, manifest.ImageUse{Path: e.Path, Reference: e.Reference, Line: w.Line})
				}
			}
		}
	}
	if len(a.questions) == 0 {
		return fmt.Errorf("%s: no workload with an image was found, so nothing was decided", strings.Join(files, ", "))
	}
	return nil
}

// warnOfSecrets names the secrets by which policies would log in to registries.
func (h *Host) warnOfSecrets(policies []policy.Policy, questions []question) {
	named := map[string]bool{}
	for _, q := range questions {
		r, err := oci.Parse(q.Reference)
		if err != nil {
			continue // the gate says what is wrong with it
		}
		image := policy.Image{Registry: r.Registry, Repository: r.Repository, Tag: r.Tag, Digest: r.Digest, Pinned: !r.Digest.IsZero()}
		for _, p := range policies {
			c, ok := p.(policy.Credentialed)
			if !ok {
				continue
			}
			if names := c.CredentialsFor(image, q.Request); len(names) > 0 && !named[p.Name()] {
				named[p.Name()] = true
				h.warn("%s names secrets for its registries (%s); they are not read here, and Docker's configuration is used", p.Name(), strings.Join(names, ", "))
			}
		}
	}
}

// ask adds a question of an object.
func (a *asking) ask(object int, use manifest.ImageUse) {
	w := a.objects[object]
	a.questions = append(a.questions, question{Question: gate.Question{Reference: use.Reference, Request: request(w, use.Path, a.namespace, a.around)},
		workload: object + 1, place: fmt.Sprintf("%s:%d %s/%s %s", w.File, use.Line, w.Kind, w.Name, use.Path)})
}

// questions reads manifests into questions, one for each image of each workload.
func (h *Host) questions(images, files []string, namespace string) (asking, error) {
	asked := asking{namespace: namespace, around: manifest.Surroundings{ConfigMaps: map[string]map[string]string{}, Namespaces: map[string]map[string]string{}}}
	for _, image := range images {
		asked.questions = append(asked.questions, question{Question: gate.Question{Reference: image}, place: "command line"})
	}
	paths, err := h.manifests(files)
	if err != nil {
		return asking{}, err
	}
	for _, path := range paths {
		content, err := h.readFile(path, limit.Policy)
		if err != nil {
			return asking{}, err
		}
		found, err := manifest.Objects(path, content)
		if err != nil {
			return asking{}, err
		}
		asked.objects = append(asked.objects, found...)
		around, err := manifest.ReadSurroundings(path, content, namespace)
		if err != nil {
			return asking{}, err
		}
		maps.Copy(asked.around.ConfigMaps, around.ConfigMaps)
		maps.Copy(asked.around.Namespaces, around.Namespaces)
	}
	for i, w := range asked.objects {
		for _, use := range w.Images {
			asked.ask(i, use)
		}
	}
	return asked, nil
}

// request is what policies see of a workload in a manifest, as if it were
// created in a namespace.
func request(w manifest.Workload, path, namespace string, around manifest.Surroundings) policy.Request {
	group, version, grouped := strings.Cut(w.APIVersion, "/")
	if !grouped {
		group, version = "", w.APIVersion
	}
	r := policy.Request{Known: true, Operation: "CREATE", Group: group, Version: version, Kind: w.Kind, Namespace: cmp.Or(w.Namespace, namespace), Name: w.Name,
		Object: w.Object, Pod: w.Pod, Path: path}
	r.NamespaceLabels = around.Namespaces[r.Namespace]
	for _, object := range []map[string]any{r.Object, r.Pod} {
		if metadata, ok := object["metadata"].(map[string]any); ok && metadata["namespace"] == nil {
			metadata["namespace"] = r.Namespace
		}
	}
	return r
}

// manifests expands directories into the YAML and JSON files below them.
func (h *Host) manifests(files []string) ([]string, error) {
	var paths []string
	for _, name := range files {
		info, err := os.Stat(h.path(name))
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			paths = append(paths, name)
			continue
		}
		root := h.path(name)
		err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == ".git" {
				return fs.SkipDir
			}
			if !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
				below, err := filepath.Rel(root, path)
				if err != nil {
					return err
				}
				paths = append(paths, filepath.Join(name, below)) // as it was named
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// answered is a verdict and the places that asked for it.
type answered struct {
	verdict.Verdict
	Places []string `json:"places"`
	// resource is what asks, as Kyverno names it.
	resource string
}

// runCheck asks every question and prints the answers; an image that a workload
// names twice is judged once. A denial outweighs a fault: what is denied stays denied whatever the
// rest would be.
func runCheck(ctx context.Context, host *Host, g *gate.Gate, questions []question, print func([]answered) error) error {
	type asked struct {
		workload  int
		reference string
	}
	index := map[asked]int{}
	var distinct []gate.Question
	var places [][]string
	var resources []string
	for _, q := range questions {
		key := asked{q.workload, q.Reference}
		i, known := index[key]
		if !known {
			i = len(distinct)
			index[key] = i
			distinct, places, resources = append(distinct, q.Question), append(places, nil), append(resources, q.resource())
		}
		places[i] = append(places[i], q.place)
	}
	done := host.busy(fmt.Sprintf("judging %d images", len(distinct)))
	decided := g.DecideAll(ctx, distinct)
	done()
	var answers []answered
	var faults []error
	for i, a := range decided {
		answers = append(answers, answered{Verdict: a.Verdict, Places: places[i], resource: resources[i]})
		faults = append(faults, a.Err)
	}
	if err := print(answers); err != nil {
		return err
	}
	denied := 0
	for _, a := range answers {
		if a.Decision == verdict.Deny {
			denied++
		}
	}
	if denied > 0 {
		return &deniedError{text: fmt.Sprintf("%d of %d images denied", denied, len(answers))}
	}
	return errors.Join(faults...)
}

func (h *Host) printAnswers(answers []answered, format string, set policySet) error {
	switch format {
	case "json":
		return writeJSON(h.Out, answers)
	case "vsa":
		return h.printSummaries(answers, set)
	case "kyverno":
		h.printDenials(answers, set)
		return nil
	case "brief":
		for _, a := range answers {
			fmt.Fprintln(h.Out, explain.Brief(a.Verdict, limit.AdmissionMessage))
		}
		return nil
	}
	for i, a := range answers {
		if i > 0 {
			fmt.Fprintln(h.Out)
		}
		if err := h.explain(a.Verdict); err != nil {
			return err
		}
		for _, place := range a.Places {
			if place != "command line" {
				fmt.Fprintf(h.Out, "  used at  %s\n", clean(place))
			}
		}
	}
	return nil
}

// printDenials prints what Kyverno's webhook would say of each resource: why it
// was blocked, and warnings of what does not block it; nothing of the others.
func (h *Host) printDenials(answers []answered, set policySet) {
	var order []string
	verdicts := map[string][]verdict.Verdict{}
	for _, a := range answers {
		if verdicts[a.resource] == nil {
			order = append(order, a.resource)
		}
		verdicts[a.resource] = append(verdicts[a.resource], a.Verdict)
	}
	for _, resource := range order {
		for _, v := range verdicts[resource] {
			for _, warning := range kyverno.Warnings(v) {
				fmt.Fprintln(h.Out, "Warning: "+clean(warning))
			}
		}
		if text := kyverno.Denial(resource, verdicts[resource], set.policies); text != "" {
			for line := range strings.Lines(text) {
				fmt.Fprintln(h.Out, clean(strings.TrimSuffix(line, "\n")))
			}
		}
	}
}

// printSummaries prints a statement for each verdict; a fault has none.
func (h *Host) printSummaries(answers []answered, set policySet) error {
	for _, a := range answers {
		if a.Decision == verdict.Fault || a.Subject.IsZero() {
			h.warn("%s: no summary: %s", a.Reference, a.Reason)
			continue
		}
		var sources []predicate.ResourceDescriptor
		for _, name := range a.Policies {
			sources = append(sources, set.sources[name])
		}
		summary, err := evidence.Summary(a.Verdict, sources, versionString())
		if err != nil {
			return err
		}
		statement, err := intoto.Encode(intoto.New([]intoto.Subject{intoto.SubjectOf(a.Reference, a.Subject)}, summary.Type, summary.Body))
		if err != nil {
			return err
		}
		fmt.Fprintln(h.Out, string(statement))
	}
	return nil
}
