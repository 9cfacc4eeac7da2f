package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/engine/policy/lint"
	"github.com/seed-161fc314/assay/internal/format/actions"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/sarif"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/rehearse"
)

// lintFlags are those of policy lint.
type lintFlags struct {
	format, output string
	image          string
	severity       []string
	exitCode       int
	fix, rules     bool
}

func newPolicyLint(host *Host) *cobra.Command {
	f := &lintFlags{}
	command := &cobra.Command{
		Use: "lint PATH…", Short: "Find what policies say and do not mean",
		Long: `Lint reads policies as they are written, also such as do not load, and finds
conditions that no evidence can satisfy, signers that nobody or anybody is, ways
around the policy, and what does not load. Directories are searched for policies.
Nothing is contacted, and no key is read.

With --image, the evidence that is in the image's registry is read too: is there
what the policy asks for, and could it satisfy the conditions, if it is taken as
signed by whom the policy names? That verifies nothing; assay check decides.

Errors and warnings end with exit code 1, notes never do. --severity shows, and
counts, some levels only. --fix changes the files where that is safe, and says
what it changed; everything else in them stays as it is. A comment
"# assay:ignore RULE REASON" at a line, or above it, takes a finding out.
docs/policy-lint.md describes the rules; --rules lists them.`,
		Example: "  assay policy lint policies/\n  assay policy lint policy.yaml --fix\n  assay policy lint policies/ -o sarif --output lint.sarif\n  assay policy lint policy.yaml --image registry.example.com/app:1.0",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("-o", f.format, "text", "json", "sarif", "github"); err != nil {
				return err
			}
			if f.exitCode < 0 || f.exitCode > 255 {
				return usage("--exit-code %d: want 0 to 255", f.exitCode)
			}
			if f.rules {
				return host.write(f.output, func(w io.Writer) error { return f.list(host, w) })
			}
			if len(args) == 0 {
				return usage("nothing to lint").withHint("name files or directories, such as assay policy lint policies/")
			}
			return f.run(cmd.Context(), host, args)
		},
	}
	flags := command.Flags()
	flags.StringSliceVar(&f.severity, "severity", nil, "show and count only these levels: note, warning, error")
	flags.IntVar(&f.exitCode, "exit-code", exitDenied, "exit code when something counts; 0 reports and passes")
	flags.StringVar(&f.image, "image", "", "image whose evidence in the registry is held against the policies")
	flags.BoolVar(&f.fix, "fix", false, "change the files where that is safe")
	flags.BoolVar(&f.rules, "rules", false, "list the rules and leave")
	flags.StringVar(&f.output, "output", "", "file to write (default: standard output)")
	formatFlag(command, &f.format, "text", "text", "json", "sarif", "github")
	return command
}

// list prints the rules.
func (f *lintFlags) list(host *Host, w io.Writer) error {
	rules := lint.Rules()
	switch f.format {
	case "json":
		return writeJSON(w, rules)
	case "sarif":
		return sarif.EncodeRemarks(w, rules, nil, versionString())
	}
	var rows [][]string
	for _, r := range rules {
		rows = append(rows, []string{r.ID, r.Level.String(), r.Title})
	}
	return host.table(w, []string{"RULE", "LEVEL", "FINDS"}, rows, nil)
}

// linted is what was found in all files.
type linted struct {
	Policies int             `json:"policies"`
	Files    int             `json:"files"`
	Ignored  int             `json:"ignored"`
	Fixed    []remark.Remark `json:"fixed,omitempty"`
	Remarks  []remark.Remark `json:"findings"`
}

func (f *lintFlags) run(ctx context.Context, host *Host, paths []string) error {
	var shown []remark.Level
	for _, word := range f.severity {
		level, ok := remark.LevelOf(strings.ToLower(word))
		if !ok {
			return usage("--severity %s: want note, warning or error", word)
		}
		shown = append(shown, level)
	}
	files, err := host.policyFiles(paths)
	if err != nil {
		return err
	}
	var images []string
	for _, file := range files {
		for _, document := range file.documents {
			images = append(images, lint.Images(document)...)
		}
	}
	result := linted{Files: len(files), Remarks: []remark.Remark{}}
	var held []lint.Finding
	if f.image != "" {
		if held, err = host.fits(ctx, files, f.image); err != nil {
			return err
		}
	}
	for _, file := range files {
		result.Policies += len(file.documents)
		findings, ignored, err := host.lint(ctx, file, images)
		if err != nil {
			return err
		}
		if f.fix {
			if findings, ignored, err = host.fix(ctx, file, images, findings, &result); err != nil {
				return err
			}
		}
		findings, ignored = join(file, findings, held, ignored)
		result.Ignored += ignored
		for _, finding := range findings {
			if len(shown) == 0 || slices.Contains(shown, finding.Level) {
				result.Remarks = append(result.Remarks, finding.Remark)
			}
		}
	}
	if err := host.write(f.output, func(w io.Writer) error { return f.print(host, w, result) }); err != nil {
		return err
	}
	return f.outcome(result)
}

// join adds what an image's evidence lacks to what is found in a file.
func join(file policyFile, findings, held []lint.Finding, ignored int) ([]lint.Finding, int) {
	var mine []lint.Finding
	for _, finding := range held {
		if finding.File == file.name {
			mine = append(mine, finding)
		}
	}
	if len(mine) == 0 {
		return findings, ignored
	}
	kept, more := lint.Ignored(file.name, file.content, mine)
	for _, finding := range kept {
		if finding.Rule != "ignore-unused" && finding.Rule != "ignore-reason" {
			findings = append(findings, finding)
		}
	}
	slices.SortStableFunc(findings, func(a, b lint.Finding) int { return remark.Compare(a.Remark, b.Remark) })
	return findings, ignored + more
}

// outcome is the exit code: notes never count.
func (f *lintFlags) outcome(result linted) error {
	counted := 0
	for _, r := range result.Remarks {
		if r.Level > remark.Note {
			counted++
		}
	}
	switch {
	case counted == 0 || f.exitCode == exitOK:
		return nil
	case f.exitCode == exitDenied:
		return &deniedError{}
	}
	return &exitError{f.exitCode}
}

// policyFile is a file with policies in it.
type policyFile struct {
	name      string
	content   []byte
	documents []strictyaml.Document
}

// policyFiles reads the policies of files and directories. What is found in a
// directory and is no policy is passed over; what is named has to be one.
func (h *Host) policyFiles(paths []string) ([]policyFile, error) {
	names, err := h.manifests(paths)
	if err != nil {
		return nil, err
	}
	var files []policyFile
	for _, name := range names {
		content, err := h.readFile(name, limit.Policy)
		if err != nil {
			return nil, err
		}
		documents, err := strictyaml.Documents(name, content)
		named := slices.Contains(paths, name)
		if err != nil {
			if !named && !strings.Contains(string(content), "EvidencePolicy") && !strings.Contains(string(content), "verifyImages") {
				continue
			}
			return nil, err
		}
		documents = slices.DeleteFunc(documents, func(d strictyaml.Document) bool { return !lint.IsPolicy(d) })
		if len(documents) == 0 {
			if named {
				return nil, fmt.Errorf("%s: no policy is there; want an EvidencePolicy, or Kyverno's ClusterPolicy or Policy", name)
			}
			continue
		}
		files = append(files, policyFile{name, content, documents})
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no policy is there, so nothing was looked at", strings.Join(paths, ", "))
	}
	return files, nil
}

// lint looks into the policies of a file.
func (h *Host) lint(ctx context.Context, file policyFile, images []string) ([]lint.Finding, int, error) {
	company, err := rehearse.New(&material{ctx: ctx, host: h})
	if err != nil {
		return nil, 0, err
	}
	config := lint.Config{Now: h.Now(), Images: images, Load: func(document strictyaml.Document) error {
		_, err := loadPolicy(document, company)
		return err
	}}
	var findings []lint.Finding
	for _, document := range file.documents {
		found, err := lint.Check(document, file.content, config)
		if err != nil {
			return nil, 0, err
		}
		findings = append(findings, found...)
	}
	findings, ignored := lint.Ignored(file.name, file.content, findings)
	return findings, ignored, nil
}

// fix changes a file where that is safe, as often as that heals something, and
// gives what is left. A file that would then have an error which it did not have
// stays as it is.
func (h *Host) fix(ctx context.Context, file policyFile, images []string, findings []lint.Finding, result *linted) ([]lint.Finding, int, error) {
	mode := os.FileMode(0o644)
	if info, err := os.Stat(h.path(file.name)); err == nil {
		mode = info.Mode().Perm()
	}
	current, ignored := file, 0
	var healed []lint.Finding
	left := findings
	for range fixRounds {
		if !slices.ContainsFunc(left, func(f lint.Finding) bool { return f.Fixable }) {
			break
		}
		content, done, err := lint.Fix(file.name, current.content, left)
		if err != nil {
			return nil, 0, err
		}
		documents, err := strictyaml.Documents(file.name, content)
		if err != nil {
			return nil, 0, err
		}
		documents = slices.DeleteFunc(documents, func(d strictyaml.Document) bool { return !lint.IsPolicy(d) })
		current = policyFile{file.name, content, documents}
		if left, ignored, err = h.lint(ctx, current, images); err != nil {
			return nil, 0, err
		}
		healed = append(healed, done...)
	}
	if len(healed) == 0 {
		return h.lint(ctx, file, images)
	}
	if err := h.rewrite(file.name, current.content, mode); err != nil {
		return nil, 0, err
	}
	for _, f := range healed {
		result.Fixed = append(result.Fixed, f.Remark)
		h.say("%s:%d: fixed %s: %s", f.File, f.Line, f.Rule, f.Fix)
	}
	return left, ignored, nil
}

// fixRounds bounds how often the changes of one fix make another possible.
const fixRounds = 5

// rewrite replaces a file that was read, all at once.
func (h *Host) rewrite(name string, content []byte, mode os.FileMode) error {
	target := h.path(name)
	temporary, err := os.CreateTemp(filepath.Dir(target), ".assay-fix-*")
	if err != nil {
		return fmt.Errorf("--fix %s: %w", name, err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	for _, step := range []func() error{func() error { return err }, func() error { return temporary.Chmod(mode) }, temporary.Sync, temporary.Close,
		func() error { return os.Rename(temporary.Name(), target) }} {
		if err := step(); err != nil {
			temporary.Close()
			return fmt.Errorf("--fix %s: %w", name, err)
		}
	}
	return nil
}

// print writes what was found.
func (f *lintFlags) print(host *Host, w io.Writer, result linted) error {
	switch f.format {
	case "json":
		return writeJSON(w, result)
	case "sarif":
		return sarif.EncodeRemarks(w, lint.Rules(), result.Remarks, versionString())
	case "github":
		return actions.Mark(w, result.Remarks)
	}
	levels := map[remark.Level]int{}
	for _, r := range result.Remarks {
		levels[r.Level]++
		colour := map[remark.Level]string{remark.Error: "31", remark.Warning: "33", remark.Note: "36"}[r.Level]
		if _, err := fmt.Fprintf(w, "%s:%d:%d: %s %s: %s\n", clean(r.File), r.Line, r.Column, host.colour(colour, r.Level.String()), r.Rule, clean(r.Message)); err != nil {
			return err
		}
		if r.Fix != "" {
			how := "fix"
			if r.Fixable && !f.fix {
				how = "fix (--fix does it)"
			}
			if _, err := fmt.Fprintf(w, "    %s: %s\n", how, clean(r.Fix)); err != nil {
				return err
			}
		}
	}
	text := "nothing found"
	if len(result.Remarks) > 0 {
		text = fmt.Sprintf("%s, %s, %s", explain.Count(levels[remark.Error], "error", "errors"), explain.Count(levels[remark.Warning], "warning", "warnings"), explain.Count(levels[remark.Note], "note", "notes"))
	}
	if result.Ignored > 0 {
		text += fmt.Sprintf(", %d ignored", result.Ignored)
	}
	_, err := fmt.Fprintf(w, "%s in %s\n", text, explain.Count(result.Policies, "policy", "policies"))
	return err
}
