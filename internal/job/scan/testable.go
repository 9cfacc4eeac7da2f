package scan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/format/conda"
	"github.com/seed-161fc314/assay/internal/format/explain"
)

// testable gives the inventory without the components that no advisories can be
// had of: those of an ecosystem of which OSV publishes none, and with the sample
// all that it does not know. Each such ecosystem is one of the report's Untested
// and one unresolved record. What OSV does publish and is not there stays, so
// that matching fails on it.
func (s *Scanner) testable(report *finding.Report) component.Inventory {
	inventory := report.Inventory
	sample := s.config.Advisories.Info().Sample
	unresolved := slices.Clone(inventory.Unresolved)
	tested := inventory
	tested.Components = nil
	apart := map[string][]component.Component{}
	var order []string
	for _, c := range inventory.Components {
		if advisory.Covers(s.config.Advisories, c.Ecosystem) || advisory.Published(c.Ecosystem) && !sample {
			tested.Components = append(tested.Components, c)
			continue
		}
		if apart[c.Ecosystem] == nil {
			order = append(order, c.Ecosystem)
		}
		apart[c.Ecosystem] = append(apart[c.Ecosystem], c)
	}
	for _, ecosystem := range order {
		list := apart[ecosystem]
		unresolved = append(unresolved, component.Unresolved{Text: explain.Count(len(list), "package", "packages") + " of " + ecosystem,
			Reason: whyUntested(ecosystem, inventory.OperatingSystem) + " (" + some(list) + ")", Location: list[0].Locations[0]})
	}
	report.Inventory.Unresolved, report.Untested = unresolved, slices.Sorted(slices.Values(order))
	return tested
}

// some names the first few of the packages.
func some(list []component.Component) string {
	const most = 3
	var names []string
	for _, c := range list[:min(len(list), most)] {
		names = append(names, c.Name)
	}
	text := strings.Join(names, ", ")
	if more := len(list) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// ecosystems are those of an inventory, each once.
func ecosystems(inventory component.Inventory) []string {
	var list []string
	for _, c := range inventory.Components {
		if !slices.Contains(list, c.Ecosystem) {
			list = append(list, c.Ecosystem)
		}
	}
	return list
}

func whyUntested(ecosystem string, os *component.OperatingSystem) string {
	switch {
	case ecosystem == conda.Ecosystem:
		return conda.Untested
	case advisory.Published(ecosystem):
		return "the built-in sample of advisories knows nothing about them"
	case os != nil && os.ID == ecosystem && os.PrettyName != "":
		return "OSV has no advisories of " + os.PrettyName
	case ecosystem == "unknown":
		return "nothing in the image says of which distribution they are"
	}
	return "OSV has no advisories of " + ecosystem
}
