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
	if !image.InBase(in(base)) || !image.InBase(in(base, own)) || image.InBase(in(own)) || image.InBase(in(own, base)) {
		t.Error("the first place decides")
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
