package actions_test

import (
	"bytes"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/format/actions"
)

func TestMark(t *testing.T) {
	remarks := []remark.Remark{
		{Rule: "kind-removed", Level: remark.Note, File: "p.yaml", Line: 2, Message: "to know"},
		{Rule: "opt-in", Level: remark.Error, File: "p,q.yaml", Line: 7, Message: "100% wrong\n::error::injected", Fix: "do better"},
	}
	var b bytes.Buffer
	if err := actions.Mark(&b, remarks); err != nil {
		t.Fatal(err)
	}
	want := "::error file=p%2Cq.yaml,line=7,title=opt-in::100%25 wrong\\u000a::error::injected%0AFix: do better\n::notice file=p.yaml,line=2,title=kind-removed::to know\n"
	if b.String() != want {
		t.Errorf("found\n%s, want\n%s", b.String(), want)
	}
	if err := actions.Mark(full{}, remarks); err == nil {
		t.Error("a writer that fails is no error")
	}
}
