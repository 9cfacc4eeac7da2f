package oci_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// lock is a registry that asks for something before it serves, and keeps a
// log of what it was asked: "METHOD /path?query how".
type lock struct {
	inner http.Handler
	// refuse answers a request that does not say the word; nil lets it in.
	refuse func(w http.ResponseWriter, request *http.Request) bool
	token  http.HandlerFunc

	mutex sync.Mutex
	log   []string
}

func (l *lock) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	how, _, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	l.mutex.Lock()
	l.log = append(l.log, strings.TrimSpace(request.Method+" "+request.URL.Path+" "+how))
	l.mutex.Unlock()
	switch {
	case request.URL.Path == "/token":
		l.token(w, request)
	case !l.refuse(w, request):
		l.inner.ServeHTTP(w, request)
	}
}

// requests gives the log since the last call.
func (l *lock) requests() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	log := l.log
	l.log = nil
	return log
}

// bearerOf refuses what has no token for its scope: reading or writing.
func bearerOf(host func() string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, request *http.Request) bool {
		want, scope := "Bearer reader", "repository:team/app:pull"
		if request.Method != http.MethodGet && request.Method != http.MethodHead {
			want, scope = "Bearer writer", "repository:team/app:push,pull"
		}
		if got := request.Header.Get("Authorization"); got == want || got == "Bearer writer" {
			return false
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="home",scope=%q`, host(), scope))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

func tokens(w http.ResponseWriter, request *http.Request) {
	user, password, _ := request.BasicAuth()
	if user != "user" || password != "secret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	name := "reader"
	if strings.Contains(request.URL.Query().Get("scope"), "push") {
		name = "writer"
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"token": name}) // the client is gone, or not
}

func locked(t *testing.T, inner http.Handler) (*lock, string) {
	t.Helper()
	l := &lock{inner: inner, token: tokens}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")
	l.refuse = bearerOf(func() string { return address })
	return l, address
}

// TestLoginOnlyWhenAsked: nobody is asked whether credentials are wanted; who
// wants them says so, and is believed for every request after it.
func TestLoginOnlyWhenAsked(t *testing.T) {
	h := newHouse(t, registry.Config{})
	image := h.image("v1")
	l, host := locked(t, h.server)
	client := oci.New(oci.Config{Keychain: keychain{host}})
	resolved, err := client.Resolve(t.Context(), host+"/team/app:v1")
	if err != nil || resolved.Digest != image {
		t.Fatalf("%+v, %v", resolved, err)
	}
	want := []string{"GET /v2/team/app/manifests/v1", "GET /token Basic", "GET /v2/team/app/manifests/v1 Bearer"}
	if diff := cmp.Diff(want, l.requests()); diff != "" {
		t.Errorf("the first request: %s", diff)
	}
	a := bundleOf(host+"/team/app", image, "bundle")
	a.MediaType, a.Size = resolved.MediaType, resolved.Size
	if _, err := client.Attach(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	got := l.requests()
	slices.Sort(got)
	want = []string{"GET /token Basic", "POST /v2/team/app/blobs/uploads/ Bearer", "POST /v2/team/app/blobs/uploads/ Bearer"}
	if len(got) != 4 || cmp.Diff(want, got[:3]) != "" || !strings.HasPrefix(got[3], "PUT /v2/team/app/manifests/sha256:") || !strings.HasSuffix(got[3], " Bearer") {
		t.Errorf("a write after it: %q", got)
	}
	// Who may push may pull, and needs no other token.
	if got, err := client.Evidence(t.Context(), host+"/team/app", image); err != nil || len(got) != 1 {
		t.Fatalf("%d pieces, %v", len(got), err)
	}
	for _, line := range l.requests() {
		if !strings.HasSuffix(line, " Bearer") || strings.Contains(line, "/token") {
			t.Errorf("after it: %s", line)
		}
	}
	// Without credentials the door stays closed.
	_, err = oci.New(oci.Config{Keychain: keychain{"another.example.com"}}).Resolve(t.Context(), host+"/team/app:v1")
	wantError(t, err, "401")
}

// TestLoginOnce has many requests at once find out that a login is needed.
func TestLoginOnce(t *testing.T) {
	h, image := withEvidence(t, registry.Config{})
	l, host := locked(t, h.server)
	if got, err := oci.New(oci.Config{Keychain: keychain{host}}).Evidence(t.Context(), host+"/team/app", image); err != nil || len(got) != 3 {
		t.Fatalf("%d pieces, %v", len(got), err)
	}
	logins := 0
	for _, line := range l.requests() {
		if strings.HasPrefix(line, "GET /token") {
			logins++
		}
	}
	if logins != 1 {
		t.Errorf("%d logins", logins)
	}
}

// TestNothingThereForStrangers has registries that say 403 or 404 to who has
// not said who he is. With credentials at hand that is not believed; without,
// nobody is asked again.
func TestNothingThereForStrangers(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		for _, challenges := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d, challenges %v", status, challenges), func(t *testing.T) {
				h, image := withEvidence(t, registry.Config{})
				l, host := locked(t, h.server)
				l.refuse = func(w http.ResponseWriter, request *http.Request) bool {
					switch {
					case request.Header.Get("Authorization") == basic:
						return false
					case request.URL.Path != "/v2/":
						w.WriteHeader(status)
					case challenges:
						w.Header().Set("WWW-Authenticate", `Basic realm="home"`)
						w.WriteHeader(http.StatusUnauthorized)
					}
					return true
				}
				client := oci.New(oci.Config{Keychain: keychain{host}})
				if got, err := client.Evidence(t.Context(), host+"/team/app", image); err != nil || len(got) != 3 {
					t.Errorf("with credentials: %d pieces, %v", len(got), err)
				}
				// Known, it is not asked again.
				l.requests()
				_, err := client.Resolve(t.Context(), host+"/team/app:nothing")
				if !oci.IsNotFound(err) || !slices.Equal(l.requests(), []string{"GET /v2/team/app/manifests/nothing Basic"}) {
					t.Errorf("what is not there: %v", err)
				}
				l.requests()
				_, err = oci.New(oci.Config{Keychain: keychain{"another.example.com"}}).Resolve(t.Context(), host+"/team/app:v1")
				wantError(t, err, fmt.Sprint(status))
				if got := l.requests(); !slices.Equal(got, []string{"GET /v2/team/app/manifests/v1"}) {
					t.Errorf("without credentials: %q", got)
				}
			})
		}
	}
}

// TestFaultInLogin has logins that fail. None of them is an answer that
// nothing is there.
func TestFaultInLogin(t *testing.T) {
	hidden := func(status int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, request *http.Request) bool {
			if request.URL.Path != "/v2/" {
				w.WriteHeader(http.StatusNotFound)
			} else {
				w.WriteHeader(status)
			}
			return true
		}
	}
	for _, test := range []struct {
		name   string
		refuse func(http.ResponseWriter, *http.Request) bool
		token  http.HandlerFunc
		config oci.Config
		want   string
	}{
		{name: "hidden, and not asked for credentials", refuse: hidden(404), want: "logging in"},
		{name: "hidden, and broken", refuse: hidden(500), want: "500"},
		{name: "token service down", token: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, want: "503"},
		{name: "token service refuses", token: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, want: "401"},
		{name: "token service talks", token: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, want: "logging in"},
		{name: "token service gives nothing", token: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }, want: "no token"},
		{name: "token is not good", token: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":"other"}`) }, want: "401"},
		{name: "token service leads on and on", token: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/token?again", http.StatusFound) }, want: "redirects"},
		{name: "broken keychain", config: oci.Config{Keychain: brokenKeychain{}}, want: "the helper broke"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, image := withEvidence(t, registry.Config{})
			l, host := locked(t, h.server)
			if test.refuse != nil {
				l.refuse = test.refuse
			}
			if test.token != nil {
				l.token = test.token
			}
			if test.config.Keychain == nil {
				test.config.Keychain = keychain{host}
			}
			got, err := oci.New(test.config).Evidence(t.Context(), host+"/team/app", image)
			wantError(t, err, test.want)
			if got != nil || oci.IsNotFound(err) {
				t.Errorf("%d pieces, %v", len(got), err)
			}
			if n := len(l.requests()); n > 60 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

type brokenKeychain struct{}

func (brokenKeychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return nil, errors.New("the helper broke")
}

// TestSchemeIsFound: a registry on a loopback address speaks HTTPS or HTTP,
// and is asked once which.
func TestSchemeIsFound(t *testing.T) {
	h := newHouse(t, registry.Config{})
	image := h.image("v1")
	var mutex sync.Mutex
	var log []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		mutex.Lock()
		log = append(log, fmt.Sprint(request.Method, " ", request.TLS != nil))
		mutex.Unlock()
		h.server.ServeHTTP(w, request)
	})
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	repo := strings.TrimPrefix(server.URL, "https://") + "/team/app"
	for _, first := range []string{"read", "write"} {
		client := oci.New(oci.Config{Transport: server.Client().Transport})
		log = nil
		if first == "read" {
			if _, err := client.Resolve(t.Context(), repo+":v1"); err != nil {
				t.Fatal(err)
			}
		}
		a := signatureOf(repo, image, "payload "+first, "c2ln")
		if _, err := client.Attach(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		for _, line := range log {
			if strings.HasSuffix(line, "false") {
				t.Errorf("%s first: %s without encryption", first, line)
			}
		}
	}
	if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 2 {
		t.Errorf("%d pieces, %v", len(got), err)
	}
	// Neither is an error with both reasons.
	server.Close()
	_, err := oci.New(oci.Config{}).Resolve(t.Context(), repo+"@"+subject.Of([]byte("x")).String())
	wantError(t, err, "refused")
}
