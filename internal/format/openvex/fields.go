package openvex

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// fields reads the members of one object and keeps the first error.
type fields struct {
	place   string
	members strictjson.Members
	err     error
}

func object(raw json.RawMessage, place string) *fields {
	members, err := strictjson.Object(raw, place, strictjson.Bounds{})
	return &fields{place: place, members: members, err: err}
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// at puts the place before an error about one member.
func (f *fields) at(err error) error {
	if err == nil || f.place == "" {
		return err
	}
	return fmt.Errorf("%s: %w", f.place, err)
}

// only refuses members that the format does not have.
func (f *fields) only(names ...string) {
	var strangers []string
	for name := range f.members {
		if !slices.Contains(names, name) {
			strangers = append(strangers, name)
		}
	}
	if len(strangers) > 0 {
		f.fail(f.at(fmt.Errorf("unknown member %.100q; want one of %s", slices.Min(strangers), strings.Join(names, ", "))))
	}
}

func (f *fields) text(name string) string {
	text, err := f.members.String(name)
	f.fail(f.at(err))
	return text
}

func (f *fields) time(name string) time.Time {
	text := f.text(name)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		f.fail(f.at(fmt.Errorf("%s %.100q: want a date and time like 2025-01-02T03:04:05Z", name, text)))
	}
	return at.UTC()
}

func (f *fields) list(name string) []json.RawMessage {
	list, err := f.members.List(name, limit.VEXStatements)
	f.fail(f.at(err))
	return list
}

func (f *fields) object(name string) *fields {
	if f.err != nil || !f.members.Has(name) {
		return nil
	}
	members, err := f.members.Object(name)
	f.fail(f.at(err))
	place := name
	if f.place != "" {
		place = f.place + "." + name
	}
	return &fields{place: place, members: members}
}

func word(raw json.RawMessage, place string) (string, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil || strictjson.Kind(raw) != "a string" {
		return "", fmt.Errorf("%s: want strings, found %s", place, strictjson.Kind(raw))
	}
	return text, nil
}
