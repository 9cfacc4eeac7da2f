package licence

import (
	"regexp"
	"strings"
)

// noise are words and signs that do not tell licences apart.
var noise = regexp.MustCompile(`[^a-z0-9.+]+`)

var version = regexp.MustCompile(`^v(\d)`)

// spelled is the licence that people write in words, or "".
func spelled(text string) string {
	if len(text) > 256 {
		return ""
	}
	var words []string
	for _, word := range strings.Fields(noise.ReplaceAllString(strings.ToLower(text), " ")) {
		word = strings.TrimSuffix(version.ReplaceAllString(word, "$1"), ".")
		switch word {
		case "license", "licence", "licenses", "the", "version", "v", "":
			continue
		}
		words = append(words, word)
	}
	key := strings.Join(words, " ")
	if id, found := spellings[key]; found {
		return id
	}
	if m := gnuWords.FindStringSubmatch(key); m != nil {
		return gnuName(m[1], m[2], strings.Contains(m[3], "later") || strings.Contains(m[3], "+"))
	}
	return ""
}

// gnuWords are the GNU licences in short and in full, such as "gpl 3",
// "gplv2+", "gnu lesser general public 2.1 or later lgplv2.1+".
var gnuWords = regexp.MustCompile(`^(?:gnu )?(agpl|lgpl|gpl|affero general public|lesser general public|library or lesser general public|library general public|general public)(?: public)? ?v?(\d(?:\.\d)?)(\+?(?: or(?: any)? later)?)(?: [al]?gplv?\d(?:\.\d)?\+?)?$`)

func gnuName(family, number string, later bool) string {
	prefix := "GPL-"
	switch {
	case strings.HasPrefix(family, "a"):
		prefix = "AGPL-"
	case strings.HasPrefix(family, "l"):
		prefix = "LGPL-"
	}
	if !strings.Contains(number, ".") {
		number += ".0"
	}
	suffix := "-only"
	if later {
		suffix = "-or-later"
	}
	return identifier(prefix + number + suffix)
}

// spellings go from words in lower case, without "license" and "version", to
// the licence. "BSD", "GPL", "Mozilla Public License" and the like are not
// here: they do not say which one.
var spellings = map[string]string{
	"0bsd": "0BSD", "2 clause bsd": "BSD-2-Clause", "3 clause bsd": "BSD-3-Clause", "3 clause new bsd": "BSD-3-Clause",
	"apache": "Apache-2.0", "apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache2": "Apache-2.0", "apache2.0": "Apache-2.0", "apachev2": "Apache-2.0",
	"apache software": "Apache-2.0", "apache software 2.0": "Apache-2.0", "apache software 2": "Apache-2.0", "apl 2.0": "Apache-2.0", "asl 2.0": "Apache-2.0", "asl 2": "Apache-2.0",
	"artistic 2.0": "Artistic-2.0", "boost software": "BSL-1.0", "boost software 1.0": "BSL-1.0", "boost software 1.0 bsl 1.0": "BSL-1.0",
	"bsd 2 clause": "BSD-2-Clause", "bsd 2 clause simplified": "BSD-2-Clause", "bsd 2": "BSD-2-Clause", "bsd 3": "BSD-3-Clause", "bsd 3 clause": "BSD-3-Clause", "bsd 3 clause new or revised": "BSD-3-Clause",
	"bsd3": "BSD-3-Clause", "bsd2": "BSD-2-Clause", "modified bsd": "BSD-3-Clause", "new bsd": "BSD-3-Clause", "revised bsd": "BSD-3-Clause", "simplified bsd": "BSD-2-Clause", "bsd 3clause": "BSD-3-Clause", "bsd 2clause": "BSD-2-Clause",
	"cc0": "CC0-1.0", "cc0 1.0": "CC0-1.0", "cc0 1.0 universal": "CC0-1.0", "cc0 1.0 universal cc0 1.0 public domain dedication": "CC0-1.0", "cc by 4.0": "CC-BY-4.0", "cc by sa 4.0": "CC-BY-SA-4.0", "cc by nc 4.0": "CC-BY-NC-4.0",
	"eclipse public 1.0 epl 1.0": "EPL-1.0", "eclipse public 2.0 epl 2.0": "EPL-2.0", "epl 2.0": "EPL-2.0", "eupl 1.2": "EUPL-1.2", "european union public 1.2 eupl 1.2": "EUPL-1.2",
	"expat": "MIT", "historical permission notice and disclaimer hpnd": "HPND", "hpnd": "HPND", "isc": "ISC", "isc iscl": "ISC", "iscl": "ISC",
	"mit": "MIT", "mit mit": "MIT", "mit x11": "MIT", "mit expat": "MIT", "expat mit": "MIT", "mit no attribution mit 0": "MIT-0", "mit 0": "MIT-0", "mit cmu": "MIT-CMU",
	"mozilla public 1.1 mpl 1.1": "MPL-1.1", "mozilla public 2.0 mpl 2.0": "MPL-2.0", "mozilla public 2.0": "MPL-2.0", "mpl 2.0": "MPL-2.0", "mpl 2": "MPL-2.0", "mpl2": "MPL-2.0", "mpl2.0": "MPL-2.0", "mpl 1.1": "MPL-1.1", "mplv2.0": "MPL-2.0", "mplv1.1": "MPL-1.1",
	"ncsa": "NCSA", "university of illinois ncsa open source": "NCSA", "ofl 1.1": "OFL-1.1", "sil open font 1.1 ofl 1.1": "OFL-1.1",
	"psf 2.0": "PSF-2.0", "python 2.0": "Python-2.0", "unlicense": "Unlicense", "unlicense unlicense": "Unlicense", "upl 1.0": "UPL-1.0", "universal permissive upl": "UPL-1.0",
	"wtfpl": "WTFPL", "zero clause bsd 0bsd": "0BSD", "zlib": "Zlib", "zope public 2.1": "ZPL-2.1", "zpl 2.1": "ZPL-2.1",
	"mulan permissive software 2 mulanpsl 2.0": "MulanPSL-2.0", "blueoak 1.0.0": "BlueOak-1.0.0", "blue oak model blueoak 1.0.0": "BlueOak-1.0.0",
}
