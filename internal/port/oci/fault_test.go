package oci_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/ocitest"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
)

// withEvidence is a house with an image and one piece of each kind.
func withEvidence(t *testing.T, config registry.Config) (*house, subject.Digest) {
	t.Helper()
	h := newHouse(t, config)
	image := h.image("v1")
	for _, suffix := range []string{"", ".sig", ".att"} {
		if err := h.attach(t.Context(), suffix, image); err != nil {
			t.Fatal(err)
		}
	}
	h.server.Requests()
	return h, image
}

// reads are the requests that reading evidence makes in a registry without
// the API, which makes the most.
func reads(image subject.Digest) []string {
	return []string{
		"GET /v2/team/app/referrers/", "GET /v2/team/app/manifests/" + fallback(image), "GET /v2/team/app/manifests/sha256:", "GET /v2/team/app/blobs/",
		"GET /v2/team/app/manifests/" + fallback(image) + ".sig", "GET /v2/team/app/manifests/" + fallback(image) + ".att",
	}
}

// TestFaultIsNoAbsence has each request that reads evidence answered by an
// error: the listing fails, and is never short.
func TestFaultIsNoAbsence(t *testing.T) {
	for _, status := range []int{400, 401, 403, 405, 406, 410, 451, 500, 501} {
		h, image := withEvidence(t, registry.Config{WithoutReferrers: true})
		for _, read := range reads(image) {
			h.server.Mend()
			h.server.Break(ocitest.Fault{Match: read, Status: status})
			got, err := h.client.Evidence(t.Context(), h.repo, image)
			if err == nil || got != nil || oci.IsNotFound(err) || !strings.Contains(err.Error(), fmt.Sprint(status)) || !strings.Contains(err.Error(), "INJECTED: status") {
				t.Errorf("%d to %s: %d pieces, error %v", status, read, len(got), err)
			}
		}
		h.server.Mend()
		if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 3 {
			t.Errorf("mended: %d pieces, %v", len(got), err)
		}
	}
}

// TestFaultOfTheMoment has a registry that stumbles: reads are tried again,
// not for ever.
func TestFaultOfTheMoment(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			h, image := withEvidence(t, registry.Config{})
			for _, match := range []string{"/referrers/", "/blobs/", ".sig", "/manifests/v1"} {
				h.server.Break(ocitest.Fault{Match: match, Status: status, Times: 1})
			}
			if _, err := h.client.Resolve(t.Context(), h.repo+":v1"); err != nil {
				t.Error(err)
			}
			if got, err := h.client.Evidence(t.Context(), h.repo, image); err != nil || len(got) != 3 {
				t.Errorf("%d pieces, %v", len(got), err)
			}
			h.server.Break(ocitest.Fault{Match: "/manifests/v1", Status: status})
			h.server.Requests()
			_, err := h.client.Resolve(t.Context(), h.repo+":v1")
			wantError(t, err, fmt.Sprint(status), "INJECTED: status")
			if n := len(h.server.Requests()); n != 3 {
				t.Errorf("%d requests; want 3", n)
			}
			// What writes is not repeated.
			h.server.Break(ocitest.Fault{Match: "PUT ", Status: status})
			h.server.Requests()
			if err := h.client.Tag(t.Context(), h.repo, image, "v2"); err == nil {
				t.Error("tagged by a registry that refused")
			}
			writes := slices.DeleteFunc(h.server.Requests(), func(line string) bool { return !strings.HasPrefix(line, "PUT ") })
			if len(writes) != 1 {
				t.Errorf("writes %q; want one", writes)
			}
		})
	}
}

func TestFaultInBytes(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault ocitest.Fault
	}{
		{"cut off", ocitest.Fault{Truncate: true}},
		{"cut off in the registry", ocitest.Fault{Rewrite: func(body []byte) []byte { return body[:len(body)-2] }}},
		{"empty", ocitest.Fault{Rewrite: func([]byte) []byte { return nil }}},
		{"a flipped byte", ocitest.Fault{Rewrite: func(body []byte) []byte { body[len(body)-2] ^= 1; return body }}},
		{"longer", ocitest.Fault{Rewrite: func(body []byte) []byte { return append(body, " !"...) }}},
		{"a page for people", ocitest.Fault{Rewrite: func([]byte) []byte { return []byte("<html>please log in</html>") }}},
		{"null", ocitest.Fault{Rewrite: func([]byte) []byte { return []byte("null") }}},
	} {
		for _, api := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, API %v", test.name, api), func(t *testing.T) {
				h, image := withEvidence(t, registry.Config{WithoutReferrers: !api})
				requests := reads(image)
				if api {
					requests = append([]string{requests[0]}, requests[2:]...)
				} else {
					requests = requests[1:]
				}
				for _, request := range requests {
					h.server.Mend()
					fault := test.fault
					fault.Match = request
					h.server.Break(fault)
					if got, err := h.client.Evidence(t.Context(), h.repo, image); err == nil || got != nil || oci.IsNotFound(err) {
						t.Errorf("%s: %d pieces, %v", request, len(got), err)
					}
				}
			})
		}
	}
}

// TestFaultInLength has answers whose Content-Length lies, over a socket and
// in process.
func TestFaultInLength(t *testing.T) {
	content := []byte(`{"schemaVersion":2,"mediaType":"` + ociManifest + `"}`)
	for _, test := range []struct {
		name   string
		length int
		fine   bool
	}{
		{"true", len(content), true},
		{"more than comes", len(content) + 1, false},
		{"less than comes", len(content) - 1, false},
		{"huge", 1 << 40, false},
	} {
		for _, socket := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, socket %v", test.name, socket), func(t *testing.T) {
				world := only("registry.localhost", content, map[string]string{"Content-Length": fmt.Sprint(test.length)})
				client, repo := oci.New(oci.Config{Embedded: world}), "registry.localhost/app"
				if socket {
					client, repo = oci.New(oci.Config{}), serve(t, world["registry.localhost"])+"/app"
				}
				resolved, err := client.Resolve(t.Context(), repo+"@"+subject.Of(content).String())
				if test.fine != (err == nil) {
					t.Errorf("%+v, %v", resolved, err)
				}
			})
		}
	}
}

// endless sends a body without end, and counts.
type endless struct {
	match string
	sent  atomic.Int64
	done  chan struct{}
	once  sync.Once
}

func (e *endless) serve(w http.ResponseWriter, request *http.Request) bool {
	if !strings.Contains(request.URL.Path, e.match) {
		return false
	}
	defer e.once.Do(func() { close(e.done) })
	w.Header().Set("Content-Type", ociIndex)
	block := []byte(strings.Repeat(" ", 64<<10))
	for e.sent.Load() < 1<<30 {
		n, err := w.Write(block)
		e.sent.Add(int64(n))
		if err != nil {
			break
		}
	}
	return true
}

func TestFaultEndless(t *testing.T) {
	for _, match := range []string{"/manifests/v1", "/referrers/", ".sig", "/blobs/"} {
		for _, socket := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, socket %v", match, socket), func(t *testing.T) {
				h, image := withEvidence(t, registry.Config{})
				body := &endless{match: match, done: make(chan struct{})}
				handler := around(h.server, body.serve)
				client, repo := oci.New(oci.Config{Embedded: map[string]http.Handler{"registry.localhost": handler}}), "registry.localhost/team/app"
				if socket {
					client, repo = oci.New(oci.Config{}), serve(t, handler)+"/team/app"
				}
				_, err := client.Resolve(t.Context(), repo+":v1")
				if err == nil {
					_, err = client.Evidence(t.Context(), repo, image)
				}
				var over *limit.Error
				if !errors.As(err, &over) {
					t.Errorf("error %v; want one about a bound", err)
				}
				<-body.done
				most := int64(4 * limit.Manifest)
				if match == "/referrers/" {
					most = 2 * limit.ReferrersPage
				}
				if match == "/blobs/" { // three at once, to see whether their digests are right all the same
					most = 4 * limit.Evidence
				}
				if sent := body.sent.Load(); sent > most {
					t.Errorf("%d bytes were read", sent)
				}
			})
		}
	}
}

func TestFaultCancelled(t *testing.T) {
	for _, match := range []string{"/manifests/v1", "/referrers/", ".att", "/blobs/"} {
		for _, socket := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, socket %v", match, socket), func(t *testing.T) {
				h, image := withEvidence(t, registry.Config{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				handler := around(h.server, func(_ http.ResponseWriter, request *http.Request) bool {
					if !strings.Contains(request.Method+" "+request.URL.Path, match) {
						return false
					}
					cancel()
					<-request.Context().Done()
					return true
				})
				client, repo := oci.New(oci.Config{Embedded: map[string]http.Handler{"registry.localhost": handler}}), "registry.localhost/team/app"
				if socket {
					client, repo = oci.New(oci.Config{}), serve(t, handler)+"/team/app"
				}
				_, err := client.Resolve(ctx, repo+":v1")
				if err == nil {
					_, err = client.Evidence(ctx, repo, image)
				}
				if !errors.Is(err, context.Canceled) {
					t.Errorf("error %v; want %v", err, context.Canceled)
				}
			})
		}
	}
	h, image := withEvidence(t, registry.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.client.Evidence(ctx, h.repo, image); !errors.Is(err, context.Canceled) || len(h.server.Requests()) != 0 {
		t.Errorf("cancelled before: %v", err)
	}
}

// TestFaultInProcess has a handler that panics.
func TestFaultInProcess(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"at once":     func(http.ResponseWriter, *http.Request) { panic("broken") },
		"in the body": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{")); panic("broken") },
	} {
		client := oci.New(oci.Config{Embedded: map[string]http.Handler{"registry.localhost": around(handler, func(_ http.ResponseWriter, request *http.Request) bool { return request.URL.Path == "/v2/" })}})
		_, err := client.Resolve(t.Context(), "registry.localhost/app:v1")
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// world is hosts in process, over HTTPS, with what each was sent of
// credentials: "host path: header".
type world struct {
	mutex sync.Mutex
	hosts map[string]http.Handler
	saw   []string
}

func (w *world) add(host string, handler http.HandlerFunc) {
	if w.hosts == nil {
		w.hosts = map[string]http.Handler{}
	}
	w.hosts[host] = http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if header := request.Header.Get("Authorization"); header != "" {
			w.mutex.Lock()
			w.saw = append(w.saw, host+": "+header)
			w.mutex.Unlock()
		}
		handler(response, request)
	})
}

// seen gives each host's headers once.
func (w *world) seen() []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	slices.Sort(w.saw)
	return slices.Compact(w.saw)
}

// keychain has credentials for one registry.
type keychain struct{ registry string }

func (k keychain) Resolve(resource authn.Resource) (authn.Authenticator, error) {
	if resource.RegistryStr() != k.registry {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: "user", Password: "secret"}), nil
}

var basic = "Basic " + base64.StdEncoding.EncodeToString([]byte("user:secret"))

// guarded asks for one header before it serves, and with a realm for a bearer
// token.
func guarded(inner http.Handler, header, challenge string) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		if request.Header.Get("Authorization") != header {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, request)
	}
}

const home = "registry.example.com"

// fixed has the same credentials for every registry.
type fixed authn.AuthConfig

func (f fixed) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig(f)), nil
}

// TestRegistryLeadsInside: where a registry sends its reader is not followed
// to an address of this machine or network, nor away from encryption.
func TestRegistryLeadsInside(t *testing.T) {
	h, image := withEvidence(t, registry.Config{})
	for target, want := range map[string]string{
		"https://169.254.169.254/latest": "inside", "https://127.0.0.1:2379/": "inside", "https://[::1]/": "inside", "https://10.1.2.3/": "inside",
		"https://localhost:6443/": "inside", "http://cdn.example.net/": "without encryption",
		"http://" + home + "/v2/team/app/manifests/v2": "without encryption",
	} {
		w := &world{}
		for _, host := range []string{"169.254.169.254", "127.0.0.1:2379", "[::1]", "10.1.2.3", "localhost:6443", "cdn.example.net"} {
			w.add(host, func(http.ResponseWriter, *http.Request) { t.Errorf("%s was asked", host) })
		}
		w.add(home, func(response http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/v2/" {
				h.server.ServeHTTP(response, request)
				return
			}
			http.Redirect(response, request, target, http.StatusTemporaryRedirect)
		})
		_, err := oci.New(oci.Config{Embedded: w.hosts}).Resolve(t.Context(), home+"/team/app:v1")
		wantError(t, err, want)
	}

	// To another host outside it is.
	w := &world{}
	w.add("cdn.example.net", h.server.ServeHTTP)
	w.add(home, func(response http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/v2/" {
			h.server.ServeHTTP(response, request)
			return
		}
		http.Redirect(response, request, "https://cdn.example.net"+request.URL.Path, http.StatusTemporaryRedirect)
	})
	got, err := oci.New(oci.Config{Embedded: w.hosts}).Resolve(t.Context(), home+"/team/app@"+image.String())
	if err != nil || got.Digest != image {
		t.Errorf("through another host: %+v, %v", got, err)
	}
}

// TestLinkLocalIsNotDialled goes through the default transport, by address.
func TestLinkLocalIsNotDialled(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"} {
		_, err := oci.New(oci.Config{}).Resolve(t.Context(), host+"/team/app:v1")
		wantError(t, err, "link-local")
	}
}

func token(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":"bearer"}`) }

// TestCredentialsAtHome is what the tests below take away from.
func TestCredentialsAtHome(t *testing.T) {
	h, image := withEvidence(t, registry.Config{})
	for _, test := range []struct {
		name, header, challenge string
		want                    []string
	}{
		{"basic", basic, `Basic realm="home"`, []string{home + ": " + basic}},
		{"bearer", "Bearer bearer", `Bearer realm="https://` + home + `/token",service="home"`, []string{home + ": " + basic, home + ": Bearer bearer"}},
		// By the protocol a registry names its token service, which may be
		// elsewhere, as Docker Hub's is: it gets the credentials, for the
		// registry gets the token alone.
		{"bearer from elsewhere", "Bearer bearer", `Bearer realm="https://auth.example.com/token",service="home"`, []string{"auth.example.com: " + basic, home + ": Bearer bearer"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &world{}
			serve := guarded(h.server, test.header, test.challenge)
			w.add(home, func(response http.ResponseWriter, request *http.Request) {
				if request.URL.Path == "/token" {
					token(response, request)
					return
				}
				serve(response, request)
			})
			w.add("auth.example.com", token)
			w.add("other.example.com", h.server.ServeHTTP)
			client := oci.New(oci.Config{Embedded: w.hosts, Keychain: keychain{home}})
			for _, host := range []string{home, "other.example.com"} {
				if got, err := client.Evidence(t.Context(), host+"/team/app", image); err != nil || len(got) != 3 {
					t.Errorf("%s: %d pieces, %v", host, len(got), err)
				}
			}
			if diff := cmp.Diff(test.want, w.seen()); diff != "" {
				t.Error(diff)
			}
			if got, err := oci.New(oci.Config{Embedded: w.hosts, Keychain: keychain{"another.example.com"}}).Evidence(t.Context(), home+"/team/app", image); err == nil && test.name == "basic" {
				t.Errorf("%d pieces without credentials", len(got))
			}
		})
	}
}

// TestCredentialsStayAtHome has a registry that sends its reader elsewhere,
// to hosts that would like to have credentials.
func TestCredentialsStayAtHome(t *testing.T) {
	for _, test := range []struct{ name, header, challenge string }{
		{"basic", basic, `Basic realm="home"`},
		{"bearer", "Bearer bearer", `Bearer realm="https://` + home + `/token",service="home"`},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			t.Run(test.name+" "+method, func(t *testing.T) {
				h, image := withEvidence(t, registry.Config{WithoutWholeUploads: true})
				w := &world{}
				var elsewhere atomic.Int32
				w.add("elsewhere.example.net", func(response http.ResponseWriter, request *http.Request) {
					// It may ask for credentials, and then serves without.
					if elsewhere.Add(1) == 1 && method == http.MethodGet {
						response.Header().Set("WWW-Authenticate", `Bearer realm="https://elsewhere.example.net/token"`)
						response.WriteHeader(http.StatusUnauthorized)
						return
					}
					h.server.ServeHTTP(response, request)
				})
				serve := guarded(h.server, test.header, test.challenge)
				w.add(home, func(response http.ResponseWriter, request *http.Request) {
					away := url.URL{Scheme: "https", Host: "elsewhere.example.net", Path: request.URL.Path, RawQuery: request.URL.RawQuery}
					switch {
					case request.URL.Path == "/token":
						token(response, request)
					case request.Method == method && (method == http.MethodGet && request.URL.Path != "/v2/" || strings.Contains(request.URL.Path, "/uploads/")) && request.Header.Get("Authorization") == test.header:
						http.Redirect(response, request, away.String(), http.StatusTemporaryRedirect)
					default:
						serve(response, request)
					}
				})
				client := oci.New(oci.Config{Embedded: w.hosts, Keychain: keychain{home}})
				if method == http.MethodPut {
					if err := (&house{t: t, client: client, repo: home + "/team/app"}).attachNew(image); err != nil {
						t.Error(err)
					}
				} else {
					_, err := client.Resolve(t.Context(), home+"/team/app:v1")
					if err != nil && test.name == "basic" {
						// What elsewhere asks for is not given.
						wantError(t, err, "401")
						_, err = client.Resolve(t.Context(), home+"/team/app:v1")
					}
					if err != nil {
						t.Error(err)
					}
				}
				if elsewhere.Load() == 0 {
					t.Error("nothing was asked elsewhere; the test shows nothing")
				}
				for _, line := range w.seen() {
					if strings.HasPrefix(line, "elsewhere") {
						t.Errorf("credentials went away: %s", line)
					}
				}
			})
		}
	}
}

func (h *house) attachNew(image subject.Digest) error {
	_, err := h.client.Attach(h.t.Context(), bundleOf(h.repo, image, "a new bundle"))
	return err
}

// TestTokenRealm has registries that name a token service where none should
// be: nothing is sent there.
func TestTokenRealm(t *testing.T) {
	var strangers atomic.Int32
	stranger := serve(t, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		strangers.Add(1)
		token(w, request)
	}))
	for _, realm := range []string{"http://auth.example.com/token", "https://169.254.169.254/token", "http://" + stranger + "/token", "https://10.0.0.1/token", "file:///etc/passwd", ""} {
		w := &world{}
		w.add(home, guarded(http.NotFoundHandler(), "Bearer bearer", `Bearer realm="`+realm+`"`))
		w.add("auth.example.com", token)
		_, err := oci.New(oci.Config{Embedded: w.hosts, Keychain: keychain{home}}).Resolve(t.Context(), home+"/team/app:v1")
		wantError(t, err, "realm")
		if saw := w.seen(); len(saw) != 0 {
			t.Errorf("realm %q: credentials went to %q", realm, saw)
		}
	}
	if n := strangers.Load(); n != 0 {
		t.Errorf("a private address was asked %d times", n)
	}

	// A token service of another domain gets nothing, by whichever way of
	// logging in.
	for _, config := range []authn.AuthConfig{{Username: "user", Password: "secret"}, {IdentityToken: "refresh"}} {
		w := &world{}
		w.add(home, guarded(http.NotFoundHandler(), "Bearer bearer", `Bearer realm="https://auth.example.net/token"`))
		w.add("auth.example.net", func(response http.ResponseWriter, request *http.Request) {
			t.Errorf("auth.example.net was asked %s", request.URL)
			token(response, request)
		})
		_, err := oci.New(oci.Config{Embedded: w.hosts, Keychain: fixed(config)}).Resolve(t.Context(), home+"/team/app:v1")
		wantError(t, err, "nothing was sent")
	}

	// A token without end is not read to its end.
	w := &world{}
	w.add(home, func(response http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/token" {
			guarded(http.NotFoundHandler(), "Bearer bearer", `Bearer realm="https://`+home+`/token"`)(response, request)
			return
		}
		for err := error(nil); err == nil; {
			_, err = io.WriteString(response, strings.Repeat(" ", 4096))
		}
	})
	if _, err := oci.New(oci.Config{Embedded: w.hosts, Keychain: keychain{home}}).Resolve(t.Context(), home+"/team/app:v1"); err == nil {
		t.Error("a token without end was taken")
	}
}
