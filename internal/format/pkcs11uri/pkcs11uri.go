// Package pkcs11uri reads the URIs that name a key in a PKCS#11 token (RFC
// 7512), such as
//
//	pkcs11:token=release;object=signer?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/pin
//
// Entry points are [Parse], and [Redact], which takes the PIN out of a
// reference before anybody sees it.
//
// It is stricter than the RFC asks for: an attribute that it does not know
// could name another key than the one that is found, and is an error. The
// package opens no module and reads no PIN file.
package pkcs11uri

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// Scheme is what every URI begins with.
const Scheme = "pkcs11:"

// URI is what a URI says; what it does not say is empty.
type URI struct {
	// Token, Manufacturer, Serial and Model are the token's; a token must have
	// all that are said.
	Token, Manufacturer, Serial, Model string
	// Slot is the number of the token's slot; nil is any.
	Slot *uint
	// Object is the key's label, ID its id; a key must have both if both are
	// said.
	Object string
	ID     []byte
	// ModulePath is the module's file.
	ModulePath string
	// PINValue is the PIN, PINSource where it is: a file, with or without
	// "file:". At most one of the two is said.
	PINValue, PINSource string
}

// String spells the URI without its PIN.
func (u URI) String() string {
	var path []string
	for _, attribute := range []struct{ name, value string }{
		{"token", u.Token}, {"manufacturer", u.Manufacturer}, {"serial", u.Serial}, {"model", u.Model},
		{"object", u.Object}, {"id", string(u.ID)},
	} {
		if attribute.value != "" {
			path = append(path, attribute.name+"="+escape(attribute.value))
		}
	}
	if u.Slot != nil {
		path = append(path, "slot-id="+strconv.FormatUint(uint64(*u.Slot), 10))
	}
	text := Scheme + strings.Join(path, ";")
	if u.ModulePath != "" {
		text += "?module-path=" + escape(u.ModulePath)
	}
	return text
}

func escape(text string) string { return strings.ReplaceAll(url.PathEscape(text), "&", "%26") }

// Redact is a reference to a key as people may see it: of a URI of this kind,
// readable or not, what comes before its query.
func Redact(reference string) string {
	if !Is(reference) {
		return reference
	}
	if u, err := Parse(reference); err == nil {
		return u.String()
	}
	path, _, _ := strings.Cut(reference, "?")
	if strings.Contains(path, "pin-") {
		return Scheme + "…"
	}
	return path
}

// Is says whether a reference means to be a URI of this kind: one that is spelled
// with capitals is refused as one, and not taken for a file with a PIN in its name.
func Is(reference string) bool {
	return len(reference) >= len(Scheme) && strings.EqualFold(reference[:len(Scheme)], Scheme)
}

// Parse reads a URI. The errors name the attribute, and never a value.
func Parse(text string) (URI, error) {
	rest, found := strings.CutPrefix(text, Scheme)
	if !found {
		return URI{}, errors.New(`a key in a token begins with "pkcs11:"`)
	}
	if len(text) > limit.KeyURI {
		return URI{}, &limit.Error{What: "the pkcs11: URI", Bound: limit.KeyURI, Unit: "bytes"}
	}
	path, query, _ := strings.Cut(rest, "?")
	var u URI
	seen := map[string]bool{}
	for _, part := range []struct{ text, separator string }{{path, ";"}, {query, "&"}} {
		if part.text == "" {
			continue
		}
		for attribute := range strings.SplitSeq(part.text, part.separator) {
			name, raw, found := strings.Cut(attribute, "=")
			// Behind the question mark it may be a part of the PIN.
			if part.separator == "&" && !slices.Contains(queryNames(), name) {
				return URI{}, fmt.Errorf("pkcs11: URI: an attribute after ? is not known here; want %s, and %%26 for an & in a value", strings.Join(queryNames(), ", "))
			}
			if part.separator == ";" && !slices.Contains(pathNames(), name) {
				return URI{}, fmt.Errorf("pkcs11: URI: attribute %.40q is not known here; want %s, and after ? %s", name,
					strings.Join(pathNames(), ", "), strings.Join(queryNames(), ", "))
			}
			value, err := url.PathUnescape(raw)
			switch {
			case !found || raw == "":
				return URI{}, fmt.Errorf("pkcs11: URI: attribute %s has no value", name)
			case part.separator == ";" && strings.Contains(raw, "&"):
				return URI{}, fmt.Errorf("pkcs11: URI: attribute %s has an &; before the ? attributes are separated by ;, and an & is written %%26", name)
			case err != nil:
				return URI{}, fmt.Errorf("pkcs11: URI: attribute %s has a %% that is no percent-encoding", name)
			case seen[name]:
				return URI{}, fmt.Errorf("pkcs11: URI: attribute %s is given twice", name)
			}
			seen[name] = true
			if err := u.set(name, value); err != nil {
				return URI{}, err
			}
		}
	}
	if u.PINValue != "" && u.PINSource != "" {
		return URI{}, errors.New("pkcs11: URI: want pin-value or pin-source, not both")
	}
	return u, nil
}

func pathNames() []string {
	return []string{"token", "manufacturer", "serial", "model", "slot-id", "object", "id", "type"}
}

func queryNames() []string { return []string{"module-path", "pin-value", "pin-source"} }

func (u *URI) set(name, value string) error {
	switch name {
	case "token":
		u.Token = value
	case "manufacturer":
		u.Manufacturer = value
	case "serial":
		u.Serial = value
	case "model":
		u.Model = value
	case "object":
		u.Object = value
	case "id":
		u.ID = []byte(value)
	case "module-path":
		u.ModulePath = value
	case "pin-value":
		u.PINValue = value
	case "pin-source":
		if value[0] == '|' {
			return errors.New("pkcs11: URI: pin-source names a program; none is run here, want a file")
		}
		u.PINSource = value
	case "slot-id":
		number, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return errors.New("pkcs11: URI: slot-id is no number")
		}
		slot := uint(number)
		u.Slot = &slot
	case "type":
		// One reference signs and verifies: both halves of the pair are meant.
		if value != "private" && value != "public" {
			return errors.New("pkcs11: URI: type is neither private nor public")
		}
	}
	return nil
}
