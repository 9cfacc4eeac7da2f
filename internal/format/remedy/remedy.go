// Package remedy says how to bring packages to the versions that heal them.
//
// Entry point is [Steps]. How depends on where a package stands: a pin is
// edited, a lockfile is locked again by the tool that wrote it, an installed
// package is upgraded by its package manager, and what came with the base
// image is healed by a newer one.
//
// A [Step]'s Command is made to be pasted into a POSIX shell: names and
// versions that could mean anything else there are never part of one, and
// become a sentence instead. Sentences are text from outside, and whoever
// prints them escapes them. Nothing is run here.
package remedy

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
)

// Step is one thing to do.
type Step struct {
	// Place is where a Command belongs: an environment, or "the image's own
	// layers"; "" where the step says it itself.
	Place string
	// Command does it; "" where only Edits do.
	Command string
	// Edits are changes by hand, and Notes what else to know; one line each.
	Edits, Notes []string
}

// Lines is the step for people: the place, the command or the edits below it,
// then the notes. Edits and notes begin with "- ", so that none of them begins
// with text from outside.
func (s Step) Lines() []string {
	var lines []string
	indent := ""
	if s.Place != "" {
		lines, indent = append(lines, "in "+s.Place+":"), "  "
	}
	if s.Command != "" {
		lines = append(lines, indent+s.Command)
	}
	for _, text := range slices.Concat(s.Edits, s.Notes) {
		lines = append(lines, indent+"- "+text)
	}
	return lines
}

// Steps is what heals the findings of a report, in the order of its Upgrades:
// one step for each file, environment or package manager. Last comes what no
// version heals.
func Steps(report finding.Report) []Step {
	p := plan{image: report.Image, sboms: report.SBOMs, at: map[where]int{}}
	for _, u := range report.Upgrades {
		p.add(u)
	}
	var steps []Step
	for _, t := range p.tasks {
		steps = append(steps, t.step())
	}
	if hopeless := unhealed(report); len(hopeless) > 0 {
		steps = append(steps, Step{Notes: []string{"no version is known to heal " + some(hopeless, 8)}})
	}
	return steps
}

// unhealed names the packages with findings that have no upgrade.
func unhealed(report finding.Report) []string {
	var names []string
	for _, f := range report.Findings {
		c := f.Component
		healed := slices.ContainsFunc(report.Upgrades, func(u finding.Upgrade) bool {
			return u.Component.PURL == c.PURL && u.Component.Name == c.Name && u.Component.Version == c.Version
		})
		if name := c.Name + " " + c.Version; !healed && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// some joins names, and says how many it leaves out.
func some(names []string, most int) string {
	if len(names) > most+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// tool is how a kind of place is changed.
type tool string

const (
	edit    tool = "edit"    // a pin that stands in a file
	replace tool = "replace" // a file to install from
	listed  tool = "listed"  // what an SBOM lists, and nobody says where it is
	owned   tool = "owned"   // a Python package that a distribution's package brought
	relock  tool = "relock"  // a lockfile whose tool is not known
	base    tool = "base"
	uv      tool = "uv"
	poetry  tool = "poetry"
	pipenv  tool = "pipenv"
	pdm     tool = "pdm"
	pip     tool = "pip"
	conda   tool = "conda"
	apt     tool = "apt"
	apk     tool = "apk"
	dnf     tool = "dnf"
	zypper  tool = "zypper"
)

// lockers are the tools that own a lockfile, by its name.
var lockers = map[string]tool{"uv.lock": uv, "poetry.lock": poetry, "Pipfile.lock": pipenv, "pdm.lock": pdm,
	"conda-lock.yml": relock, "conda-lock.yaml": relock, "pylock.toml": relock}

// locking are the tools that work in the directory of their lockfile.
var locking = []tool{uv, poetry, pipenv, pdm, relock}

func toolOf(file string, c component.Component) tool {
	name := path.Base(file)
	if t, found := lockers[name]; found {
		return t
	}
	if strings.HasPrefix(name, "pylock.") && strings.HasSuffix(name, ".toml") {
		return relock
	}
	if ext := path.Ext(name); isConda(c) && (ext == ".txt" || ext == ".lock") {
		return relock // a list of the URLs of packages, which nobody edits
	}
	return edit
}

type where struct {
	tool  tool
	place string
}

// task gathers the upgrades of one place.
type task struct {
	where
	image    *finding.Image
	upgrades []finding.Upgrade
	edits    []string
}

type plan struct {
	image *finding.Image
	sboms []finding.SBOM
	tasks []*task
	at    map[where]int
}

func (p *plan) task(w where) *task {
	i, found := p.at[w]
	if !found {
		i = len(p.tasks)
		p.at[w] = i
		p.tasks = append(p.tasks, &task{where: w, image: p.image})
	}
	return p.tasks[i]
}

func (p *plan) add(u finding.Upgrade) {
	c := u.Component
	if p.image.InBase(c) {
		t := p.task(where{base, ""})
		t.upgrades = append(t.upgrades, u)
		return
	}
	if len(c.Locations) == 1 && slices.ContainsFunc(p.sboms, func(s finding.SBOM) bool { return strings.TrimPrefix(s.Source, "sbom:") == c.Locations[0].Path }) {
		c = inOwnName(c)
		t := p.task(where{listed, ""})
		t.edits = append(t.edits, fmt.Sprintf("%s %s -> %s, where what %s lists is built", c.Name, c.Version, u.To, c.Locations[0].Path))
		t.upgrades = append(t.upgrades, u)
		return
	}
	if c.Dependency != component.Declared {
		t := p.task(installed(c, p.image))
		t.upgrades = append(t.upgrades, u)
		return
	}
	c = inOwnName(c)
	for _, l := range c.Locations {
		w := where{tool: toolOf(l.Path, c)}
		if w.tool != edit {
			w.place = path.Dir(l.Path)
		}
		t := p.task(w)
		switch w.tool {
		case edit:
			t.edits = append(t.edits, pin(l, c, u))
		case relock:
			t.edits = append(t.edits, fmt.Sprintf("%s: %s %s -> %s; lock it again with the tool that wrote it", l, c.Name, c.Version, u.To))
		}
		if !slices.ContainsFunc(t.upgrades, func(known finding.Upgrade) bool { return known.Component.Name == c.Name && known.To == u.To }) {
			t.upgrades = append(t.upgrades, u)
		}
	}
}

func isConda(c component.Component) bool { return strings.HasPrefix(c.PURL, "pkg:conda/") }

// inOwnName gives a conda package the name that conda knows it by, where it is
// one: the component has that of the Python project in it.
func inOwnName(c component.Component) component.Component {
	if rest, found := strings.CutPrefix(c.PURL, "pkg:conda/"); found {
		name, _, _ := strings.Cut(rest, "@")
		if plain, err := url.PathUnescape(name); err == nil && plain != "" {
			c.Name = plain
		}
	}
	return c
}

// pin is the edit of a pinned requirement.
func pin(l component.Location, c component.Component, u finding.Upgrade) string {
	equals := "=="
	if isConda(c) {
		equals = "="
	}
	text := fmt.Sprintf("%s: %s%s%s -> %s%s%s", l, c.Name, equals, c.Version, c.Name, equals, u.To)
	if len(c.Hashes) > 0 {
		text += " (and its hashes)"
	}
	return text
}

// installed is who manages what lies on a disk. In an image the place is its
// own layers; else Python packages are told apart by their environment.
func installed(c component.Component, image *finding.Image) where {
	file := ""
	if len(c.Locations) > 0 {
		file = c.Locations[0].Path
	}
	kind, _, _ := strings.Cut(strings.TrimPrefix(c.PURL, "pkg:"), "/")
	w := where{tool: pip}
	switch {
	case c.Dependency == component.Packaged:
		return where{tool: replace}
	case c.Owner != "":
		w.tool = owned
	case kind == "deb":
		w.tool = apt
	case kind == "apk":
		w.tool = apk
	case kind == "rpm" && strings.Contains(c.PURL, "suse"):
		w.tool = zypper
	case kind == "rpm":
		w.tool = dnf
	case kind == "conda":
		w.tool = conda
		w.place, _, _ = strings.Cut(file, "/conda-meta/")
	default:
		w.place, _, _ = strings.Cut(path.Dir(path.Dir(file)), "/lib/python")
	}
	if image != nil {
		w.place = "the image's own layers"
	}
	return w
}

// What means nothing but itself to a shell and to a package manager; versions
// are quoted, and may have an epoch.
var (
	safeName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
	safeVersion = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+!~:-]*$`)
)

func (t *task) step() Step {
	s := Step{Edits: t.edits}
	if !slices.Contains(locking, t.tool) && t.place != "." {
		s.Place = t.place
	}
	var words []string
	for _, u := range t.upgrades {
		c := inOwnName(u.Component)
		if !u.All {
			s.Notes = append(s.Notes, fmt.Sprintf("%s %s heals the most; no one version heals all", c.Name, u.To))
		}
		switch {
		case t.tool == edit || t.tool == relock || t.tool == listed || t.tool == base:
		case t.tool == owned:
			// pip would overwrite what the distribution's package manager keeps.
			s.Edits = append(s.Edits, fmt.Sprintf("%s %s belongs to %s: upgrade that with its package manager if it has the fix, or install %s %s into an environment of its own", c.Name, c.Version, c.Owner, c.Name, u.To))
		case t.tool == replace:
			s.Edits = append(s.Edits, fmt.Sprintf("%s: replace it by %s %s", first(c), c.Name, u.To))
		case !safeName.MatchString(c.Name) || !safeVersion.MatchString(u.To):
			s.Edits = append(s.Edits, fmt.Sprintf("%s: %s %s -> %s", first(c), c.Name, c.Version, u.To))
		default:
			words = append(words, t.word(c.Name, u.To))
		}
		if _, label, found := strings.Cut(c.Version, "+"); found && strings.HasPrefix(c.PURL, "pkg:pypi/") && t.tool != base {
			s.Notes = append(s.Notes, fmt.Sprintf("%s is the build %q: take it from the index that has such builds", c.Name, label))
		}
	}
	if t.tool == base {
		return t.baseStep()
	}
	if len(words) > 0 {
		s.Command = t.command(words)
	}
	if len(words) > 0 && (t.tool == poetry || t.tool == pdm) {
		s.Notes = append(s.Notes, "pyproject.toml must allow "+t.wanted())
	}
	return s
}

func first(c component.Component) string {
	if len(c.Locations) == 0 {
		return c.PURL
	}
	return c.Locations[0].Path
}

// baseStep speaks of packages that the workload's own build does not choose.
func (t *task) baseStep() Step {
	var names []string
	for _, u := range t.upgrades {
		if !slices.Contains(names, u.Component.Name) {
			names = append(names, u.Component.Name)
		}
	}
	name := "the base image"
	if t.image.Base != "" {
		name += " (" + t.image.Base + ")"
	}
	return Step{Edits: []string{fmt.Sprintf("update %s, which brings %s", name, some(names, 8))}}
}

// word is a package as an argument of the tool.
func (t *task) word(name, to string) string {
	switch t.tool {
	case uv:
		return "--upgrade-package '" + name + "==" + to + "'"
	case pip, pipenv:
		return "'" + name + "==" + to + "'"
	case conda:
		return "'" + name + "=" + to + "'"
	}
	return name
}

var verbs = map[tool]string{uv: "uv lock", poetry: "poetry update", pipenv: "pipenv upgrade", pdm: "pdm update", pip: "pip install", conda: "conda install",
	apt: "apt-get install --only-upgrade", apk: "apk add --upgrade", dnf: "dnf upgrade", zypper: "zypper update"}

func (t *task) command(words []string) string {
	slices.Sort(words)
	text := verbs[t.tool] + " " + strings.Join(slices.Compact(words), " ")
	if slices.Contains(locking, t.tool) && t.place != "." {
		text = "cd " + quoted(t.place) + " && " + text
	}
	return text
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._/-]*$`)

// quoted is a directory as one word of a POSIX shell that no command takes
// for an option.
func quoted(dir string) string {
	if plain.MatchString(dir) {
		return dir
	}
	if strings.HasPrefix(dir, "-") {
		dir = "./" + dir
	}
	return "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
}

// wanted lists the lowest good versions as requirements.
func (t *task) wanted() string {
	var list []string
	for _, u := range t.upgrades {
		list = append(list, u.Component.Name+">="+u.To)
	}
	return strings.Join(list, ", ")
}
