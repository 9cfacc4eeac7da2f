package conda

import (
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/lockfile"
	"github.com/seed-161fc314/assay/internal/format/pydist"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// Explicit reads lists of package URLs under the line "@EXPLICIT", as `conda
// list --explicit` and conda-lock write them; it is a lockfile.Parser. Packages
// of other platforms than the environment's are Excluded. Comments "# pip NAME
// @ URL", in which conda-lock keeps what pip installs, are read too.
type Explicit struct{}

var explicitName = regexp.MustCompile(`^(conda[-_.].*\.lock|.*\.conda\.lock|(conda[-_](spec|explicit)|spec-file|spec-list)([-_.].*)?\.txt)$`)

// Reads says whether the name is one that such lists have: conda-linux-64.lock,
// spec-file.txt, conda-explicit.txt.
func (Explicit) Reads(base string) bool { return explicitName.MatchString(base) }

// Parse reads the file; see lockfile.Parser. A file without "@EXPLICIT" is an
// error.
func (Explicit) Parse(r io.Reader, name string, environment requirement.Environment) (lockfile.Result, error) {
	content, err := limit.ReadAll(r, name, limit.Lockfile)
	if err != nil {
		return lockfile.Result{}, err
	}
	result := lockfile.Result{Source: component.Source{Path: name, Digest: subject.Of(content)}}
	own, begun := platform(environment), false
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		where := component.Location{Path: name, Line: number}
		unresolved := func(name, reason string) {
			result.Unresolved = append(result.Unresolved, component.Unresolved{Name: name, Text: maskToken(line), Reason: reason, Location: where})
		}
		pip, isPip := strings.CutPrefix(line, "# pip ")
		switch {
		case line == "@EXPLICIT":
			begun = true
		case isPip:
			c, name, reason := pipLine(pip, where)
			if reason != "" {
				unresolved(name, reason)
				continue
			}
			result.Components = append(result.Components, c)
		case line == "" || strings.HasPrefix(line, "#"):
		case !begun:
			return lockfile.Result{}, fmt.Errorf("%s:%d: this is no list of conda packages: @EXPLICIT does not stand above", name, number)
		default:
			r, err := location(line)
			if err != nil {
				unresolved("", err.Error())
				continue
			}
			if r.subdir != "" && r.subdir != "noarch" && r.subdir != own {
				result.Excluded = append(result.Excluded, requirement.Excluded{Name: r.name, Text: maskToken(line), Marker: r.subdir, Location: where})
				continue
			}
			_, sum, _ := strings.Cut(line, "#")
			list := r.components(component.Declared, where)
			for i := range list {
				list[i].Hashes = digest(sum)
			}
			result.Components = append(result.Components, list...)
		}
	}
	if !begun {
		return lockfile.Result{}, fmt.Errorf("%s: this is no list of conda packages: it has no line @EXPLICIT", name)
	}
	if len(result.Components)+len(result.Unresolved) == 0 && len(result.Excluded) > 0 {
		result.Unresolved = append(result.Unresolved, component.Unresolved{Text: name, Location: component.Location{Path: name},
			Reason: "it has no packages for " + own + ", only for other platforms"})
	}
	return result, nil
}

// pipLine reads "name @ https://.../name-1.0-py3-none-any.whl --hash=...".
func pipLine(text string, where component.Location) (c component.Component, name, reason string) {
	name, url, found := strings.Cut(text, "@")
	name = pydist.Normalise(strings.TrimSpace(name))
	if !found {
		return component.Component{}, "", "this is no \"name @ URL\""
	}
	fields := strings.Fields(url)
	if len(fields) == 0 {
		return component.Component{}, name, "there is no URL"
	}
	address, fragment, _ := strings.Cut(fields[0], "#")
	wheel, err := pydist.ParseWheelName(path.Base(address))
	if err != nil || wheel.Name != name {
		return component.Component{}, name, "a URL that ends in no wheel of that name says no version"
	}
	c = component.Component{Ecosystem: pydist.Ecosystem, Name: wheel.Name, Version: wheel.Version, PURL: pydist.PURL(wheel.Name, wheel.Version),
		Dependency: component.Declared, Locations: []component.Location{where}, Hashes: digest(strings.Replace(fragment, "=", ":", 1))}
	for _, field := range fields[1:] {
		if sum, found := strings.CutPrefix(field, "--hash="); found {
			c.Hashes = append(c.Hashes, digest(sum)...)
		}
	}
	return c, name, ""
}
