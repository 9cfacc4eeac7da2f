package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/vex"
	"github.com/seed-161fc314/assay/internal/engine/triage"
	"github.com/seed-161fc314/assay/internal/format/csaf"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/ignorefile"
	"github.com/seed-161fc314/assay/internal/format/openvex"
)

// ruleFlags are the flags that say what counts besides severities.
type ruleFlags struct {
	vex, ignores              []string
	ignoresSet, requirePinned bool
}

func (f *ruleFlags) add(command *cobra.Command) {
	command.Flags().StringArrayVar(&f.vex, "vex", nil, "OpenVEX or CSAF document; may be given several times")
	command.Flags().StringArrayVar(&f.ignores, "ignorefile", nil, "ignore file: .assayignore.yaml, .trivyignore or .trivyignore.yaml; \"\" for none (default: .assayignore.yaml of the current directory)")
	command.Flags().BoolVar(&f.requirePinned, "require-pinned", false, "count everything that has no single version as a finding")
}

// read opens what the flags name; without --ignorefile, the default.
func (f *ruleFlags) read(h *Host) (triage.Rules, error) {
	ignores := f.ignores
	if !f.ignoresSet {
		var err error
		if ignores, err = h.defaultIgnores(); err != nil {
			return triage.Rules{}, err
		}
	}
	return h.rules(f.vex, ignores)
}

// rules reads VEX documents and ignore files. An empty path is passed over.
func (h *Host) rules(documents, ignores []string) (triage.Rules, error) {
	var rules triage.Rules
	for _, path := range documents {
		d, err := h.vex(path)
		if err != nil {
			return triage.Rules{}, err
		}
		rules.Documents = append(rules.Documents, d)
	}
	for _, path := range ignores {
		if path == "" {
			continue
		}
		content, err := h.readFile(path, limit.Policy)
		if err != nil {
			return triage.Rules{}, fmt.Errorf("reading ignores: %w", err)
		}
		file, err := ignorefile.Decode(path, content)
		if err != nil {
			return triage.Rules{}, &usageError{text: err.Error(), hint: "docs/vex-and-ignores.md describes every field"}
		}
		rules.Ignores = append(rules.Ignores, file)
	}
	return rules, nil
}

func (h *Host) vex(path string) (vex.Document, error) {
	content, err := h.readFile(path, limit.VEX)
	if err != nil {
		return vex.Document{}, fmt.Errorf("reading VEX: %w", err)
	}
	var d vex.Document
	switch {
	case openvex.Is(content):
		d, err = openvex.Decode(bytes.NewReader(content), path)
	case csaf.Is(content):
		d, err = csaf.Decode(bytes.NewReader(content), path)
	default:
		err = fmt.Errorf("%s is no VEX document that is read here; want OpenVEX 0.2.0 (\"@context\" is %s/v0.2.0) or CSAF 2.0 (document.csaf_version)", path, openvex.Context)
	}
	if err != nil {
		return vex.Document{}, &usageError{text: err.Error()}
	}
	return d, nil
}

// defaultIgnores is the ignore file of the directory that the command was
// called in, never of the one that is scanned: what is scanned must not choose
// what counts.
func (h *Host) defaultIgnores() ([]string, error) {
	file, err := h.rules(nil, []string{ignorefile.DefaultName})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h.say("ignores: %s (%s)", ignorefile.DefaultName, explain.Count(len(file.Ignores[0].Entries), "entry", "entries"))
	return []string{ignorefile.DefaultName}, nil
}

// remarks says on standard error what counts besides findings, and what had no
// effect.
func (h *Host) remarks(report finding.Report) {
	for _, note := range report.Notes {
		h.warn("%s", note)
	}
	for _, e := range report.Expired {
		h.say("expired ignore: %s: %s: %s", e.Source.String(), e, e.Consequence())
	}
	if n := len(report.Unpinned()); n > 0 {
		h.say("%d not tested, and --require-pinned makes each count", n)
	}
}
