package finding_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/subject"
)

func TestUrgency(t *testing.T) {
	make := func(id string, level finding.Level, epss float64, fixed string, exploited bool) finding.Finding {
		f := finding.Finding{ID: id, Severity: finding.Severity{Level: level}, Fixed: fixed}
		if epss > 0 {
			f.Threat.EPSS = &finding.EPSS{Probability: epss}
		}
		if exploited {
			f.Threat.Exploited = &finding.Exploited{}
		}
		return f
	}
	want := []finding.Finding{
		make("exploited", finding.Low, 0, "", true),
		make("critical", finding.Critical, 0, "", false),
		make("likely", finding.High, 0.9, "", false),
		make("less likely", finding.High, 0.1, "1", false),
		make("fixed", finding.High, 0, "1", false),
		make("a", finding.High, 0, "", false),
		make("b", finding.High, 0, "", false),
		make("unrated", finding.Unknown, 0.99, "1", false),
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortStableFunc(got, finding.Urgency)
	for i := range want {
		if got[i].ID != want[i].ID {
			t.Errorf("place %d is %q, want %q", i, got[i].ID, want[i].ID)
		}
	}
}

func TestThreshold(t *testing.T) {
	all := []finding.Level{finding.Unknown, finding.Low, finding.Medium, finding.High, finding.Critical}
	for words, want := range map[string]struct{ reached, text string }{
		"critical,high": {"HIGH CRITICAL", "high or above"},
		"high":          {"HIGH CRITICAL", "high or above"},
		"CRITICAL":      {"CRITICAL", "critical"},
		"low, critical": {"LOW MEDIUM HIGH CRITICAL", "low or above"},
		"moderate":      {"MEDIUM HIGH CRITICAL", "medium or above"},
		"high,unknown":  {"UNKNOWN HIGH CRITICAL", "high or above, or unknown"},
		"unknown":       {"UNKNOWN", "unknown"},
		"none":          {"", "none"},
	} {
		threshold, err := finding.ParseThreshold(strings.Split(words, ","))
		if err != nil {
			t.Errorf("%s: %v", words, err)
			continue
		}
		var reached []string
		for _, level := range all {
			if threshold.Reached(level) {
				reached = append(reached, level.String())
			}
		}
		if got := strings.Join(reached, " "); got != want.reached || threshold.String() != want.text {
			t.Errorf("%s is reached by %q and reads %q; want %q and %q", words, got, threshold, want.reached, want.text)
		}
	}
	for _, words := range []string{"", "none,high", "hgih", "high,"} {
		if threshold, err := finding.ParseThreshold(strings.Split(words, ",")); err == nil {
			t.Errorf("%q reads as %v", words, threshold)
		}
	}
	if _, err := finding.ParseThreshold(nil); err == nil {
		t.Error("no word is a threshold")
	}
	if d := finding.DefaultThreshold(); !d.Reached(finding.High) || d.Reached(finding.Medium) || d.Reached(finding.Unknown) {
		t.Errorf("the default is %v", d)
	}
	if (finding.Threshold{}).Reached(finding.Critical) || (finding.Threshold{}).Reached(finding.Unknown) {
		t.Error("the zero threshold is reached")
	}
}

func TestInBase(t *testing.T) {
	base, own := subject.Of([]byte("base")), subject.Of([]byte("own"))
	in := func(layers ...subject.Digest) component.Component {
		var c component.Component
		for _, layer := range layers {
			c.Locations = append(c.Locations, component.Location{Path: "p", Layer: layer})
		}
		return c
	}
	image := &finding.Image{DiffIDs: []subject.Digest{base, own}, BaseLayers: 1}
	if !image.InBase(in(base)) || image.InBase(in(base, own)) || image.InBase(in(own)) || image.InBase(in(own, base)) {
		t.Error("not every place decides")
	}
	if image.InBase(in()) || image.InBase(in(subject.Digest{})) {
		t.Error("what has no layer is in the base image")
	}
	for _, image := range []*finding.Image{nil, {DiffIDs: []subject.Digest{base}}, {BaseLayers: 3}, {DiffIDs: []subject.Digest{base}, BaseLayers: -1}} {
		if image.InBase(in(base)) {
			t.Errorf("%+v has a base layer", image)
		}
	}
	if odd := (&finding.Image{DiffIDs: []subject.Digest{base}, BaseLayers: 9}); !odd.InBase(in(base)) {
		t.Error("more base layers than layers")
	}
}

func TestBelow(t *testing.T) {
	c := component.Component{Name: "a", Locations: []component.Location{{Path: "requirements.txt", Line: 1}}}
	report := finding.Report{Inventory: component.Inventory{Components: []component.Component{c}, Unresolved: []component.Unresolved{{Location: c.Locations[0]}}, Notes: []component.Note{{Location: c.Locations[0]}}},
		Findings: []finding.Finding{{Component: c}}, Suppressed: []finding.Suppressed{{Finding: finding.Finding{Component: c}}}, Upgrades: []finding.Upgrade{{Component: c}}}
	for root, want := range map[string]string{"": "requirements.txt", "a/b": "a/b/requirements.txt"} {
		moved := report.Below(root)
		for name, l := range map[string]component.Location{"component": moved.Inventory.Components[0].Locations[0], "unresolved": moved.Inventory.Unresolved[0].Location, "note": moved.Inventory.Notes[0].Location,
			"finding": moved.Findings[0].Component.Locations[0], "suppressed": moved.Suppressed[0].Finding.Component.Locations[0], "upgrade": moved.Upgrades[0].Component.Locations[0]} {
			if l.Path != want || name != "unresolved" && name != "note" && l.Line != 1 {
				t.Errorf("below %q the %s is at %+v", root, name, l)
			}
		}
	}
	if c.Locations[0].Path != "requirements.txt" || report.Inventory.Notes[0].Location.Path != "requirements.txt" {
		t.Error("the report was changed")
	}
}
