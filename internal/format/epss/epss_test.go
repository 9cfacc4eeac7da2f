package epss_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/epss"
)

const (
	comment = "#model_version:v2025.03.14,score_date:2025-08-25T12:55:00Z\n"
	header  = "cve,epss,percentile\n"
	rows    = "CVE-1999-0001,0.0142,0.79836\nCVE-2024-2,1,1.0\nCVE-2024-3,0.00001,0\n"
)

func pack(t testing.TB, r io.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.Copy(w, r); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestDecode(t *testing.T) {
	want := epss.Scores{Model: "v2025.03.14", Date: time.Date(2025, 8, 25, 12, 55, 0, 0, time.UTC), List: []epss.Score{
		{"CVE-1999-0001", 0.0142, 0.79836}, {"CVE-2024-2", 1, 1}, {"CVE-2024-3", 0.00001, 0}}}
	plain := comment + header + rows
	for name, content := range map[string]string{
		"plain":          plain,
		"gzip":           string(pack(t, strings.NewReader(plain))),
		"crlf":           strings.ReplaceAll(plain, "\n", "\r\n"),
		"an older date":  strings.Replace(plain, "12:55:00Z", "12:55:00+0000", 1),
		"no end of line": strings.TrimSuffix(plain, "\n"),
	} {
		got, err := epss.Decode(strings.NewReader(content), "f")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if !epss.Recognise([]byte(content)) {
			t.Errorf("%s: not recognised", name)
		}
	}
	if epss.Recognise([]byte("PK\x03\x04")) || epss.Recognise([]byte(`{"id":"x"}`)) {
		t.Error("recognises what is something else")
	}
}

func TestDecodeRefuses(t *testing.T) {
	packed := string(pack(t, strings.NewReader(comment+header+rows)))
	for content, words := range map[string]string{
		"":                              "no EPSS scores",
		header + rows:                   "no EPSS scores",
		comment + header:                "no EPSS scores",
		comment + rows:                  ":2: want the header",
		comment + header + "x,1":        `:3: "x,1": want cve`,
		comment + header + rows + "\n":  ":6: ",
		comment + header + "GHSA-1,0,0": "is no CVE",
		comment + header + rows + "CVE-2024-2,0,0":   ":6: CVE-2024-2 is there twice",
		comment + header + "CVE-1,1.1,0":             `"1.1": want a number from 0 to 1`,
		comment + header + "CVE-1,0,-0.1":            "from 0 to 1",
		comment + header + "CVE-1,NaN,0":             "from 0 to 1",
		comment + header + "CVE-1,,0":                "invalid syntax",
		"#score_date:today\n" + header + rows:        ":1: ",
		packed[:len(packed)-9]:                       "unexpected EOF",
		packed[:3]:                                   "EOF",
		comment + header + strings.Repeat("x", 5000): "too long",
	} {
		if got, err := epss.Decode(strings.NewReader(content), "f"); err == nil || !strings.Contains(err.Error(), words) || !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("%.80q: %+v, error %v, want one with %q", content, got, err, words)
		}
	}
	bomb := pack(t, io.MultiReader(strings.NewReader(comment), io.LimitReader(lines{}, limit.Feed)))
	var over *limit.Error
	if _, err := epss.Decode(bytes.NewReader(bomb), "f"); !errors.As(err, &over) || over.Bound != limit.Feed {
		t.Errorf("a bomb: %v", err)
	}
	many := []byte(comment + header)
	for i := range limit.FeedEntries + 1 {
		many = append(strconv.AppendInt(append(many, "CVE-"...), int64(i), 10), ",0,0\n"...)
	}
	if _, err := epss.Decode(bytes.NewReader(many), "f"); !errors.As(err, &over) || over.Bound != limit.FeedEntries {
		t.Errorf("too many: %v", err)
	}
}

// lines is comments without end.
type lines struct{}

func (lines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "#\n"[i%2]
	}
	return len(p) &^ 1, nil
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(comment + header + rows))
	f.Add(pack(f, strings.NewReader(comment+header+rows)))
	f.Add([]byte(header))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := epss.Decode(bytes.NewReader(content), "f")
		if err != nil {
			return
		}
		if !bytes.HasPrefix(content, []byte("#")) && !epss.Recognise(content) {
			t.Error("read, and not recognised")
		}
		for _, s := range got.List {
			if !(s.Probability >= 0 && s.Probability <= 1 && s.Percentile >= 0 && s.Percentile <= 1) {
				t.Errorf("score %+v", s)
			}
		}
	})
}
