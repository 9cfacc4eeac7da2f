package conda

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
)

var environmentName = regexp.MustCompile(`^((.+[-_.])?environment([-_.].+)?|conda([-_]env)?([-_.](cpu|gpu|cuda|dev|test|prod))?)\.ya?ml$`)

// IsEnvironment says whether a file's base name is one that environments have:
// environment.yml, environment-dev.yaml, gpu-environment.yml, and conda.yaml as
// MLflow writes it.
func IsEnvironment(base string) bool { return environmentName.MatchString(base) }

// ReadEnvironment reads an environment file, and what its pip part includes by
// -r and -c relative to it. Pins become components; everything else becomes an
// unresolved record with its line. A file that is no YAML, several documents or
// without a list of dependencies is one unresolved record, since other programs
// have files of these names. One over limit.Policy bytes, or whose pip part
// includes a file that cannot be read, is an error. The format is conda's
// "environment.yml", "Creating an environment file manually".
func ReadEnvironment(fsys fs.FS, name string, environment requirement.Environment) (requirement.Result, error) {
	content, err := read(fsys, name)
	if err != nil {
		return requirement.Result{}, err
	}
	e := environmentReader{name: name, environment: environment}
	documents, err := strictyaml.Documents(name, content)
	var over *limit.Error
	switch {
	case errors.As(err, &over):
		return requirement.Result{}, err
	case err != nil:
		e.unresolved(0, "", name, "this is no conda environment: "+err.Error())
	case len(documents) == 0:
		e.unresolved(0, "", name, "the file is empty")
	case len(documents) > 1:
		e.unresolved(documents[1].Line, "", name, "this is no conda environment: it has several YAML documents")
	default:
		if err := e.read(documents[0]); err != nil {
			return requirement.Result{}, err
		}
	}
	pip, err := requirement.Resolve(fsys, e.lines, environment)
	if err != nil {
		return requirement.Result{}, err
	}
	result := e.result
	result.Components = append(result.Components, pip.Components...)
	result.Unresolved = append(result.Unresolved, pip.Unresolved...)
	result.Sources = append([]component.Source{{Path: name, Digest: subject.Of(content)}}, pip.Sources...)
	result.Required, result.Options, result.Excluded = pip.Required, pip.Options, append(result.Excluded, pip.Excluded...)
	return result, nil
}

func read(fsys fs.FS, name string) ([]byte, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return limit.ReadAll(file, name, limit.Policy)
}

// ReadSpecifications reads specifications that stand in another kind of file,
// such as a notebook's `conda install` line. Only components, unresolved and
// excluded ones are in the result.
func ReadSpecifications(lines []requirement.Line, environment requirement.Environment) requirement.Result {
	e := environmentReader{environment: environment}
	for _, line := range lines {
		e.name = line.Location.Path
		e.spec(line.Text, line.Location.Line)
	}
	return e.result
}

type environmentReader struct {
	name        string
	environment requirement.Environment
	exported    bool
	lines       []requirement.Line
	result      requirement.Result
}

func (e *environmentReader) at(line int) component.Location {
	return component.Location{Path: e.name, Line: line}
}

func (e *environmentReader) unresolved(line int, name, text, reason string) {
	e.result.Unresolved = append(e.result.Unresolved, component.Unresolved{Name: name, Text: text, Reason: reason, Location: e.at(line)})
}

func (e *environmentReader) read(document strictyaml.Document) error {
	content, err := document.JSON()
	if err != nil {
		return err
	}
	var file map[string]any
	if json.Unmarshal(content, &file) != nil {
		e.unresolved(document.Line, "", e.name, "this is no conda environment: it is not a mapping")
		return nil
	}
	list, ok := file["dependencies"].([]any)
	if !ok {
		e.unresolved(document.Line, "", e.name, "this is no conda environment: it has no list of dependencies")
		return nil
	}
	prefix, _ := file["prefix"].(string)
	e.exported = prefix != ""
	for i, entry := range list {
		line := document.LineOf("dependencies", strconv.Itoa(i))
		switch entry := entry.(type) {
		case string:
			e.spec(entry, line)
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(entry)) {
				e.mapping(key, entry[key], line, func(path ...string) int {
					return document.LineOf(append([]string{"dependencies", strconv.Itoa(i), key}, path...)...)
				})
			}
		default:
			e.unresolved(line, "", fmt.Sprint(entry), "this is no specification that conda could read")
		}
	}
	return nil
}

// mapping reads "pip: [...]" and the selectors of mamba, "sel(linux): name".
func (e *environmentReader) mapping(key string, value any, line int, lineOf func(...string) int) {
	if system, found := strings.CutPrefix(key, "sel("); found {
		text, isText := value.(string)
		holds, known := e.selected(strings.TrimSuffix(system, ")"))
		switch {
		case !isText || !known:
			e.unresolved(line, "", key, "this selector is not known")
		case holds:
			e.spec(text, line)
		default:
			e.result.Excluded = append(e.result.Excluded, requirement.Excluded{Name: text, Text: text, Marker: key, Location: e.at(line)})
		}
		return
	}
	list, ok := value.([]any)
	if key != "pip" || !ok {
		e.unresolved(line, "", key, "this is no list of pip requirements, and nothing else is known to stand here")
		return
	}
	for j, entry := range list {
		at := lineOf(strconv.Itoa(j))
		text, ok := entry.(string)
		if !ok {
			e.unresolved(at, "", fmt.Sprint(entry), "this is no requirement that pip could read")
			continue
		}
		text, _, _ = strings.Cut(text, " #")
		e.lines = append(e.lines, requirement.Line{Text: text, Location: e.at(at)})
	}
}

func (e *environmentReader) selected(system string) (holds, known bool) {
	switch system {
	case "linux":
		return e.environment.SysPlatform == "linux", true
	case "osx":
		return e.environment.SysPlatform == "darwin", true
	case "win":
		return e.environment.SysPlatform == "win32", true
	case "unix":
		return e.environment.SysPlatform != "win32", true
	}
	return false, false
}

func (e *environmentReader) spec(text string, line int) {
	r, err := parseSpec(text, e.exported)
	var reason *unpinned
	if errors.As(err, &reason) {
		name := reason.name
		if project, python := Project(name, ""); name != "" && python {
			name = project
		}
		e.unresolved(line, name, maskToken(text), reason.reason)
		return
	}
	if p := platform(e.environment); r.subdir != "" && r.subdir != "noarch" && r.subdir != p {
		e.result.Excluded = append(e.result.Excluded, requirement.Excluded{Name: r.name, Text: maskToken(text), Marker: r.subdir, Location: e.at(line)})
		return
	}
	e.result.Components = append(e.result.Components, r.components(component.Declared, e.at(line))...)
}

var (
	channelToken = regexp.MustCompile(`/t/[^/\s]+`)
	credentials  = regexp.MustCompile(`(://)[^/@\s]+@`)
)

// maskToken hides the token and the credentials of a private channel's URL.
func maskToken(text string) string {
	return credentials.ReplaceAllString(channelToken.ReplaceAllString(text, "/t/****"), "${1}****@")
}

// IsMeta says whether a slash-separated path is conda's record of an installed
// package.
func IsMeta(name string) bool {
	return path.Ext(name) == ".json" && path.Base(path.Dir(name)) == "conda-meta"
}
