package advisory

import (
	"context"

	"github.com/seed-161fc314/assay/internal/domain/finding"
)

// Upgrades gives Upgrade for every component of some findings, each once, in
// the order of the findings. What no version makes better is left out.
func Upgrades(ctx context.Context, findings []finding.Finding, source Source) ([]finding.Upgrade, error) {
	var list []finding.Upgrade
	type key struct{ purl, dependency, path string }
	seen := map[key]bool{}
	for _, f := range findings {
		c := f.Component
		k := key{purl: c.PURL, dependency: string(c.Dependency)}
		if len(c.Locations) > 0 {
			k.path = c.Locations[0].Path
		}
		if seen[k] {
			continue
		}
		seen[k] = true
		version, all, err := Upgrade(ctx, c, source)
		if err != nil {
			return nil, err
		}
		if version != "" {
			list = append(list, finding.Upgrade{Component: c, To: version, All: all})
		}
	}
	return list, nil
}
