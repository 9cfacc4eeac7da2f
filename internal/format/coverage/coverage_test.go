package coverage_test

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/coverage"
)

const (
	xmlReport = `<?xml version="1.0" ?>
<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">
<coverage version="7.4" lines-valid="200" lines-covered="175" line-rate="0.875" branches-covered="0" branches-valid="0" branch-rate="0"><packages/></coverage>`
	jsonReport = `{"meta": {"version": "7.4"}, "files": {}, "totals": {"covered_lines": 175, "num_statements": 200, "percent_covered": 87.5}}`
)

func TestRead(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want coverage.Report
	}{
		"Cobertura":          {xmlReport, coverage.Report{Percent: 87.5, Covered: 175, Valid: 200}},
		"byte order mark":    {"\xef\xbb\xbf" + xmlReport, coverage.Report{Percent: 87.5, Covered: 175, Valid: 200}},
		"rate alone":         {`<coverage line-rate="0.5"/>`, coverage.Report{Percent: 50}},
		"lines alone":        {`<coverage lines-valid="4" lines-covered="1"/>`, coverage.Report{Percent: 25, Covered: 1, Valid: 4}},
		"coverage.py JSON":   {jsonReport, coverage.Report{Percent: 87.5, Covered: 175, Valid: 200}},
		"nothing was run":    {`<coverage lines-valid="4" lines-covered="0" line-rate="0"/>`, coverage.Report{Valid: 4}},
		"JSON with branches": {`{"totals": {"covered_lines": 10, "num_statements": 10, "percent_covered": 80.0}}`, coverage.Report{Percent: 80, Covered: 10, Valid: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := coverage.Read(strings.NewReader(test.text), "c")
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

func TestRefuse(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"nothing":         {"", "want Cobertura"},
		"other text":      {"TOTAL 100%", "want Cobertura"},
		"other root":      {`<testsuites/>`, "the root is <testsuites>"},
		"cut":             {xmlReport[:len(xmlReport)-5], "EOF"},
		"no root":         {`<!-- -->`, "no element"},
		"no totals":       {`<coverage/>`, "neither"},
		"NaN":             {`<coverage line-rate="NaN"/>`, "line-rate"},
		"Inf":             {`<coverage line-rate="Inf"/>`, "line-rate"},
		"above one":       {`<coverage line-rate="87.5"/>`, "line-rate"},
		"negative":        {`<coverage line-rate="-0.1"/>`, "line-rate"},
		"no covered":      {`<coverage lines-valid="4"/>`, "lines-covered"},
		"more than valid": {`<coverage lines-valid="4" lines-covered="5"/>`, "cannot be"},
		"contradiction":   {`<coverage lines-valid="100" lines-covered="10" line-rate="0.99"/>`, "line-rate is 0.99"},
		"no lines":        {`<coverage lines-valid="0" lines-covered="0" line-rate="1"/>`, "no lines at all"},
		"JSON no totals":  {`{"files": {}}`, "want totals"},
		"JSON no percent": {`{"totals": {"covered_lines": 1, "num_statements": 1}}`, "want totals"},
		"JSON too much":   {`{"totals": {"covered_lines": 1, "num_statements": 1, "percent_covered": 101}}`, "want 0 to 100"},
		"JSON no lines":   {`{"totals": {"covered_lines": 0, "num_statements": 0, "percent_covered": 100}}`, "no lines at all"},
		"JSON NaN":        {`{"totals": {"covered_lines": 1, "num_statements": 1, "percent_covered": NaN}}`, "invalid character"},
		"JSON behind":     {jsonReport + "{}", "after top-level value"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := coverage.Read(strings.NewReader(test.text), "c")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "c: ") {
				t.Errorf("got %+v, %v; want an error with %q", got, err, test.want)
			}
		})
	}
}

type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestBound(t *testing.T) {
	var over *limit.Error
	if _, err := coverage.Read(io.LimitReader(blanks{}, limit.TestReport+1), "c"); !errors.As(err, &over) {
		t.Errorf("got %v, want *limit.Error", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(xmlReport))
	f.Add([]byte(jsonReport))
	f.Add([]byte(`<coverage line-rate="0x1p-2"/>`))
	f.Fuzz(func(t *testing.T, content []byte) {
		report, err := coverage.Read(strings.NewReader(string(content)), "f")
		if err != nil {
			return
		}
		if math.IsNaN(report.Percent) || report.Percent < 0 || report.Percent > 100 || report.Covered > report.Valid || report.Covered < 0 {
			t.Errorf("%+v was read", report)
		}
	})
}
