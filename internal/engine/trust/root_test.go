package trust_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/engine/trust/trusttest"
)

func TestParseRoot(t *testing.T) {
	s := trusttest.New(t, signTime)
	good := string(s.Root())
	if root := rootOf(t, s); root.Name() != "test root" || len(root.Authorities()) != 5 {
		t.Errorf("%s has %d authorities", root.Name(), len(root.Authorities()))
	}
	for name, test := range map[string]struct{ content, want string }{
		"not JSON":             {"root", "is no trusted root"},
		"empty":                {"{}", "media type"},
		"other type":           {strings.Replace(good, "version=0.1", "version=0.9", 1), "media type"},
		"twice":                {strings.Replace(good, `"tlogs":`, `"tlogs":[],"tlogs":`, 1), "appears twice"},
		"unknown member":       {strings.Replace(good, `"tlogs":`, `"logs":[],"tlogs":`, 1), "unknown field"},
		"a log without a time": {strings.Replace(good, `"validFor":{"end"`, `"validfor":{"end"`, 1), "unknown field"},
		"no certificate":       {strings.Replace(good, `"certificates":[{`, `"certificates":[{"rawBytes":"YQ=="},{`, 1), "failed to parse certificate"},
	} {
		if test.content == good {
			t.Errorf("%s: nothing was changed", name)
		}
		if _, err := trust.ParseRoot("the file", []byte(test.content)); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "the file") {
			t.Errorf("%s: %v, want %q in it", name, err, test.want)
		}
	}
}

func TestRootBounds(t *testing.T) {
	s := trusttest.New(t, signTime)
	good := string(s.Root())
	within := func(member string) string {
		start := strings.Index(good, `"`+member+`":[`) + len(member) + 4
		depth := 0
		for end := start; ; end++ {
			switch good[end] {
			case '{':
				depth++
			case '}':
				depth--
			}
			if depth == 0 {
				return good[start : end+1]
			}
		}
	}
	var over *limit.Error
	for _, member := range []string{"certificateAuthorities", "timestampAuthorities"} {
		one := within(member)
		many := func(n int) error {
			_, err := trust.ParseRoot("the file", []byte(strings.Replace(good, one, one+strings.Repeat(","+one, n-1), 1)))
			return err
		}
		if err := many(limit.Authorities); err != nil {
			t.Errorf("%s at the bound: %v", member, err)
		}
		if err := many(limit.Authorities + 1); !errors.As(err, &over) {
			t.Errorf("%s over the bound: %v", member, err)
		}
	}
	log := within("tlogs")
	id := log[strings.Index(log, `"keyId":"`)+9:]
	id = id[:strings.Index(id, `"`)]
	logs := func(n int) error {
		list := log
		for i := 1; i < n; i++ {
			list += "," + strings.Replace(log, id, fmt.Sprintf("AA%02d", i), 1)
		}
		_, err := trust.ParseRoot("the file", []byte(strings.Replace(good, log, list, 1)))
		return err
	}
	// The other log is there too.
	if err := logs(limit.Authorities - 1); err != nil {
		t.Errorf("logs at the bound: %v", err)
	}
	if err := logs(limit.Authorities); !errors.As(err, &over) {
		t.Errorf("logs over the bound: %v", err)
	}
	certificate := within("certificateAuthorities")
	certificate = certificate[strings.Index(certificate, `{"rawBytes"`):]
	certificate = certificate[:strings.Index(certificate, "}")+1]
	if _, err := trust.ParseRoot("the file", []byte(strings.Replace(good, certificate, certificate+strings.Repeat(","+certificate, limit.Chain), 1))); !errors.As(err, &over) {
		t.Errorf("a long chain: %v", err)
	}
	if _, err := trust.ParseRoot("the file", make([]byte, limit.TrustedRoot+1)); !errors.As(err, &over) {
		t.Errorf("bytes: %v", err)
	}
}

func FuzzParseRoot(f *testing.F) {
	s := trusttest.New(f, signTime)
	good := s.Root()
	f.Add(good)
	f.Add([]byte(strings.Replace(string(good), `"certificates":[`, `"certificates":[null,`, 1)))
	f.Add([]byte(strings.Replace(string(good), `"tlogs":[`, `"tlogs":[{},`, 1)))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","timestampAuthorities":[{}]}`))
	w := world{Sigstore: s, keyless: s.Keyless(release, issueTime)}
	e := encoded(f, w.logged(f, true))
	f.Fuzz(func(t *testing.T, content []byte) {
		root, err := trust.ParseRoot("fuzz", content)
		if err != nil {
			return
		}
		for _, a := range root.Authorities() {
			if a.Kind == "" {
				t.Fatalf("%+v", a)
			}
		}
		signer := trust.Signer{Name: "fuzz", Root: root}
		signer.Identities = append(signer.Identities, patternOf(release))
		if _, rejection := trust.Verify(e, []trust.Signer{signer}, nil, verifyTime); rejection == nil {
			t.Fatal("a claim about nothing")
		}
	})
}
