package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
	"github.com/seed-161fc314/assay/predicate"
)

// StatementError says that what was given as a predicate is a whole in-toto
// statement. Nested in another one, no policy would find its fields.
type StatementError struct {
	// Found is the predicate type inside; "" where there is none.
	Found string
}

// Error says what to pass instead.
func (e *StatementError) Error() string {
	kind, typeFlag := "an in-toto statement", "its type"
	if e.Found != "" {
		kind = fmt.Sprintf("an in-toto statement of type %.200q", e.Found)
		typeFlag = fmt.Sprintf("--type %.200s", e.Found)
	}
	return "the predicate is itself " + kind + `, subject and all; --predicate wants only the value of its "predicate" ` +
		"(jq .predicate FILE), with " + typeFlag
}

// prepare gives the type URI and the JSON object that are signed for what was
// ordered.
func prepare(p Predicate, now time.Time) (string, json.RawMessage, error) {
	if len(p.Content) > limit.Evidence {
		return "", nil, &limit.Error{What: "predicate", Bound: limit.Evidence, Unit: "bytes"}
	}
	uri, known := predicate.TypeOf(p.Type)
	switch {
	case uri == predicate.TypeCosignSign:
		return "", nil, fmt.Errorf("%s is the type of image signatures; sign the image instead", uri)
	case !known, !utf8.ValidString(uri), strings.ContainsFunc(uri, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return "", nil, fmt.Errorf("predicate type %.200q is neither a URI nor a short name such as vuln, cyclonedx, spdxjson or custom", p.Type)
	}
	members, err := strictjson.Object(p.Content, "predicate", strictjson.Bounds{})
	if err == nil {
		if err := whole(members); err != nil {
			return "", nil, err
		}
	}
	if uri == predicate.TypeCosignCustom {
		return wrap(p.Content, now)
	}
	if err != nil {
		return "", nil, err
	}
	return uri, p.Content, nil
}

// whole finds out whether an object is a statement.
func whole(members strictjson.Members) error {
	kind, _ := members.String("_type")
	if !strings.HasPrefix(kind, "https://in-toto.io/Statement/") && !(members.Has("subject") && members.Has("predicateType")) {
		return nil
	}
	found, _ := members.String("predicateType")
	return &StatementError{Found: found}
}

// wrap makes a predicate of any text, in the words of cosign's
// specs/COSIGN_PREDICATE_SPEC.md.
func wrap(content []byte, now time.Time) (string, json.RawMessage, error) {
	if !utf8.Valid(content) {
		return "", nil, errors.New("a custom predicate must be text in UTF-8")
	}
	wrapped, err := json.Marshal(struct {
		Data      string
		Timestamp string
	}{string(content), now.UTC().Format(time.RFC3339)})
	if err != nil {
		return "", nil, fmt.Errorf("wrapping custom predicate: %w", err)
	}
	return predicate.TypeCosignCustom, wrapped, nil
}
