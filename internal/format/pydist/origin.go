package pydist

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// IsOrigin says whether a slash-separated path is where an installed
// distribution says from which URL it came.
func IsOrigin(name string) bool {
	return path.Base(name) == "direct_url.json" && strings.HasSuffix(strings.ToLower(path.Dir(name)), ".dist-info")
}

// IsLink says whether a path is how setuptools' "develop" marks a directory as
// installed.
func IsLink(name string) bool { return strings.HasSuffix(name, ".egg-link") }

var credentials = regexp.MustCompile(`(://)[^/@\s]+@`)

// Origin reads direct_url.json ("Direct URL Origin of installed
// distributions"). What came from version control or a local directory is an
// unresolved record: its version is tested, but what it holds need not be what
// the index has under that version. For an archive, found is false. Over
// limit.PackageMetadata bytes, or if it cannot be read, it is an error that
// starts with the path.
func Origin(r io.Reader, where component.Location) (record component.Unresolved, found bool, err error) {
	content, err := limit.ReadAll(r, where.Path, limit.PackageMetadata)
	if err != nil {
		return component.Unresolved{}, false, err
	}
	var file struct {
		URL     string `json:"url"`
		VCSInfo *struct {
			VCS    string `json:"vcs"`
			Commit string `json:"commit_id"`
		} `json:"vcs_info"`
		DirInfo *struct {
			Editable bool `json:"editable"`
		} `json:"dir_info"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return component.Unresolved{}, false, fmt.Errorf("%s: %w", where.Path, err)
	}
	record = component.Unresolved{Name: distributionName(path.Base(path.Dir(where.Path))), Text: credentials.ReplaceAllString(file.URL, "${1}****@"), Location: where}
	switch {
	case file.VCSInfo != nil:
		record.Reason = fmt.Sprintf("it was installed from version control (%.20s, commit %.64s), and only its version was tested", file.VCSInfo.VCS, file.VCSInfo.Commit)
	case file.DirInfo != nil && file.DirInfo.Editable:
		record.Reason = "it is an editable install of a directory, and only its version was tested"
	case file.DirInfo != nil:
		record.Reason = "it was installed from a directory, and only its version was tested"
	default:
		return component.Unresolved{}, false, nil
	}
	return record, true, nil
}

// Link reads NAME.egg-link: a directory that is installed as it lies there. Its
// version stands in that directory, so the link itself is unresolved. Over
// limit.PackageMetadata bytes it is an error.
func Link(r io.Reader, where component.Location) (component.Unresolved, error) {
	content, err := limit.ReadAll(r, where.Path, limit.PackageMetadata)
	if err != nil {
		return component.Unresolved{}, err
	}
	target, _, _ := strings.Cut(string(content), "\n")
	return component.Unresolved{Name: distributionName(path.Base(where.Path)), Text: fmt.Sprintf("%.200s", strings.TrimSpace(strings.ToValidUTF8(target, "?"))), Location: where,
		Reason: "a link installs this directory as it lies there; it is tested only where the directory's own metadata is found"}, nil
}

// distributionName is the project in "name-version.dist-info" or
// "name.egg-link", "" where it is no name.
func distributionName(base string) string {
	name := strings.TrimSuffix(base, path.Ext(base))
	if path.Ext(base) == ".dist-info" {
		name, _, _ = strings.Cut(name, "-")
	}
	if !ValidName(name) {
		return ""
	}
	return Normalise(name)
}
