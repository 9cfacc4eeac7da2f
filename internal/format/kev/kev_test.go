package kev_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/kev"
)

func catalogue(count int, entries ...string) string {
	return fmt.Sprintf(`{"title":"CISA","catalogVersion":"2025.08.25","dateReleased":"2025-08-25T17:04:19.9796Z","count":%d,"vulnerabilities":[%s]}`, count, strings.Join(entries, ","))
}

const (
	ransom = `{"cveID":"CVE-2024-1","vendorProject":"x","dateAdded":"2025-08-24","dueDate":"2025-09-14","knownRansomwareCampaignUse":"Known","notes":"","cwes":["CWE-59"]}`
	plain  = `{"cveID":"CVE-2024-2","dateAdded":"2025-08-23","knownRansomwareCampaignUse":"Unknown"}`
)

func TestDecode(t *testing.T) {
	got, err := kev.Decode(strings.NewReader(catalogue(2, ransom, plain)), "kev.json")
	if err != nil {
		t.Fatal(err)
	}
	day := func(d int, m time.Month) time.Time { return time.Date(2025, m, d, 0, 0, 0, 0, time.UTC) }
	want := kev.Catalogue{Version: "2025.08.25", Released: time.Date(2025, 8, 25, 17, 4, 19, 979600000, time.UTC), Entries: []kev.Entry{
		{ID: "CVE-2024-1", Exploited: finding.Exploited{Added: day(24, 8), Due: day(14, 9), Ransomware: true}},
		{ID: "CVE-2024-2", Exploited: finding.Exploited{Added: day(23, 8)}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for content, words := range map[string]string{
		"":                                 "unexpected end",
		"{}":                               "no KEV catalogue",
		catalogue(0):                       "no KEV catalogue",
		catalogue(3, ransom, plain):        "count is 3, and there are 2",
		catalogue(2, plain, plain):         "vulnerabilities[1]: cveID: CVE-2024-2 is there twice",
		catalogue(1, `{"cveID":"GHSA-1"}`): "is no CVE",
		catalogue(1, `{"cveID":"CVE-1"}`):  "dateAdded",
		catalogue(1, strings.Replace(ransom, "2025-09-14", "soon", 1)): "dueDate",
		catalogue(1, strings.Replace(ransom, `"Known"`, `"Maybe"`, 1)): `"Maybe": want Known or Unknown`,
		catalogue(1, ransom)[:200]:                                     "unexpected end",
	} {
		if got, err := kev.Decode(strings.NewReader(content), "kev.json"); err == nil || !strings.Contains(err.Error(), words) || !strings.HasPrefix(err.Error(), "kev.json: ") {
			t.Errorf("%.60s: %+v, error %v, want one with %q", content, got, err, words)
		}
	}
	var over *limit.Error
	many := catalogue(limit.FeedEntries+1, "{}"+strings.Repeat(",{}", limit.FeedEntries))
	if _, err := kev.Decode(strings.NewReader(many), "kev.json"); !errors.As(err, &over) || over.Bound != limit.FeedEntries {
		t.Errorf("too many: %v", err)
	}
	if _, err := kev.Decode(io.LimitReader(blanks{}, limit.Feed+1), "kev.json"); !errors.As(err, &over) {
		t.Errorf("too large: %v", err)
	}
}

type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestRecognise(t *testing.T) {
	for content, want := range map[string]bool{
		catalogue(2, ransom): true, `{"id":"A-1","catalogVersion":"1","vulnerabilities":[]}`: false, `{"id":"A-1"}`: false, "[": false, "": false, "null": false,
	} {
		if kev.Recognise([]byte(content)) != want {
			t.Errorf("%.60s: %v", content, !want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(catalogue(2, ransom, plain))
	f.Add(catalogue(1, `{"cveID":"CVE-1"}`))
	f.Add("null")
	f.Fuzz(func(t *testing.T, content string) {
		got, err := kev.Decode(strings.NewReader(content), "f")
		if err != nil {
			return
		}
		if !kev.Recognise([]byte(content)) && !strings.Contains(strings.ToLower(content), `"id"`) && strings.Contains(content, `"catalogVersion"`) && strings.Contains(content, `"vulnerabilities"`) {
			t.Error("read, and not recognised")
		}
		for _, e := range got.Entries {
			if !strings.HasPrefix(e.ID, "CVE-") || e.Added.IsZero() && !strings.Contains(content, "0001-01-01") {
				t.Errorf("entry %+v", e)
			}
		}
	})
}
