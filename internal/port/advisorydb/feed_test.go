package advisorydb_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
)

func kevFile(t testing.TB, entries ...string) string {
	return writeFile(t, filepath.Join(t.TempDir(), "known.json"), fmt.Sprintf(` {"catalogVersion":"2024.04.30","dateReleased":"2024-04-30T10:00:00Z","count":%d,"vulnerabilities":[%s]}`, len(entries), strings.Join(entries, ",")))
}

func epssFile(t testing.TB, rows int) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	fmt.Fprint(w, "#model_version:v4,score_date:2024-04-29T00:00:00Z\ncve,epss,percentile\n")
	for i := range rows {
		fmt.Fprintf(w, "CVE-2024-%d,%g,%g\n", i, float64(i)/1e6, float64(i)/1e6)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, filepath.Join(t.TempDir(), "scores.gz"), b.String())
}

const exploited = `{"cveID":"CVE-2024-7","dateAdded":"2024-04-02","dueDate":"2024-04-23","knownRansomwareCampaignUse":"Known"}`

func TestThreat(t *testing.T) {
	dir := filled(t)
	summary, err := advisorydb.Import(t.Context(), dir, []string{kevFile(t, exploited), epssFile(t, 100)}, advisorydb.Config{Now: now})
	if err != nil || len(summary.Feeds) != 2 || len(summary.Ecosystems) != 0 {
		t.Fatalf("%+v, %v", summary, err)
	}
	db := open(t, dir)
	date := time.Date(2024, 4, 29, 0, 0, 0, 0, time.UTC)
	day := func(d int) time.Time { return time.Date(2024, 4, d, 0, 0, 0, 0, time.UTC) }
	known := &finding.Exploited{Added: day(2), Due: day(23), Ransomware: true}
	for ids, want := range map[string]finding.Threat{
		"CVE-2024-7":            {Exploited: known, EPSS: &finding.EPSS{Probability: 7e-6, Percentile: 7e-6, Date: date}},
		"GHSA-x CVE-2024-8":     {EPSS: &finding.EPSS{Probability: 8e-6, Percentile: 8e-6, Date: date}},
		"CVE-2024-7 CVE-2024-9": {Exploited: known, EPSS: &finding.EPSS{Probability: 9e-6, Percentile: 9e-6, Date: date}}, // the worst of both
		"CVE-2024-100":          {},
		"PYSEC-2024-7":          {},
		"":                      {},
	} {
		got, err := db.Threat(t.Context(), strings.Fields(ids))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", ids, diff)
		}
	}
	feeds := db.Feeds()
	if len(feeds) != 2 || feeds[0].Name != advisorydb.EPSS || feeds[0].Entries != 100 || feeds[0].Version != "v4" || !feeds[0].Date.Equal(date) || feeds[1].Source.Name != "known.json" || len(feeds[1].Source.SHA256) != 64 {
		t.Errorf("%+v", feeds)
	}
	if got := ids(t, db, "PyPI", "x"); len(got) != 1 {
		t.Errorf("the advisories: %v", got)
	}
	// Without feeds nothing is known, and that is no error.
	if got, err := open(t, filled(t)).Threat(t.Context(), []string{"CVE-2024-7"}); err != nil || got != (finding.Threat{}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestThreatDamage: a flipped bit is an error, or changes nothing.
func TestThreatDamage(t *testing.T) {
	dir := filled(t)
	importAll(t, dir, kevFile(t, exploited))
	path := filepath.Join(dir, "kev.assayfeed")
	whole := []byte(readFile(t, path))
	for at := range whole {
		flipped := bytes.Clone(whole)
		flipped[at] ^= 4
		writeFile(t, path, string(flipped))
		db, err := advisorydb.Open(dir)
		if err == nil {
			_, err = db.Threat(t.Context(), []string{"CVE-2024-8"}) // that it is absent is as certain
			db.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "kev.assayfeed is damaged") {
			t.Fatalf("a bit flipped at %d of %d: %v", at, len(whole), err)
		}
	}
	writeFile(t, filepath.Join(dir, "kev2.assayfeed"), string(whole))
	writeFile(t, path, string(whole))
	if db, err := advisorydb.Open(dir); err == nil || !strings.Contains(err.Error(), "both hold KEV") {
		t.Errorf("%v, %v", db, err)
	}
}

func TestFeedRefuses(t *testing.T) {
	dir := filled(t)
	importAll(t, dir, epssFile(t, 100))
	config := advisorydb.Config{Now: now}
	broken := writeFile(t, filepath.Join(t.TempDir(), "kev.json"), `{"catalogVersion":"1","dateReleased":"2024-04-30T10:00:00Z","count":2,"vulnerabilities":[]}`)
	refuse(t, dir, config, "no KEV catalogue", broken)
	packed := readFile(t, epssFile(t, 100))
	refuse(t, dir, config, "epss.gz:", writeFile(t, filepath.Join(t.TempDir(), "epss.gz"), packed[:len(packed)/2]))
	var shrinks *advisorydb.ShrinkError
	if err := refuse(t, dir, config, "hold 49 advisories of EPSS", epssFile(t, 49)); !errors.As(err, &shrinks) {
		t.Error(err)
	}
	importAll(t, dir, epssFile(t, 50))
	// A feed and advisories in one call are one import.
	refuse(t, dir, config, "no complete zip", kevFile(t, exploited), writeFile(t, filepath.Join(t.TempDir(), "all.zip"), "PK"))
}

func BenchmarkThreat(b *testing.B) {
	dir := filledB(b)
	importAll(b, dir, epssFile(b, 250_000))
	b.ReportAllocs()
	for b.Loop() {
		db, err := advisorydb.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		if threat, err := db.Threat(b.Context(), []string{"CVE-2024-1234"}); err != nil || threat.EPSS == nil {
			b.Fatal(err)
		}
		db.Close()
	}
}

func filledB(b *testing.B) string {
	dir := b.TempDir()
	importAll(b, dir, writeFile(b, filepath.Join(b.TempDir(), "old.json"), record("OLD-1", 1, "PyPI/x")))
	return dir
}
