package sbom

import (
	"slices"

	"github.com/seed-161fc314/assay/internal/domain/component"
)

// Graph gives an inventory's dependency edges, by position in its components:
// what each one needs, and what the target itself stands on, which is all that
// nothing else needs (and, of components that only need each other, the first).
//
// Of several components with one package URL, an edge leads to the first that
// is known in the same way as the one that needs it, else to the first. A URL
// that no component has gives no edge.
func Graph(components []component.Component) (needs [][]int, roots []int) {
	byURL := map[string][]int{}
	for i, c := range components {
		if c.PURL != "" {
			byURL[c.PURL] = append(byURL[c.PURL], i)
		}
	}
	needs = make([][]int, len(components))
	needed := make([]bool, len(components))
	for i, c := range components {
		for _, url := range c.DependsOn {
			targets := byURL[url]
			if len(targets) == 0 {
				continue
			}
			to := targets[0]
			if same := slices.IndexFunc(targets, func(t int) bool { return components[t].Dependency == c.Dependency }); same >= 0 {
				to = targets[same]
			}
			if to != i && !slices.Contains(needs[i], to) {
				needs[i] = append(needs[i], to)
				needed[to] = true
			}
		}
	}
	reached := make([]bool, len(components))
	reach := func(from int) {
		roots = append(roots, from)
		for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
			if reached[queue[0]] {
				continue
			}
			reached[queue[0]] = true
			queue = append(queue, needs[queue[0]]...)
		}
	}
	for i := range components {
		if !needed[i] {
			reach(i)
		}
	}
	for i := range components {
		if !reached[i] {
			reach(i)
		}
	}
	slices.Sort(roots)
	return needs, roots
}
