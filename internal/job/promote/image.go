package promote

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
)

// image is what is pinned.
type image struct {
	// repository has its registry; digest is the one that was judged.
	repository, digest string
	// name is what the files call it.
	name string
}

func imageOf(v verdict.Verdict, name string) (image, error) {
	if v.Subject.IsZero() || !strings.HasSuffix(v.Pinned, "@"+v.Subject.String()) {
		return image{}, errors.New("the verdict names no digest; nothing can be pinned")
	}
	i := image{repository: repositoryOf(v.Pinned), digest: v.Subject.String(), name: name}
	if i.name == "" {
		i.name = i.repository
	}
	return i, nil
}

// named says whether a repository, as a file spells it, is the image's.
func (i image) named(repository string) bool { return sameRepository(repository, i.name) }

// used says whether a whole reference's repository is the image's: what the
// files call it, or, once it is pinned, its own.
func (i image) used(repository string) bool {
	return i.named(repository) || sameRepository(repository, i.repository)
}

// pin writes a reference with the digest. The repository stays as it is
// spelled, if that is the image's own.
func (i image) pin(reference string) string {
	written := repositoryOf(reference)
	if !sameRepository(written, i.repository) {
		written = i.repository
	}
	return written + "@" + i.digest
}

// repositoryOf drops digest and tag of a reference.
func repositoryOf(reference string) string {
	repository, _, _ := strings.Cut(reference, "@")
	if colon := strings.LastIndex(repository, ":"); colon > strings.LastIndex(repository, "/") {
		repository = repository[:colon]
	}
	return repository
}

// sameRepository compares repositories, with the short names of Docker Hub
// spelled out.
func sameRepository(a, b string) bool { return a != "" && b != "" && spellOut(a) == spellOut(b) }

func spellOut(repository string) string {
	host, rest, found := strings.Cut(repository, "/")
	switch {
	case !found:
		return "docker.io/library/" + repository
	case host == "index.docker.io" || host == "docker.io":
		if !strings.Contains(rest, "/") {
			rest = "library/" + rest
		}
		return "docker.io/" + rest
	case !strings.ContainsAny(host, ".:") && host != "localhost":
		return "docker.io/" + repository
	}
	return repository
}

// listed bounds how many pieces of evidence a message lists.
const listed = 50

// message is the commit's message. Its trailers link the verdict: which
// policies judged which digest, when, on which evidence.
func message(v verdict.Verdict, i image) string {
	var b strings.Builder
	short := v.Subject.Short()
	fmt.Fprintf(&b, "Pin %s to %s\n\n", oneLine(i.repository), short)
	passed := 0
	var evidence []string
	seen := map[string]bool{}
	for _, check := range v.Checks {
		if check.Outcome == verdict.Passed {
			passed++
		}
		for _, e := range check.Evidence {
			line := e.Digest.String() + " " + e.Type
			if check.Outcome == verdict.Passed && e.Rejected == "" && !seen[line] {
				seen[line] = true
				evidence = append(evidence, line)
			}
		}
	}
	fmt.Fprintf(&b, "The gate said %s after %d passed checks of %d.\n\n", v.Decision, passed, len(v.Checks))
	trailer := func(name, value string) { fmt.Fprintf(&b, "%s: %s\n", name, oneLine(value)) }
	trailer("Assay-Subject", i.repository+"@"+i.digest)
	trailer("Assay-Reference", v.Reference)
	trailer("Assay-Decision", v.Decision.String())
	trailer("Assay-Verdict-Time", v.Time.UTC().Format(time.RFC3339))
	for _, policy := range v.Policies {
		trailer("Assay-Policy", policy)
	}
	for n, line := range evidence {
		if n == listed {
			trailer("Assay-Evidence", fmt.Sprintf("and %d more", len(evidence)-listed))
			break
		}
		trailer("Assay-Evidence", line)
	}
	return b.String()
}

// oneLine keeps what others wrote from starting a line of its own.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}
