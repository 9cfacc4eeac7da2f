package gate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// inspector looks at the configuration of images, or says that it does not.
type inspector struct {
	*fixed
	looks bool
}

func (p inspector) Inspects() bool { return p.looks }

// TestInspect: the configuration of what runs is read for policies that look at
// it, of each manifest once, and of no index; without it there is no verdict.
func TestInspect(t *testing.T) {
	amd, arm := subject.Of([]byte("amd")), subject.Of([]byte("arm"))
	index := image(oci.Platform{Name: "linux/amd64", Digest: amd}, oci.Platform{Name: "linux/arm64", Digest: arm})
	configs := func(r *registry) []string {
		var list []string
		for _, call := range r.calls {
			if strings.HasPrefix(call, "config ") {
				list = append(list, call[strings.Index(call, "@")+1:])
			}
		}
		slices.Sort(list)
		return list
	}
	for name, c := range map[string]struct {
		resolved oci.Resolved
		looks    bool
		want     []string
	}{
		"nobody looks": {image(), false, nil},
		"one image":    {image(), true, []string{digest.Short()}},
		"an index":     {index, true, []string{amd.Short(), arm.Short()}},
	} {
		r, p := &registry{resolved: c.resolved}, inspector{ended(verdict.Passed), c.looks}
		if v := decide(t, newGate(t, r, p), reference); v.Decision != verdict.Allow {
			t.Errorf("%s: %s", name, v.Decision)
		}
		slices.Sort(c.want)
		if got := configs(r); !slices.Equal(got, c.want) {
			t.Errorf("%s: read %q, want %q", name, got, c.want)
		}
		for _, scope := range p.asked[0].Scopes {
			if (scope.Config != nil) != c.looks || c.looks && scope.Config.Architecture != scope.Subjects[0].Short() {
				t.Errorf("%s: %s has %+v", name, scope.Platform, scope.Config)
			}
		}
	}
	r := &registry{resolved: image(), configErr: errors.New("the registry answered 500")}
	v, err := newGate(t, r, inspector{ended(verdict.Passed), true}).Decide(t.Context(), gate.Question{Reference: reference})
	faulted(t, v, err, "reading the configuration of the image: the registry answered 500")

	// Together, it is read for the question that needs it.
	m := &moving{}
	plain, looking := ended(verdict.Passed), inspector{ended(verdict.Passed), true}
	plain.name = "plain"
	newGate(t, m, plain, looking).DecideAll(t.Context(), []gate.Question{{Reference: "registry.example.com/a:v1"}, {Reference: "registry.example.com/a:v1"}})
	if m.inspected.Load() != 1 || looking.asked[0].Scopes[0].Config == nil || looking.asked[0].Scopes[0].Config.User != "1000" {
		t.Errorf("read %d times: %+v", m.inspected.Load(), looking.asked[0].Scopes[0].Config)
	}
}
