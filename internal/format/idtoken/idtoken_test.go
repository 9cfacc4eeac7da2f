package idtoken_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/idtoken"
)

func token(header, claims string) string {
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	return encode(header) + "." + encode(claims) + "." + encode("signature")
}

const es256 = `{"alg":"ES256","typ":"JWT"}`

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		claims string
		want   idtoken.Claims
		proof  string
	}{
		"workload": {`{"iss":"https://i.example.com","sub":"repo:a/b","aud":"sigstore","exp":1800000000,"nbf":1700000000.5}`,
			idtoken.Claims{Issuer: "https://i.example.com", Subject: "repo:a/b", Audience: []string{"sigstore"},
				Expiry: time.Unix(1800000000, 0).UTC(), NotBefore: time.Unix(1700000000, 0).UTC()}, "repo:a/b"},
		"person": {`{"iss":"i","sub":"1","aud":["x","sigstore"],"exp":1800000000,"email":"a@example.com","email_verified":"true","nonce":"n"}`,
			idtoken.Claims{Issuer: "i", Subject: "1", Audience: []string{"x", "sigstore"}, Nonce: "n",
				Expiry: time.Unix(1800000000, 0).UTC(), Email: "a@example.com", EmailVerified: true}, "a@example.com"},
	} {
		got, err := idtoken.Parse(token(es256, test.claims))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if proof, err := got.Proof(); err != nil || proof != test.proof || got.Who() != test.proof {
			t.Errorf("%s: proof %q, who %q, %v", name, proof, got.Who(), err)
		}
	}
	unverified, err := idtoken.Parse(token(es256, `{"iss":"i","sub":"1","exp":1800000000,"email":"a@example.com"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unverified.Proof(); err == nil || !strings.Contains(err.Error(), "email_verified") {
		t.Errorf("an unverified email: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	good := `{"iss":"i","sub":"secret-subject","aud":"a","exp":1800000000}`
	for name, test := range map[string]struct{ token, want string }{
		"nothing":         {"", "want a JWT"},
		"a path":          {"token.txt", "want a JWT"},
		"two parts":       {"YQ.YQ", "want a JWT"},
		"no signature":    {strings.TrimSuffix(token(es256, good), base64.RawURLEncoding.EncodeToString([]byte("signature"))), "want a JWT"},
		"bad signature":   {token(es256, good) + "!", "signature is not base64url"},
		"bad header":      {"!." + strings.SplitN(token(es256, good), ".", 2)[1], "not base64url"},
		"alg none":        {token(`{"alg":"None"}`, good), "no signature algorithm"},
		"no alg":          {token(`{}`, good), "no signature algorithm"},
		"list":            {token(es256, `["secret-subject"]`), "no JSON object"},
		"twice":           {token(es256, `{"sub":"secret-subject","sub":"b"}`), "no JSON object with distinct names"},
		"no issuer":       {token(es256, `{"sub":"a","exp":1800000000}`), "no issuer"},
		"no subject":      {token(es256, `{"iss":"a","exp":1800000000}`), "no subject"},
		"number subject":  {token(es256, `{"iss":"a","sub":7,"exp":1800000000}`), `claim "sub" is not a string`},
		"no expiry":       {token(es256, `{"iss":"i","sub":"s"}`), "does not say when it expires"},
		"text expiry":     {token(es256, `{"iss":"i","sub":"s","exp":"soon"}`), `claim "exp" is no time`},
		"negative expiry": {token(es256, `{"iss":"i","sub":"s","exp":-4}`), `claim "exp" is no time`},
		"huge expiry":     {token(es256, `{"iss":"i","sub":"s","exp":1e300}`), `claim "exp" is no time`},
		"odd audience":    {token(es256, `{"iss":"i","sub":"s","exp":1,"aud":{}}`), "audience"},
	} {
		_, err := idtoken.Parse(test.token)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, test.want)
		} else if strings.Contains(err.Error(), "secret-subject") {
			t.Errorf("%s: the error repeats the token: %v", name, err)
		}
	}
	var over *limit.Error
	if _, err := idtoken.Parse(strings.Repeat("a", limit.IdentityToken+1)); !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
}

func TestUsable(t *testing.T) {
	c, err := idtoken.Parse(token(es256, `{"iss":"i","sub":"s","aud":["a","b"],"exp":1800000000,"nbf":1790000000}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		at       int64
		audience string
		want     string
	}{
		"in time":        {1795000000, "b", ""},
		"any audience":   {1795000000, "", ""},
		"clock behind":   {1790000000 - 59, "a", ""},
		"too early":      {1790000000 - 61, "a", "valid from"},
		"last second":    {1800000000 - 1, "a", ""},
		"expired":        {1800000000, "a", "expired at 2027-01-15T08:00:00Z"},
		"other audience": {1795000000, "c", `for the audience "a, b", want "c"`},
	} {
		err := c.Usable(time.Unix(test.at, 0), test.audience)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(token(es256, `{"iss":"i","sub":"s","aud":["a"],"exp":1800000000.25,"email":"e","email_verified":true}`))
	f.Add(token(es256, `{"iss":"i","sub":"s","aud":"a","exp":1,"nbf":2,"email_verified":"true"}`))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := idtoken.Parse(text)
		if err == nil && (c.Issuer == "" || c.Subject == "" || c.Expiry.IsZero() || strings.Count(text, ".") != 2) {
			t.Errorf("accepted %q as %+v", text, c)
		}
	})
}
