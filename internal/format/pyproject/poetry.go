package pyproject

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
	"github.com/seed-161fc314/assay/internal/format/stricttoml"
)

// poetry reads [tool.poetry] of pyproject.toml.
func (c *collector) poetry(poetry *stricttoml.Value) error {
	extras := map[string][]string{}
	for _, extra := range poetry.Get("extras").Keys() {
		for _, text := range poetry.Get("extras", extra).Texts() {
			extras[nameOf(text)] = append(extras[nameOf(text)], extra)
		}
	}
	if err := c.table("", poetry.Get("dependencies"), extras, true); err != nil {
		return err
	}
	if err := c.table("dev", poetry.Get("dev-dependencies"), nil, true); err != nil {
		return err
	}
	for _, group := range poetry.Get("group").Keys() {
		if err := c.table(group, poetry.Get("group", group, "dependencies"), nil, true); err != nil {
			return err
		}
	}
	for _, source := range poetry.Get("source").List() {
		c.index(source.Get("url").Text(), source.Line())
	}
	return nil
}

// pipfile reads Pipenv's Pipfile: [packages], and every other table of packages
// as a group.
func (c *collector) pipfile(content []byte) error {
	d, err := stricttoml.Parse(content, c.name)
	if err != nil {
		return err
	}
	root := d.Root()
	for _, table := range root.Keys() {
		group := table
		switch table {
		case "source":
			for _, source := range root.Get("source").List() {
				c.index(source.Get("url").Text(), source.Line())
			}
			continue
		case "requires", "scripts", "pipenv", "pipfile":
			continue
		case "packages":
			group = ""
		case "dev-packages":
			group = "develop" // as the lockfile calls it
		}
		if err := c.table(group, root.Get(table), nil, false); err != nil {
			return err
		}
	}
	return d.Err()
}

// table reads names with constraints. bare says that a version alone means
// exactly that one.
func (c *collector) table(group string, table *stricttoml.Value, extras map[string][]string, bare bool) error {
	for _, name := range table.Keys() {
		normal := pydist.Normalise(name)
		if bare && normal == "python" {
			continue
		}
		value := table.Get(name)
		choices := []*stricttoml.Value{value}
		if value.Is(stricttoml.Array) {
			choices = value.List()
		}
		for _, choice := range choices {
			groups := []string{group}
			if group == "" && choice.Is(stricttoml.Table) && choice.Get("optional").True() {
				if groups = extras[normal]; len(groups) == 0 {
					groups = []string{"optional"}
				}
			}
			for _, g := range groups {
				if err := c.constrained(g, name, choice, bare); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// constrained reads one name with "1.2", "^1.2", "*" or a table of fields.
func (c *collector) constrained(group, name string, v *stricttoml.Value, bare bool) error {
	if err := c.counted(); err != nil {
		return err
	}
	text, marker, line := "", "", v.Line()
	if v.Is(stricttoml.Table) {
		for _, kind := range []string{"git", "hg", "svn", "path", "url", "file"} {
			if at := v.Get(kind).Text(); at != "" {
				return c.placed(group, name, kind, at, line)
			}
		}
		text, marker = v.Get("version").Text(), markerOf(v)
	} else {
		text = v.Text()
	}
	asked := name
	if v.Is(stricttoml.Table) && len(v.Get("extras").Texts()) > 0 {
		asked += "[" + strings.Join(v.Get("extras").Texts(), ",") + "]"
	}
	if version := exact(text, bare); version != "" {
		asked += "==" + version
		if marker != "" {
			asked += " ; " + marker
		}
		return c.resolve(group, []requirement.Line{{Text: asked, Location: c.where(line)}})
	}
	if marker != "" {
		if holds, err := requirement.Holds(marker, c.environment); err == nil && !holds {
			c.result.Excluded = append(c.result.Excluded, requirement.Excluded{Name: pydist.Normalise(name), Text: asked, Marker: marker, Location: c.where(line)})
			return nil
		}
	}
	if normal := pydist.Normalise(name); normal != c.own {
		c.unresolved(normal, fmt.Sprintf("%s = %q", asked, text), "a range names no single version; a lockfile beside it would", line)
	}
	return nil
}

// placed is a package from a URL, a path or version control. A wheel at a URL
// has the version of its file name.
func (c *collector) placed(group, name, kind, at string, line int) error {
	switch kind {
	case "git", "hg", "svn":
		c.unresolved(pydist.Normalise(name), name+" @ "+kind+"+"+at, "it comes from version control, and no index knows that version", line)
	case "url", "file":
		if strings.HasSuffix(at, ".whl") && !strings.ContainsAny(at, " \n") {
			return c.resolve(group, []requirement.Line{{Text: name + " @ " + at, Location: c.where(line)}})
		}
		c.unresolved(pydist.Normalise(name), name+" @ "+at, "a URL names no version that could be checked", line)
	default:
		c.unresolved(pydist.Normalise(name), name+" @ "+at, "a local path has no fixed version", line)
	}
	return nil
}

// markerOf joins "markers" with Pipenv's fields for single variables, which
// hold the operator and the value, and with Poetry's "python" and "platform".
func markerOf(v *stricttoml.Value) string {
	var parts []string
	if text := v.Get("markers").Text(); text != "" {
		parts = append(parts, "("+text+")")
	}
	for _, variable := range []string{"python_version", "python_full_version", "os_name", "sys_platform", "platform_machine", "platform_system", "platform_python_implementation", "implementation_name"} {
		if text := v.Get(variable).Text(); text != "" {
			parts = append(parts, variable+" "+text)
		}
	}
	if text := v.Get("platform").Text(); text != "" && !strings.ContainsAny(text, "'\"") {
		parts = append(parts, "sys_platform == '"+text+"'")
	}
	if text := v.Get("python").Text(); text != "" {
		if m := simple.FindStringSubmatch(text); m != nil { // a caret is left to the lockfile
			parts = append(parts, "python_version "+m[1]+" '"+m[2]+"'")
		}
	}
	return strings.Join(parts, " and ")
}

var simple = regexp.MustCompile(`^\s*(<|<=|>|>=|==|!=)\s*([0-9][0-9.]*)\s*$`)

// exact is the version that a constraint pins, "" for ranges.
func exact(text string, bare bool) string {
	text = strings.TrimSpace(text)
	if bare {
		if _, err := pep440.Parse(text); err == nil {
			return text
		}
	}
	specifiers, err := pep440.ParseSpecifiers(text)
	if err != nil {
		return ""
	}
	version, pinned := specifiers.Pin()
	if _, err := pep440.Parse(version); err != nil || !pinned {
		return ""
	}
	return version
}
