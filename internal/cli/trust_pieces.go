package cli

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/cosignkey"
	"github.com/seed-161fc314/assay/internal/format/signingconfig"
	"github.com/seed-161fc314/assay/internal/format/trustedroot"
	"github.com/seed-161fc314/assay/internal/port/trustroot"
)

// trustPieces are the authorities that a trusted root is made of, as cosign's
// trusted-root create spells them.
type trustPieces struct {
	fulcio, ctfe, rekor, tsa []string
	issuer                   string
}

func (p *trustPieces) add(command *cobra.Command) {
	command.Flags().StringArrayVar(&p.fulcio, "fulcio", nil, "certificate authority: url=URL,certificate-chain=FILE; may be repeated")
	command.Flags().StringArrayVar(&p.ctfe, "ctfe", nil, "certificate log: url=URL,public-key=FILE; may be repeated")
	command.Flags().StringArrayVar(&p.rekor, "rekor", nil, "transparency log: url=URL,public-key=FILE[,origin=NAME]; may be repeated")
	command.Flags().StringArrayVar(&p.tsa, "tsa", nil, "timestamp authority: url=URL,certificate-chain=FILE; may be repeated")
	command.Flags().StringVar(&p.issuer, "oidc-issuer", "", "where people log in, for the signing configuration")
}

func (p *trustPieces) any() bool {
	return len(p.fulcio)+len(p.ctfe)+len(p.rekor)+len(p.tsa) > 0 || p.issuer != ""
}

// pieceNames are what may be said of each kind.
var pieceNames = map[trustedroot.Kind][]string{
	trustedroot.CertificateAuthority: {"url", "certificate-chain", "start-time", "end-time"},
	trustedroot.TimestampAuthority:   {"url", "certificate-chain", "start-time", "end-time"},
	trustedroot.CertificateLog:       {"url", "public-key", "start-time", "end-time", "origin"},
	trustedroot.Log:                  {"url", "public-key", "start-time", "end-time", "origin"},
}

// material makes both files.
func (p *trustPieces) material(host *Host) (trustroot.Material, error) {
	var pieces []trustedroot.Piece
	config := signingconfig.Config{}
	for _, list := range []struct {
		flag  string
		kind  trustedroot.Kind
		texts []string
		into  *[]signingconfig.Service
	}{
		{"--fulcio", trustedroot.CertificateAuthority, p.fulcio, &config.Authorities},
		{"--ctfe", trustedroot.CertificateLog, p.ctfe, nil},
		{"--rekor", trustedroot.Log, p.rekor, &config.Logs},
		{"--tsa", trustedroot.TimestampAuthority, p.tsa, &config.Timestamps},
	} {
		for _, text := range list.texts {
			piece, err := host.piece(list.flag, list.kind, text)
			if err != nil {
				return trustroot.Material{}, err
			}
			pieces = append(pieces, piece)
			if list.into != nil {
				service := signingconfig.Service{URL: piece.URL, Version: 1, From: piece.From, Until: piece.Until}
				if piece.Origin != "" {
					service.Version = 2
				}
				*list.into = append(*list.into, service)
			}
		}
	}
	if len(pieces) == 0 {
		return trustroot.Material{}, usage("--oidc-issuer is where people log in; nobody is named who is believed")
	}
	root, err := trustedroot.Build(pieces)
	if err != nil {
		return trustroot.Material{}, err
	}
	p.warn(host)
	material := trustroot.Material{Root: root}
	if len(config.Authorities)+len(config.Logs)+len(config.Timestamps) == 0 {
		return material, nil
	}
	if p.issuer != "" {
		config.Providers = []signingconfig.Service{{URL: p.issuer, Version: 1}}
	}
	if len(config.Logs) > 0 {
		config.LogRule = signingconfig.Rule{Selector: signingconfig.Any}
	}
	if len(config.Timestamps) > 0 {
		config.TimestampRule = signingconfig.Rule{Selector: signingconfig.Any}
	}
	material.SigningConfig, err = config.Encode()
	return material, err
}

// warn says what certificates will lack that the authorities which are named
// give to people and workloads.
func (p *trustPieces) warn(host *Host) {
	if len(p.fulcio) == 0 {
		return
	}
	if len(p.rekor) == 0 {
		host.warn("no transparency log is named (--rekor): what is signed with certificates is verified only with --insecure-ignore-tlog")
	}
	if len(p.ctfe) == 0 {
		host.warn("no certificate log is named (--ctfe): what is signed with certificates is verified only with --insecure-ignore-sct")
	}
	if len(p.rekor)+len(p.tsa) == 0 {
		host.warn("neither a transparency log nor a timestamp authority (--tsa) is named: nothing says when it was signed, and certificates live for minutes")
	}
}

// piece reads one "name=value,…".
func (h *Host) piece(flag string, kind trustedroot.Kind, text string) (trustedroot.Piece, error) {
	names := pieceNames[kind]
	said := map[string]string{}
	for _, part := range strings.Split(text, ",") {
		name, value, found := strings.Cut(part, "=")
		switch {
		case !found || value == "" || !slices.Contains(names, name):
			return trustedroot.Piece{}, usage("%s %s: %q is not one of %s, each with =VALUE", flag, text, part, strings.Join(names, ", "))
		case said[name] != "":
			return trustedroot.Piece{}, usage("%s %s: %s is there twice", flag, text, name)
		}
		said[name] = value
	}
	for _, name := range names[:2] {
		if said[name] == "" {
			return trustedroot.Piece{}, usage("%s %s: %s= is missing", flag, text, name)
		}
	}
	piece := trustedroot.Piece{Kind: kind, URL: said["url"], Origin: said["origin"]}
	for name, into := range map[string]*time.Time{"start-time": &piece.From, "end-time": &piece.Until} {
		if said[name] == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, said[name])
		if err != nil {
			return trustedroot.Piece{}, usage("%s %s: %s: want a time such as 2026-01-02T15:04:05Z", flag, text, name)
		}
		*into = at.UTC()
	}
	if host, err := url.Parse(piece.URL); kind == trustedroot.Log && piece.Origin != "" && err == nil && host.Hostname() != piece.Origin {
		return trustedroot.Piece{}, usage("%s %s: verifiers look for checkpoints of %q, the URL's host, and never find those of %q", flag, text, host.Hostname(), piece.Origin).
			withHint("have the log sign as its host (its flag --hostname), or give the URL of that host")
	}
	var err error
	if chain := said["certificate-chain"]; chain != "" {
		piece.Certificates, err = h.chain(chain)
	} else {
		var keys []cosignkey.Public
		var content []byte
		if content, err = h.readFile(said["public-key"], limit.KeyFile); err != nil {
			return trustedroot.Piece{}, fmt.Errorf("%s: %w", flag, err)
		}
		keys, err = cosignkey.ReadPublic(content)
		switch {
		case err != nil:
			err = fmt.Errorf("%s: %w", said["public-key"], err)
		case len(keys) != 1:
			err = fmt.Errorf("%s holds %d keys; want the log's one", said["public-key"], len(keys))
		default:
			piece.Key = keys[0].Key
		}
	}
	if err != nil {
		return trustedroot.Piece{}, fmt.Errorf("%s: %w", flag, err)
	}
	return piece, nil
}

// chain reads certificates in PEM.
func (h *Host) chain(name string) ([]*x509.Certificate, error) {
	content, err := h.readFile(name, limit.TrustedRoot)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s: a block is a %.40q; want certificates and nothing else", name, block.Type)
		}
		if len(chain) == limit.Chain {
			return nil, &limit.Error{What: name, Bound: limit.Chain, Unit: "certificates"}
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", name, len(chain)+1, err)
		}
		chain = append(chain, certificate)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM", name)
	}
	return chain, nil
}
