package pyproject

import (
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/format/stricttoml"
)

// buildGroup is the group of what is needed only to build the project.
const buildGroup = "build-system"

// pyproject reads pyproject.toml ("pyproject.toml specification" and
// "Dependency Groups" of the Python Packaging Authority).
func (c *collector) pyproject(content []byte) error {
	d, err := stricttoml.Parse(content, c.name)
	if err != nil {
		return err
	}
	root := d.Root()
	project, tool := root.Get("project"), root.Get("tool")
	c.own = pydist.Normalise(project.Get("name").Text())
	if c.own == "" {
		c.own = pydist.Normalise(tool.Get("poetry", "name").Text())
	}
	c.uvSources(tool.Get("uv"))
	for _, step := range []func(*stricttoml.Value, *stricttoml.Value) error{c.project, c.dynamic, c.tools} {
		if err := step(project, tool); err != nil {
			return err
		}
	}
	if err := c.dependencyGroups(root.Get("dependency-groups")); err != nil {
		return err
	}
	if err := c.build(root.Get("build-system", "requires")); err != nil {
		return err
	}
	return d.Err()
}

// lines are an array's requirements, each at its line.
func (c *collector) lines(array *stricttoml.Value, options bool) []requirement.Line {
	var list []requirement.Line
	for _, item := range array.List() {
		text := strings.TrimSpace(item.Text())
		if strings.HasPrefix(text, "-") && !options {
			c.unresolved("", text, "an option is no requirement in this file", item.Line())
			continue
		}
		list = append(list, requirement.Line{Text: text, Location: c.where(item.Line())})
	}
	return list
}

func (c *collector) project(project, _ *stricttoml.Value) error {
	if err := c.resolve("", c.lines(project.Get("dependencies"), false)); err != nil {
		return err
	}
	extras := project.Get("optional-dependencies")
	for _, extra := range extras.Keys() {
		if err := c.resolve(extra, c.lines(extras.Get(extra), false)); err != nil {
			return err
		}
	}
	return nil
}

// dynamic follows setuptools' files; every other dynamic field is known only
// once the project is built.
func (c *collector) dynamic(project, tool *stricttoml.Value) error {
	for _, item := range project.Get("dynamic").List() {
		field := item.Text()
		if field != "dependencies" && field != "optional-dependencies" {
			continue
		}
		files := tool.Get("setuptools", "dynamic", field)
		switch {
		case field == "dependencies" && files != nil:
			if err := c.include("", listed(files.Get("file")), files.Line()); err != nil {
				return err
			}
		case files != nil:
			for _, extra := range files.Keys() {
				if err := c.include(extra, listed(files.Get(extra, "file")), files.Get(extra).Line()); err != nil {
					return err
				}
			}
		case tool.Get("poetry", "dependencies") == nil:
			c.unknown(field, "they are dynamic: known only when the project is built, which is not done here", item.Line())
		}
	}
	return nil
}

// listed is a string or an array of them.
func listed(v *stricttoml.Value) []string {
	if v.Is(stricttoml.String) {
		return []string{v.Text()}
	}
	return v.Texts()
}

func (c *collector) build(requires *stricttoml.Value) error {
	result, err := requirement.Resolve(nil, c.lines(requires, false), c.environment)
	if err != nil {
		return err
	}
	for _, u := range result.Unresolved {
		c.note(u.Location.Line, "%s is chosen when the project is built, and was not tested", u.Text)
	}
	result.Unresolved = nil
	c.merge(buildGroup, result)
	return nil
}

// dependencyGroups reads [dependency-groups] (PEP 735).
func (c *collector) dependencyGroups(groups *stricttoml.Value) error {
	if len(groups.Keys()) > limit.LockedGroups {
		return &limit.Error{What: c.name, Bound: limit.LockedGroups, Unit: "dependency groups"}
	}
	byName := map[string]*stricttoml.Value{}
	for _, group := range groups.Keys() {
		name := pydist.Normalise(group)
		if byName[name] != nil {
			c.unresolved("", group, "the dependency group is defined twice under names that are the same", groups.Get(group).Line())
			continue
		}
		byName[name] = groups.Get(group)
	}
	for _, group := range groups.Keys() {
		lines, err := c.group(byName, pydist.Normalise(group), nil, map[string]bool{})
		if err != nil {
			return err
		}
		if err := c.resolve(group, lines); err != nil {
			return err
		}
	}
	return nil
}

// group gives the requirements of a group and of those that it includes, each
// once. A group that includes itself is said, and read no further.
func (c *collector) group(groups map[string]*stricttoml.Value, name string, open []string, seen map[string]bool) ([]requirement.Line, error) {
	seen[name] = true
	open = append(open, name)
	var lines []requirement.Line
	for _, item := range groups[name].List() {
		if err := c.counted(); err != nil {
			return nil, err
		}
		if !item.Is(stricttoml.Table) {
			lines = append(lines, requirement.Line{Text: strings.TrimSpace(item.Text()), Location: c.where(item.Line())})
			continue
		}
		include := pydist.Normalise(item.Get("include-group").Text())
		switch {
		case include == "":
			c.unresolved("", name, "an entry of the dependency group is neither a requirement nor an include-group", item.Line())
		case slices.Contains(open, include):
			c.unresolved("", "include-group "+include, "the dependency group includes itself", item.Line())
		case groups[include] == nil:
			c.unresolved("", "include-group "+include, "there is no such dependency group", item.Line())
		case !seen[include]:
			more, err := c.group(groups, include, open, seen)
			if err != nil {
				return nil, err
			}
			lines = append(lines, more...)
		}
	}
	return lines, nil
}

// uvSources reads [tool.uv.sources]: names that are not those on an index.
func (c *collector) uvSources(uv *stricttoml.Value) {
	sources := uv.Get("sources")
	for _, name := range sources.Keys() {
		list := []*stricttoml.Value{sources.Get(name)}
		if list[0].Is(stricttoml.Array) {
			list = list[0].List()
		}
		for _, source := range list {
			for _, kind := range source.Keys() {
				switch kind {
				case "git":
					c.elsewhere[pydist.Normalise(name)] = "it comes from version control (tool.uv.sources), and no index knows that version"
				case "url":
					c.elsewhere[pydist.Normalise(name)] = "it comes from a URL (tool.uv.sources), which names no version that could be checked"
				case "path":
					c.elsewhere[pydist.Normalise(name)] = "it comes from a local path (tool.uv.sources), which has no fixed version"
				case "workspace":
					c.elsewhere[pydist.Normalise(name)] = "" // a project of its own, with files of its own
				}
			}
		}
	}
	for _, index := range uv.Get("index").List() {
		c.index(index.Get("url").Text(), index.Line())
	}
	for _, field := range []string{"index-url", "extra-index-url", "find-links"} {
		if v := uv.Get(field); v != nil {
			for _, location := range listed(v) {
				c.index(location, v.Line())
			}
		}
	}
}

// tools reads the tables that are older than [project] and [dependency-groups].
func (c *collector) tools(_, tool *stricttoml.Value) error {
	if err := c.resolve("dev", c.lines(tool.Get("uv", "dev-dependencies"), false)); err != nil {
		return err
	}
	pdm := tool.Get("pdm", "dev-dependencies")
	for _, group := range pdm.Keys() {
		var lines []requirement.Line
		for _, line := range c.lines(pdm.Get(group), true) {
			if strings.HasPrefix(line.Text, "-") && !strings.HasPrefix(line.Text, "-e ") {
				c.unresolved("", line.Text, "an option is no requirement in this file", line.Location.Line)
				continue
			}
			lines = append(lines, line)
		}
		if err := c.resolve(group, lines); err != nil {
			return err
		}
	}
	return c.poetry(tool.Get("poetry"))
}
