package conda

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/licence"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// ReadMeta reads one file of conda-meta: conda's record of a package that it
// installed, at most limit.PackageMetadata bytes. Most packages are one
// component; one with several Python projects is several. Projects are known by
// their dist-info among the files, which the walk of a directory also reads:
// [Settle] joins the two. A file that is no such record is an error that starts
// with where.
func ReadMeta(r io.Reader, where string) ([]component.Component, error) {
	content, err := limit.ReadAll(r, where, limit.PackageMetadata)
	if err != nil {
		return nil, err
	}
	var file struct {
		Name    string   `json:"name"`
		Version string   `json:"version"`
		Build   string   `json:"build"`
		Channel string   `json:"channel"`
		Subdir  string   `json:"subdir"`
		File    string   `json:"fn"`
		Depends []string `json:"depends"`
		Files   []string `json:"files"`
		PURLs   []string `json:"purls"`
		License string   `json:"license"`
		SHA256  string   `json:"sha256"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, fmt.Errorf("%s: this is no record of a conda package: %w", where, err)
	}
	rec := record{name: strings.ToLower(file.Name), version: file.Version, build: file.Build, dependsKnown: true}
	if err := rec.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	rec.place(file.Channel)
	if isSubdir(file.Subdir) {
		rec.subdir = file.Subdir
	}
	if named, err := fileName(file.File); err == nil {
		rec.kind = named.kind
	}
	for _, spec := range file.Depends {
		name, _, _ := strings.Cut(spec, " ")
		rec.depends = append(rec.depends, name)
	}
	rec.projects = projects(file.Files, file.PURLs)
	list := rec.components(component.Installed, component.Location{Path: where})
	for i := range list {
		if file.License != "" {
			list[i].Licenses = []string{file.License}
			list[i].Expression = licence.Expression(list[i].Licenses)
		}
		if file.SHA256 != "" {
			list[i].Hashes = digest("sha256:" + file.SHA256)
		}
	}
	return list, nil
}

// distribution is the metadata of a Python project, directly in a directory for
// packages; what setuptools and pip carry deeper inside is read where it lies.
var distribution = regexp.MustCompile(`(?i)(?:^|/)(?:site|dist)-packages/([^/]+)\.(?:dist-info/METADATA|egg-info/PKG-INFO|egg-info)$`)

// projects are the Python projects whose metadata is among the files, else
// those that package URLs name.
func projects(files, purls []string) []project {
	var list []project
	for _, file := range files {
		m := distribution.FindStringSubmatch(path.Clean(file))
		if m == nil {
			continue
		}
		parts := strings.SplitN(m[1], "-", 3) // name-version, eggs add -py3.11
		if len(parts) < 2 || !pydist.ValidName(parts[0]) || !versionShape.MatchString(parts[1]) {
			continue
		}
		list = append(list, project{pydist.Normalise(parts[0]), parts[1]})
	}
	if len(list) > 0 {
		return list
	}
	for _, text := range purls {
		if p, err := packageurl.FromString(text); err == nil && p.Type == packageurl.TypePyPi && p.Version != "" && pydist.ValidName(p.Name) {
			list = append(list, project{pydist.Normalise(p.Name), p.Version})
		}
	}
	return list
}
