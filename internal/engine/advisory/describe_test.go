package advisory_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/component"
	domain "github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

// lazy is a source that describes only what was found, and knows of attacks.
type lazy struct {
	described []string
	asked     [][]string
	fault     error
}

func (*lazy) Covers(string) bool { return true }

func (l *lazy) Lookup(context.Context, string, string) ([]osv.Record, error) {
	return nil, errors.New("Lookup reads everything")
}

func (l *lazy) Brief(_ context.Context, ecosystem, name string) ([]osv.Record, error) {
	return []osv.Record{
		{ID: "GHSA-1", Aliases: []string{"CVE-2024-1"}, Affected: []osv.Affected{{Versions: []string{"1.0"}}}},
		{ID: "GHSA-2", Affected: []osv.Affected{{Versions: []string{"2.0"}}}},
	}, nil
}

func (l *lazy) Describe(_ context.Context, ecosystem, name string, records []osv.Record) error {
	for i := range records {
		l.described = append(l.described, ecosystem+" "+name+" "+records[i].ID)
		records[i].Summary = "about " + records[i].ID
	}
	return l.fault
}

func (l *lazy) Threat(_ context.Context, ids []string) (domain.Threat, error) {
	l.asked = append(l.asked, ids)
	return domain.Threat{EPSS: &domain.EPSS{Probability: 0.5}}, l.fault
}

func TestDescriber(t *testing.T) {
	inventory := component.Inventory{Components: []component.Component{{Name: "x", Version: "1.0", Ecosystem: "PyPI"}}}
	source := &lazy{}
	found, err := advisory.Match(t.Context(), inventory, source)
	if err != nil || len(found) != 1 || found[0].Title != "about GHSA-1" || found[0].Threat.EPSS == nil {
		t.Fatalf("%+v, %v", found, err)
	}
	if !slices.Equal(source.described, []string{"PyPI x GHSA-1"}) {
		t.Errorf("described %v", source.described)
	}
	if len(source.asked) != 1 || !slices.Equal(source.asked[0], []string{"CVE-2024-1", "GHSA-1"}) {
		t.Errorf("asked for attacks on %v", source.asked)
	}
	source.fault = errors.New("the index is damaged")
	if found, err := advisory.Match(t.Context(), inventory, source); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%+v, %v", found, err)
	}
	inventory.Components[0].Version = "3.0" // nothing affects it
	if found, err := advisory.Match(t.Context(), inventory, source); err != nil || len(found) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

// attacked is a source that only lacks the attacks.
type attacked struct{ *lazy }

func (attacked) Describe(context.Context, string, string, []osv.Record) error { return nil }

func TestThreatFault(t *testing.T) {
	inventory := component.Inventory{Components: []component.Component{{Name: "x", Version: "1.0", Ecosystem: "PyPI"}}}
	source := attacked{&lazy{fault: errors.New("kev.assayfeed is damaged")}}
	if found, err := advisory.Match(t.Context(), inventory, source); err == nil || !strings.Contains(err.Error(), "attacks on CVE-2024-1: kev.assayfeed is damaged") {
		t.Errorf("%+v, %v", found, err)
	}
}
