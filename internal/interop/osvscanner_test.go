//go:build interop

package interop_test

import (
	"archive/zip"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/format/osv"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// pinned is one pin of the comparison.
type pinned struct{ name, version string }

// facts are the real advisories that the matcher's own oracle uses.
func facts(t *testing.T) map[string]osv.Record {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "engine", "advisory", "testdata", "real", "facts.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]osv.Record{}
	lines := bufio.NewScanner(unzipped)
	lines.Buffer(nil, 1<<22)
	for lines.Scan() {
		r, err := osv.Decode(strings.NewReader(lines.Text()), "facts")
		if err != nil {
			t.Fatal(err)
		}
		records[r.ID] = r
	}
	if err := lines.Err(); err != nil || len(records) < 2000 {
		t.Fatalf("%d facts, %v", len(records), err)
	}
	return records
}

// export writes records as OSV's all.zip has them.
func export(t *testing.T, path string, records map[string]osv.Record) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	archive := zip.NewWriter(file)
	for _, id := range slices.Sorted(maps.Keys(records)) {
		w, err := archive.Create(id + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(w).Encode(records[id]); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
}

// pins are 500 of the versions that the advisories speak of, the same at every
// run; some 60 get a local label, as builds for a processor have.
func pins(records map[string]osv.Record) []pinned {
	r := rand.New(rand.NewPCG(7, 7))
	seen := map[pinned]bool{}
	for _, record := range records {
		for _, a := range record.Affected {
			name := pydist.Normalise(a.Package.Name)
			versions := slices.Clone(a.Versions)
			for _, ranged := range a.Ranges {
				for _, e := range ranged.Events {
					if ranged.Type == "ECOSYSTEM" {
						versions = append(versions, e.Fixed, e.LastAffected)
					}
				}
			}
			for _, v := range versions {
				if _, err := pep440.Parse(v); err == nil {
					seen[pinned{name, v}] = true
				}
			}
		}
	}
	all := slices.SortedFunc(maps.Keys(seen), func(a, b pinned) int { return strings.Compare(a.name+" "+a.version, b.name+" "+b.version) })
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:500]
	for i := range 60 {
		if !strings.Contains(all[i].version, "+") {
			all[i].version += []string{"+cpu", "+cu121", "+local.1"}[i%3]
		}
	}
	return all
}

// TestOSVScanner compares the findings of 500 pins with osv-scanner's on the
// same advisories. Each difference must be one of those that
// docs/divergences.md explains.
func TestOSVScanner(t *testing.T) {
	records := facts(t)
	s := newStage(t)
	offline := filepath.Join(s.dir, "offline")
	export(t, filepath.Join(offline, "osv-scalibr", "PyPI", "all.zip"), records)
	var files []map[string]string // a file may pin a package once
	for _, p := range pins(records) {
		i := slices.IndexFunc(files, func(f map[string]string) bool { return f[p.name] == "" })
		if i < 0 {
			files = append(files, map[string]string{})
			i = len(files) - 1
		}
		files[i][p.name] = p.version
	}
	for i, f := range files {
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(f)) {
			fmt.Fprintf(&b, "%s==%s\n", name, f[name])
		}
		s.write(fmt.Sprintf("pins/%d/requirements.txt", i), b.String())
	}
	s.wants(0, nil, "db", "import", filepath.Join(offline, "osv-scalibr", "PyPI", "all.zip"), "--ecosystem", "PyPI", "--db", "db")
	s.wants(1, nil, "scan", "pins", "--db", "db", "-o", "json", "--output", "assay.json")
	s.env = append(s.env, "OSV_SCALIBR_LOCAL_DB_CACHE_DIRECTORY="+offline)
	if out, err := s.run(peer(t, "osv-scanner"), "scan", "source", "--offline", "--format", "json", "--output-file", "osv.json", "-r", "pins"); err == nil {
		t.Fatalf("osv-scanner found nothing\n%s", out)
	}
	ours, theirs := assayFindings(t, filepath.Join(s.dir, "assay.json")), osvFindings(t, filepath.Join(s.dir, "osv.json"))
	counts := map[string]int{}
	for pin, groups := range ours {
		for _, ids := range groups {
			if !among(theirs[pin], ids) {
				counts["only assay: "+explanation(t, records, pin, ids)]++
			} else {
				counts["both"]++
			}
		}
	}
	for pin, groups := range theirs {
		for _, ids := range groups {
			if !among(ours[pin], ids) {
				t.Errorf("only osv-scanner finds %v in %s %s", ids, pin.name, pin.version)
			}
		}
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%5d %s", counts[what], what)
	}
	if counts["both"] < 1000 {
		t.Errorf("%d findings are the same; the comparison compares nothing", counts["both"])
	}
}

// explanation names the documented reason why osv-scanner 2.5.0 misses a
// finding; none fails the test.
func explanation(t *testing.T, records map[string]osv.Record, pin pinned, ids []string) string {
	for _, id := range ids {
		for _, a := range records[id].Affected {
			if pydist.Normalise(a.Package.Name) != pin.name {
				continue
			}
			switch {
			case len(a.Ranges) > 1 && a.Ranges[0].Type == "GIT":
				return "a GIT range comes first"
			case a.Package.Name != pin.name:
				return "the record spells the name otherwise"
			case slices.ContainsFunc(a.Ranges, func(r osv.Range) bool {
				return slices.ContainsFunc(r.Events, func(e osv.Event) bool { return strings.HasPrefix(e.Fixed, ">") })
			}):
				return "a bound is no version"
			case strings.Contains(pin.version, "+"):
				return "a local version"
			}
		}
	}
	t.Errorf("only assay finds %v in %s %s, for no reason that is known", ids, pin.name, pin.version)
	return "unknown"
}

// among says whether one of the groups shares an id.
func among(groups [][]string, ids []string) bool {
	return slices.ContainsFunc(groups, func(group []string) bool {
		return slices.ContainsFunc(group, func(id string) bool { return slices.Contains(ids, id) })
	})
}

// normalised is a pin in one spelling of its version.
func normalised(t *testing.T, name, version string) pinned {
	t.Helper()
	v, err := pep440.Parse(version)
	if err != nil {
		t.Fatalf("%s %s: %v", name, version, err)
	}
	return pinned{pydist.Normalise(name), v.String()}
}

func assayFindings(t *testing.T, path string) map[pinned][][]string {
	t.Helper()
	var report struct {
		Results []struct {
			Vulnerabilities []struct {
				VulnerabilityID, PkgName, InstalledVersion string
				VendorIDs                                  []string
			}
		}
	}
	decodeFile(t, path, &report)
	found := map[pinned][][]string{}
	for _, r := range report.Results {
		for _, v := range r.Vulnerabilities {
			pin := normalised(t, v.PkgName, v.InstalledVersion)
			found[pin] = append(found[pin], append([]string{v.VulnerabilityID}, v.VendorIDs...))
		}
	}
	return found
}

func osvFindings(t *testing.T, path string) map[pinned][][]string {
	t.Helper()
	var report struct {
		Results []struct {
			Packages []struct {
				Package struct{ Name, Version string }
				Groups  []struct{ IDs, Aliases []string }
			}
		}
	}
	decodeFile(t, path, &report)
	found := map[pinned][][]string{}
	for _, r := range report.Results {
		for _, p := range r.Packages {
			pin := normalised(t, p.Package.Name, p.Package.Version)
			for _, g := range p.Groups {
				found[pin] = append(found[pin], append(g.IDs, g.Aliases...))
			}
		}
	}
	return found
}

func decodeFile(t *testing.T, path string, value any) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, value); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
