package licence

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

var commonLicence = regexp.MustCompile(`/usr/share/common-licenses/([A-Za-z0-9][A-Za-z0-9.+-]*)`)

// Debian reads usr/share/doc/PACKAGE/copyright. Of a machine-readable file
// (Debian's "Machine-readable debian/copyright file", 1.0) the statements are
// the short names of all its paragraphs about files, once each, and the
// expression says that all apply; it is empty if one of them is not known. Of
// any other file the statements are the texts in /usr/share/common-licenses
// that it points to, and there is no expression: the file may say more than
// they do. Over limit.PackageMetadata bytes it is an error that starts with
// where.
func Debian(r io.Reader, where string) (statements []string, expression string, err error) {
	reader := bufio.NewReader(limit.Reader(r, where, limit.PackageMetadata))
	add := func(list *[]string, text string) {
		if text = strings.TrimSpace(text); text != "" && !slices.Contains(*list, text) {
			*list = append(*list, text)
		}
	}
	var common []string
	machine, paragraph := false, ""
	for first := true; ; {
		line, err := reader.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, "", fmt.Errorf("%s: %w", where, err)
		}
		text := strings.TrimRight(line, "\r\n")
		key, value, isField := strings.Cut(text, ":")
		key = strings.ToLower(key)
		switch {
		case strings.TrimSpace(text) == "":
			paragraph = ""
		case first:
			machine = isField && strings.HasPrefix(key, "format") && strings.Contains(value, "copyright-format") || strings.Contains(value, "dep5") || strings.Contains(value, "DEP5")
			first, paragraph = false, "header"
		case machine && isField && text[0] != ' ' && text[0] != '\t':
			if paragraph == "" {
				paragraph = key
			}
			// A paragraph that begins with License only holds its text.
			if key == "license" && paragraph != "license" {
				add(&statements, value)
			}
		}
		for _, m := range commonLicence.FindAllStringSubmatch(text, -1) {
			add(&common, strings.TrimRight(m[1], ".-"))
		}
		if err != nil {
			break
		}
	}
	if !machine || len(statements) == 0 {
		return common, "", nil
	}
	var all []string
	for _, statement := range statements {
		all = append(all, "("+commas(statement)+")")
	}
	expression, err = parse(strings.Join(all, " and "), debianName)
	if err != nil {
		return statements, "", nil // not known, and said by the statements
	}
	return statements, expression, nil
}

// commas puts into parentheses what a comma joins: "A or B, and C".
func commas(text string) string {
	parts := strings.Split(text, ",")
	if len(parts) == 1 {
		return text
	}
	joined := "(" + parts[0] + ")"
	for _, part := range parts[1:] {
		part = strings.TrimSpace(part)
		operator := "and"
		if rest, found := strings.CutPrefix(part, "and "); found {
			part = rest
		} else if rest, found := strings.CutPrefix(part, "or "); found {
			part, operator = rest, "or"
		}
		joined = "(" + joined + " " + operator + " (" + part + "))"
	}
	return joined
}

var debianNumber = regexp.MustCompile(`^(A?GPL|LGPL|GFDL|GFDL-NIV)-(\d(?:\.\d)?)(?:\.0)?(\+?)$`)

// debianName goes from the short names of Debian's format to the licence.
func debianName(name string) string {
	short, exception, with := cutFold(name, " with ")
	if m := debianNumber.FindStringSubmatch(short); m != nil {
		number, suffix := m[2], "-only"
		if !strings.Contains(number, ".") {
			number += ".0"
		}
		if m[3] == "+" {
			suffix = "-or-later"
		}
		short = m[1] + "-" + number + suffix
		if m[1] == "GFDL-NIV" {
			short = "GFDL-" + number + "-no-invariants" + suffix
		}
	} else if known, found := debianNames[strings.ToLower(short)]; found {
		short = known
	}
	if with {
		exception = strings.TrimSuffix(exception, " exception")
		if known, found := debianExceptions[strings.ToLower(exception)]; found {
			exception = known
		}
		short += " with " + exception
	}
	return identifier(short)
}

// debianExceptions are short names that stand for one exception only; "OpenSSL"
// and "Autoconf" stand for several.
var debianExceptions = map[string]string{"llvm": "LLVM-exception", "bison": "Bison-exception-2.2", "classpath": "Classpath-exception-2.0", "font": "Font-exception-2.0"}

var debianNames = map[string]string{
	"bsd-2": "BSD-2-Clause", "bsd-3": "BSD-3-Clause", "expat": "MIT", "apache-2": "Apache-2.0", "psf-2": "PSF-2.0", "artistic-2": "Artistic-2.0", "bsd-3-clauses": "BSD-3-Clause",
	"boost-1.0": "BSL-1.0", "bsl-1": "BSL-1.0", "cc0": "CC0-1.0", "mpl-2": "MPL-2.0", "mit/x11": "MIT", "zope-2.1": "ZPL-2.1",
}

// Alpine reads the field L of apk's database: an SPDX expression in packages of
// today, a name in older ones.
func Alpine(text string) string { return fromWords(strings.TrimSpace(text)) }

// RPM reads the License tag of an RPM package: an SPDX expression in Fedora 40,
// RHEL 10 and SUSE, short names of Fedora's joined by "and" and "or" before
// that. "BSD" and other names that stand for several licences give none.
func RPM(text string) string {
	if expression, err := Parse(text); err == nil {
		return expression
	}
	expression, err := parse(text, func(name string) string {
		if id := identifier(name); id != "" {
			return id
		}
		if known, found := fedora[name]; found {
			return known
		}
		return spelled(name)
	})
	if err != nil {
		return ""
	}
	return expression
}

// fedora are short names of Fedora's list before SPDX that are not understood
// otherwise. Its GPL+ is any version, its LGPLv2 is 2.0.
var fedora = map[string]string{
	"GPL+": "GPL-1.0-or-later", "LGPLv2": "LGPL-2.0-only", "LGPLv2+": "LGPL-2.0-or-later", "Artistic": "Artistic-1.0-Perl", "Boost": "BSL-1.0",
	"SIL Open Font License": "OFL-1.1", "OFL": "OFL-1.1", "MPLv1.1": "MPL-1.1",
	"MPLv2.0": "MPL-2.0", "CPL": "CPL-1.0",
}
