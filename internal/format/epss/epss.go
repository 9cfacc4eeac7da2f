// Package epss reads the exploit prediction scores that FIRST publishes every
// day (https://www.first.org/epss/): CSV, most often gzipped, with a comment
// that names the model and the day before its header row.
//
// Entry points are [Decode] and [Recognise]. A row that cannot be read is an
// error, and so is a file that ends early. The package fetches nothing.
package epss

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Scores are those of one day.
type Scores struct {
	// Model names the model ("v2025.03.14"), Date is the day, UTC.
	Model string
	Date  time.Time
	// List is in the file's order; its ids are unique.
	List []Score
}

// Score is that of one CVE; both numbers are 0 to 1.
type Score struct {
	ID                      string
	Probability, Percentile float64
}

const columns = "cve,epss,percentile"

// Recognise says whether a file begins as scores do, packed or not.
func Recognise(start []byte) bool {
	return bytes.HasPrefix(start, []byte{0x1f, 0x8b}) || bytes.HasPrefix(start, []byte("#model_version:")) || bytes.HasPrefix(start, []byte(columns))
}

// Decode reads scores, gzipped or not. Errors start with where and name the
// line.
func Decode(r io.Reader, where string) (Scores, error) {
	buffered := bufio.NewReader(r)
	if start, _ := buffered.Peek(2); bytes.Equal(start, []byte{0x1f, 0x8b}) { // a short file is read as text
		packed, err := gzip.NewReader(buffered)
		if err != nil {
			return Scores{}, fmt.Errorf("%s: %w", where, err)
		}
		r = packed
	} else {
		r = buffered
	}
	lines := bufio.NewScanner(limit.Reader(r, where, limit.Feed))
	lines.Buffer(nil, 4096)
	var s Scores
	seen := map[string]bool{}
	header := false
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSuffix(lines.Text(), "\r")
		var err error
		switch {
		case !header && strings.HasPrefix(line, "#"):
			err = s.comment(line[1:])
		case !header:
			if header = line == columns; !header {
				err = fmt.Errorf("want the header %q, found %.100q", columns, line)
			}
		default:
			err = s.row(line, seen)
		}
		if err != nil {
			return Scores{}, fmt.Errorf("%s:%d: %w", where, number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return Scores{}, fmt.Errorf("%s: %w", where, err)
	}
	if s.Date.IsZero() || len(s.List) == 0 {
		return Scores{}, fmt.Errorf("%s: no EPSS scores: want a line with score_date, the header %q and rows", where, columns)
	}
	return s, nil
}

// comment is "model_version:v2025.03.14,score_date:2025-08-25T12:55:00Z".
func (s *Scores) comment(text string) error {
	for _, field := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(field, ":")
		switch name {
		case "model_version":
			s.Model = value
		case "score_date":
			date, err := time.Parse(time.RFC3339, value)
			if err != nil {
				date, err = time.Parse("2006-01-02T15:04:05-0700", value)
			}
			if err != nil {
				return err
			}
			s.Date = date.UTC()
		}
	}
	return nil
}

func (s *Scores) row(line string, seen map[string]bool) error {
	fields := strings.Split(line, ",")
	if len(fields) != 3 {
		return fmt.Errorf("%.100q: want %s", line, columns)
	}
	id := fields[0]
	switch {
	case !strings.HasPrefix(id, "CVE-") || len(id) > 64 || strings.ContainsAny(id, " \t\x00"):
		return fmt.Errorf("%.100q is no CVE", id)
	case seen[id]:
		return fmt.Errorf("%s is there twice", id)
	case len(s.List) >= limit.FeedEntries:
		return &limit.Error{What: "the list", Bound: limit.FeedEntries, Unit: "entries"}
	}
	seen[id] = true
	probability, err := share(fields[1])
	if err != nil {
		return err
	}
	percentile, err := share(fields[2])
	if err != nil {
		return err
	}
	s.List = append(s.List, Score{ID: id, Probability: probability, Percentile: percentile})
	return nil
}

func share(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err == nil && !(n >= 0 && n <= 1) {
		err = errors.New("want a number from 0 to 1")
	}
	if err != nil {
		return 0, fmt.Errorf("%.100q: %w", text, err)
	}
	return n, nil
}
