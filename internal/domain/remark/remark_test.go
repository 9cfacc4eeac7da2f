package remark_test

import (
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/remark"
)

func TestLevels(t *testing.T) {
	for _, l := range []remark.Level{remark.Note, remark.Warning, remark.Error} {
		if got, ok := remark.LevelOf(l.String()); !ok || got != l {
			t.Errorf("%v reads as %v, %v", l, got, ok)
		}
	}
	if _, ok := remark.LevelOf("fatal"); ok {
		t.Error("fatal is no level")
	}
	if remark.Level(9).String() == "" {
		t.Error("an unknown level has no spelling")
	}
}

func TestSort(t *testing.T) {
	list := []remark.Remark{
		{File: "b", Line: 1}, {File: "a", Line: 2, Level: remark.Note, Rule: "x"}, {File: "a", Line: 2, Level: remark.Error, Rule: "y"}, {File: "a", Line: 1, Column: 2}, {File: "a", Line: 1, Column: 1},
	}
	remark.Sort(list)
	if list[0].Column != 1 || list[1].Column != 2 || list[2].Rule != "y" || list[3].Rule != "x" || list[4].File != "b" {
		t.Errorf("sorted as %+v", list)
	}
}
