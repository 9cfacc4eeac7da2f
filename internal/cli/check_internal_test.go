package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
)

var verdictSchema = filepath.Join("..", "..", "docs", "schema", "verdict.schema.json")

// TestVerdictSchema: the published schema has exactly the fields that are
// printed, accepts what is printed, and refuses what is not.
func TestVerdictSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(verdictSchema)
	if err != nil {
		t.Fatal(err)
	}
	validate := func(text []byte) error {
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(instance)
	}
	digest := subject.Of([]byte("x"))
	whole := answered{Places: []string{"p"}, Verdict: verdict.Verdict{Reference: "r", Subject: digest, Pinned: "r@d", Decision: verdict.Warn, Reason: "why", Policies: []string{"p"},
		Time: time.Unix(1, 0).UTC(), Checks: []verdict.Check{{Policy: "p", Rule: "r", Name: "n", Platform: "linux/amd64", Outcome: verdict.Broken, Action: verdict.AuditOnly, Exception: "e", Message: "m",
			Expected: "x", Found: "f", Items: []string{"i"}, Remedy: "r",
			Evidence: []verdict.Evidence{{Digest: digest, Type: "t", Source: "s", Signer: "s", KeyID: "k", Identity: "i", Time: time.Unix(1, 0).UTC(), Rejected: "r"}}}}}}
	fault := answered{Places: []string{"p"}, Verdict: verdict.Verdict{Reference: "r", Decision: verdict.Fault, Reason: "away", Policies: []string{}, Checks: []verdict.Check{}, Time: time.Unix(1, 0).UTC()}}
	text, err := json.Marshal([]answered{whole, fault})
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(text); err != nil {
		t.Error(err)
	}
	for _, change := range [][2]string{{`"decision":"warn"`, `"decision":"admit"`}, {`"outcome":"broken"`, `"outcome":"odd"`}, {`"rule":"r"`, `"rules":"r"`}, {digest.String(), "sha256:0"}} {
		if changed := strings.ReplaceAll(string(text), change[0], change[1]); changed == string(text) || validate([]byte(changed)) == nil {
			t.Errorf("%s is accepted", change[1])
		}
	}

	content, err := os.ReadFile(verdictSchema)
	if err != nil {
		t.Fatal(err)
	}
	var written struct {
		Defs map[string]struct {
			Properties map[string]any
		} `json:"$defs"`
	}
	if err := json.Unmarshal(content, &written); err != nil {
		t.Fatal(err)
	}
	for name, types := range map[string][]reflect.Type{
		"verdict":  {reflect.TypeFor[verdict.Verdict](), reflect.TypeFor[answered]()},
		"check":    {reflect.TypeFor[verdict.Check]()},
		"evidence": {reflect.TypeFor[verdict.Evidence]()},
	} {
		var fields, properties []string
		for _, of := range types {
			for i := range of.NumField() {
				if field, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ","); field != "" {
					fields = append(fields, field)
				}
			}
		}
		for property := range written.Defs[name].Properties {
			properties = append(properties, property)
		}
		slices.Sort(fields)
		slices.Sort(properties)
		if !slices.Equal(fields, properties) {
			t.Errorf("%s: the schema has %q, what is printed has %q", name, properties, fields)
		}
	}
}
