package osrelease_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/osrelease"
)

const debian = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
`

const ubuntu = `PRETTY_NAME="Ubuntu 22.04.4 LTS"
NAME="Ubuntu"
VERSION_ID="22.04"
VERSION="22.04.4 LTS (Jammy Jellyfish)"
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=jammy
`

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		text                    string
		id, version, pretty, of string
	}{
		"Debian":             {debian, "debian", "12", "Debian GNU/Linux 12 (bookworm)", "Debian:12"},
		"Ubuntu":             {ubuntu, "ubuntu", "22.04", "Ubuntu 22.04.4 LTS", "Ubuntu:22.04"},
		"distroless":         {"PRETTY_NAME=\"Distroless\"\nNAME=\"Debian GNU/Linux\"\nID=\"debian\"\nVERSION_ID=\"11\"\n", "debian", "11", "Distroless", "Debian:11"},
		"Alpine":             {"NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.19.1\n", "alpine", "3.19.1", "", "Alpine:v3.19"},
		"testing":            {"PRETTY_NAME=\"Debian GNU/Linux trixie/sid\"\nID=debian\nVERSION_CODENAME=trixie\n", "debian", "", "Debian GNU/Linux trixie/sid", "Debian:13"},
		"a relative":         {"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=\"21\"\n", "linuxmint", "21", "", ""},
		"no release":         {"ID=debian\n", "debian", "", "", ""},
		"line ends of DOS":   {strings.ReplaceAll(debian, "\n", "\r\n"), "debian", "12", "Debian GNU/Linux 12 (bookworm)", "Debian:12"},
		"no last line end":   {"VERSION_ID=12\nID=debian", "debian", "12", "", "Debian:12"},
		"comments and air":   {"# ID=ubuntu\n\n  \t\n#x\n  ID=debian  \n\tVERSION_ID=12\t\n", "debian", "12", "", "Debian:12"},
		"single quotes":      {"ID='debian'\nPRETTY_NAME='a \"b\" \\$c'\n", "debian", "", `a "b" \$c`, ""},
		"escapes":            {`PRETTY_NAME="a \"b\" \\ \$x \` + "`" + `y\n"` + "\nID=x\n", "x", "", `a "b" \ $x ` + "`" + `y\n`, ""},
		"upper case":         {"ID=Debian\nVERSION_ID=12\n", "debian", "12", "", "Debian:12"},
		"the later one wins": {"ID=ubuntu\nVERSION_ID=1\nID=debian\nVERSION_ID=12\n", "debian", "12", "", "Debian:12"},
		"lines of nothing":   {"no assignment\n=\n=x\nID=debian\nVERSION_ID=\n", "debian", "", "", ""},
		"other keys":         {"XID=a\nID_LIKE=b\nid=c\nVERSION_ID_X=d\nID=debian\n", "debian", "", "", ""},
		"an equals sign":     {"ID=debian\nPRETTY_NAME=a=b\n", "debian", "", "a=b", ""},
		"empty quotation":    {"ID=debian\nVERSION_ID=\"\"\nPRETTY_NAME=''\n", "debian", "", "", ""},
	} {
		got, err := osrelease.Parse(strings.NewReader(c.text), "etc/os-release")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		codename := got.Codename
		got.Codename = ""
		want := component.OperatingSystem{ID: c.id, VersionID: c.version, PrettyName: c.pretty, Location: component.Location{Path: "etc/os-release"}}
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if got.Codename = codename; strings.Contains(c.text, "VERSION_CODENAME=bookworm") && codename != "bookworm" {
			t.Errorf("%s: codename %q", name, codename)
		}
		if got.Ecosystem() != c.of {
			t.Errorf("%s: ecosystem %q, want %q", name, got.Ecosystem(), c.of)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":                 {"", "etc/os-release: says no ID"},
		"no ID":                 {"NAME=Debian\nVERSION_ID=12\n", "etc/os-release: says no ID"},
		"an empty ID":           {"ID=\n", "etc/os-release: says no ID"},
		"a quoted empty ID":     {"ID=\"\"\n", "etc/os-release: says no ID"},
		"the later is empty":    {"ID=debian\nID=\n", "etc/os-release: says no ID"},
		"only a comment":        {"#ID=debian\n", "etc/os-release: says no ID"},
		"a space":               {"ID =debian\n", "etc/os-release: says no ID"},
		"a byte order mark":     {"\ufeffID=debian\n", "etc/os-release: says no ID"},
		"open quotation":        {"NAME=x\nID=\"debian\n", "etc/os-release:2: a quotation is not closed"},
		"one quote":             {"ID=\"", "etc/os-release:1: a quotation is not closed"},
		"one single quote":      {"ID='", "etc/os-release:1: a quotation is not closed"},
		"mixed quotes":          {"ID=\"debian'\n", "etc/os-release:1: a quotation is not closed"},
		"its end is escaped":    {`ID="debian\"` + "\n", "etc/os-release:1: a quotation is not closed"},
		"text behind":           {"ID=\"debian\"12\n", "etc/os-release:1: text behind a quotation"},
		"a comment behind":      {"ID=\"debian\" # why\n", "etc/os-release:1: text behind a quotation"},
		"two quotations":        {"ID='deb''ian'\n", "etc/os-release:1: text behind a quotation"},
		"a quotation inside":    {"ID=debian\nNAME=\"a\"b\"\n", "etc/os-release:2: text behind a quotation"},
		"of more than a line":   {"ID=debian\nNAME=\"a\nb\"\n", "etc/os-release:2: a quotation is not closed"},
		"broken only elsewhere": {"ID=debian\nHOME_URL='x\n", "etc/os-release:2: a quotation is not closed"},
	} {
		got, err := osrelease.Parse(strings.NewReader(c.text), "etc/os-release")
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %+v, error %v, want %s", name, got, err, c.want)
		}
		if got != (component.OperatingSystem{}) {
			t.Errorf("%s: an error, and still %+v", name, got)
		}
	}
}

func TestParseBound(t *testing.T) {
	const bound = 64 << 10
	text := debian + "# " + strings.Repeat("x", bound)
	if _, err := osrelease.Parse(strings.NewReader(text[:bound]), "etc/os-release"); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	var over *limit.Error
	if _, err := osrelease.Parse(strings.NewReader(text[:bound+1]), "etc/os-release"); !errors.As(err, &over) || over.Bound != bound {
		t.Errorf("over the bound: %v", err)
	}
	gone := errors.New("the layer is gone")
	if _, err := osrelease.Parse(io.MultiReader(strings.NewReader(debian), failing{gone}), "etc/os-release"); !errors.Is(err, gone) {
		t.Errorf("a reader that fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzParse(f *testing.F) {
	for _, seed := range []string{debian, ubuntu, "", "ID=", "ID='", `ID="\"`, "ID=\"a\"b\"", "\x00=\xff\nID=\xff", "ID=x\r\rVERSION_ID=\"1\\"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := osrelease.Parse(strings.NewReader(text), "where")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "where") && len(text) <= 64<<10 {
				t.Fatalf("no place in %q", err)
			}
			return
		}
		if got.ID == "" || strings.ContainsAny(got.ID+got.VersionID+got.PrettyName+got.Codename, "\n") {
			t.Fatalf("read %+v", got)
		}
		// Quoting what was read gives the same again.
		quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace
		again, err := osrelease.Parse(strings.NewReader(`ID="`+quote(got.ID)+"\"\nVERSION_ID=\""+quote(got.VersionID)+"\"\nPRETTY_NAME=\""+quote(got.PrettyName)+"\"\nVERSION_CODENAME=\""+quote(got.Codename)+"\"\n"), "where")
		if err != nil || got != again {
			t.Fatalf("%+v, and again %+v, %v", got, again, err)
		}
	})
}
