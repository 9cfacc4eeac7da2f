package simplesigning_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
)

var hello = subject.Of([]byte("hello"))

func TestRoundTrip(t *testing.T) {
	head := `{"critical":{"identity":{"docker-reference":"registry.example.com/app"},"image":{"docker-manifest-digest":"` +
		hello.String() + `"},"type":"cosign container image signature"},"optional":`
	for want, annotations := range map[string]map[string]string{
		head + "null}":                nil,
		head + `{"a":"<1>","b":"x"}}`: {"b": "x", "a": "<1>"},
	} {
		got := simplesigning.Encode("registry.example.com/app", hello, annotations)
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		payload, err := simplesigning.Decode(got)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(simplesigning.Payload{Repository: "registry.example.com/app", Digest: hello, Annotations: annotations}, payload,
			cmp.Comparer(func(a, b subject.Digest) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	}
}

// TestDecodeOptional has the members that other tools write there.
func TestDecodeOptional(t *testing.T) {
	payload, err := simplesigning.Decode([]byte(strings.Replace(string(simplesigning.Encode("r", hello, nil)),
		"null", `{"creator":"tool 1","timestamp":1458239713}`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"creator": "tool 1"}, payload.Annotations); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := string(simplesigning.Encode("r", hello, nil))
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the payload", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, test := range map[string]struct{ content, want string }{
		"other type":   {replace(simplesigning.Type, "atomic container signature"), "critical.type"},
		"type's case":  {replace(`"type"`, `"Type"`), "critical.type"},
		"no digest":    {replace("docker-manifest-digest", "digest"), "docker-manifest-digest"},
		"short digest": {replace(hello.Hex(), "abc"), "64 hex digits"},
		"two digests":  {replace(`"docker-manifest-digest"`, `"docker-manifest-digest":"sha256:00","docker-manifest-digest"`), "appears twice"},
		"two images":   {replace(`"image"`, `"image":{},"image"`), "appears twice"},
		"list":         {replace(`null`, `[]`), "want a JSON object"},
		"no critical":  {`{"optional":null}`, "critical.type"},
		"data after":   {good + "{}", "byte"},
		"statement":    {`{"_type":"https://in-toto.io/Statement/v1"}`, "critical.type"},
	} {
		if _, err := simplesigning.Decode([]byte(test.content)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", name, err, test.want)
		}
	}
	var over *limit.Error
	if _, err := simplesigning.Decode([]byte(good + strings.Repeat(" ", 1<<20))); !errors.As(err, &over) {
		t.Errorf("over the bound: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(simplesigning.Encode("r", hello, map[string]string{"a": "b"}))
	f.Fuzz(func(t *testing.T, content []byte) {
		payload, err := simplesigning.Decode(content)
		if err != nil {
			return
		}
		if payload.Digest.IsZero() {
			t.Fatal("no error and no digest")
		}
		again, err := simplesigning.Decode(simplesigning.Encode(payload.Repository, payload.Digest, payload.Annotations))
		if err != nil || again.Digest != payload.Digest {
			t.Fatalf("wrote but read %v, %v", again, err)
		}
	})
}
