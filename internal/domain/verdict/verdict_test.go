package verdict_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/verdict"
)

// What nobody filled in denies.
func TestZeroValuesDeny(t *testing.T) {
	var v verdict.Verdict
	if v.Decision.Admits() || v.Decision != verdict.Deny || v.Decision.String() != "deny" {
		t.Errorf("the zero verdict is %v", v.Decision)
	}
	if failures := (verdict.Verdict{Checks: []verdict.Check{{Name: "x"}}}).Failures(); len(failures) != 1 {
		t.Errorf("a check that nobody filled in is no failure: %v", failures)
	}
}

func TestAdmits(t *testing.T) {
	for decision, want := range map[verdict.Decision]bool{verdict.Deny: false, verdict.Fault: false, verdict.Warn: true, verdict.Allow: true, verdict.Decision(9): false} {
		if got := decision.Admits(); got != want {
			t.Errorf("%v admits is %v, want %v", decision, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	got := []string{}
	for d := verdict.Deny; d <= verdict.Allow+1; d++ {
		text, err := d.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	for o := verdict.Failed; o <= verdict.Skipped+1; o++ {
		text, err := o.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	if diff := cmp.Diff([]string{"deny", "fault", "warn", "allow", "Decision(4)", "failed", "broken", "passed", "skipped", "Outcome(4)"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestFailures(t *testing.T) {
	v := verdict.Verdict{Checks: []verdict.Check{{Name: "a", Outcome: verdict.Passed}, {Name: "b", Outcome: verdict.Broken}, {Name: "c", Outcome: verdict.Skipped}, {Name: "d", Outcome: verdict.Failed}}}
	var names []string
	for _, check := range v.Failures() {
		names = append(names, check.Name)
	}
	if diff := cmp.Diff([]string{"b", "d"}, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
