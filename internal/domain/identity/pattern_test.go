package identity_test

import (
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/limit"
)

var somebody = identity.Certificate{
	Subject: "dev@example.com", Issuer: "https://accounts.example.com",
	Extensions: map[string]string{"buildTrigger": "push"},
}

func TestPatternCheck(t *testing.T) {
	for name, test := range map[string]struct {
		pattern identity.Pattern
		want    string
	}{
		"nothing":             {identity.Pattern{}, "without a subject"},
		"no issuer":           {identity.Pattern{Subject: "a"}, "without an issuer"},
		"no subject":          {identity.Pattern{Issuer: "a"}, "without a subject"},
		"only extensions":     {identity.Pattern{Extensions: map[string]string{"buildTrigger": "push"}}, "without a subject"},
		"no expression":       {identity.Pattern{SubjectRegexp: "(", Issuer: "a"}, "expression for the subject"},
		"no issuer's":         {identity.Pattern{Subject: "a", IssuerRegexp: "["}, "expression for the issuer"},
		"closes our own":      {identity.Pattern{SubjectRegexp: "a)|(b", Issuer: "a"}, "expression for the subject"},
		"look-ahead":          {identity.Pattern{SubjectRegexp: "(?=a)", Issuer: "a"}, "expression for the subject"},
		"too long":            {identity.Pattern{SubjectRegexp: strings.Repeat("a", limit.Expression+1), Issuer: "a"}, "bound of 4096 bytes"},
		"too many repeats":    {identity.Pattern{SubjectRegexp: "(a{1000}){1000}", Issuer: "a"}, "repeat"},
		"unknown extension":   {identity.Pattern{Subject: "a", Issuer: "a", Extensions: map[string]string{"BuildTrigger": "push"}}, `"BuildTrigger" is not known`},
		"its expression":      {identity.Pattern{Subject: "a", Issuer: "a", ExtensionRegexps: map[string]string{"trigger": "push"}}, `"trigger" is not known`},
		"empty extension":     {identity.Pattern{Subject: "a", Issuer: "a", Extensions: map[string]string{"buildTrigger": ""}}, "without a value"},
		"empty expression":    {identity.Pattern{Subject: "a", Issuer: "a", ExtensionRegexps: map[string]string{"buildTrigger": ""}}, "without a value"},
		"no such expression":  {identity.Pattern{Subject: "a", Issuer: "a", ExtensionRegexps: map[string]string{"buildTrigger": "*"}}, "expression for buildTrigger"},
		"issuer as extension": {identity.Pattern{Subject: "a", Issuer: "a", Extensions: map[string]string{"issuer": "a"}}, `"issuer" is not known`},
	} {
		if err := test.pattern.Check(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q in it", name, err, test.want)
		}
		for _, certificate := range []identity.Certificate{{}, somebody, {Subject: "a", Issuer: "a"}} {
			if test.pattern.Differs(certificate) == "" {
				t.Errorf("%s: matches %+v", name, certificate)
			}
		}
	}
	at := identity.Pattern{SubjectRegexp: strings.Repeat("a", limit.Expression), Issuer: "a"}
	if err := at.Check(); err != nil {
		t.Errorf("at the bound: %v", err)
	}
}

func TestPatternDiffers(t *testing.T) {
	with := func(change func(*identity.Pattern)) identity.Pattern {
		p := identity.Pattern{Subject: somebody.Subject, Issuer: somebody.Issuer}
		change(&p)
		return p
	}
	for name, test := range map[string]struct {
		pattern identity.Pattern
		want    string // "" where it matches
	}{
		"values":              {with(func(*identity.Pattern) {}), ""},
		"expressions":         {identity.Pattern{SubjectRegexp: `.*@example\.com`, IssuerRegexp: `https://.*`}, ""},
		"either":              {identity.Pattern{SubjectRegexp: `nobody|dev@example\.com`, Issuer: somebody.Issuer}, ""},
		"anchored already":    {identity.Pattern{SubjectRegexp: `^dev@example\.com$`, Issuer: somebody.Issuer}, ""},
		"either in part":      {identity.Pattern{SubjectRegexp: `dev|example`, Issuer: somebody.Issuer}, "as a whole"},
		"more behind it":      {identity.Pattern{SubjectRegexp: `dev@example`, Issuer: somebody.Issuer}, "as a whole"},
		"lines":               {identity.Pattern{SubjectRegexp: `(?m)dev@example\.com$`, Issuer: somebody.Issuer}, ""},
		"both of a subject":   {with(func(p *identity.Pattern) { p.SubjectRegexp = "other" }), "subject"},
		"both of an issuer":   {with(func(p *identity.Pattern) { p.IssuerRegexp = "other" }), "issuer"},
		"case":                {with(func(p *identity.Pattern) { p.Subject = "Dev@example.com" }), `"Dev@example.com"`},
		"slash":               {with(func(p *identity.Pattern) { p.Issuer += "/" }), "issuer"},
		"extension":           {with(func(p *identity.Pattern) { p.Extensions = map[string]string{"buildTrigger": "push"} }), ""},
		"other extension":     {with(func(p *identity.Pattern) { p.Extensions = map[string]string{"buildTrigger": "pull"} }), `buildTrigger is "push", want "pull"`},
		"absent extension":    {with(func(p *identity.Pattern) { p.Extensions = map[string]string{"buildConfigURI": "x"} }), "buildConfigURI"},
		"extension's pattern": {with(func(p *identity.Pattern) { p.ExtensionRegexps = map[string]string{"buildTrigger": "pu.."} }), ""},
		"in part":             {with(func(p *identity.Pattern) { p.ExtensionRegexps = map[string]string{"buildTrigger": "pus"} }), "as a whole"},
		"absent by pattern":   {with(func(p *identity.Pattern) { p.ExtensionRegexps = map[string]string{"buildConfigURI": ".*"} }), "buildConfigURI"},
	} {
		if got := test.pattern.Differs(somebody); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		if test.pattern.Differs(identity.Certificate{}) == "" {
			t.Errorf("%s: matches a certificate that names nobody", name)
		}
	}
	lines := somebody
	lines.Subject = "evil\ndev@example.com"
	if p := (identity.Pattern{SubjectRegexp: `(?m)^dev@example\.com$`, Issuer: somebody.Issuer}); p.Differs(lines) == "" {
		t.Error("one line of several is a whole value")
	}
	long := somebody
	long.Subject = strings.Repeat("a", limit.Expression+1)
	if p := (identity.Pattern{SubjectRegexp: "a*", Issuer: somebody.Issuer}); p.Differs(long) == "" {
		t.Error("a value over the bound matches")
	}
	if !(identity.Certificate{}).IsZero() || somebody.IsZero() {
		t.Error("what is no certificate")
	}
}

func TestPatternString(t *testing.T) {
	p := identity.Pattern{Subject: "a", IssuerRegexp: "b.*", Extensions: map[string]string{"buildTrigger": "push"}}
	if got := p.String(); got != `"a" of /b.*/ with 1 extensions` {
		t.Errorf("got %s", got)
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("dev@example.com", ".*@example.com", "", "https://.*")
	f.Add("a", "a)|(b", "x", "")
	f.Add("a\nb", "(?m)^b$", "x", "")
	f.Fuzz(func(t *testing.T, subject, subjectRegexp, issuer, issuerRegexp string) {
		p := identity.Pattern{SubjectRegexp: subjectRegexp, Issuer: issuer, IssuerRegexp: issuerRegexp}
		c := identity.Certificate{Subject: subject, Issuer: issuer}
		if p.Check() != nil && p.Differs(c) == "" {
			t.Fatalf("%+v is refused and matches %+v", p, c)
		}
		// What matches as a whole does not with something before or behind it,
		// unless the expression allows that itself.
		exact := identity.Pattern{Subject: subject, SubjectRegexp: subjectRegexp, Issuer: issuer, IssuerRegexp: issuerRegexp}
		if exact.Differs(c) == "" && exact.Differs(identity.Certificate{Subject: subject + "x", Issuer: issuer}) == "" {
			t.Fatalf("%+v matches two subjects", exact)
		}
	})
}
