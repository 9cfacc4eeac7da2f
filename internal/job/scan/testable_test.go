package scan_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
)

// What OSV publishes no advisories of is said to be untested, by its name; it
// is neither clean nor a fault. What OSV does publish and is not there is one.
func TestWhatCannotBeTestedIsSaid(t *testing.T) {
	const (
		installed = "P:musl\nV:1.2.4-r0\n\nP:zlib\nV:1.3-r0\n"
		torch     = "usr/lib/python3/site-packages/torch-1.13.0.dist-info/METADATA"
		metadata  = "Name: torch\nVersion: 1.13.0\n"
	)
	db, err := advisorydb.Sample()
	if err != nil {
		t.Fatal(err)
	}
	s, err := scan.New(scan.Config{Advisories: strict{db}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, os, want string
		fault          string
	}{
		{name: "another distribution", os: "ID=postmarketos\nVERSION_ID=24.06\nPRETTY_NAME=\"postmarketOS v24.06\"\n", want: "2 packages of postmarketos: OSV has no advisories of postmarketOS v24.06 (musl, zlib)"},
		{name: "a release that has none", os: "ID=alpine\nVERSION_ID=3.21.0_alpha20240807\nPRETTY_NAME=\"Alpine Linux edge\"\n", want: "2 packages of alpine: OSV has no advisories of Alpine Linux edge (musl, zlib)"},
		{name: "without a pretty name", os: "ID=x\n", want: "2 packages of x: OSV has no advisories of x (musl, zlib)"},
		{name: "no distribution at all", want: "2 packages of unknown: nothing in the image says of which distribution they are (musl, zlib)"},
		{name: "one that OSV publishes", os: "ID=alpine\nVERSION_ID=3.20.1\n", fault: "Alpine:v3.20"},
		{name: "apk's database in an image of Red Hat's", os: "ID=rhel\nVERSION_ID=9.4\n", want: "2 packages of unknown: nothing in the image says of which distribution they are (musl, zlib)"},
	} {
		content := map[string]string{"lib/apk/db/installed": installed, torch: metadata}
		if test.os != "" {
			content["etc/os-release"] = test.os
		}
		report, err := s.Image(context.Background(), image(t, nil, content), scan.Named{Reference: "i", Digest: subject.Of(nil)})
		if test.fault != "" {
			var missing *advisory.MissingEcosystemError
			if !errors.As(err, &missing) || missing.Ecosystem != test.fault || missing.Packages != 2 {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got := said(report.Inventory); got != test.want {
			t.Errorf("%s: %s\nwant %s", test.name, got, test.want)
		}
		if len(report.Inventory.Components) != 3 {
			t.Errorf("%s: %d components; all stay listed", test.name, len(report.Inventory.Components))
		}
	}
}

func said(inventory component.Inventory) string {
	var list []string
	for _, u := range inventory.Unresolved {
		list = append(list, u.Text+": "+u.Reason)
	}
	return strings.Join(list, "; ")
}
