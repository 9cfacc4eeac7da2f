package advisorydb_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/port/advisorydb"
)

func TestBound(t *testing.T) {
	dir := t.TempDir()
	inputs := []string{
		writeFile(t, filepath.Join(t.TempDir(), "a.json"), record("A-1", 10, "PyPI/x", "Debian:12/x")),
		writeFile(t, filepath.Join(t.TempDir(), "b.json"), strings.Replace(record("B-1", 20, "Debian:12/x"), `{"id"`, `{"withdrawn":"2024-01-20T00:00:00Z","id"`, 1)),
	}
	importAll(t, dir, inputs...)
	at := func(day int) time.Time { return time.Date(2024, 5, day, 12, 0, 0, 0, time.UTC) } // built on May 1
	january := func(day int) time.Duration { return at(2).Sub(time.Date(2024, 1, day, 0, 0, 0, 0, time.UTC)) }
	for name, c := range map[string]struct {
		now       time.Time
		maxAge    time.Duration
		ecosystem string
		words     string
	}{
		"no bound":                 {at(2), 0, "PyPI", ""},
		"at the bound":             {at(2), january(10), "PyPI", ""},
		"just over it":             {at(2), january(10) - time.Second, "PyPI", "the advisories of PyPI were last known to be current 113 days ago"},
		"a withdrawn record dates": {at(2), january(20), "Debian:12", ""},
		"a release is named":       {at(2), january(20) - time.Second, "Debian:12", "advisories of Debian were"},
		"clocks apart":             {now.Add(-time.Hour), time.Hour * 9999, "PyPI", ""},
		"built in the future":      {now.Add(-time.Hour - time.Second), 0, "PyPI", "the advisories of PyPI are dated 1h0m1s in the future"},
	} {
		db := open(t, dir)
		db.Bound(c.now, c.maxAge)
		records, err := db.Lookup(t.Context(), c.ecosystem, "x")
		var age *advisorydb.AgeError
		switch {
		case c.words == "" && (err != nil || len(records) != 1):
			t.Errorf("%s: %v, %v", name, records, err)
		case c.words != "" && (!errors.As(err, &age) || !strings.Contains(err.Error(), c.words)):
			t.Errorf("%s: %v, %v", name, records, err)
		}
	}
	// Who fetched it says when; a record dated in advance proves nothing.
	fetched := at(1).Add(-time.Hour)
	if _, err := advisorydb.Import(t.Context(), dir, inputs, advisorydb.Config{Now: now, AsOf: fetched}); err != nil {
		t.Fatal(err)
	}
	if got := open(t, dir).Info().Current; !got.Equal(fetched) {
		t.Errorf("fetched %s, current %s", fetched, got)
	}
	ahead := writeFile(t, filepath.Join(t.TempDir(), "a.json"), strings.Replace(record("A-1", 1, "PyPI/x"), "2024-01-01", "2099-01-01", 1))
	importAll(t, dir, ahead)
	if age, ok := open(t, dir).Age("PyPI", now); !ok || age != 0 {
		t.Errorf("age %s", age)
	}
	if _, ok := open(t, dir).Age("Go", now); ok {
		t.Error("an ecosystem that is not there has an age")
	}
	db, err := advisorydb.Sample()
	if err != nil {
		t.Fatal(err)
	}
	db.Bound(db.Info().Current.Add(48*time.Hour), 24*time.Hour)
	var age *advisorydb.AgeError
	if _, err := db.Lookup(t.Context(), "PyPI", "torch"); !errors.As(err, &age) || age.Age != 48*time.Hour {
		t.Errorf("the sample: %v", err)
	}
}

func TestDays(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "1m0s", 36 * time.Hour: "1d12h0m", 24 * time.Hour: "1 day", 48*time.Hour + time.Minute: "2 days", 7 * 24 * time.Hour: "7 days", 240*time.Hour + 5*time.Hour: "10 days",
	} {
		if got := advisorydb.Days(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
