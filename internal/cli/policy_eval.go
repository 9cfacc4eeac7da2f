package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/job/rehearse"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// evalFlags are those of policy eval.
type evalFlags struct {
	policies                           []string
	statement, resource, image, format string
	around                             []string
}

func newPolicyEval(host *Host) *cobra.Command {
	f := &evalFlags{}
	command := &cobra.Command{
		Use: "eval --policy FILE --statement FILE", Short: "Evaluate what policies ask of one statement",
		Long: `Eval makes the checks that policies have for one in-toto statement, without a
registry and without a signature: the statement is taken as if every signer of the
policy had signed it. It verifies nothing and admits nothing; it tells whether the
conditions are written as they are meant. A DSSE envelope is read too, and its
signature is not looked at.

The image is the statement's subject, or one that the policy's own patterns cover,
unless --image names another. With --resource, conditions see that manifest.`,
		Example: "  assay policy eval --policy policy.yaml --statement statement.json\n  assay policy eval --policy policy.yaml --statement s.json --resource pod.yaml --image registry.example.com/app:1.0",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("-o", f.format, "text", "json"); err != nil {
				return err
			}
			if len(f.policies) == 0 || f.statement == "" {
				return usage("--policy and --statement are needed").withHint("assay policy eval --policy policy.yaml --statement statement.json")
			}
			return f.run(cmd.Context(), host)
		},
	}
	flags := command.Flags()
	flags.StringSliceVar(&f.policies, "policy", nil, "policy files")
	flags.StringVar(&f.statement, "statement", "", "file with an in-toto statement, or a DSSE envelope of one")
	flags.StringVar(&f.resource, "resource", "", "manifest of the workload that asks for the image")
	flags.StringVar(&f.image, "image", "", "image that the statement is taken to be about (default: its subject)")
	flags.StringSliceVar(&f.around, "context", nil, "manifests with config maps and namespaces that policies read")
	formatFlag(command, &f.format, "text", "text", "json")
	return command
}

func (f *evalFlags) run(ctx context.Context, host *Host) error {
	text, statement, err := readStatement(host, f.statement)
	if err != nil {
		return err
	}
	r, err := host.rehearse(ctx, "", f.policies, f.around)
	if err != nil {
		return err
	}
	var wanted policy.Request
	reference := f.image
	if f.resource != "" {
		if reference, wanted, err = r.asks(f.resource, f.image); err != nil {
			return err
		}
	}
	scene := rehearse.Scene{Request: wanted, Now: host.Now()}
	if scene.Image, scene.Policies, err = r.subject(reference, statement, wanted); err != nil {
		return err
	}
	if text, err = rebind(statement, text, scene.Image.Digest); err != nil {
		return err
	}
	ours := map[subject.Digest]bool{}
	for _, signer := range r.company.Signers() {
		e, err := r.company.Attestation(signer, text)
		if err != nil {
			return err
		}
		ours[e.Digest] = true
		scene.Evidence = append(scene.Evidence, e)
	}
	v, err := rehearse.Decide(ctx, scene)
	if fault := (*gate.FaultError)(nil); err != nil && !errors.As(err, &fault) {
		return err
	}
	if v.Decision == verdict.Fault {
		return err
	}
	return f.print(host, about(v, ours), statement)
}

// readStatement gives a statement's bytes and what they say.
func readStatement(host *Host, path string) ([]byte, intoto.Statement, error) {
	content, err := host.readFile(path, limit.Evidence)
	if err != nil {
		return nil, intoto.Statement{}, err
	}
	if envelope, err := dsse.Decode(content); err == nil {
		content = envelope.Payload
	}
	statement, err := intoto.Decode(content)
	if err != nil {
		return nil, intoto.Statement{}, fmt.Errorf("%s: %w", path, err)
	}
	return content, statement, nil
}

// rebind gives the statement with the image as a subject, where it is about
// something else: eval is about what a statement says.
func rebind(statement intoto.Statement, text []byte, digest subject.Digest) ([]byte, error) {
	if slices.ContainsFunc(statement.Subjects, func(s intoto.Subject) bool { return s.Is(digest) }) {
		return text, nil
	}
	statement.Subjects = append(slices.Clone(statement.Subjects), intoto.SubjectOf("image", digest))
	return intoto.Encode(statement)
}

// subject is the image to judge, and the policies that judge it: the one that is
// named, the statement's own, or one that a pattern of a policy covers.
func (r *rehearsal) subject(named string, statement intoto.Statement, request policy.Request) (oci.Resolved, []policy.Policy, error) {
	candidates := []string{named}
	if named == "" {
		candidates = nil
		for _, s := range statement.Subjects {
			if digest := s.Digest["sha256"]; digest != "" {
				candidates = append(candidates, s.Name+"@sha256:"+digest)
			}
		}
		for _, p := range r.policies {
			if spelled, ok := p.(interface{ Patterns() []string }); ok {
				for _, pattern := range spelled.Patterns() {
					candidates = append(candidates, covered(pattern))
				}
			}
		}
		candidates = append(candidates, "registry.example.com/image:tag")
	}
	for _, candidate := range candidates {
		image, err := rehearse.Image(candidate)
		if err != nil {
			if named != "" {
				return oci.Resolved{}, nil, err
			}
			continue
		}
		asked := policy.Image{Registry: image.Registry, Repository: image.Repository, Tag: image.Tag, Digest: image.Digest, Pinned: strings.Contains(candidate, "@")}
		var matching []policy.Policy
		for _, p := range r.policies {
			if p.Match(asked, request) {
				matching = append(matching, p)
			}
		}
		if len(matching) > 0 {
			return image, matching, nil
		}
	}
	return oci.Resolved{}, nil, usage("no policy judges %s", candidates[0]).withHint("name an image that a policy covers with --image")
}

// covered makes a reference that an image pattern covers.
func covered(pattern string) string {
	reference := strings.ReplaceAll(strings.ReplaceAll(pattern, "*", "x"), "?", "x")
	if host, _, found := strings.Cut(reference, "/"); !found || !strings.ContainsAny(host, ".:") {
		if strings.HasPrefix(pattern, "*") {
			reference = "registry.example.com/" + strings.TrimPrefix(reference, "x/")
		}
	}
	return reference
}

// about keeps the checks that looked at the statement, and decides by them
// alone.
func about(v verdict.Verdict, ours map[subject.Digest]bool) verdict.Verdict {
	kept := v
	kept.Checks, kept.Reason = nil, ""
	for _, c := range v.Checks {
		if slices.ContainsFunc(c.Evidence, func(e verdict.Evidence) bool { return ours[e.Digest] && e.Rejected == "" }) {
			kept.Checks = append(kept.Checks, c)
		}
	}
	kept.Decision = verdict.Allow
	if len(kept.Warnings()) > 0 {
		kept.Decision = verdict.Warn
	}
	if len(kept.Failures()) > 0 {
		kept.Decision = verdict.Deny
	}
	return kept
}

func (f *evalFlags) print(host *Host, v verdict.Verdict, statement intoto.Statement) error {
	if len(v.Checks) == 0 {
		return fmt.Errorf("%s: no policy asks for evidence of type %s, so nothing was evaluated", strings.Join(f.policies, ", "), statement.PredicateType)
	}
	host.say("taken as signed by every signer of the policy; nothing was verified")
	if f.format == "json" {
		if err := writeJSON(host.Out, v); err != nil {
			return err
		}
	} else {
		width := 0
		if host.OutTerminal {
			width = host.Width
		}
		fmt.Fprintf(host.Out, "%s  %s, judged as %s\n\n", clean(statement.PredicateType), clean(f.statement), clean(v.Reference))
		if err := explain.Checks(host.Out, v, width); err != nil {
			return err
		}
	}
	if n := len(v.Failures()) + len(v.Warnings()); n > 0 {
		return &deniedError{text: fmt.Sprintf("%d of %d checks do not hold for %s", n, len(v.Checks), f.statement)}
	}
	return nil
}
