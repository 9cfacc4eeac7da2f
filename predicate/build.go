package predicate

import (
	"fmt"
	"strings"
	"time"
)

// Build is what SLSA provenance says, v1 or v0.2, in one shape.
type Build struct {
	// Builder is the builder's id, Type the build type, Invocation the run; each
	// is "" where the predicate does not say.
	Builder, Type, Invocation string
	// Sources are the version-controlled sources among what the build read.
	Sources []Source
	// Dependencies are all that the build read, sources too.
	Dependencies []ResourceDescriptor
	// Started and Finished are zero where the predicate does not say.
	Started, Finished time.Time
}

// Source is a repository at a commit, as provenance names it:
// git+https://example.com/app@refs/heads/main with the commit as digest.
type Source struct {
	// URI is the repository, without "git+", the ref and ".git".
	URI string
	// Ref is a branch or tag in full (refs/heads/main), "" where it is not said.
	Ref string
	// Commit is the digest gitCommit or sha1, "" where there is none.
	Commit string
}

// ReadBuild reads SLSA provenance. Another type, and a predicate that is not of
// its type's shape, is an error. v0.2 names the source as configSource and again
// among its materials; it is given once.
func ReadBuild(uri string, raw []byte) (Build, error) {
	switch uri {
	case TypeProvenanceV1:
		var p struct {
			BuildDefinition struct {
				BuildType            string               `json:"buildType"`
				ResolvedDependencies []ResourceDescriptor `json:"resolvedDependencies"`
			} `json:"buildDefinition"`
			RunDetails struct {
				Builder struct {
					ID string `json:"id"`
				} `json:"builder"`
				Metadata BuildMetadata `json:"metadata"`
			} `json:"runDetails"`
		}
		if err := decode(raw, &p); err != nil {
			return Build{}, fmt.Errorf("reading provenance v1: %w", err)
		}
		b := Build{Builder: p.RunDetails.Builder.ID, Type: p.BuildDefinition.BuildType, Invocation: p.RunDetails.Metadata.InvocationID,
			Dependencies: p.BuildDefinition.ResolvedDependencies, Started: p.RunDetails.Metadata.StartedOn, Finished: p.RunDetails.Metadata.FinishedOn}
		return b.sourced(), nil
	case TypeProvenanceV02:
		var p struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
			BuildType  string `json:"buildType"`
			Invocation struct {
				ConfigSource ResourceDescriptor `json:"configSource"`
			} `json:"invocation"`
			Metadata struct {
				BuildInvocationID string    `json:"buildInvocationId"`
				BuildStartedOn    time.Time `json:"buildStartedOn"`
				BuildFinishedOn   time.Time `json:"buildFinishedOn"`
			} `json:"metadata"`
			Materials []ResourceDescriptor `json:"materials"`
		}
		if err := decode(raw, &p); err != nil {
			return Build{}, fmt.Errorf("reading provenance v0.2: %w", err)
		}
		b := Build{Builder: p.Builder.ID, Type: p.BuildType, Invocation: p.Metadata.BuildInvocationID, Dependencies: p.Materials,
			Started: p.Metadata.BuildStartedOn, Finished: p.Metadata.BuildFinishedOn}
		if p.Invocation.ConfigSource.URI != "" {
			b.Dependencies = append([]ResourceDescriptor{p.Invocation.ConfigSource}, b.Dependencies...)
		}
		return b.sourced(), nil
	}
	return Build{}, fmt.Errorf("%s is no provenance type; %s and %s are read", uri, TypeProvenanceV1, TypeProvenanceV02)
}

// sourced fills Sources.
func (b Build) sourced() Build {
	for _, d := range b.Dependencies {
		source, ok := sourceOf(d)
		known := false
		for _, other := range b.Sources {
			known = known || other == source
		}
		if ok && !known {
			b.Sources = append(b.Sources, source)
		}
	}
	return b
}

// sourceOf reads a dependency that is a source: its URI begins with git+ or
// ends in .git, or it has a commit.
func sourceOf(d ResourceDescriptor) (Source, bool) {
	uri, git := strings.CutPrefix(d.URI, "git+")
	s := Source{URI: uri, Commit: d.Digest["gitCommit"]}
	// The first "@refs/" ends the repository: a branch may have one in its name.
	if before, ref, found := strings.Cut(uri, "@refs/"); found {
		s.URI, s.Ref = before, "refs/"+ref
	} else if at := strings.LastIndex(uri, "@"); at > strings.LastIndex(uri, "/") {
		s.URI = uri[:at] // a commit, or a short name that may be a branch or a tag
	}
	s.URI, _ = strings.CutSuffix(s.URI, "/")
	bare, suffixed := strings.CutSuffix(s.URI, ".git")
	s.URI = bare
	if s.Commit == "" && (git || suffixed) {
		s.Commit = d.Digest["sha1"]
	}
	return s, s.URI != "" && (git || suffixed || s.Commit != "")
}
