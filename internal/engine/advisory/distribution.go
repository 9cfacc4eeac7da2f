package advisory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/format/distver"
	"github.com/seed-161fc314/assay/internal/format/osv"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

func distributionOrder(base string) func(a, b string) (int, bool) {
	switch component.Manager(base) {
	case "dpkg":
		return distver.Debian
	case "apk":
		return distver.APK
	case "rpm":
		return func(a, b string) (int, bool) { return distver.RPM(a, b), true }
	}
	return nil
}

// Published says whether OSV publishes advisories of an ecosystem. Those of one
// that it does not cannot be imported: its packages are untested, which is no
// fault of the database.
func Published(ecosystem string) bool {
	return ecosystem == pydist.Ecosystem || component.Manager(ecosystem) != ""
}

// question is a name under which advisories may speak of a component, and the
// version that they then speak of.
type question struct{ name, version string }

// questions are the names to ask for. Debian's, Ubuntu's and Alpine's advisories
// are about source packages. Those of rpm's distributions and of apk's others
// are about sources in one and about binary packages in another, and both are
// asked for.
func questions(c component.Component) []question {
	own := question{c.Name, c.Version}
	if c.SourceName == "" {
		return []question{own}
	}
	source := question{c.SourceName, cmp.Or(c.SourceVersion, c.Version)}
	base, _, _ := strings.Cut(c.Ecosystem, ":")
	if kind := component.Manager(base); kind == "" || kind == "dpkg" || base == "Alpine" || own == source {
		return []question{source}
	}
	return []question{own, source}
}

// streams are the ecosystems that together hold the advisories of a release,
// the one that must be there first. Red Hat's and SUSE's are about products and
// their modules, which an image does not tell apart.
func streams(ecosystem string) []string {
	base, release, _ := strings.Cut(ecosystem, ":")
	switch {
	case base == "Red Hat":
		return redHat(release)
	case base == "SUSE" && strings.HasPrefix(release, "Linux Enterprise "):
		return suse(release)
	}
	return []string{ecosystem}
}

func redHat(release string) []string {
	version, found := strings.CutPrefix(release, "enterprise_linux:")
	major, minor, pointed := strings.Cut(version, ".")
	switch {
	case !found || strings.Contains(version, ":"):
		return []string{"Red Hat:" + release}
	case pointed: // fixes of the minor releases up to this one
		last, err := strconv.Atoi(minor)
		if err != nil || last < 0 || last > 20 {
			return []string{"Red Hat:" + release}
		}
		var list []string
		for ; last >= 0; last-- {
			list = append(list, fmt.Sprintf("Red Hat:enterprise_linux:%s.%d", major, last))
		}
		return list
	}
	parts := []string{"baseos", "appstream", "crb", "highavailability", "nfv", "realtime", "resilientstorage", "sap", "sap_hana", "supplementary"}
	if major == "6" || major == "7" {
		parts = []string{"server", "client", "computenode", "workstation"}
	}
	list := make([]string, len(parts))
	for i, part := range parts {
		list[i] = "Red Hat:enterprise_linux:" + version + "::" + part
	}
	return list
}

// suse knows a release by the number and service pack at the end of a product's
// name ("15 SP5").
func suse(release string) []string {
	words := strings.Fields(release)
	at := slices.IndexFunc(words, func(word string) bool { return word[0] >= '0' && word[0] <= '9' })
	if at < 0 {
		return []string{"SUSE:" + release}
	}
	version := strings.Join(words[at:], " ")
	list := []string{"SUSE:" + release}
	for _, module := range []string{"Basesystem", "Server Applications", "Development Tools", "Desktop Applications", "Containers", "Python 3", "Web and Scripting", "Legacy", "Public Cloud", "Certifications"} {
		list = append(list, "SUSE:Linux Enterprise Module for "+module+" "+version)
	}
	return append(list, "SUSE:Linux Enterprise Server "+version+"-LTSS", "SUSE:Package Hub "+version)
}

// Covers says whether a source has the advisories of an ecosystem, in whatever
// parts OSV publishes them.
func Covers(source Source, ecosystem string) bool {
	return slices.ContainsFunc(streams(ecosystem), source.Covers)
}

// part is what one part of an ecosystem says of a package.
type part struct {
	stream  string
	records []osv.Record
}

// lookup asks in all parts of an ecosystem that are there, briefly where the
// source can. What was withdrawn is left out.
func lookup(ctx context.Context, source Source, ecosystem, name string) ([]part, error) {
	ask := source.Lookup
	if describer, ok := source.(Describer); ok {
		ask = describer.Brief
	}
	var parts []part
	for _, stream := range streams(ecosystem) {
		if !source.Covers(stream) {
			continue
		}
		records, err := ask(ctx, stream, name)
		if err != nil {
			return nil, fmt.Errorf("looking up %s %s: %w", stream, name, err)
		}
		records = slices.DeleteFunc(records, func(r osv.Record) bool { return !r.Withdrawn.IsZero() })
		parts = append(parts, part{stream, records})
	}
	return parts, nil
}

// spokenOf are the vulnerabilities that a distribution's advisories know of a
// package, whether it is affected or mended.
func spokenOf(ctx context.Context, c component.Component, source Source) (map[string]bool, error) {
	spoken := map[string]bool{}
	for _, q := range questions(c) {
		_, all, err := affecting(ctx, c.Ecosystem, q, source)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			for _, id := range slices.Concat([]string{r.ID}, r.Aliases, r.Upstream) {
				spoken[id] = true
			}
		}
	}
	return spoken, nil
}
