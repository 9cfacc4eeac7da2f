package shape_test

import (
	"encoding/json"
	"testing"

	"github.com/seed-161fc314/assay/internal/engine/policy/shape"
)

func TestWithin(t *testing.T) {
	var value any
	if err := json.Unmarshal([]byte(`{"a":{"b":[{"c":1},{"d":null}]},"e":[],"l":[[{"f":1}]]}`), &value); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"a.b": true, "a.b[].c": true, "a.b[].d": true, "a.b[].x": false, "a.b.c": false, "a[]": false, "e[]": false, "e": true,
		"a.b[].c.x": false, "x": false, "a.*": true, "a.*[].c": true, "e.*": false} {
		if got := path(text).Within(value); got != want {
			t.Errorf("%s is there: %v, want %v", text, got, want)
		}
	}
	for _, p := range []shape.Path{path("l[]").With(shape.Merge(), shape.Field("f")), path("a.b[]").With(shape.Merge(), shape.Field("c"))} {
		if !p.Within(value) {
			t.Errorf("%s is not there", p)
		}
	}
}
