package kyverno_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
)

// oneCondition is one all with one condition.
func oneCondition(key, operator string, value any) json.RawMessage {
	encoded, err := json.Marshal([]any{map[string]any{"all": []any{map[string]any{"key": key, "operator": operator, "value": value}}}})
	if err != nil {
		panic(err)
	}
	return encoded
}

func TestReads(t *testing.T) {
	for _, test := range []struct {
		key  string
		want []string
	}{
		{"{{ builder.id }}", []string{"builder.id"}},
		{"{{ predicate.vulnerabilities_summary.critical }}", []string{"predicate.vulnerabilities_summary.critical"}},
		{"{{ materials[0].uri }}", []string{"materials[].uri"}},
		{"{{ components[].licenses[].license.id }}", []string{"components[].licenses[].license.id"}},
		{"{{ components[?type=='operating-system'] | [?name=='ubuntu' && version=='22.04'] | length(@) }}", []string{"components[].type=operating-system", "components[].name=ubuntu", "components[].version=22.04"}},
		{"{{ scanner.result.Results[].Vulnerabilities[?Severity=='Critical'][] | length(@) }}", []string{"scanner.result.Results[].Vulnerabilities[].Severity=Critical"}},
		{"{{ scanner.result.Results[].Vulnerabilities[].CVSS.redhat.V3Score | max(@) }}", []string{"scanner.result.Results[].Vulnerabilities[].CVSS.redhat.V3Score"}},
		{"{{ time_since('', '{{ metadata.scanFinishedOn }}', '') }}", []string{"metadata.scanFinishedOn"}},
		{"{{ sort_by(materials, &uri)[0].digest.sha1 }}", []string{"materials[].uri", "materials[].digest.sha1"}},
		{"{{ map(&name, packages) }}", []string{"packages[].name"}},
		{"{{ request.namespace }}-{{ builder.id }}", []string{"builder.id"}},
		{"{{ allowed.data.teams }}", nil},
		{"{{ nothing || builder.id }}", []string{"nothing?", "builder.id"}},
		{"{{ invocation.parameters.* | length(@) }}", []string{"invocation.parameters"}},
		{"{{ not closed", nil},
	} {
		looked := kyverno.Reads(oneCondition(test.key, "Equals", "x"), []string{"allowed"})
		if len(looked) != 1 {
			t.Errorf("%s: %d conditions", test.key, len(looked))
			continue
		}
		var got []string
		for _, read := range looked[0].Reads {
			text := read.Path.String()
			if len(read.Compared) > 0 && read.Compared[0] != "x" {
				text += "=" + strings.Join(read.Compared, ",")
			}
			if read.Optional && strings.HasPrefix(text, "nothing") {
				text += "?"
			}
			got = append(got, text)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s reads %q, want %q", test.key, got, test.want)
		}
	}
}

func TestReadsComparedValues(t *testing.T) {
	looked := kyverno.Reads(oneCondition("{{ result }}", "AnyIn", []string{"PASSED", "OK"}), nil)
	if len(looked) != 1 || len(looked[0].Reads) != 1 || !slices.Equal(looked[0].Reads[0].Compared, []string{"PASSED", "OK"}) {
		t.Errorf("found %+v", looked)
	}
	// Greater than is no equality, and a wildcard means more than itself.
	for _, c := range []json.RawMessage{oneCondition("{{ result }}", "GreaterThan", "PASSED"), oneCondition("{{ result }}", "Equals", "PASS*")} {
		if looked := kyverno.Reads(c, nil); len(looked[0].Reads[0].Compared) > 0 {
			t.Errorf("%s is compared with %q", c, looked[0].Reads[0].Compared)
		}
	}
}

func TestConstantConditions(t *testing.T) {
	for _, test := range []struct {
		key             string
		value           any
		constant, holds bool
	}{
		{"a", "a", true, true},
		{"a", "b", true, false},
		{"{{ builder.id }}", "a", false, false},
		{"a", "{{ builder.id }}", false, false},
	} {
		l := kyverno.Reads(oneCondition(test.key, "Equals", test.value), nil)[0]
		if l.Constant != test.constant || l.Holds != test.holds {
			t.Errorf("%s Equals %v: %+v", test.key, test.value, l)
		}
	}
	if l := kyverno.Reads(oneCondition("{{ time_since('', '{{ metadata.scanFinishedOn }}', '') }}", "LessThan", "24h"), nil)[0]; !l.Dated {
		t.Error("an age is asked for")
	}
	if l := kyverno.Reads(oneCondition("{{ metadata.scanFinishedOn }}", "Equals", "24h"), nil)[0]; l.Dated {
		t.Error("no age is asked for")
	}
}
