// Package idtoken reads what an OpenID Connect identity token (a JWT in
// compact form, RFC 7519) says about who holds it.
//
// Entry point is [Parse]. Whoever issues certificates verifies the token's
// signature; here it is only read, so that a token that cannot work is
// refused with a reason before it is sent anywhere, and so that messages can
// name its subject.
//
// The package verifies nothing, and no error of it repeats any part of a token.
package idtoken

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// Claims are what a token says. Nothing of it is verified.
type Claims struct {
	Issuer, Subject string
	// Email is "" where there is none; EmailVerified is the issuer's word.
	Email         string
	EmailVerified bool
	Audience      []string
	// Nonce is what a browser flow sent along, "" where there is none.
	Nonce string
	// Expiry is when it ends; NotBefore is zero where the token does not say.
	Expiry, NotBefore time.Time
}

// looks says what a compact JWT is made of.
const looks = "want a JWT: three parts in base64url with dots between them"

// Parse reads a token. It must have a signature, an issuer, a subject and an
// expiry.
func Parse(token string) (Claims, error) {
	if len(token) > limit.IdentityToken {
		return Claims{}, &limit.Error{What: "identity token", Bound: limit.IdentityToken, Unit: "bytes"}
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 || parts[2] == "" {
		return Claims{}, errors.New("identity token: " + looks)
	}
	header, err := object(parts[0], "header of the identity token")
	if err != nil {
		return Claims{}, err
	}
	if algorithm, err := header.String("alg"); err != nil || algorithm == "" || strings.EqualFold(algorithm, "none") {
		return Claims{}, errors.New("identity token: its header names no signature algorithm (alg)")
	}
	if _, err := base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
		return Claims{}, errors.New("identity token: its signature is not base64url; " + looks)
	}
	members, err := object(parts[1], "claims of the identity token")
	if err != nil {
		return Claims{}, err
	}
	return claims(members)
}

func object(part, what string) (strictjson.Members, error) {
	content, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, errors.New("identity token: a part is not base64url; " + looks)
	}
	members, err := strictjson.Object(content, what, strictjson.Bounds{})
	var over *limit.Error
	switch {
	case errors.As(err, &over):
		return nil, err
	case err != nil: // its text may repeat a part of the token
		return nil, fmt.Errorf("%s is no JSON object with distinct names", what)
	}
	return members, nil
}

func claims(members strictjson.Members) (Claims, error) {
	var c Claims
	for name, into := range map[string]*string{"iss": &c.Issuer, "sub": &c.Subject, "email": &c.Email, "nonce": &c.Nonce} {
		value, err := members.String(name)
		if err != nil {
			return Claims{}, fmt.Errorf("identity token: claim %q is not a string", name)
		}
		*into = value
	}
	if c.Issuer == "" || c.Subject == "" {
		return Claims{}, errors.New("identity token: it names no issuer (iss) or no subject (sub)")
	}
	// Some issuers write the boolean as a string.
	c.EmailVerified = string(members["email_verified"]) == "true" || string(members["email_verified"]) == `"true"`
	if members.Has("aud") {
		var one string
		if json.Unmarshal(members["aud"], &one) == nil {
			c.Audience = []string{one}
		} else if json.Unmarshal(members["aud"], &c.Audience) != nil {
			return Claims{}, errors.New("identity token: its audience (aud) is neither a string nor a list of strings")
		}
	}
	var err error
	if c.Expiry, err = date(members, "exp"); err != nil {
		return Claims{}, err
	}
	if c.Expiry.IsZero() {
		return Claims{}, errors.New("identity token: it does not say when it expires (exp)")
	}
	c.NotBefore, err = date(members, "nbf")
	return c, err
}

// date reads a NumericDate, seconds since 1970 that may have a fraction.
func date(members strictjson.Members, name string) (time.Time, error) {
	if !members.Has(name) {
		return time.Time{}, nil
	}
	var seconds float64
	if err := json.Unmarshal(members[name], &seconds); err != nil || seconds <= 0 || seconds > math.MaxInt32*128 {
		return time.Time{}, fmt.Errorf("identity token: claim %q is no time in seconds since 1970", name)
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// Proof is what a certificate authority wants signed to show that whoever
// holds the token has the key too: the email where there is one, else the
// subject (Fulcio's proof of possession).
func (c Claims) Proof() (string, error) {
	if c.Email == "" {
		return c.Subject, nil
	}
	if !c.EmailVerified {
		return "", errors.New("identity token: its issuer has not verified the email in it (email_verified), so no certificate authority takes it")
	}
	return c.Email, nil
}

// Who names the holder for people.
func (c Claims) Who() string {
	if c.Email != "" {
		return c.Email
	}
	return c.Subject
}

// Usable says why a token cannot be used at a time, for an audience, nil if
// nothing stands against it. An audience of "" is not looked at.
func (c Claims) Usable(now time.Time, audience string) error {
	switch {
	case !now.Before(c.Expiry):
		return fmt.Errorf("identity token of %.200q expired at %s; get a new one", c.Who(), c.Expiry.Format(time.RFC3339))
	case now.Add(skew).Before(c.NotBefore):
		return fmt.Errorf("identity token of %.200q is valid from %s on", c.Who(), c.NotBefore.Format(time.RFC3339))
	}
	if audience == "" {
		return nil
	}
	for _, found := range c.Audience {
		if found == audience {
			return nil
		}
	}
	return fmt.Errorf("identity token of %.200q is for the audience %.200q, want %.200q", c.Who(), strings.Join(c.Audience, ", "), audience)
}

// skew is how far the issuer's clock may run ahead of ours.
const skew = time.Minute
