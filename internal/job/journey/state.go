package journey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/builder"
)

// state is what one step leaves to the next, so that `--from` can begin
// anywhere. It proves nothing: the gate judges what is in the registry.
type state struct {
	// File is the digest of the assay.yaml that the steps were run with.
	File subject.Digest `json:"file"`
	Done []Step         `json:"done"`
	// Built is what the builder gave back, and when.
	Built    builder.Result `json:"built,omitzero"`
	Began    time.Time      `json:"began,omitzero"`
	Finished time.Time      `json:"finished,omitzero"`
	Commit   *Commit        `json:"commit,omitempty"`
	// Inputs are the lockfiles of the source, by digest.
	Inputs []input `json:"inputs,omitempty"`
	// Images are what is in the layout: the index first, where there is one.
	Images []image `json:"images,omitempty"`
	// Tests are the predicates about tests and analysis.
	Tests []document `json:"tests,omitempty"`
	// Pinned is the image's reference by digest, once pushed.
	Pinned string `json:"pinned,omitempty"`
}

type input struct {
	Path   string         `json:"path"`
	Digest subject.Digest `json:"digest"`
}

// image is one manifest of the layout, with what the steps said about it.
type image struct {
	Digest    subject.Digest  `json:"digest"`
	Platform  string          `json:"platform,omitempty"`
	Report    *finding.Report `json:"report,omitempty"`
	Documents []document      `json:"documents,omitempty"`
}

// document is a predicate that is not signed yet.
type document struct {
	Type string          `json:"type"`
	Body json.RawMessage `json:"body"`
}

const stateFile = "state.json"

// layoutDir is where the image lies between build and attest.
func (r *run) layoutDir() string { return filepath.Join(r.State, "image") }

// resume finds the step to begin with and reads what came before it.
func (r *run) resume(from Step) (int, error) {
	r.state = state{File: r.FileDigest}
	if from == "" {
		return 0, nil
	}
	names := Steps()
	first := slices.Index(names, from)
	if first < 0 {
		return 0, fmt.Errorf("no step %q; the steps are %v", from, names)
	}
	if first == 0 {
		return 0, nil
	}
	content, err := r.read()
	if errors.Is(err, fs.ErrNotExist) && from == Build {
		return first, nil // build needs nothing of an earlier run
	}
	if err != nil {
		return 0, fmt.Errorf("beginning with step %s needs the state of an earlier run: %w", from, err)
	}
	var old state
	if err := json.Unmarshal(content, &old); err != nil {
		return 0, fmt.Errorf("%s is damaged: %w; begin with step %s", filepath.Join(r.State, stateFile), err, Source)
	}
	if old.File != r.FileDigest {
		return 0, fmt.Errorf("assay.yaml was changed since the earlier run; begin with step %s", Source)
	}
	for _, name := range names[1:first] {
		if !slices.Contains(old.Done, name) {
			return 0, fmt.Errorf("step %s has not succeeded yet; begin with it", name)
		}
	}
	old.Done = slices.DeleteFunc(old.Done, func(s Step) bool { return slices.Index(names, s) >= first })
	r.state = old
	r.result.Image = old.Pinned
	return first, nil
}

func (r *run) read() ([]byte, error) {
	file, err := os.Open(filepath.Join(r.State, stateFile))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return limit.ReadAll(file, stateFile, limit.Evidence)
}

// save replaces the state file whole.
func (r *run) save() error {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r.state); err != nil {
		return fmt.Errorf("saving the run's state: %w", err)
	}
	if err := os.MkdirAll(r.State, 0o755); err != nil {
		return fmt.Errorf("saving the run's state: %w", err)
	}
	temporary := filepath.Join(r.State, stateFile+".new")
	if err := os.WriteFile(temporary, buffer.Bytes(), 0o600); err != nil {
		return fmt.Errorf("saving the run's state: %w", err)
	}
	if err := os.Rename(temporary, filepath.Join(r.State, stateFile)); err != nil {
		return fmt.Errorf("saving the run's state: %w", err)
	}
	return nil
}
