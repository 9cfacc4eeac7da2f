package advisories_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/job/advisories"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
	"github.com/seed-161fc314/assay/internal/port/osvexport"
)

var start = time.Date(2025, 1, 20, 0, 0, 0, 0, time.UTC)

func day(d int) time.Time { return time.Date(2025, 1, d, 0, 0, 0, 0, time.UTC) }

// record is an advisory of a package; extra is more JSON.
func record(id string, modified time.Time, pkg, extra string) string {
	return fmt.Sprintf(`{"id":%q,"modified":%q,%s"affected":[{"package":{"ecosystem":"PyPI","name":%q},"versions":["1.0"]}]}`, id, modified.Format(time.RFC3339), extra, pkg)
}

// bucket is a mirror that changes, and a database that is updated from it.
type bucket struct {
	t      *testing.T
	mutex  sync.Mutex
	files  map[string]string
	asked  []string
	now    time.Time
	dir    string
	url    string
	whole  bool
	shrink bool
	skip   bool
	dated  bool
}

func newBucket(t *testing.T) *bucket {
	b := &bucket{t: t, files: map[string]string{}, now: start, dir: t.TempDir(), dated: true}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// ServeHTTP is the mirror; every version of a file has its tag.
func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.asked = append(b.asked, strings.TrimPrefix(r.URL.Path, "/"))
	content, found := b.files[strings.TrimPrefix(r.URL.Path, "/")]
	if !found {
		http.NotFound(w, r)
		return
	}
	tag := fmt.Sprintf(`"%x"`, content)
	if len(tag) > 80 {
		tag = fmt.Sprintf(`"%d-%x"`, len(content), content[:32])
	}
	w.Header().Set("ETag", tag)
	if b.dated {
		w.Header().Set("Last-Modified", b.now.Add(-time.Hour).Format(http.TimeFormat))
	}
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write([]byte(content))
}

// put publishes records singly; list and zip say which are listed and in the
// export.
func (b *bucket) put(records ...string) {
	for _, r := range records {
		id := strings.Split(r, `"`)[3]
		b.files["PyPI/"+id+".json"] = r
	}
}

func (b *bucket) list(lines ...string) {
	b.files["PyPI/modified_id.csv"] = strings.Join(lines, "\n") + "\n"
}

func (b *bucket) zip(records ...string) {
	b.t.Helper()
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	for i, r := range records {
		f, err := w.Create(fmt.Sprintf("%d.json", i))
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := f.Write([]byte(r)); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.files["PyPI/all.zip"] = buffer.String()
	b.put(records...)
}

func line(at time.Time, id string) string { return at.Format(time.RFC3339) + "," + id }

func (b *bucket) run(work func(*advisories.Updater) (advisories.Outcome, error)) (advisories.Outcome, error) {
	b.t.Helper()
	source, err := osvexport.New(osvexport.Config{Base: b.url, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err != nil {
		b.t.Fatal(err)
	}
	writer, err := advisorydb.OpenWriter(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	defer writer.Close()
	updater, err := advisories.New(advisories.Config{Source: source, Writer: writer, Now: func() time.Time { return b.now }, Whole: b.whole, Shrink: b.shrink, SkipBroken: b.skip})
	if err != nil {
		b.t.Fatal(err)
	}
	b.asked = nil
	outcome, err := work(updater)
	entries, readErr := os.ReadDir(b.dir)
	if readErr != nil {
		b.t.Fatal(readErr)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") && e.Name() != ".lock" {
			b.t.Errorf("left behind: %s", e.Name())
		}
	}
	return outcome, err
}

func (b *bucket) update() (advisories.Outcome, error) {
	b.t.Helper()
	return b.run(func(u *advisories.Updater) (advisories.Outcome, error) { return u.Ecosystem(b.t.Context(), "PyPI") })
}

func (b *bucket) mustUpdate() advisories.Outcome {
	b.t.Helper()
	outcome, err := b.update()
	if err != nil {
		b.t.Fatal(err)
	}
	return outcome
}

// ids are what the database knows of a package.
func (b *bucket) ids(name string) []string {
	b.t.Helper()
	db, err := advisorydb.Open(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	records, err := db.Lookup(b.t.Context(), "PyPI", name)
	if err != nil {
		b.t.Fatal(err)
	}
	var list []string
	for _, r := range records {
		list = append(list, r.ID)
	}
	return list
}

func (b *bucket) header() advisorydb.Ecosystem {
	b.t.Helper()
	db, err := advisorydb.Open(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	return db.Ecosystems()[0]
}

func (b *bucket) fetched(name string) bool { return slices.Contains(b.asked, "PyPI/"+name) }

// basic is a mirror with three records in the export.
func basic(t *testing.T) *bucket {
	b := newBucket(t)
	b.zip(record("A-1", day(1), "x", ""), record("A-2", day(2), "x", ""), record("A-3", day(3), "y", ""))
	b.list(line(day(3), "A-3"), line(day(2), "PyPI/A-2"), line(day(1), "A-1"))
	return b
}

func TestFullThenIncrements(t *testing.T) {
	b := basic(t)
	outcome := b.mustUpdate()
	if !outcome.Whole || outcome.Why != "nothing was fetched before" || !slices.Equal(b.ids("x"), []string{"A-1", "A-2"}) {
		t.Errorf("%+v, %v", outcome, b.ids("x"))
	}
	if h := b.header(); !h.Current.Equal(start.Add(-time.Hour)) || h.Records != 3 || h.Sources[0].Name != b.url+"/PyPI/all.zip" || !h.Update.Since.Equal(day(3)) {
		t.Errorf("%+v, %+v", h, h.Update)
	}
	b.now = start.Add(time.Hour)
	if outcome := b.mustUpdate(); !outcome.Unchanged || b.fetched("all.zip") || len(b.asked) != 1 {
		t.Errorf("nothing new: %+v, asked for %v", outcome, b.asked)
	}
	// One changes and moves to another package, one is withdrawn, one is new,
	// one is about PyPI no more.
	b.put(record("A-1", day(5), "z", ""), record("A-2", day(6), "x", `"withdrawn":"2025-01-06T00:00:00Z",`), record("A-4", day(7), "x", ""),
		strings.Replace(record("A-3", day(8), "y", ""), "PyPI", "npm", 1))
	b.list(line(day(8), "A-3"), line(day(7), "A-4"), line(day(6), "A-2"), line(day(5), "A-1"), line(day(3), "A-0"), line(day(2), "A-9"))
	b.put(record("A-0", day(3), "w", "")) // of the moment that was seen last
	outcome = b.mustUpdate()
	if outcome.Whole || outcome.Changed != 5 || b.fetched("all.zip") {
		t.Errorf("%+v, asked for %v", outcome, b.asked)
	}
	for name, want := range map[string][]string{"x": {"A-4"}, "y": nil, "z": {"A-1"}, "w": {"A-0"}} {
		if got := b.ids(name); !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", name, got, want)
		}
	}
	// The same advisories in one export give the same version.
	increments := b.header()
	whole := newBucket(t)
	whole.zip(b.files["PyPI/A-0.json"], b.files["PyPI/A-1.json"], b.files["PyPI/A-2.json"], b.files["PyPI/A-3.json"], b.files["PyPI/A-4.json"])
	whole.mustUpdate()
	if h := whole.header(); h.Content != increments.Content || h.Records != increments.Records || h.Packages != increments.Packages {
		t.Errorf("by increments %+v, whole %+v", increments, h)
	}
}

// TestNewerThanTheExport: what changed after the export was made is fetched too.
func TestNewerThanTheExport(t *testing.T) {
	b := basic(t)
	b.put(record("A-5", day(9), "x", ""))
	b.list(line(day(9), "A-5"), line(day(3), "A-3"), line(day(2), "A-2"), line(day(1), "A-1"))
	if outcome := b.mustUpdate(); !outcome.Whole || !slices.Equal(b.ids("x"), []string{"A-1", "A-2", "A-5"}) {
		t.Errorf("%+v, %v", outcome, b.ids("x"))
	}
}

func TestWhenWhole(t *testing.T) {
	many := func(b *bucket) []string {
		lines := make([]string, 0, limit.Increment+2)
		for i := range limit.Increment {
			lines = append(lines, line(day(4).Add(time.Duration(-i-1)*time.Second), fmt.Sprintf("B-%d", i)))
		}
		return append(lines, line(day(3), "A-3"), line(day(1), "A-1"))
	}
	for why, change := range map[string]func(*bucket){
		"the list of changes is in no order":      func(b *bucket) { b.list(line(day(1), "A-1"), line(day(4), "A-4"), line(day(2), "A-2")) },
		"the list of changes does not reach back": func(b *bucket) { b.list(line(day(4), "A-4")) },
		"the source has no list of changes":       func(b *bucket) { delete(b.files, "PyPI/modified_id.csv") },
		"a record that is listed is not there": func(b *bucket) {
			b.list(line(day(4), "A-4"), line(day(3), "A-3"), line(day(1), "A-1"))
			delete(b.files, "PyPI/A-4.json")
		},
		"the last whole export is older than seven days": func(b *bucket) { b.now = b.now.AddDate(0, 0, 8) },
		"it was asked for": func(b *bucket) { b.whole = true },
		fmt.Sprintf("%d records changed", limit.Increment+1): func(b *bucket) { b.list(many(b)...) },
	} {
		b := basic(t)
		b.mustUpdate()
		b.now = start.Add(time.Hour)
		// A-1 was deleted upstream, and nothing lists that.
		b.zip(record("A-2", day(2), "x", ""), record("A-3", day(3), "y", ""), record("A-4", day(4), "y", ""))
		change(b)
		outcome, err := b.update()
		if strings.HasPrefix(why, "a record") {
			// The export is newer: nothing of what is listed is missing from it.
			if err == nil && (!outcome.Whole || outcome.Why != why) {
				t.Errorf("%s: %+v", why, outcome)
			}
			if !b.fetched("all.zip") {
				t.Errorf("%s: asked for %v", why, b.asked)
			}
			continue
		}
		if err != nil || !outcome.Whole || outcome.Why != why || !slices.Equal(b.ids("x"), []string{"A-2"}) || !slices.Equal(b.ids("y"), []string{"A-3", "A-4"}) {
			t.Errorf("%s: %+v, %v", why, outcome, err)
		}
	}
}

// TestLies: a mirror that lies leaves the database as it was.
func TestLies(t *testing.T) {
	for words, lie := range map[string]func(*bucket){
		"is not there": func(b *bucket) { delete(b.files, "PyPI/all.zip"); b.whole = true },
		"no complete zip file": func(b *bucket) {
			b.whole = true
			b.files["PyPI/all.zip"] = b.files["PyPI/all.zip"][:200]
		},
		"about a package of PyPI": func(b *bucket) {
			b.whole = true
			b.zip(strings.ReplaceAll(record("N-1", day(4), "x", ""), "PyPI", "npm"))
		},
		"hold 1 advisories of PyPI, and the database has 3": func(b *bucket) { b.whole = true; b.zip(record("A-1", day(4), "x", "")) },
		"modified_id.csv:1: ":                               func(b *bucket) { b.files["PyPI/modified_id.csv"] = "<html>busy</html>" },
		"half updated":                                      func(b *bucket) { b.list(line(day(5), "A-3"), line(day(2), "A-2")) },
		"it is A-1": func(b *bucket) {
			b.files["PyPI/A-3.json"] = record("A-1", day(9), "x", "")
			b.list(line(day(5), "A-3"), line(day(2), "A-2"))
		},
		"unexpected end": func(b *bucket) {
			b.files["PyPI/A-3.json"] = `{"id":"A-3"`
			b.list(line(day(5), "A-3"), line(day(2), "A-2"))
		},
		"would contain nothing": func(b *bucket) {
			b.files["PyPI/A-3.json"] = `{"id":"A-3","affected":[{"ranges":[{"type":"ECOSYSTEM","events":[{"fixed":"1"}]}]}]}`
			b.list(line(day(5), "A-3"), line(day(2), "A-2"))
		},
	} {
		b := basic(t)
		b.mustUpdate()
		before, err := os.ReadFile(filepath.Join(b.dir, "PyPI.assaydb"))
		if err != nil {
			t.Fatal(err)
		}
		lie(b)
		if outcome, err := b.update(); err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "updating PyPI: ") {
			t.Errorf("want %q: %+v, %v", words, outcome, err)
		}
		after, err := os.ReadFile(filepath.Join(b.dir, "PyPI.assaydb"))
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the database changed, %v", words, err)
		}
	}
}

func TestSkipBroken(t *testing.T) {
	b := basic(t)
	b.mustUpdate()
	b.skip = true
	b.files["PyPI/A-3.json"] = `{"id":"A-3"`
	b.put(record("A-4", day(6), "y", ""))
	b.list(line(day(6), "A-4"), line(day(5), "A-3"), line(day(2), "A-2"), line(day(1), "A-1"))
	outcome, err := b.update()
	if err != nil || outcome.Broken != 1 || len(outcome.Reasons) != 1 || outcome.Changed != 1 || !slices.Equal(b.ids("y"), []string{"A-3", "A-4"}) {
		t.Errorf("%+v, %v, %v", outcome, err, b.ids("y"))
	}
}

// TestUndated: a mirror without dates proves only what its records do.
func TestUndated(t *testing.T) {
	b := basic(t)
	b.dated = false
	b.mustUpdate()
	if h := b.header(); !h.Current.Equal(day(3)) {
		t.Errorf("current on %s", h.Current)
	}
	b.put(record("A-4", day(6), "y", ""))
	b.list(line(day(6), "A-4"), line(day(3), "A-3"), line(day(1), "A-1"))
	b.mustUpdate()
	if h := b.header(); !h.Current.Equal(day(6)) || !h.Newest.Equal(day(6)) {
		t.Errorf("current on %s", h.Current)
	}
}

// TestOtherSource: increments of one mirror say nothing about another.
func TestOtherSource(t *testing.T) {
	b := basic(t)
	b.mustUpdate()
	other := basic(t)
	other.dir = b.dir
	if outcome := other.mustUpdate(); outcome.Why != "the source is another one" {
		t.Errorf("%+v", outcome)
	}
}

func TestFeed(t *testing.T) {
	b := basic(t)
	b.files["kev.json"] = `{"catalogVersion":"2025.01.19","dateReleased":"2025-01-19T00:00:00Z","count":1,"vulnerabilities":[{"cveID":"CVE-2024-1","dateAdded":"2025-01-18"}]}`
	feed := func() (advisories.Outcome, error) {
		return b.run(func(u *advisories.Updater) (advisories.Outcome, error) {
			return u.Feed(t.Context(), advisorydb.KEV, strings.Replace(b.url, "://", "://bob:secret@", 1)+"/kev.json")
		})
	}
	if outcome, err := feed(); err != nil || outcome.Unchanged {
		t.Errorf("%+v, %v", outcome, err)
	}
	if outcome, err := feed(); err != nil || !outcome.Unchanged {
		t.Errorf("again: %+v, %v", outcome, err)
	}
	b.mustUpdate()
	db, err := advisorydb.Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if feeds := fmt.Sprintf("%+v", db.Feeds()); strings.Contains(feeds, "secret") || !strings.Contains(feeds, "****@") {
		t.Errorf("the password of the source is kept: %s", feeds)
	}
	threat, err := db.Threat(t.Context(), []string{"GHSA-x", "CVE-2024-1"})
	if err != nil || threat.Exploited == nil || threat.Exploited.Added.Day() != 18 {
		t.Errorf("%+v, %v", threat, err)
	}
	b.files["kev.json"] = `{"id":"A-1"}`
	if outcome, err := feed(); err == nil || !strings.Contains(err.Error(), "updating KEV: "+strings.Replace(b.url, "://", "://****@", 1)+"/kev.json: no KEV catalogue") {
		t.Errorf("%+v, %v", outcome, err)
	}
	delete(b.files, "kev.json")
	var missing *osvexport.NotFoundError
	if _, err := feed(); !errors.As(err, &missing) {
		t.Errorf("%v", err)
	}
}

func TestNew(t *testing.T) {
	if u, err := advisories.New(advisories.Config{}); err == nil {
		t.Errorf("%+v", u)
	}
}
