package kyverno

import (
	"fmt"

	"github.com/blang/semver/v4"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// parseVersion reads a whole semantic version (semver.org 2.0.0), without a
// "v" before it.
func parseVersion(text string) (semver.Version, bool) {
	if len(text) > limit.Version {
		return semver.Version{}, false
	}
	version, err := semver.Parse(text)
	return version, err == nil
}

// parseRange reads alternatives of bounds that all hold: ">=1.2.0 <2.0.0 || 3.x".
func parseRange(text string) (versions semver.Range, err error) {
	defer func() { // the parser is not ours
		if r := recover(); r != nil {
			err = fmt.Errorf("version range %q: %v", text, r)
		}
	}()
	if len(text) > limit.Version {
		return nil, &limit.Error{What: "the version range", Bound: limit.Version, Unit: "bytes"}
	}
	if versions, err = semver.ParseRange(text); err != nil {
		return nil, fmt.Errorf("version range %q: %w", text, err)
	}
	return versions, nil
}
