package predicate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/predicate"
)

func TestReadBuild(t *testing.T) {
	started, finished := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), time.Date(2026, 3, 1, 10, 5, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		uri, body string
		want      predicate.Build
	}{
		"v1": {predicate.TypeProvenanceV1, `{"buildDefinition":{"buildType":"t","externalParameters":{},"resolvedDependencies":[
			{"uri":"git+https://github.com/example/app@refs/heads/main","digest":{"gitCommit":"abc"}},{"uri":"pkg:docker/python@3.12","digest":{"sha256":"00"}}]},
			"runDetails":{"builder":{"id":"b"},"metadata":{"invocationId":"7","startedOn":"2026-03-01T10:00:00Z","finishedOn":"2026-03-01T10:05:00Z"}}}`,
			predicate.Build{Builder: "b", Type: "t", Invocation: "7", Started: started, Finished: finished,
				Sources: []predicate.Source{{URI: "https://github.com/example/app", Ref: "refs/heads/main", Commit: "abc"}},
				Dependencies: []predicate.ResourceDescriptor{{URI: "git+https://github.com/example/app@refs/heads/main", Digest: map[string]string{"gitCommit": "abc"}},
					{URI: "pkg:docker/python@3.12", Digest: map[string]string{"sha256": "00"}}}}},
		"v0.2": {predicate.TypeProvenanceV02, `{"builder":{"id":"b"},"buildType":"t","invocation":{"configSource":{"uri":"git+https://example.com/app.git@refs/tags/v1","digest":{"sha1":"abc"}}},
			"metadata":{"buildInvocationId":"7","buildFinishedOn":"2026-03-01T10:05:00Z"},"materials":[{"uri":"git+https://example.com/app.git@refs/tags/v1","digest":{"sha1":"abc"}}]}`,
			predicate.Build{Builder: "b", Type: "t", Invocation: "7", Finished: finished,
				Sources: []predicate.Source{{URI: "https://example.com/app", Ref: "refs/tags/v1", Commit: "abc"}},
				Dependencies: []predicate.ResourceDescriptor{{URI: "git+https://example.com/app.git@refs/tags/v1", Digest: map[string]string{"sha1": "abc"}},
					{URI: "git+https://example.com/app.git@refs/tags/v1", Digest: map[string]string{"sha1": "abc"}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := predicate.ReadBuild(test.uri, []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	for _, wrong := range []struct{ uri, body, want string }{
		{predicate.TypeProvenanceV1, `[]`, "provenance v1"}, {predicate.TypeProvenanceV1, `{"runDetails":{"builder":{"id":1}}}`, "id"},
		{predicate.TypeProvenanceV02, `{"materials":{}}`, "provenance v0.2"}, {predicate.TypeSPDX, `{}`, "no provenance type"},
	} {
		if _, err := predicate.ReadBuild(wrong.uri, []byte(wrong.body)); err == nil || !strings.Contains(err.Error(), wrong.want) {
			t.Errorf("%s: %v", wrong.body, err)
		}
	}
}

// TestSources: what is a source, and which repository and ref it names.
func TestSources(t *testing.T) {
	for _, test := range []struct {
		dependency string
		want       []predicate.Source
	}{
		{`{"uri":"git+https://github.com/a/b@refs/heads/main","digest":{"gitCommit":"c"}}`, []predicate.Source{{URI: "https://github.com/a/b", Ref: "refs/heads/main", Commit: "c"}}},
		{`{"uri":"git+https://github.com/a/b@refs/heads/feat/x@y"}`, []predicate.Source{{URI: "https://github.com/a/b", Ref: "refs/heads/feat/x@y"}}},
		{`{"uri":"git+https://github.com/a/b@refs/heads/x@refs/heads/main"}`, []predicate.Source{{URI: "https://github.com/a/b", Ref: "refs/heads/x@refs/heads/main"}}},
		{`{"uri":"git+https://github.com/a/b.git","digest":{"sha1":"c"}}`, []predicate.Source{{URI: "https://github.com/a/b", Commit: "c"}}},
		{`{"uri":"git+https://github.com/a/b@0123","digest":{"gitCommit":"0123"}}`, []predicate.Source{{URI: "https://github.com/a/b", Commit: "0123"}}},
		{`{"uri":"git+ssh://git@example.com/a/b","digest":{"sha1":"c"}}`, []predicate.Source{{URI: "ssh://git@example.com/a/b", Commit: "c"}}},
		{`{"uri":"https://example.com/a.git","digest":{"sha1":"c"}}`, []predicate.Source{{URI: "https://example.com/a", Commit: "c"}}},
		{`{"uri":"https://example.com/a.tar.gz","digest":{"sha1":"c"}}`, nil},
		{`{"name":"source","digest":{"gitCommit":"c"}}`, nil},
		{`{"uri":"pkg:pypi/torch@2.1"}`, nil},
	} {
		got, err := predicate.ReadBuild(predicate.TypeProvenanceV1, []byte(`{"buildDefinition":{"resolvedDependencies":[`+test.dependency+`]}}`))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(test.want, got.Sources); d != "" {
			t.Errorf("%s: %s", test.dependency, d)
		}
	}
}
