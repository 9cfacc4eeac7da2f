package cosignkey

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
)

// The PEM headers that bound when a public key speaks for its owner.
const (
	notBefore = "Not-Before"
	notAfter  = "Not-After"
)

// Public is one block of a file of public keys.
type Public struct {
	Key crypto.PublicKey
	// NotBefore and NotAfter bound when the key signs for its owner; a zero
	// time does not. They are what the headers Not-Before and Not-After of the
	// block say.
	NotBefore, NotAfter time.Time
	// Comment is the comment lines ("#") above the block, each with its line
	// end; EncodeSet writes them back.
	Comment string
}

// ReadPublic reads every PEM block of content as a public key in PKIX form,
// in order; at least one. ECDSA on P-256, P-384 or P-521, RSA from 2048 bits,
// and Ed25519. A private key or a certificate is an error that says so, and
// so is text outside the blocks that is not a comment line ("#"), a header
// other than Not-Before and Not-After, and one that is no time (RFC 3339).
func ReadPublic(content []byte) ([]Public, error) {
	if len(content) > limit.KeyFile {
		return nil, &limit.Error{What: "public key", Bound: limit.KeyFile, Unit: "bytes"}
	}
	var keys []Public
	rest := content
	for len(bytes.TrimSpace(rest)) > 0 {
		at := bytes.Index(rest, []byte("-----BEGIN "))
		before := rest
		if at >= 0 {
			before = rest[:at]
		}
		comment, err := onlyComments(before)
		if err != nil {
			return nil, err
		}
		if at < 0 {
			break
		}
		block, after := pem.Decode(rest[at:])
		// A damaged block would otherwise be passed over in silence.
		text := rest[at : len(rest)-len(after)]
		if block == nil || bytes.Count(text, []byte("-----BEGIN ")) != 1 {
			return nil, fmt.Errorf("public key: PEM block %d is damaged", len(keys)+1)
		}
		rest = after
		key, err := publicKey(block)
		public := Public{Key: key, Comment: comment}
		if err == nil {
			err = public.window(block, text)
		}
		if err != nil {
			return nil, fmt.Errorf("public key: block %d: %w", len(keys)+1, err)
		}
		if keys = append(keys, public); len(keys) > publicKeys {
			return nil, &limit.Error{What: "public key", Bound: publicKeys, Unit: "PEM blocks"}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("public key: no PEM block found; want -----BEGIN PUBLIC KEY-----")
	}
	return keys, nil
}

// Holds says whether a key stands in a set, at whatever times.
func Holds(set []Public, key crypto.PublicKey) bool { return find(set, key) >= 0 }

// EncodeSet writes public keys one after the other, as ReadPublic reads them.
// What ReadPublic would refuse is an error.
func EncodeSet(keys []Public) ([]byte, error) {
	if len(keys) > publicKeys {
		return nil, &limit.Error{What: "public key", Bound: publicKeys, Unit: "PEM blocks"}
	}
	var out bytes.Buffer
	for i, public := range keys {
		if err := allowed(public.Key); err != nil {
			return nil, err
		}
		if _, err := onlyComments([]byte(public.Comment)); err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKIXPublicKey(public.Key)
		if err != nil {
			return nil, fmt.Errorf("encoding public key %d: %w", i+1, err)
		}
		block := &pem.Block{Type: "PUBLIC KEY", Bytes: der, Headers: map[string]string{}}
		for name, moment := range map[string]time.Time{notBefore: public.NotBefore, notAfter: public.NotAfter} {
			if !moment.IsZero() {
				block.Headers[name] = moment.UTC().Format(time.RFC3339Nano)
			}
		}
		out.WriteString(public.Comment)
		if err := pem.Encode(&out, block); err != nil {
			return nil, fmt.Errorf("encoding public key %d: %w", i+1, err)
		}
	}
	if out.Len() > limit.KeyFile {
		return nil, &limit.Error{What: "public key", Bound: limit.KeyFile, Unit: "bytes"}
	}
	if _, err := ReadPublic(out.Bytes()); err != nil {
		return nil, fmt.Errorf("encoding public keys: %w", err)
	}
	return out.Bytes(), nil
}

// Succeed is the set of public keys after a rotation: next, the newest first,
// and behind them those of the set, which end at until, or when they ended
// before. A key of next that the set retires already is an error.
func Succeed(set []Public, next []crypto.PublicKey, until time.Time) ([]Public, error) {
	var after []Public
	for i, key := range next {
		public := Public{Key: key}
		if at := find(set, key); at >= 0 {
			public = set[at]
		}
		if i == 0 && !public.NotAfter.IsZero() {
			return nil, fmt.Errorf("the new key was retired before (%s %s); a rotation needs one that is new", notAfter, public.NotAfter.Format(time.RFC3339))
		}
		after = append(after, public)
	}
	for _, public := range set {
		if find(after, public.Key) < 0 {
			after = append(after, public)
		}
	}
	for i := range after {
		if i > 0 && (after[i].NotAfter.IsZero() || until.Before(after[i].NotAfter)) {
			after[i].NotAfter = until.UTC().Truncate(time.Second)
		}
		if err := CheckWindow(after[i].NotBefore, after[i].NotAfter); err != nil {
			return nil, fmt.Errorf("key %d of the set: %w", i+1, err)
		}
	}
	return after, nil
}

// find is where a key stands in a set; -1 where it does not.
func find(set []Public, key crypto.PublicKey) int {
	return slices.IndexFunc(set, func(p Public) bool {
		known, ok := p.Key.(interface{ Equal(crypto.PublicKey) bool })
		return ok && known.Equal(key)
	})
}

// window takes the times from a block's headers. text is the block as it
// stands in the file.
func (p *Public) window(block *pem.Block, text []byte) error {
	// The PEM decoder keeps one of several headers of a name, and which one
	// would decide until when the key counts. Base64 has no colon.
	if headerLines(text) != len(block.Headers) {
		return errors.New("a PEM header is given twice")
	}
	names := make([]string, 0, len(block.Headers))
	for name := range block.Headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		var field *time.Time
		switch name {
		case notBefore:
			field = &p.NotBefore
		case notAfter:
			field = &p.NotAfter
		default:
			return fmt.Errorf("PEM header %.60q is not known; want %s or %s", name, notBefore, notAfter)
		}
		moment, err := ParseTime(block.Headers[name])
		if err != nil {
			return fmt.Errorf("PEM header %s: %w", name, err)
		}
		*field = moment
	}
	return CheckWindow(p.NotBefore, p.NotAfter)
}

// headerLines counts the lines of a block that have a colon.
func headerLines(text []byte) int {
	count := 0
	for line := range bytes.Lines(text) {
		if bytes.IndexByte(line, ':') >= 0 {
			count++
		}
	}
	return count
}

// ParseTime reads a bound of a key's validity: RFC 3339, to the second or
// finer, in any zone.
func ParseTime(text string) (time.Time, error) {
	moment, err := time.Parse(time.RFC3339, text)
	if moment = moment.UTC(); err != nil || moment.IsZero() || moment.Year() < 1 || moment.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%.60q is no time; want RFC 3339, such as 2027-01-31T12:00:00Z", text)
	}
	return moment, nil
}

// CheckWindow refuses a validity that no moment is in; a zero time is no
// bound.
func CheckWindow(notBefore, notAfter time.Time) error {
	if !notBefore.IsZero() && !notAfter.IsZero() && !notAfter.After(notBefore) {
		return fmt.Errorf("the key ends (%s) before it begins (%s)", notAfter.Format(time.RFC3339), notBefore.Format(time.RFC3339))
	}
	return nil
}

func publicKey(block *pem.Block) (crypto.PublicKey, error) {
	switch {
	case block.Type == "PUBLIC KEY":
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("this is a private key; keep it secret, and give the public one (*.pub) here")
	case block.Type == "CERTIFICATE":
		return nil, errors.New("this is a certificate, not a public key")
	case block.Type == "RSA PUBLIC KEY":
		return nil, errors.New("PKCS#1 public keys are not read; convert it with: openssl rsa -RSAPublicKey_in -pubout")
	default:
		return nil, fmt.Errorf("PEM type %.60q is not read; want \"PUBLIC KEY\"", block.Type)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	return key, allowed(key)
}

// onlyComments gives the comment lines of text, and refuses anything else.
func onlyComments(text []byte) (string, error) {
	var comments strings.Builder
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return "", errors.New("public key: text outside of the blocks is neither PEM nor a comment") // not shown: it may be a secret
		} else if len(line) > 0 {
			comments.Write(line)
			comments.WriteByte('\n')
		}
	}
	return comments.String(), nil
}
