package sarif_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/remark"
	"github.com/seed-161fc314/assay/internal/format/sarif"
)

func TestEncodeRemarks(t *testing.T) {
	rules := []remark.Rule{{ID: "one", Level: remark.Error, Title: "first", Help: "why"}, {ID: "two", Title: "second", Help: "why"}}
	remarks := []remark.Remark{
		{Rule: "two", Level: remark.Note, File: "a dir/p.yaml", Line: 3, Column: 7, Object: "ClusterPolicy/p", Path: "spec", Message: "wrong [here](https://evil.example)", Fix: "do better"},
		{Rule: "two", Level: remark.Note, File: "a dir/p.yaml", Line: 4, Object: "ClusterPolicy/p", Path: "spec", Message: "again"},
	}
	var b bytes.Buffer
	if err := sarif.EncodeRemarks(&b, rules, remarks, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(b.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	if err := schema(t).Validate(document); err != nil {
		t.Errorf("against the schema: %v", err)
	}
	text := b.String()
	for _, want := range []string{`"uri": "a%20dir/p.yaml"`, `"startColumn": 7`, `"ruleIndex": 1`, `"level": "note"`, "Fix: do better"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "[here](") {
		t.Error("what the file says became a link")
	}
	if strings.Count(text, ":1\"") < 2 || strings.Count(text, ":2\"") < 2 {
		t.Error("two remarks share a fingerprint")
	}
	if err := sarif.EncodeRemarks(broken{}, rules, remarks, "1"); err == nil {
		t.Error("a writer that fails is no error")
	}
}
