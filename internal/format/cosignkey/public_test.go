package cosignkey_test

import (
	"bytes"
	"crypto"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
)

// headed puts header lines into the first PEM block.
func headed(public []byte, lines ...string) []byte {
	return bytes.Replace(public, []byte("KEY-----\n"), []byte("KEY-----\n"+strings.Join(lines, "\n")+"\n\n"), 1)
}

func TestReadPublicWindow(t *testing.T) {
	public := read(t, "cosign3.pub")
	begin, end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 10, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		content    []byte
		begin, end time.Time
	}{
		"none":        {public, time.Time{}, time.Time{}},
		"end":         {headed(public, "Not-After: 2027-01-01T10:00:00Z"), time.Time{}, end},
		"begin":       {headed(public, "Not-Before: 2026-01-01T00:00:00Z"), begin, time.Time{}},
		"both":        {headed(public, "Not-Before: 2026-01-01T00:00:00Z", "Not-After: 2027-01-01T10:00:00Z"), begin, end},
		"other zone":  {headed(public, "Not-After: 2027-01-01T12:00:00+02:00"), time.Time{}, end},
		"line ends":   {bytes.ReplaceAll(headed(public, "Not-After: 2027-01-01T10:00:00Z"), []byte("\n"), []byte("\r\n")), time.Time{}, end},
		"no blank":    {bytes.Replace(public, []byte("KEY-----\n"), []byte("KEY-----\nNot-After: 2027-01-01T10:00:00Z\n"), 1), time.Time{}, end},
		"second only": {join(public, headed(public, "Not-After: 2027-01-01T10:00:00Z")), time.Time{}, time.Time{}},
	} {
		keys, err := cosignkey.ReadPublic(test.content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !keys[0].NotBefore.Equal(test.begin) || !keys[0].NotAfter.Equal(test.end) {
			t.Errorf("%s: from %v to %v", name, keys[0].NotBefore, keys[0].NotAfter)
		}
		if last := keys[len(keys)-1]; name == "second only" && !last.NotAfter.Equal(end) {
			t.Errorf("the second key ends %v", last.NotAfter)
		}
	}
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"unknown header": {headed(public, "Expires: 2027-01-01T10:00:00Z"), `block 1: PEM header "Expires" is not known; want Not-Before or Not-After`},
		"other case":     {headed(public, "not-after: 2027-01-01T10:00:00Z"), `PEM header "not-after" is not known`},
		"in the second":  {join(public, headed(public, "Owner: me")), `block 2: PEM header "Owner" is not known`},
		"twice":          {headed(public, "Not-After: 2027-01-01T10:00:00Z", "Not-After: 2037-01-01T10:00:00Z"), "given twice"},
		"a day":          {headed(public, "Not-After: 2027-01-01"), `PEM header Not-After: "2027-01-01" is no time; want RFC 3339`},
		"empty":          {headed(public, "Not-After: "), `Not-After: "" is no time`},
		"year nought":    {headed(public, "Not-After: 0001-01-01T00:00:00Z"), "is no time"},
		"beyond years":   {headed(public, "Not-After: 9999-12-31T23:59:59-12:00"), "is no time"},
		"ends first":     {headed(public, "Not-Before: 2027-01-01T10:00:00Z", "Not-After: 2027-01-01T10:00:00Z"), "ends (2027-01-01T10:00:00Z) before it begins"},
	} {
		keys, err := cosignkey.ReadPublic(test.content)
		if err == nil || keys != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v; want %q", name, keys, err, test.want)
		}
	}
}

func TestEncodeSet(t *testing.T) {
	content := join([]byte("# new\n"), read(t, "cosign3.pub"), []byte("# old\n# of 2025\n"), headed(read(t, "cosign3.pub"), "Not-After: 2027-01-01T10:00:00Z"))
	keys, err := cosignkey.ReadPublic(content)
	if err != nil {
		t.Fatal(err)
	}
	set, err := cosignkey.EncodeSet(keys)
	if err != nil || !bytes.Equal(set, content) {
		t.Errorf("want\n%s\ngot\n%s\n%v", content, set, err)
	}
	var over *limit.Error
	if set, err := cosignkey.EncodeSet(make([]cosignkey.Public, 65)); !errors.As(err, &over) || set != nil {
		t.Errorf("65 keys: %v", err)
	}
	for name, change := range map[string]func(*cosignkey.Public){
		"no key":      func(p *cosignkey.Public) { p.Key = nil },
		"no comment":  func(p *cosignkey.Public) { p.Comment = "new" },
		"a PEM block": func(p *cosignkey.Public) { p.Comment = "#\n" + string(content) },
		"ends first":  func(p *cosignkey.Public) { p.NotBefore = p.NotAfter.Add(time.Second) },
	} {
		changed := keys[1]
		change(&changed)
		if set, err := cosignkey.EncodeSet([]cosignkey.Public{changed}); err == nil || set != nil {
			t.Errorf("%s: wrote %s", name, set)
		}
	}
}

func TestGenerateType(t *testing.T) {
	for _, name := range cosignkey.Types() {
		private, public, err := cosignkey.GenerateType(name, []byte("pass"))
		if err != nil {
			t.Fatal(err)
		}
		signer, err := cosignkey.ReadPrivate(private, []byte("pass"))
		if err != nil {
			t.Fatal(err)
		}
		keys, err := cosignkey.ReadPublic(public)
		if err != nil {
			t.Fatal(err)
		}
		same(t, signer.Public(), keys[0].Key)
		if got := cosignkey.TypeOf(signer.Public()); got != name {
			t.Errorf("asked for %s, made %q", name, got)
		}
	}
	if private, _, err := cosignkey.GenerateType("rsa-1024", nil); err == nil || private != nil || !strings.Contains(err.Error(), "ecdsa-p256") {
		t.Errorf("rsa-1024: %v", err)
	}
	if got := cosignkey.TypeOf("key"); got != "" {
		t.Errorf("a string is of type %q", got)
	}
}

// TestSucceed: the new key first and open, the older ones end; what was retired
// before stays so, and does not come back.
func TestSucceed(t *testing.T) {
	var keys []cosignkey.Public
	for range 3 {
		_, public, err := cosignkey.GenerateType("ecdsa-p256", nil)
		if err != nil {
			t.Fatal(err)
		}
		read, err := cosignkey.ReadPublic(public)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, read[0])
	}
	early, until := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	retired := keys[1]
	retired.NotAfter = early
	set, err := cosignkey.Succeed([]cosignkey.Public{keys[0], retired}, []crypto.PublicKey{keys[2].Key}, until)
	if err != nil || len(set) != 3 {
		t.Fatalf("%v, %v", set, err)
	}
	for i, want := range []time.Time{{}, until, early} {
		if !set[i].NotAfter.Equal(want) {
			t.Errorf("key %d ends %s, want %s", i, set[i].NotAfter, want)
		}
	}
	if !cosignkey.Holds(set[:1], keys[2].Key) || cosignkey.Holds(set[:1], keys[0].Key) {
		t.Error("the new key is not the first")
	}
	if _, err := cosignkey.Succeed(set, []crypto.PublicKey{keys[1].Key}, until); err == nil || !strings.Contains(err.Error(), "was retired before") {
		t.Errorf("a retired key comes back: %v", err)
	}
	begun := keys[0]
	begun.NotBefore = until.AddDate(0, 1, 0)
	if _, err := cosignkey.Succeed([]cosignkey.Public{begun}, []crypto.PublicKey{keys[2].Key}, until); err == nil || !strings.Contains(err.Error(), "before it begins") {
		t.Errorf("a key that ends before it begins: %v", err)
	}
}
