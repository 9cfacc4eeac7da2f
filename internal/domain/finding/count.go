package finding

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Tested is how many of the inventory's components advisories were asked about.
func (r Report) Tested() int {
	tested := 0
	for _, c := range r.Inventory.Components {
		if !slices.Contains(r.Untested, c.Ecosystem) {
			tested++
		}
	}
	return tested
}

// String is what is over, in words: "CVE-2024-1 of torch, ended on 2026-01-02".
func (e Expired) String() string {
	return strings.TrimSuffix(e.ID+" "+e.Scope, " ") + ", ended on " + e.Ended.UTC().Format(time.DateOnly)
}

// Consequence says what an ignore that is over means for the scan, and what to
// do.
func (e Expired) Consequence() string {
	what := "it would take out nothing any more: remove it"
	switch {
	case e.Findings == 1:
		what = "a finding that it took out counts again: decide anew, and heal it or give the ignore a new date"
	case e.Findings > 1:
		what = fmt.Sprintf("%d findings that it took out count again: decide anew, and heal them or give the ignore a new date", e.Findings)
	}
	said := e.Reason
	if e.Owner != "" {
		said = strings.TrimPrefix(said+", by "+e.Owner, ", ")
	}
	if said != "" {
		what += " (its reason was: " + said + ")"
	}
	return what
}
