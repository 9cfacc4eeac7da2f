package licence_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/licence"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"MIT":                                  "MIT",
		"mit":                                  "MIT",
		"apache-2.0 or mit":                    "Apache-2.0 OR MIT",
		"(MIT)":                                "MIT",
		"MIT AND (Apache-2.0 OR BSD-2-Clause)": "MIT AND (Apache-2.0 OR BSD-2-Clause)",
		"MIT OR Apache-2.0 AND ISC":            "MIT OR Apache-2.0 AND ISC",
		"MIT AND MIT":                          "MIT",
		"MIT AND (ISC AND MIT)":                "MIT AND ISC",
		"GPL-2.0":                              "GPL-2.0-only",
		"GPL-2.0+":                             "GPL-2.0-or-later",
		"LGPL-2.1+ OR MPL-1.1":                 "LGPL-2.1-or-later OR MPL-1.1",
		"Apache-2.0+":                          "Apache-2.0+",
		"GPL-2.0-or-later WITH Classpath-exception-2.0": "GPL-2.0-or-later WITH Classpath-exception-2.0",
		"Apache-2.0 WITH llvm-exception":                "Apache-2.0 WITH LLVM-exception",
		"LicenseRef-Proprietary":                        "LicenseRef-Proprietary",
		"DocumentRef-a:LicenseRef-b OR MIT":             "DocumentRef-a:LicenseRef-b OR MIT",
	} {
		if got, err := licence.Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", "BSD", "MIT Apache-2.0", "MIT OR", "OR MIT", "(MIT", "MIT)", "()", "MIT WITH nothing", "MIT License",
		"DocumentRef-a", "DocumentRef-a:", "LicenseRef-", "LicenseRef-a+", "MIT And ISC", "MIT, ISC", "MIT/ISC", "+", "WITH", strings.Repeat("(", 65) + "MIT" + strings.Repeat(")", 65)} {
		if got, err := licence.Parse(text); err == nil {
			t.Errorf("Parse(%q) = %q, and no error", text, got)
		}
	}
	if _, err := licence.Parse(strings.Repeat("(", 64) + "MIT" + strings.Repeat(")", 64)); err != nil {
		t.Error(err)
	}
}

func TestBound(t *testing.T) {
	long := "MIT" + strings.Repeat(" ", limit.LicenceText-3)
	if got, err := licence.Parse(long); err != nil || got != "MIT" {
		t.Errorf("at the bound: %q, %v", got, err)
	}
	_, err := licence.Parse(long + " ")
	var over *limit.Error
	if !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
	_, _, err = licence.Debian(strings.NewReader("Format: x\n"+strings.Repeat("x", limit.PackageMetadata)), "copyright")
	if !errors.As(err, &over) {
		t.Errorf("copyright over the bound: %v", err)
	}
}

func TestExpression(t *testing.T) {
	for _, c := range []struct {
		want       string
		statements []string
	}{
		{"MIT", []string{"MIT License"}},
		{"MIT", []string{"The MIT License (MIT)"}},
		{"MIT", []string{"Expat"}},
		{"BSD-3-Clause", []string{"BSD 3-Clause"}},
		{"BSD-3-Clause", []string{"3-Clause BSD License"}},
		{"BSD-3-Clause", []string{"New BSD License"}},
		{"BSD-2-Clause", []string{"Simplified BSD"}},
		{"Apache-2.0", []string{"Apache 2.0"}},
		{"Apache-2.0", []string{"Apache License, Version 2.0"}},
		{"Apache-2.0", []string{"Apache License v2.0"}},
		{"Apache-2.0", []string{"Apache Software License"}},
		{"Apache-2.0", []string{"OSI Approved", "Apache Software License"}},
		{"MPL-2.0", []string{"Mozilla Public License 2.0 (MPL 2.0)"}},
		{"GPL-3.0-only", []string{"GNU General Public License v3 (GPLv3)"}},
		{"GPL-3.0-or-later", []string{"GNU General Public License v3 or later (GPLv3+)"}},
		{"LGPL-2.1-or-later", []string{"GNU Lesser General Public License v2.1 or later"}},
		{"LGPL-3.0-or-later", []string{"LGPLv3+"}},
		{"GPL-2.0-or-later", []string{"GPL-2+"}},
		{"AGPL-3.0-only", []string{"GNU Affero General Public License v3"}},
		{"MIT OR Apache-2.0", []string{"MIT or Apache License 2.0"}},
		{"MIT", []string{"MIT", "MIT License"}},
		// What does not say which licence it means stays without one.
		{"", nil},
		{"", []string{""}},
		{"", []string{"OSI Approved"}},
		{"", []string{"BSD License"}},
		{"", []string{"BSD"}},
		{"", []string{"GPL"}},
		{"", []string{"GNU General Public License (GPL)"}},
		{"", []string{"GNU Lesser General Public License v2 or later (LGPLv2+) with exceptions"}},
		{"", []string{"Python Software Foundation License"}},
		{"", []string{"Public Domain"}},
		{"", []string{"Dual License"}},
		{"", []string{"see LICENSE"}},
		{"", []string{"MIT/Apache-2.0"}},
		{"", []string{"MIT License", "Apache Software License"}},
		{"", []string{"MIT License", "BSD License"}},
		{"", []string{"Other/Proprietary License"}},
		{"", []string{"Not the MIT License"}},
		{"", []string{"GPL-9"}},
	} {
		if got := licence.Expression(c.statements); got != c.want {
			t.Errorf("Expression(%q) = %q, want %q", c.statements, got, c.want)
		}
	}
}

const machine = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: x

Files: *
Copyright: 2020 A
License: Expat

Files: src/*
Copyright: 2020 B
License: GPL-2+ or Artistic-2.0, and BSD-3-clause
 The text of it, see /usr/share/common-licenses/GPL-2.

Files: debian/*
License: Expat

License: Expat
 Permission is hereby granted

License: something-else
 Text
`

func TestDebian(t *testing.T) {
	for name, c := range map[string]struct {
		content    string
		statements []string
		expression string
	}{
		"machine-readable": {machine, []string{"Expat", "GPL-2+ or Artistic-2.0, and BSD-3-clause"}, "MIT AND (GPL-2.0-or-later OR Artistic-2.0) AND BSD-3-Clause"},
		"one unknown":      {strings.Replace(machine, "License: Expat", "License: public-domain", 1), []string{"public-domain", "GPL-2+ or Artistic-2.0, and BSD-3-clause", "Expat"}, ""},
		"exception":        {"Format: http://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-3+ with GCC-exception-3.1 exception\n", []string{"GPL-3+ with GCC-exception-3.1 exception"}, "GPL-3.0-or-later WITH GCC-exception-3.1"},
		"its own name":     {"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: Apache-2.0 with LLVM exception\n", []string{"Apache-2.0 with LLVM exception"}, "Apache-2.0 WITH LLVM-exception"},
		"which one":        {"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+ with OpenSSL exception\n", []string{"GPL-2+ with OpenSSL exception"}, ""},
		"old form":         {"This package was debianized by X.\n\nOn Debian systems the texts are in `/usr/share/common-licenses/GPL-2' and\n/usr/share/common-licenses/Apache-2.0.\nAnd /usr/share/common-licenses/GPL-2.\n", []string{"GPL-2", "Apache-2.0"}, ""},
		"nothing said":     {"Do what you want.\n", nil, ""},
		"empty":            {"", nil, ""},
		"GFDL":             {"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GFDL-NIV-1.3+\n", []string{"GFDL-NIV-1.3+"}, "GFDL-1.3-no-invariants-or-later"},
	} {
		statements, expression, err := licence.Debian(strings.NewReader(c.content), "copyright")
		if err != nil || !slices.Equal(statements, c.statements) || expression != c.expression {
			t.Errorf("%s: %q, %q, %v", name, statements, expression, err)
		}
	}
}

func TestDistributions(t *testing.T) {
	for text, want := range map[string]string{
		"MIT": "MIT", "MIT AND GPL-2.0-or-later": "MIT AND GPL-2.0-or-later", "GPL-2.0-only WITH Linux-syscall-note": "GPL-2.0-only WITH Linux-syscall-note",
		"GPL2": "GPL-2.0-only", "custom": "", "": "", "MIT BSD": "",
	} {
		if got := licence.Alpine(text); got != want {
			t.Errorf("Alpine(%q) = %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"GPL-2.0-or-later AND MIT": "GPL-2.0-or-later AND MIT", "GPLv2+ and MIT": "GPL-2.0-or-later AND MIT", "ASL 2.0": "Apache-2.0",
		"(GPLv2+ or Artistic) and LGPLv2+": "(GPL-2.0-or-later OR Artistic-1.0-Perl) AND LGPL-2.0-or-later", "GPL+ or Artistic": "GPL-1.0-or-later OR Artistic-1.0-Perl",
		"LGPLv3": "LGPL-3.0-only", "MPLv2.0": "MPL-2.0", "zlib": "Zlib", "BSD": "", "BSD and MIT": "", "Public Domain": "", "GPLv2+ with exceptions": "", "": "",
	} {
		if got := licence.RPM(text); got != want {
			t.Errorf("RPM(%q) = %q, want %q", text, got, want)
		}
	}
}

// FuzzExpression: whatever is read is an expression that reads as itself.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{"MIT", "MIT OR (Apache-2.0 AND ISC)", "GPLv2+ and MIT", "GPL-2+ with GCC-exception-3.1", machine, "DocumentRef-a:LicenseRef-b", "((("} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, debian, _ := licence.Debian(strings.NewReader(text), "x")
		strict, _ := licence.Parse(text)
		for _, expression := range []string{strict, licence.Expression([]string{text}), debian, licence.RPM(text), licence.Alpine(text)} {
			if expression == "" {
				continue
			}
			if again, err := licence.Parse(expression); len(expression) < limit.LicenceText && (err != nil || again != expression) {
				t.Errorf("%q gave %q, which reads as %q, %v", text, expression, again, err)
			}
		}
	})
}
