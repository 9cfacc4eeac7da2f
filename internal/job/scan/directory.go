package scan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/conda"
	"github.com/seed-161fc314/assay/internal/format/lockfile"
	"github.com/seed-161fc314/assay/internal/format/lockfile/pdm"
	"github.com/seed-161fc314/assay/internal/format/lockfile/pipfile"
	"github.com/seed-161fc314/assay/internal/format/lockfile/poetry"
	"github.com/seed-161fc314/assay/internal/format/lockfile/pylock"
	"github.com/seed-161fc314/assay/internal/format/lockfile/uv"
	"github.com/seed-161fc314/assay/internal/format/notebook"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/pyproject"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// kind is one kind of file that names packages. The first kind that takes a
// path reads it.
type kind struct {
	// looked is what a user is told that was looked for.
	looked string
	// such are paths of files of this kind, for whoever must know them: at least
	// one of each shape that a name may have.
	such []string
	// takes says whether the file at a slash-separated path is of this kind.
	takes func(name string) bool
	// read puts what the file says into the walk. An error ends the scan.
	read func(w *walk, name string) error
}

// kinds are all kinds of file that are read, one a line.
var kinds = []kind{
	{"requirements*.txt", []string{"requirements.txt", "a/b/dev-requirements.txt", "Requirements-Dev.txt", "requirements/base.txt"}, Entry, declared(requirement.Read)},
	{"lockfiles (Pipfile.lock, poetry.lock, uv.lock, pdm.lock, pylock.toml, conda-lock.yml)",
		[]string{"Pipfile.lock", "poetry.lock", "a/uv.lock", "run.py.lock", "pdm.lock", "pdm.gpu.lock", "pylock.toml", "pylock.dev.toml", "conda-lock.yml", "linux.conda-lock.yaml",
			"conda-linux-64.lock", "x.conda.lock", "spec-file.txt", "spec-list-gpu.txt", "conda-spec.txt", "conda_explicit.linux.txt"}, isLock, (*walk).lock},
	{"project files (pyproject.toml, setup.cfg, setup.py, Pipfile)", []string{"pyproject.toml", "setup.cfg", "a/setup.py", "Pipfile"}, isProject, (*walk).project},
	{"installed Python packages (*.dist-info, *.egg-info)", []string{"venv/a-1.dist-info/METADATA", "a.egg-info/PKG-INFO", "a-1.egg/EGG-INFO/PKG-INFO"}, pydist.IsMetadata, there(installed)},
	{"conda environments (environment.yml, conda-meta)", []string{"environment.yml", "gpu-environment.yaml", "environment_dev.yml", "conda.yaml", "conda-env.gpu.yml"}, isEnvironment, declared(conda.ReadEnvironment)},
	{"", []string{"env/conda-meta/zlib-1.2-0.json"}, conda.IsMeta, there(condaMeta)},
	{"notebooks", []string{"nb/train.ipynb"}, isNotebook, declared(notebook.Read)},
	{"wheels and eggs", []string{"wheels/a-1-py3-none-any.whl", "a-1-py3.egg"}, pydist.IsArchive, there(archive)},
	{"", []string{"venv/a-1.dist-info/direct_url.json"}, pydist.IsOrigin, there(origin)},
	{"", []string{"venv/a.egg-link"}, pydist.IsLink, there(link)},
}

// locks are the parsers of lockfiles.
var locks = []lockfile.Parser{pipfile.Parser{}, poetry.Parser{}, uv.Parser{}, pdm.Parser{}, pylock.Parser{}, conda.Lock{}, conda.Explicit{}}

// looked is what a directory is searched for, for people.
func looked() string {
	var list []string
	for _, k := range kinds {
		if k.looked != "" {
			list = append(list, k.looked)
		}
	}
	return strings.Join(list, ", ")
}

func kindOf(name string) *kind {
	for i := range kinds {
		if kinds[i].takes(name) {
			return &kinds[i]
		}
	}
	return nil
}

// Reads says whether the file at a slash-separated path is of a kind that a
// directory is searched for.
func Reads(name string) bool { return kindOf(name) != nil }

// Examples are paths of all kinds of files that a directory is searched for, for
// what must choose the same files by other means.
func Examples() []string {
	var list []string
	for _, k := range kinds {
		list = append(list, k.such...)
	}
	return list
}

// Entry says whether a file is read as a requirements file on its own: its
// name holds "requirements" and ends in .txt, or it lies in a directory called
// requirements.
func Entry(name string) bool {
	name = strings.ToLower(name) // pip reads it in any case
	base := path.Base(name)
	if path.Ext(base) != ".txt" {
		return false
	}
	return strings.Contains(base, "requirements") || path.Base(path.Dir(name)) == "requirements"
}

func lockParser(name string) lockfile.Parser {
	for _, parser := range locks {
		if parser.Reads(path.Base(name)) {
			return parser
		}
	}
	return nil
}

func isLock(name string) bool { return lockParser(name) != nil && !isInstalled(name) }

func isProject(name string) bool { return pyproject.Reads(path.Base(name)) && !isInstalled(name) }

// isInstalled says whether a file is part of what is installed. Lockfiles and
// project files that a package happened to ship speak for nobody there: the
// installed metadata does.
func isInstalled(name string) bool {
	for dir := range strings.SplitSeq(path.Dir(name), "/") {
		if dir == "site-packages" || dir == "dist-packages" {
			return true
		}
	}
	return false
}

// walk gathers what the files of one directory say.
type walk struct {
	fsys        fs.FS
	environment requirement.Environment
	inventory   component.Inventory
	// at is the place of each component in the inventory.
	at map[identity]int
	// once are the unresolved records in the inventory.
	once map[component.Unresolved]bool
	// sources are the files in the inventory.
	sources map[component.Source]bool
	// What follows is put together once all files are read: requirements
	// files by path, lockfiles, project files by path.
	entries  []string
	results  []requirement.Result
	locked   []lockfile.Result
	projects map[string]pyproject.Result
	order    []string
	// outside are symbolic links that lead out of what is scanned.
	outside []string
}

// identity is what makes two components one.
type identity struct {
	dependency                     component.Dependency
	ecosystem, name, version, purl string
}

func newWalk(fsys fs.FS, environment requirement.Environment) *walk {
	return &walk{fsys: fsys, environment: defaulted(environment), at: map[identity]int{}, once: map[component.Unresolved]bool{}, sources: map[component.Source]bool{}, projects: map[string]pyproject.Result{}}
}

// DirectoryInventory lists what Directory would test. Only .git and .assay are
// left out.
func DirectoryInventory(ctx context.Context, fsys fs.FS, environment requirement.Environment) (component.Inventory, error) {
	w := newWalk(fsys, environment)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		switch {
		case d.IsDir() && (d.Name() == ".git" || d.Name() == ".assay") && name != ".":
			return fs.SkipDir
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return w.irregular(name)
		}
		if k := kindOf(name); k != nil {
			return k.read(w, name)
		}
		return nil
	})
	if err != nil {
		return component.Inventory{}, err
	}
	return w.finish(), nil
}

// FileInventory lists what File would test.
func FileInventory(fsys fs.FS, name string, environment requirement.Environment) (component.Inventory, error) {
	w := newWalk(fsys, environment)
	var err error
	switch k := kindOf(name); {
	case k == nil:
		err = declared(requirement.Read)(w, name)
	case isProject(name):
		// It alone was asked for: what is wrong with it is an error.
		err = w.readProject(name)
	default:
		err = k.read(w, name)
	}
	if err != nil {
		return component.Inventory{}, err
	}
	return w.finish(), nil
}

// declared is a kind of file that asks for packages as a requirements file
// does, and that others may include.
func declared(read func(fsys fs.FS, name string, environment requirement.Environment) (requirement.Result, error)) func(*walk, string) error {
	return func(w *walk, name string) error {
		result, err := read(w.fsys, name, w.environment)
		if err != nil {
			return err
		}
		w.entries, w.results = append(w.entries, name), append(w.results, result)
		return nil
	}
}

// there is a kind of file that shows a package to be there. What cannot be read
// is an unresolved record, what goes over a bound an error.
func there(read func(file fs.File, where component.Location, inventory *component.Inventory) error) func(*walk, string) error {
	return func(w *walk, name string) error {
		file, err := w.fsys.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		where := component.Location{Path: name}
		err = read(file, where, &w.inventory)
		var over *limit.Error
		if err == nil || errors.As(err, &over) {
			return err
		}
		w.unresolved(component.Unresolved{Text: name, Reason: err.Error(), Location: where})
		return nil
	}
}

func installed(file fs.File, where component.Location, inventory *component.Inventory) error {
	m, err := pydist.ParseMetadata(file, where.Path)
	if err == nil {
		inventory.Components = append(inventory.Components, pydist.Component(m, where))
	}
	return err
}

// lock reads a lockfile. One that cannot be read ends the scan: it is what the
// workload is made from.
func (w *walk) lock(name string) error {
	file, err := w.fsys.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: is no regular file", name)
	}
	result, err := lockParser(name).Parse(file, name, w.environment)
	if err != nil {
		return err
	}
	w.locked = append(w.locked, result)
	return nil
}

func (w *walk) readProject(name string) error {
	result, err := pyproject.Read(w.fsys, name, w.environment)
	if err != nil {
		return err
	}
	w.projects[name] = result
	w.order = append(w.order, name)
	return nil
}

// project reads a project file. One that cannot be read is said, and the scan
// goes on: such files lie around as templates and test data.
func (w *walk) project(name string) error {
	err := w.readProject(name)
	var over *limit.Error
	if err != nil && !errors.As(err, &over) {
		w.unresolved(component.Unresolved{Text: name, Reason: err.Error(), Location: component.Location{Path: name}})
		return nil
	}
	return err
}

// finish puts together what belongs together, and sorts it.
func (w *walk) finish() component.Inventory {
	for i, result := range w.results {
		if !redundant(w.entries, w.results, i) {
			w.add(result.Components, result.Unresolved, result.Sources)
			w.inventory.Notes = append(w.inventory.Notes, result.Notes(w.environment)...)
		}
	}
	for _, result := range w.locked {
		w.add(result.Components, result.Unresolved, []component.Source{result.Source})
		w.inventory.Notes = append(w.inventory.Notes, append(result.Notes, requirement.Left(result.Excluded, w.environment)...)...)
	}
	for _, name := range w.order {
		w.addProject(name, w.projects[name])
	}
	w.noteOutside()
	for i := range w.inventory.Notes {
		w.inventory.Notes[i].Text = cut(w.inventory.Notes[i].Text)
	}
	conda.Settle(&w.inventory)
	w.inventory.Sort()
	return w.inventory
}

// addProject adds what a project file asks for. What a lockfile of the project
// says of a name wins over a record that the project file alone has no version
// of it; a pin in the project file stays, and is the same component where both
// agree.
func (w *walk) addProject(name string, result pyproject.Result) {
	covered, locked := w.covered(path.Dir(name))
	unresolved := result.Unresolved
	if locked {
		unresolved = slices.DeleteFunc(slices.Clone(unresolved), func(u component.Unresolved) bool { return covered[u.Name] })
	} else {
		unresolved = append(unresolved, result.Unknown...)
	}
	w.add(result.Components, unresolved, result.Sources)
	w.inventory.Notes = append(w.inventory.Notes, result.Notes...)
	left := slices.DeleteFunc(slices.Clone(result.Excluded), func(e requirement.Excluded) bool { return covered[e.Name] })
	w.inventory.Notes = append(w.inventory.Notes, requirement.Left(left, w.environment)...)
}

// covered are the names that the lockfiles of the project in a directory decide
// about, and whether it has any.
func (w *walk) covered(dir string) (names map[string]bool, locked bool) {
	names = map[string]bool{}
	for _, result := range w.locked {
		for _, project := range result.Projects {
			if path.Join(path.Dir(result.Source.Path), project) != dir {
				continue
			}
			locked = true
			for name := range result.Covers() {
				names[name] = true
			}
		}
	}
	return names, locked
}

// redundant says whether an entry is read through another one that requires it.
// Of files that require each other, the first one stays.
func redundant(entries []string, results []requirement.Result, i int) bool {
	for j, result := range results {
		if j == i || !slices.Contains(result.Required, entries[i]) {
			continue
		}
		if j < i || !slices.Contains(results[i].Required, entries[j]) {
			return true
		}
	}
	return false
}

// add puts what a file declares into the inventory; what another file declared
// already gets more locations, hashes and edges. It keeps its groups only if
// no file asks for it always.
func (w *walk) add(components []component.Component, unresolved []component.Unresolved, sources []component.Source) {
	for _, c := range components {
		key := identity{c.Dependency, c.Ecosystem, c.Name, c.Version, c.PURL}
		at, known := w.at[key]
		if !known {
			w.at[key] = len(w.inventory.Components)
			w.inventory.Components = append(w.inventory.Components, c)
			continue
		}
		to := &w.inventory.Components[at]
		to.Locations, to.Hashes = union(to.Locations, c.Locations), union(to.Hashes, c.Hashes)
		if to.DependsOn = union(to.DependsOn, c.DependsOn); len(c.DependsOn) > 0 {
			slices.Sort(to.DependsOn)
		}
		if len(to.Groups) > 0 && len(c.Groups) > 0 {
			to.Groups = union(to.Groups, c.Groups)
			slices.Sort(to.Groups)
		} else {
			to.Groups = nil
		}
	}
	for _, u := range unresolved {
		w.unresolved(u)
	}
	for _, source := range sources {
		if !w.sources[source] {
			w.sources[source] = true
			w.inventory.Sources = append(w.inventory.Sources, source)
		}
	}
}

// union appends what is not there yet; the first list is not changed.
func union[T comparable](list, more []T) []T {
	if len(more) == 0 {
		return list
	}
	seen := make(map[T]bool, len(list)+len(more))
	for _, item := range list {
		seen[item] = true
	}
	list = slices.Clip(list)
	for _, item := range more {
		if !seen[item] {
			seen[item] = true
			list = append(list, item)
		}
	}
	return list
}
