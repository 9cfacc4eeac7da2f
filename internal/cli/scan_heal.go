package cli

import (
	"context"
	"fmt"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
)

// proposal is an edit that heals a package.
type proposal struct {
	Location component.Location
	Name     string
	From, To string
	// All says that To heals every finding of the package.
	All bool
}

// String is the edit in one line.
func (p proposal) String() string {
	text := fmt.Sprintf("%s %s -> %s", p.Name, p.From, p.To)
	if p.Location.Line > 0 {
		text = fmt.Sprintf("%s:%d: %s==%s -> %s==%s", clean(p.Location.Path), p.Location.Line, p.Name, clean(p.From), p.Name, p.To)
	}
	if !p.All {
		text += " (heals the most; no one version heals all)"
	}
	return text
}

// proposals finds, for every affected package, the smallest version that heals
// all of its findings.
func proposals(ctx context.Context, findings []finding.Finding, advisories advisory.Source) ([]proposal, error) {
	var list []proposal
	seen := map[string]bool{}
	for _, f := range findings {
		c := f.Component
		if key := c.PURL + string(c.Dependency); seen[key] {
			continue
		} else {
			seen[key] = true
		}
		version, all, err := advisory.Upgrade(ctx, c, advisories)
		if err != nil {
			return nil, err
		}
		if version == "" {
			continue
		}
		for _, location := range c.Locations {
			if c.Dependency != component.Declared {
				location.Line = 0
			}
			list = append(list, proposal{Location: location, Name: c.Name, From: c.Version, To: version, All: all})
			if c.Dependency != component.Declared {
				break
			}
		}
	}
	return list, nil
}
