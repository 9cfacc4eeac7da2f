// Package notebook reads what Jupyter notebooks install: the %pip, !pip, %conda
// and !conda lines of their code cells, `python -m pip`, `uv pip`, and shell
// cells (%%bash).
//
// Entry point is [Read]. The format is nbformat 4, and 3, where cells lie in
// worksheets. Lines are those of the JSON file. A pin is a component that the
// notebook declares; what it installs otherwise, or in a way that is not
// understood, is an unresolved record. All lines of a notebook are read as one
// requirements file, so that a constraint (-c) holds for all of them.
//
// The package runs nothing: shell variables, Python's values in braces and
// calls of pip from Python code stay unresolved. Outputs and Markdown cells
// install nothing and are not looked at.
package notebook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/conda"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// Reads says whether a file's base name is a notebook's.
func Reads(base string) bool { return strings.HasSuffix(base, ".ipynb") }

// Read reads a notebook below fsys, and the requirements files that its
// commands include, relative to it. A file that is no notebook is one
// unresolved record; one over limit.Notebook bytes, or with more than
// limit.NotebookLines requirements, is an error. A notebook that installs
// nothing gives an empty result.
func Read(fsys fs.FS, name string, environment requirement.Environment) (requirement.Result, error) {
	content, err := contentOf(fsys, name)
	if err != nil {
		return requirement.Result{}, err
	}
	r := &reader{fsys: fsys, name: name, content: content, line: 1}
	if err := r.notebook(); err != nil {
		var over *limit.Error
		if errors.As(err, &over) {
			return requirement.Result{}, err
		}
		r.unresolved(0, name, "this is no notebook that can be read: "+err.Error())
	}
	result, err := requirement.Resolve(fsys, r.pip, environment)
	if err != nil {
		return requirement.Result{}, err
	}
	packages := conda.ReadSpecifications(r.conda, environment)
	result.Components = append(result.Components, packages.Components...)
	result.Excluded = append(result.Excluded, packages.Excluded...)
	result.Unresolved = append(append(result.Unresolved, packages.Unresolved...), r.open...)
	if len(r.pip)+len(r.conda)+len(r.open) > 0 {
		result.Sources = append([]component.Source{{Path: name, Digest: subject.Of(content)}}, result.Sources...)
	}
	return result, nil
}

func contentOf(fsys fs.FS, name string) ([]byte, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return limit.ReadAll(file, name, limit.Notebook)
}

type reader struct {
	fsys    fs.FS
	name    string
	content []byte
	// at and line are how far lines were counted.
	at, line int
	pip      []requirement.Line
	conda    []requirement.Line
	open     []component.Unresolved
}

// place is the location of a byte; places are asked for in ascending order.
func (r *reader) place(at int) component.Location {
	if at > r.at {
		r.line += bytes.Count(r.content[r.at:at], []byte("\n"))
		r.at = at
	}
	return component.Location{Path: r.name, Line: r.line}
}

func (r *reader) unresolved(at int, text, reason string) {
	where := component.Location{Path: r.name}
	if at > 0 {
		where = r.place(at)
	}
	r.open = append(r.open, component.Unresolved{Text: text, Reason: reason, Location: where})
}

// declare adds a requirement, within the bound.
func (r *reader) declare(list *[]requirement.Line, text string, at int) error {
	if len(r.pip)+len(r.conda)+len(r.open) >= limit.NotebookLines {
		return &limit.Error{What: r.name, Bound: limit.NotebookLines, Unit: "requirements"}
	}
	*list = append(*list, requirement.Line{Text: text, Location: r.place(at)})
	return nil
}

// members visits the members of a JSON object that begins at a byte of the
// file; other values have none.
func members(value []byte, base int, visit func(key string, value []byte, at int) error) error {
	return walk(value, base, '{', visit)
}

// elements visits the elements of a JSON array.
func elements(value []byte, base int, visit func(_ string, value []byte, at int) error) error {
	return walk(value, base, '[', visit)
}

func walk(value []byte, base int, open json.Delim, visit func(string, []byte, int) error) error {
	decoder := json.NewDecoder(bytes.NewReader(value))
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	if token != open {
		return nil
	}
	for decoder.More() {
		key := ""
		if open == '{' {
			token, err := decoder.Token()
			if err != nil {
				return err
			}
			key, _ = token.(string)
		}
		var child json.RawMessage
		if err := decoder.Decode(&child); err != nil {
			return err
		}
		if err := visit(key, child, base+int(decoder.InputOffset())-len(child)); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return err
	}
	return nil
}

func (r *reader) notebook() error {
	if text := bytes.TrimSpace(r.content); len(text) == 0 || text[0] != '{' {
		return errors.New("it does not begin as a JSON object")
	}
	cells, decoder := false, json.NewDecoder(bytes.NewReader(r.content))
	var whole json.RawMessage
	if err := decoder.Decode(&whole); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands after the JSON object")
	}
	base := bytes.IndexByte(r.content, '{')
	err := members(whole, base, func(key string, value []byte, at int) error {
		switch key {
		case "cells":
			cells = true
			return elements(value, at, r.cell)
		case "worksheets":
			cells = true
			return elements(value, at, func(_ string, sheet []byte, at int) error {
				return members(sheet, at, func(key string, value []byte, at int) error {
					if key != "cells" {
						return nil
					}
					return elements(value, at, r.cell)
				})
			})
		}
		return nil
	})
	if err == nil && !cells {
		err = errors.New("it has no cells")
	}
	return err
}

// text is a line of a cell, and the byte of the file where it stands.
type text struct {
	line string
	at   int
}

func (r *reader) cell(_ string, value []byte, at int) error {
	var kind string
	var lines []text
	err := members(value, at, func(key string, value []byte, at int) error {
		switch key {
		case "cell_type":
			return json.Unmarshal(value, &kind)
		case "source", "input": // nbformat 3 calls it input
			var err error
			lines, err = source(value, at)
			return err
		}
		return nil
	})
	if err != nil || kind != "code" {
		return err
	}
	return r.code(lines)
}

// source splits a cell's text into lines; the format has it as one string or as
// a list of strings to be joined.
func source(value []byte, at int) ([]text, error) {
	var pieces []text
	piece := func(_ string, value []byte, at int) error {
		var s string
		if err := json.Unmarshal(value, &s); err != nil {
			return fmt.Errorf("a cell's source: %w", err)
		}
		pieces = append(pieces, text{s, at})
		return nil
	}
	if len(value) > 0 && value[0] == '[' {
		if err := elements(value, at, piece); err != nil {
			return nil, err
		}
	} else if err := piece("", value, at); err != nil {
		return nil, err
	}
	var lines []text
	var current strings.Builder
	begin := -1
	flush := func() {
		if begin >= 0 {
			lines = append(lines, text{current.String(), begin})
		}
		current.Reset()
		begin = -1
	}
	for _, p := range pieces {
		rest := p.line
		for rest != "" {
			line, after, ended := strings.Cut(rest, "\n")
			if begin < 0 {
				begin = p.at
			}
			current.WriteString(strings.TrimSuffix(line, "\r"))
			if ended {
				flush()
			}
			rest = after
		}
	}
	flush()
	return lines, nil
}

// present says whether an included requirements file is there to be read; a
// notebook often makes it, or clones it, before.
func (r *reader) present(file string) bool {
	target := path.Join(path.Dir(r.name), file)
	if !fs.ValidPath(target) || strings.Contains(file, "://") || path.IsAbs(file) {
		return true // Resolve says what is wrong with it
	}
	info, err := fs.Stat(r.fsys, target)
	return err == nil && info.Mode().IsRegular()
}
