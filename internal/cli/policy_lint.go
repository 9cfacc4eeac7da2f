package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/engine/policy/lint"
	"github.com/seed-161fc314/assay/internal/format/actions"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/sarif"
)

// lintFlags are those of policy lint.
type lintFlags struct {
	format, output string
	image          string
	severity       []string
	around         []string
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
	flags.StringSliceVar(&f.around, "context", nil, "manifests with config maps that policies read")
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
	around, err := host.configMaps(f.around)
	if err != nil {
		return err
	}
	for i := range files {
		files[i].images, files[i].around = images, around
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
		findings, ignored, err := host.lint(ctx, file)
		if err != nil {
			return err
		}
		if f.fix {
			if findings, ignored, err = host.fix(ctx, file, findings, &result); err != nil {
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
