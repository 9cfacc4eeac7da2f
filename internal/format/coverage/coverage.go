// Package coverage reads how much of a program its tests ran.
//
// Entry point is [Read], which tells two formats apart by their first
// character: Cobertura's XML (coverage-04.dtd; coverage.py's `coverage xml`)
// and coverage.py's own JSON (`coverage json`). Only the totals are read, and
// they are held against each other.
//
// The package judges nothing: a threshold is a policy's matter.
package coverage

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Report is the total over all files.
type Report struct {
	// Percent is how much was covered, 0 to 100, never rounded up: lines in
	// Cobertura, lines and branches where coverage.py measured both.
	Percent float64
	// Covered of Valid lines ran. Both are 0 in a Cobertura file that states
	// a rate alone.
	Covered, Valid int
}

// slack is how far, in percentage points, a stated rate may lie from
// lines-covered of lines-valid before a file contradicts itself; tools round
// rates to two digits or more.
const slack = 1.0

// Read reads one report of at most limit.TestReport bytes. where names the
// file in errors. Another format, totals that are missing, not a number or out
// of range, and totals that contradict each other are errors. So is a report of
// no lines at all: nothing was measured.
func Read(r io.Reader, where string) (Report, error) {
	content, err := limit.ReadAll(r, where, limit.TestReport)
	if err != nil {
		return Report{}, err
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")), " \t\r\n")
	var report Report
	switch {
	case bytes.HasPrefix(text, []byte("<")):
		report, err = cobertura(text)
	case bytes.HasPrefix(text, []byte("{")):
		report, err = coveragePy(text)
	default:
		err = errors.New("want Cobertura XML or the JSON of coverage.py")
	}
	if err != nil {
		return Report{}, fmt.Errorf("%s: reading a coverage report: %w", where, err)
	}
	return report, nil
}

func cobertura(text []byte) (Report, error) {
	attributes, err := root(text)
	if err != nil {
		return Report{}, err
	}
	var rate float64
	rateText, rated := attributes["line-rate"]
	if rated {
		rate, err = strconv.ParseFloat(rateText, 64)
		if err != nil || !(rate >= 0 && rate <= 1) {
			return Report{}, fmt.Errorf("line-rate is %q; want 0 to 1", rateText)
		}
	}
	validText, counted := attributes["lines-valid"]
	switch {
	case !counted && !rated:
		return Report{}, errors.New("<coverage> has neither line-rate nor lines-valid")
	case !counted:
		return Report{Percent: rate * 100}, nil
	}
	var report Report
	if report.Valid, err = count("lines-valid", validText); err != nil {
		return Report{}, err
	}
	if report.Covered, err = count("lines-covered", attributes["lines-covered"]); err != nil {
		return Report{}, err
	}
	if err := report.check(); err != nil {
		return Report{}, err
	}
	report.Percent = 100 * float64(report.Covered) / float64(report.Valid)
	if rated && math.Abs(report.Percent-rate*100) > slack {
		return Report{}, fmt.Errorf("line-rate is %s, and %d of %d lines are covered", rateText, report.Covered, report.Valid)
	}
	return report, nil
}

// root is the attributes of the root element. The whole file is read, so that
// one that was cut is an error.
func root(text []byte) (map[string]string, error) {
	decoder := xml.NewDecoder(bytes.NewReader(text))
	var attributes map[string]string
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		start, ok := token.(xml.StartElement)
		if !ok || attributes != nil {
			continue
		}
		if start.Name.Local != "coverage" {
			return nil, fmt.Errorf("the root is <%s>; want Cobertura's <coverage>", start.Name.Local)
		}
		attributes = map[string]string{}
		for _, a := range start.Attr {
			attributes[a.Name.Local] = strings.TrimSpace(a.Value)
		}
	}
	if attributes == nil {
		return nil, errors.New("the file has no element; want Cobertura's <coverage>")
	}
	return attributes, nil
}

func coveragePy(text []byte) (Report, error) {
	var document struct {
		Totals *struct {
			Covered *int     `json:"covered_lines"`
			Valid   *int     `json:"num_statements"`
			Percent *float64 `json:"percent_covered"`
		} `json:"totals"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return Report{}, err
	}
	totals := document.Totals
	if totals == nil || totals.Covered == nil || totals.Valid == nil || totals.Percent == nil {
		return Report{}, errors.New("want totals with covered_lines, num_statements and percent_covered")
	}
	report := Report{Percent: *totals.Percent, Covered: *totals.Covered, Valid: *totals.Valid}
	if !(report.Percent >= 0 && report.Percent <= 100) {
		return Report{}, fmt.Errorf("percent_covered is %v; want 0 to 100", report.Percent)
	}
	// With branches, percent_covered is not covered of valid lines.
	if err := report.check(); err != nil {
		return Report{}, err
	}
	return report, nil
}

func count(key, text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s is %q; want a count", key, text)
	}
	return n, nil
}

func (r Report) check() error {
	switch {
	case r.Covered < 0 || r.Valid < 0 || r.Covered > r.Valid:
		return fmt.Errorf("%d of %d lines are covered, which cannot be", r.Covered, r.Valid)
	case r.Valid == 0:
		return errors.New("it measured no lines at all; check the tool's source and omit settings")
	}
	return nil
}
