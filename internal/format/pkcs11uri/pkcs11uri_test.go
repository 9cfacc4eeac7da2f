package pkcs11uri_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/pkcs11uri"
)

func TestParse(t *testing.T) {
	slot := uint(7)
	for text, want := range map[string]pkcs11uri.URI{
		"pkcs11:": {},
		"pkcs11:token=The%20Token;object=signer;type=private": {Token: "The Token", Object: "signer"},
		"pkcs11:id=%01%ff%3b":                                            {ID: []byte{1, 0xff, ';'}},
		"pkcs11:serial=4f;model=m;manufacturer=x;slot-id=7":              {Serial: "4f", Model: "m", Manufacturer: "x", Slot: &slot},
		"pkcs11:token=t?module-path=/usr/lib/m.so&pin-value=1%2634":      {Token: "t", ModulePath: "/usr/lib/m.so", PINValue: "1&34"},
		"pkcs11:object=a+b?pin-source=file:/run/pin&module-path=/m.so":   {Object: "a+b", ModulePath: "/m.so", PINSource: "file:/run/pin"},
		"pkcs11:token=a?b":                                               {},
		"pkcs11:token=%F0%9F%94%91;object=x?module-path=/a%20b/m.so":     {Token: "🔑", Object: "x", ModulePath: "/a b/m.so"},
		"pkcs11:token=a%3Fpin-value%3Dx;object=percent%25?module-path=/": {Token: "a?pin-value=x", Object: "percent%", ModulePath: "/"},
	} {
		got, err := pkcs11uri.Parse(text)
		if text == "pkcs11:token=a?b" {
			if err == nil {
				t.Errorf("%s: read as %+v", text, got)
			}
			continue
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", text, err, diff)
		}
		want.PINValue, want.PINSource = "", ""
		again, err := pkcs11uri.Parse(got.String())
		if diff := cmp.Diff(want, again); err != nil || diff != "" {
			t.Errorf("%s as %s: %v %s", text, got, err, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       `begins with "pkcs11:"`,
		"PKCS11:token=x":                         `begins with "pkcs11:"`,
		"pkcs11:tokn=x":                          `attribute "tokn" is not known here`,
		"pkcs11:pin-value=1234":                  `attribute "pin-value" is not known here`,
		"pkcs11:x-vendor=1":                      "is not known here",
		"pkcs11:token=x?token=y":                 "an attribute after ? is not known here",
		"pkcs11:token=x&pin-value=1234":          "attribute token has an &",
		"pkcs11:?pin-value=12&1234":              "an attribute after ? is not known here",
		"pkcs11:token=x?module-name=m":           "is not known here",
		"pkcs11:token=x;":                        `attribute "" is not known`,
		"pkcs11:token":                           "attribute token has no value",
		"pkcs11:token=":                          "attribute token has no value",
		"pkcs11:token=x;token=x":                 "attribute token is given twice",
		"pkcs11:token=%zz":                       "attribute token has a % that",
		"pkcs11:slot-id=-1":                      "slot-id is no number",
		"pkcs11:slot-id=4294967296":              "slot-id is no number",
		"pkcs11:type=cert":                       "type is neither",
		"pkcs11:?pin-value=1234&pin-source=/pin": "not both",
		"pkcs11:?pin-source=|cat":                "names a program",
		"pkcs11:?pin-value=1234%":                "attribute pin-value has a %",
	} {
		got, err := pkcs11uri.Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %q", text, got, err, want)
		} else if strings.Contains(err.Error(), "1234") {
			t.Errorf("the PIN stands in: %v", err)
		}
		if shown := pkcs11uri.Redact(text); strings.Contains(shown, "1234") {
			t.Errorf("the PIN stands in: %s", shown)
		}
	}
	var over *limit.Error
	if _, err := pkcs11uri.Parse("pkcs11:token=" + strings.Repeat("x", limit.KeyURI)); !errors.As(err, &over) {
		t.Errorf("too long: %v", err)
	}
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"assay.key":            "assay.key",
		"hashivault://release": "hashivault://release",
		"pkcs11:token=t;object=o?pin-value=1234&module-path=/m": "pkcs11:token=t;object=o?module-path=%2Fm",
		"pkcs11:token=t;nonsense?pin-value=1234":                "pkcs11:token=t;nonsense",
		"pkcs11:token=t&pin-value=1234":                         "pkcs11:…",
	} {
		if got := pkcs11uri.Redact(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("pkcs11:token=The%20Token;object=signer;type=private?module-path=/m.so&pin-value=1234")
	f.Add("pkcs11:id=%01%ff;slot-id=7?pin-source=file:/run/pin")
	f.Add("pkcs11:token=;?&")
	f.Add("pkcs11:token=a%26b?module-path=%26")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := pkcs11uri.Parse(text)
		if err != nil {
			return
		}
		again, err := pkcs11uri.Parse(u.String())
		u.PINValue, u.PINSource = "", ""
		if diff := cmp.Diff(u, again); err != nil || diff != "" {
			t.Fatalf("%q as %s: %v %s", text, u, err, diff)
		}
	})
}
