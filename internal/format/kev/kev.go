// Package kev reads CISA's catalogue of known exploited vulnerabilities
// (https://www.cisa.gov/known-exploited-vulnerabilities-catalog), as JSON.
//
// Entry point is [Decode]. A catalogue whose count does not fit, or with an
// entry that cannot be read, is an error: what is missing from it would look
// unexploited. The package fetches nothing.
package kev

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Catalogue is one edition.
type Catalogue struct {
	// Version is CISA's ("2025.08.25"), Released its time, UTC.
	Version  string
	Released time.Time
	// Entries are in the catalogue's order; their ids are unique.
	Entries []Entry
}

// Entry is one vulnerability.
type Entry struct {
	// ID is a CVE.
	ID string
	finding.Exploited
}

// document is the catalogue's own spelling
// (known_exploited_vulnerabilities_schema.json).
type document struct {
	CatalogVersion  string    `json:"catalogVersion"`
	DateReleased    time.Time `json:"dateReleased"`
	Count           *int      `json:"count"`
	Vulnerabilities []struct {
		ID         string `json:"cveID"`
		Added      string `json:"dateAdded"`
		Due        string `json:"dueDate"`
		Ransomware string `json:"knownRansomwareCampaignUse"`
	} `json:"vulnerabilities"`
}

// Recognise says whether JSON looks like a catalogue and not like an advisory.
func Recognise(content []byte) bool {
	var keys map[string]json.RawMessage
	if json.Unmarshal(content, &keys) != nil {
		return false
	}
	return keys["catalogVersion"] != nil && keys["vulnerabilities"] != nil && keys["id"] == nil
}

// Decode reads a catalogue. Errors start with where.
func Decode(r io.Reader, where string) (Catalogue, error) {
	content, err := limit.ReadAll(r, where, limit.Feed)
	if err != nil {
		return Catalogue{}, err
	}
	var d document
	if err := json.Unmarshal(content, &d); err != nil {
		return Catalogue{}, fmt.Errorf("%s: %w", where, err)
	}
	switch {
	case d.DateReleased.IsZero() || d.Count == nil || len(d.Vulnerabilities) == 0:
		return Catalogue{}, fmt.Errorf("%s: no KEV catalogue: want dateReleased, count and vulnerabilities", where)
	case *d.Count != len(d.Vulnerabilities):
		return Catalogue{}, fmt.Errorf("%s: count is %d, and there are %d vulnerabilities", where, *d.Count, len(d.Vulnerabilities))
	case len(d.Vulnerabilities) > limit.FeedEntries:
		return Catalogue{}, &limit.Error{What: where, Bound: limit.FeedEntries, Unit: "entries"}
	}
	catalogue := Catalogue{Version: d.CatalogVersion, Released: d.DateReleased.UTC()}
	seen := make(map[string]bool, len(d.Vulnerabilities))
	for i, v := range d.Vulnerabilities {
		e := Entry{ID: v.ID}
		wrong := func(what string, err error) (Catalogue, error) {
			return Catalogue{}, fmt.Errorf("%s: vulnerabilities[%d]: %s: %w", where, i, what, err)
		}
		if !strings.HasPrefix(v.ID, "CVE-") || len(v.ID) > 64 || strings.ContainsAny(v.ID, " \t\r\n\x00") {
			return wrong("cveID", fmt.Errorf("%.100q is no CVE", v.ID))
		}
		if seen[v.ID] {
			return wrong("cveID", fmt.Errorf("%s is there twice", v.ID))
		}
		seen[v.ID] = true
		if e.Added, err = day(v.Added); err != nil {
			return wrong("dateAdded", err)
		}
		if v.Due != "" {
			if e.Due, err = day(v.Due); err != nil {
				return wrong("dueDate", err)
			}
		}
		switch v.Ransomware {
		case "Known":
			e.Ransomware = true
		case "Unknown", "":
		default:
			return wrong("knownRansomwareCampaignUse", fmt.Errorf("%.100q: want Known or Unknown", v.Ransomware))
		}
		catalogue.Entries = append(catalogue.Entries, e)
	}
	return catalogue, nil
}

func day(text string) (time.Time, error) { return time.Parse(time.DateOnly, text) }
