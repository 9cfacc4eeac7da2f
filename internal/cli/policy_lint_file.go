package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/lint"
	"github.com/seed-161fc314/assay/internal/format/manifest"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/rehearse"
)

// policyFile is a file with policies in it.
type policyFile struct {
	name      string
	content   []byte
	documents []strictyaml.Document
	// images are the patterns of all files of the run, around the config maps
	// that were given to it.
	images []string
	around map[string]map[string]string
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
		for _, document := range documents {
			if err := knownKind(document); err != nil {
				return nil, err
			}
		}
		documents = slices.DeleteFunc(documents, func(d strictyaml.Document) bool { return !lint.IsPolicy(d) })
		if len(documents) == 0 {
			if named {
				return nil, fmt.Errorf("%s: no policy is there; want an EvidencePolicy, or Kyverno's ClusterPolicy or Policy with verifyImages", name)
			}
			continue
		}
		files = append(files, policyFile{name: name, content: content, documents: documents})
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no policy is there, so nothing was looked at", strings.Join(paths, ", "))
	}
	return files, nil
}

// configMaps are those of some manifests.
func (h *Host) configMaps(paths []string) (map[string]map[string]string, error) {
	maps := rehearsal{host: h, around: manifest.Surroundings{ConfigMaps: map[string]map[string]string{}, Namespaces: map[string]map[string]string{}}}
	for _, path := range paths {
		if err := maps.read(path); err != nil {
			return nil, err
		}
	}
	return maps.around.ConfigMaps, nil
}

// lintMaterial notes which config map was asked for and not given.
type lintMaterial struct {
	material
	missing string
}

// ConfigMap gives a config map of those that were given.
func (m *lintMaterial) ConfigMap(namespace, name string) (map[string]string, error) {
	data, err := m.material.ConfigMap(namespace, name)
	if err != nil {
		m.missing = "config map " + namespace + "/" + name
	}
	return data, err
}

// loadForLint loads a policy with signers that are played. What was not given is
// a *lint.IncompleteError.
func (h *Host) loadForLint(ctx context.Context, document strictyaml.Document, around map[string]map[string]string) (policy.Policy, *rehearse.Company, error) {
	m := &lintMaterial{material: material{ctx: ctx, host: h, configMaps: around}}
	company, err := rehearse.New(m)
	if err != nil {
		return nil, nil, err
	}
	p, err := loadPolicy(document, company)
	if err != nil && m.missing != "" {
		err = &lint.IncompleteError{What: m.missing, Err: err}
	}
	return p, company, err
}

// lint looks into the policies of a file.
func (h *Host) lint(ctx context.Context, file policyFile) ([]lint.Finding, int, error) {
	config := lint.Config{Now: h.Now(), Images: file.images, Load: func(document strictyaml.Document) error {
		_, _, err := h.loadForLint(ctx, document, file.around)
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
func (h *Host) fix(ctx context.Context, file policyFile, findings []lint.Finding, result *linted) ([]lint.Finding, int, error) {
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
		current.content, current.documents = content, documents
		if left, ignored, err = h.lint(ctx, current); err != nil {
			return nil, 0, err
		}
		healed = append(healed, done...)
	}
	if len(healed) == 0 {
		return h.lint(ctx, file)
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
