//go:build interop

package interop_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/format/distver"
	"github.com/seed-161fc314/assay/internal/format/rpmdb"
)

// rpm makes its databases afresh, in the forms that Debian's rpm and Berkeley
// DB write; what is read of them is what rpm itself says.
func TestRPMDatabases(t *testing.T) {
	program(t, "rpmbuild", "rpm")
	program(t, "db5.3_load", "db5.3-util")
	program(t, "python3", "python3")
	s := newStage(t)
	maker, err := filepath.Abs("../format/rpmdb/testdata/make")
	if err != nil {
		t.Fatal(err)
	}
	s.must(maker, s.dir)
	for _, form := range []struct{ dir, file string }{{"sqlite", "rpmdb.sqlite"}, {"wal", "rpmdb.sqlite"}, {"bdb", "Packages"}, {"bdb-big", "Packages"}} {
		content, err := os.ReadFile(filepath.Join(s.dir, form.dir, form.file))
		if err != nil {
			t.Fatal(err)
		}
		wal, err := os.ReadFile(filepath.Join(s.dir, form.dir, form.file+"-wal"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		packages, err := rpmdb.Parse(content, form.file, rpmdb.Config{WAL: wal})
		if err != nil {
			t.Errorf("%s: %v", form.dir, err)
			continue
		}
		list, err := os.ReadFile(filepath.Join(s.dir, form.dir, "list.txt"))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(strings.TrimSpace(string(list)), "\n")
		want = slices.DeleteFunc(want, func(line string) bool { return strings.HasPrefix(line, "gpg-pubkey|") })
		var got []string
		for _, p := range packages {
			fields := []string{p.Name, fmt.Sprint(p.Epoch), p.Version, p.Release, p.Architecture, p.SourceRPM, p.License, p.Vendor, p.Modularity}
			for i := range fields {
				if fields[i] == "" {
					fields[i] = "(none)"
				}
			}
			got = append(got, strings.Join(fields, "|"))
		}
		slices.Sort(got)
		slices.Sort(want)
		if len(want) < 4 || !slices.Equal(got, want) {
			t.Errorf("%s:\n  %s\nrpm says\n  %s", form.dir, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
}

// rpm itself orders generated versions as we do.
func TestRPMOrder(t *testing.T) {
	rpm := program(t, "rpm", "rpm")
	r := rand.New(rand.NewPCG(4, 18))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	version := func() string {
		text := pick("", "", "0:", "1:", "10:") + pick("0", "1", "2", "10", "a", "007")
		for range r.IntN(5) {
			text += pick(".", "_", "+", "~", "^", "", "..") + pick("", "0", "1", "10", "01", "a", "el9", "B")
		}
		if r.IntN(3) > 0 {
			text += "-" + pick("1", "2", "10", "1.el9", "1~rc", "1^git", "1.el9_2")
		}
		return text
	}
	script, pairs := &strings.Builder{}, [][2]string{}
	for range 2000 {
		a := version()
		b := version()
		if r.IntN(3) == 0 {
			b = a + pick("", "~", "^", ".1", "a", "0", "-1", "_")
		}
		pairs = append(pairs, [2]string{a, b})
		fmt.Fprintf(script, "table.insert(list, rpm.vercmp('%s','%s'))\n", a, b)
	}
	s := newStage(t)
	answers := strings.Fields(s.must(rpm, "--eval", "%{lua:local list = {}\n"+script.String()+"print(table.concat(list, ' '))}"))
	if len(answers) != len(pairs) {
		t.Fatalf("rpm gave %d answers to %d questions", len(answers), len(pairs))
	}
	for i, p := range pairs {
		if got := distver.RPM(p[0], p[1]); fmt.Sprint(got) != answers[i] {
			t.Errorf("%s against %s: %d, rpm says %s", p[0], p[1], got, answers[i])
		}
	}
}
