package verdict_test

import (
	"slices"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
)

func TestToDo(t *testing.T) {
	one, two := verdict.Evidence{Digest: subject.Of([]byte("1"))}, verdict.Evidence{Digest: subject.Of([]byte("2"))}
	turned := verdict.Evidence{Digest: subject.Of([]byte("3")), Rejected: "bad signature"}
	checks := []verdict.Check{
		{Rule: "plain", Evidence: []verdict.Evidence{one}},
		{Rule: "healed", Remedy: "upgrade", Platform: "linux/amd64", Evidence: []verdict.Evidence{one}},
		{Rule: "broken", Outcome: verdict.Broken, Evidence: []verdict.Evidence{one}},
		{Rule: "missing", Remedy: "sign", Evidence: []verdict.Evidence{turned}},
		{Rule: "healed", Remedy: "upgrade", Platform: "linux/arm64", Evidence: []verdict.Evidence{two, one}},
		{Rule: "healed", Remedy: "upgrade something else", Platform: "linux/arm64", Evidence: []verdict.Evidence{two}},
	}
	before := slices.Clone(checks)
	got := verdict.ToDo(checks)
	var names []string
	for _, c := range got {
		names = append(names, c.Rule+" "+c.Platform)
	}
	want := []string{"missing ", "broken ", "healed linux/amd64, linux/arm64", "healed linux/arm64", "plain "}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if e := got[2].Evidence; !slices.Equal(e, []verdict.Evidence{one, two}) {
		t.Errorf("evidence of both platforms: %v", e)
	}
	for i := range checks {
		if checks[i].Rule != before[i].Rule || len(checks[i].Evidence) != len(before[i].Evidence) || checks[i].Platform != before[i].Platform {
			t.Errorf("check %d was changed", i)
		}
	}
}
