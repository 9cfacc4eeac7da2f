package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Person is how a person at a terminal is asked to log in.
type Person struct {
	// Issuer is an OpenID Connect issuer's URL, ClientID what it knows this
	// program as; the token's audience is the latter. ClientSecret is "" for
	// public clients.
	Issuer, ClientID, ClientSecret string
	// Show is told what the person has to open and, in the device flow, the
	// code to type there; both are a server's words.
	Show func(address, code string)
	// Open opens a browser; nil leaves it to the person.
	Open func(address string) error
	// Transport carries requests; nil is one with timeouts.
	Transport http.RoundTripper
	// Now is the clock that expiry is held against.
	Now func() time.Time
}

// patience is how long a person may take.
const patience = 5 * time.Minute

// scopes are what a certificate authority needs to know of a person.
func scopes() []string { return []string{"openid", "email"} }

// discover reads the issuer's metadata (OpenID Connect Discovery 1.0).
func (p Person) discover(ctx context.Context) (*oauth2.Config, error) {
	if p.Now == nil || p.Show == nil || p.ClientID == "" {
		return nil, errors.New("a clock, a way to show addresses and a client id are needed")
	}
	issuer, err := secure(p.Issuer)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer.JoinPath(".well-known/openid-configuration").String(), nil)
	if err != nil {
		return nil, err
	}
	body, _, _, err := once(client(p.Transport), request, nil)
	if err != nil {
		return nil, err
	}
	var found struct {
		Issuer string `json:"issuer"`
		Auth   string `json:"authorization_endpoint"`
		Token  string `json:"token_endpoint"`
		Device string `json:"device_authorization_endpoint"`
	}
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, errors.New("its metadata is no JSON object of OpenID Connect Discovery")
	}
	if strings.TrimSuffix(found.Issuer, "/") != strings.TrimSuffix(p.Issuer, "/") {
		return nil, fmt.Errorf("its metadata is of another issuer, %.200q", found.Issuer)
	}
	for name, address := range map[string]string{"authorization_endpoint": found.Auth, "token_endpoint": found.Token, "device_authorization_endpoint": found.Device} {
		if address == "" && name == "device_authorization_endpoint" {
			continue
		}
		if _, err := secure(address); err != nil {
			return nil, fmt.Errorf("its %s: %w", name, err)
		}
	}
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, Scopes: scopes(),
		Endpoint: oauth2.Endpoint{AuthURL: found.Auth, TokenURL: found.Token, DeviceAuthURL: found.Device, AuthStyle: oauth2.AuthStyleInParams}}, nil
}

// Device lets a person log in at any machine's browser (RFC 8628).
func Device(ctx context.Context, p Person) (Token, error) {
	token, err := p.device(ctx)
	if err != nil {
		return Token{}, fmt.Errorf("logging in at %s: %w", p.Issuer, quiet(err))
	}
	return token, nil
}

func (p Person) device(ctx context.Context) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	config, err := p.discover(ctx)
	if err != nil {
		return Token{}, err
	}
	if config.Endpoint.DeviceAuthURL == "" {
		return Token{}, errors.New("it has no device flow")
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, client(p.Transport))
	verifier := oauth2.GenerateVerifier()
	asked, err := config.DeviceAuth(ctx, oauth2.S256ChallengeOption(verifier))
	if err != nil {
		return Token{}, err
	}
	address := asked.VerificationURIComplete
	if address == "" {
		address = asked.VerificationURI
	}
	if _, err := secure(address); err != nil {
		return Token{}, fmt.Errorf("its verification_uri: %w", err)
	}
	p.Show(address, asked.UserCode)
	answer, err := config.DeviceAccessToken(ctx, asked, oauth2.VerifierOption(verifier))
	if err != nil {
		return Token{}, err
	}
	return p.take("device", answer, "")
}

// Browser lets a person log in with a browser on this machine: authorization
// code with PKCE, answered on a loopback port (RFC 8252, RFC 7636).
func Browser(ctx context.Context, p Person) (Token, error) {
	token, err := p.browser(ctx)
	if err != nil {
		return Token{}, fmt.Errorf("logging in at %s: %w", p.Issuer, quiet(err))
	}
	return token, nil
}

func (p Person) browser(ctx context.Context) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	config, err := p.discover(ctx)
	if err != nil {
		return Token{}, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return Token{}, err
	}
	// Sigstore's issuer knows public clients by the name localhost.
	config.RedirectURL = fmt.Sprintf("http://localhost:%d/auth/callback", listener.Addr().(*net.TCPAddr).Port)
	state, nonce, verifier := rand.Text(), rand.Text(), oauth2.GenerateVerifier()
	codes := make(chan callback, 1)
	server := &http.Server{Handler: answers(state, codes), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() { // the page may still be on its way to the browser
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if server.Shutdown(last) != nil {
			server.Close()
		}
		<-served
	}()
	address := config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", nonce))
	p.Show(address, "")
	if p.Open != nil {
		if err := p.Open(address); err != nil {
			return Token{}, fmt.Errorf("opening a browser: %w", err)
		}
	}
	var came callback
	select {
	case <-ctx.Done():
		return Token{}, fmt.Errorf("nobody logged in: %w", ctx.Err())
	case came = <-codes:
	}
	if came.code == "" {
		return Token{}, fmt.Errorf("it answered %.100q", came.refusal)
	}
	answer, err := config.Exchange(context.WithValue(ctx, oauth2.HTTPClient, client(p.Transport)), came.code, oauth2.VerifierOption(verifier))
	if err != nil {
		return Token{}, err
	}
	return p.take("browser", answer, nonce)
}

type callback struct{ code, refusal string }

// answers takes the first answer with the right state; others, which any page
// in the browser can send, change nothing.
func answers(state string, codes chan<- callback) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /auth/callback", func(w http.ResponseWriter, request *http.Request) {
		query := request.URL.Query()
		if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(state)) != 1 {
			http.Error(w, "This answer belongs to no login of assay that is under way.", http.StatusBadRequest)
			return
		}
		came := callback{code: query.Get("code"), refusal: query.Get("error")}
		select {
		case codes <- came:
		default: // the first one counts
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if came.code == "" {
			fmt.Fprintln(w, "The login was refused. You can close this page.")
			return
		}
		fmt.Fprintln(w, "You are logged in; assay goes on. You can close this page.")
	})
	return mux
}

// take reads the identity token out of the issuer's answer.
func (p Person) take(provider string, answer *oauth2.Token, nonce string) (Token, error) {
	text, _ := answer.Extra("id_token").(string)
	if text == "" {
		return Token{}, errors.New("its answer has no id_token in it")
	}
	token, err := accept(provider, text, p.ClientID, p.Now())
	if err != nil {
		return Token{}, err
	}
	if nonce != "" && subtle.ConstantTimeCompare([]byte(token.Claims.Nonce), []byte(nonce)) != 1 {
		return Token{}, errors.New("its identity token is not for this login: the nonce differs")
	}
	if strings.TrimSuffix(token.Claims.Issuer, "/") != strings.TrimSuffix(p.Issuer, "/") {
		return Token{}, fmt.Errorf("its identity token was issued by another, %.200q", token.Claims.Issuer)
	}
	return token, nil
}
