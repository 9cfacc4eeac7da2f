package licence_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/licence"
)

func TestAllowed(t *testing.T) {
	a, err := licence.Allow([]string{"MIT", "apache-2.0", "GPL-2.0-or-later", "LGPL-2.1-only WITH OCaml-LGPL-linking-exception"})
	if err != nil {
		t.Fatal(err)
	}
	for statement, want := range map[string]bool{
		"MIT": true, "mit": true, "Apache-2.0": true, "apache-2.0": true, "BSD-3-Clause": false,
		"MIT AND Apache-2.0": true, "MIT AND BSD-3-Clause": false, "MIT OR BSD-3-Clause": true, "BSD-2-Clause OR BSD-3-Clause": false,
		"(MIT OR BSD-3-Clause) AND Apache-2.0": true, "(MIT OR BSD-3-Clause) AND BSD-2-Clause": false,
		"Apache-2.0 WITH LLVM-exception": true, "GPL-2.0+": true, "GPL-2.0-only": false, "GPL-3.0-or-later": false,
		"LGPL-2.1-only": false, "LGPL-2.1-only WITH OCaml-LGPL-linking-exception": true,
		"": false, "GPL": false, "MIT AND": false, "NOASSERTION": false, "MIT License": false,
		strings.Repeat("(MIT OR BSD-3-Clause) AND ", 60) + "MIT": true,
		strings.Repeat("x", limit.LicenceText+1):                 false,
	} {
		if got := a.Covers(statement); got != want {
			t.Errorf("%.80q: %v", statement, got)
		}
	}
	for _, wrong := range []string{"GPL", "", "MIT AND X", "MIT OR Apache-2.0"} {
		if _, err := licence.Allow([]string{"MIT", wrong}); err == nil {
			t.Errorf("%q is taken for a licence", wrong)
		}
	}
	if (licence.Allowed{}).Covers("MIT") {
		t.Error("nothing is allowed, and covers something")
	}
}

func TestIdentifiers(t *testing.T) {
	got, err := licence.Identifiers("(mit OR GPL-2.0+ WITH Classpath-exception-2.0) AND MIT")
	if want := []string{"MIT", "GPL-2.0-or-later WITH Classpath-exception-2.0"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := licence.Identifiers("BSD"); err == nil {
		t.Errorf("%q", got)
	}
}
