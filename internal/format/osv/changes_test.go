package osv_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/osv"
)

func TestChanges(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2025, 1, d, 0, 0, 0, 0, time.UTC) }
	const csv = "2025-01-05T00:00:00Z,PYSEC-5\n2025-01-03T02:00:00+02:00,PyPI/GHSA-3\r\n2025-01-03T00:00:00Z,MAL-3\n2025-01-01T00:00:00.5Z,A-1"
	changes, err := osv.DecodeChanges(strings.NewReader(csv), "f")
	if err != nil || !changes.Ordered || len(changes.List) != 4 {
		t.Fatalf("%+v, %v", changes, err)
	}
	for since, want := range map[time.Time]struct {
		ids      []string
		complete bool
	}{
		day(6): {nil, true},
		day(5): {[]string{"PYSEC-5"}, true},
		day(4): {[]string{"PYSEC-5"}, true},
		day(3): {[]string{"PYSEC-5", "GHSA-3", "MAL-3"}, true}, // all of that moment
		day(2): {[]string{"PYSEC-5", "GHSA-3", "MAL-3"}, true},
		day(1): {[]string{"PYSEC-5", "GHSA-3", "MAL-3", "A-1"}, false}, // it does not reach back
	} {
		list, complete := changes.Since(since)
		var ids []string
		for _, c := range list {
			ids = append(ids, c.ID)
		}
		if !slices.Equal(ids, want.ids) || complete != want.complete {
			t.Errorf("since %s: %v, %v", since, ids, complete)
		}
	}
	backwards, err := osv.DecodeChanges(strings.NewReader("2025-01-01T00:00:00Z,A-1\n2025-01-05T00:00:00Z,A-2\n"), "f")
	if list, complete := backwards.Since(day(4)); err != nil || backwards.Ordered || complete || len(list) != 1 {
		t.Errorf("out of order: %v, %v, %v", list, complete, err)
	}
	if empty, err := osv.DecodeChanges(strings.NewReader(""), "f"); err != nil {
		t.Error(err)
	} else if _, complete := empty.Since(day(1)); complete {
		t.Error("an empty list is complete")
	}
	for _, line := range []string{"2025-01-01T00:00:00Z", "yesterday,A-1", "2025-01-01T00:00:00Z,", "2025-01-01T00:00:00Z,a/", "2025-01-01T00:00:00Z,..", `2025-01-01T00:00:00Z,..\..\a`, "2025-01-01T00:00:00Z,a b", "", "2025-01-01T00:00:00Z,A-1,x", "<html>"} {
		if got, err := osv.DecodeChanges(strings.NewReader("2025-01-05T00:00:00Z,A-1\n"+line+"\n"), "f"); err == nil || !strings.HasPrefix(err.Error(), "f:2: ") {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
}

// lines is a list without end.
type lines struct{}

func (lines) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestChangesBound(t *testing.T) {
	var over *limit.Error
	if got, err := osv.DecodeChanges(lines{}, "f"); !errors.As(err, &over) || over.Bound != limit.ExportChanges {
		t.Errorf("%d changes, %v", len(got.List), err)
	}
}

func FuzzDecodeChanges(f *testing.F) {
	f.Add("2025-01-05T00:00:00Z,PYSEC-5\n2025-01-03T00:00:00Z,PyPI/GHSA-3\n")
	f.Add("2025-01-05T00:00:00Z,..\n")
	f.Fuzz(func(t *testing.T, csv string) {
		changes, err := osv.DecodeChanges(strings.NewReader(csv), "f")
		if err != nil {
			return
		}
		for i, c := range changes.List {
			if strings.ContainsAny(c.ID, "/\\\x00") || c.ID == ".." || c.ID == "" {
				t.Errorf("id %q", c.ID)
			}
			if changes.Ordered && i > 0 && c.Modified.After(changes.List[i-1].Modified) {
				t.Error(fmt.Sprint("called ordered: ", changes.List))
			}
		}
	})
}
