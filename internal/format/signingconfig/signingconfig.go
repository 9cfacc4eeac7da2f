// Package signingconfig reads and writes Sigstore signing configurations v0.2
// (sigstore/protobuf-specs, sigstore_trustroot.proto: SigningConfig): which
// certificate authority, logs and timestamp authorities a signer asks.
//
// Entry points are [Parse], of a [Config] Encode, and Select, which picks the
// services that hold at a time. Choice is by rule and not by chance: the
// newest API version that is known, then the service that began last, one for
// each operator.
//
// The package contacts nothing. Which authorities are believed is another
// file's matter, the trusted root's.
package signingconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrust "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/strictjson"
)

// MediaType is the one version that is read and written.
const MediaType = "application/vnd.dev.sigstore.signingconfig.v0.2+json"

// The major API versions that are known.
const (
	AuthorityVersion = 1
	LogVersion       = 2 // and 1
	TimestampVersion = 1
)

// Service is one that may be asked.
type Service struct {
	URL string
	// Version is the major version of its API.
	Version uint32
	// Operator names who runs it; one service of each operator is chosen.
	Operator string
	// From and Until bound its time; a zero time does not.
	From, Until time.Time
}

// Selector says how many services of a list are asked.
type Selector uint8

// The selectors.
const (
	// Unset goes with an empty list only.
	Unset Selector = iota
	Any
	Exact
	All
)

// Rule is a selector; Count is for Exact.
type Rule struct {
	Selector Selector
	Count    int
}

// Config is a whole configuration.
type Config struct {
	Authorities, Providers, Logs, Timestamps []Service
	LogRule, TimestampRule                   Rule
}

// Chosen is what to ask. What a configuration does not have is nil or empty.
type Chosen struct {
	Authority, Provider *Service
	Logs, Timestamps    []Service
}

// Parse reads a configuration; name is for errors.
func Parse(name string, content []byte) (Config, error) {
	if len(content) > limit.TrustedRoot {
		return Config{}, &limit.Error{What: name, Bound: limit.TrustedRoot, Unit: "bytes"}
	}
	if _, err := strictjson.Object(content, name, strictjson.Bounds{}); err != nil {
		return Config{}, err
	}
	var proto prototrust.SigningConfig
	// Unknown members are left alone, as a newer 0.2 may have them.
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: limit.JSONDepth}).Unmarshal(content, &proto); err != nil {
		return Config{}, fmt.Errorf("%s is no signing configuration: %w", name, err)
	}
	if proto.GetMediaType() != MediaType {
		return Config{}, fmt.Errorf("%s: mediaType: want %s, found %.100q", name, MediaType, proto.GetMediaType())
	}
	var c Config
	for _, list := range []struct {
		name string
		from []*prototrust.Service
		into *[]Service
	}{
		{"caUrls", proto.GetCaUrls(), &c.Authorities}, {"oidcUrls", proto.GetOidcUrls(), &c.Providers},
		{"rekorTlogUrls", proto.GetRekorTlogUrls(), &c.Logs}, {"tsaUrls", proto.GetTsaUrls(), &c.Timestamps},
	} {
		if len(list.from) > limit.Authorities {
			return Config{}, &limit.Error{What: name + ": " + list.name, Bound: limit.Authorities, Unit: "services"}
		}
		for i, from := range list.from {
			s, err := service(from)
			if err != nil {
				return Config{}, fmt.Errorf("%s: %s[%d]: %w", name, list.name, i, err)
			}
			*list.into = append(*list.into, s)
		}
	}
	var err error
	if c.LogRule, err = rule(proto.GetRekorTlogConfig(), len(c.Logs)); err != nil {
		return Config{}, fmt.Errorf("%s: rekorTlogConfig: %w", name, err)
	}
	if c.TimestampRule, err = rule(proto.GetTsaConfig(), len(c.Timestamps)); err != nil {
		return Config{}, fmt.Errorf("%s: tsaConfig: %w", name, err)
	}
	return c, nil
}

func service(from *prototrust.Service) (Service, error) {
	if err := checkURL(from.GetUrl()); err != nil {
		return Service{}, err
	}
	s := Service{URL: from.GetUrl(), Version: from.GetMajorApiVersion(), Operator: from.GetOperator()}
	for at, into := range map[*timestamppb.Timestamp]*time.Time{from.GetValidFor().GetStart(): &s.From, from.GetValidFor().GetEnd(): &s.Until} {
		if at == nil {
			continue
		}
		if err := at.CheckValid(); err != nil {
			return Service{}, fmt.Errorf("validFor: %w", err)
		}
		*into = at.AsTime()
	}
	return s, nil
}

func checkURL(text string) error {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "https" && parsed.Scheme != "http" || parsed.Host == "" || parsed.User != nil {
		return fmt.Errorf("url %.200q: want https://HOST/… without a password", text)
	}
	return nil
}

func rule(from *prototrust.ServiceConfiguration, services int) (Rule, error) {
	switch from.GetSelector() {
	case prototrust.ServiceSelector_SERVICE_SELECTOR_UNDEFINED:
		if services > 0 {
			return Rule{}, errors.New("selector is missing; want ANY, EXACT or ALL")
		}
		return Rule{}, nil
	case prototrust.ServiceSelector_ANY:
		return Rule{Selector: Any}, nil
	case prototrust.ServiceSelector_ALL:
		return Rule{Selector: All}, nil
	case prototrust.ServiceSelector_EXACT:
		if from.GetCount() == 0 || from.GetCount() > limit.Authorities {
			return Rule{}, fmt.Errorf("count %d: EXACT wants 1 to %d", from.GetCount(), limit.Authorities)
		}
		return Rule{Selector: Exact, Count: int(from.GetCount())}, nil
	}
	return Rule{}, fmt.Errorf("selector %d is not known", from.GetSelector())
}

// Encode writes the configuration as Parse reads it: indented, and the same
// bytes for the same configuration.
func (c Config) Encode() ([]byte, error) {
	proto := &prototrust.SigningConfig{
		MediaType: MediaType, CaUrls: protos(c.Authorities), OidcUrls: protos(c.Providers),
		RekorTlogUrls: protos(c.Logs), TsaUrls: protos(c.Timestamps),
		RekorTlogConfig: c.LogRule.proto(), TsaConfig: c.TimestampRule.proto(),
	}
	spaced, err := protojson.Marshal(proto)
	if err != nil {
		return nil, fmt.Errorf("writing signing configuration: %w", err)
	}
	// protojson puts spaces in at random, so that nobody relies on its bytes.
	var compact, out bytes.Buffer
	if err := errors.Join(json.Compact(&compact, spaced), json.Indent(&out, compact.Bytes(), "", "  ")); err != nil {
		return nil, fmt.Errorf("writing signing configuration: %w", err)
	}
	out.WriteByte('\n')
	if _, err := Parse("the signing configuration", out.Bytes()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func protos(services []Service) []*prototrust.Service {
	var list []*prototrust.Service
	for _, s := range services {
		valid := &protocommon.TimeRange{}
		if !s.From.IsZero() {
			valid.Start = timestamppb.New(s.From)
		}
		if !s.Until.IsZero() {
			valid.End = timestamppb.New(s.Until)
		}
		list = append(list, &prototrust.Service{Url: s.URL, MajorApiVersion: s.Version, Operator: s.Operator, ValidFor: valid})
	}
	return list
}

func (r Rule) proto() *prototrust.ServiceConfiguration {
	switch r.Selector {
	case Any:
		return &prototrust.ServiceConfiguration{Selector: prototrust.ServiceSelector_ANY}
	case All:
		return &prototrust.ServiceConfiguration{Selector: prototrust.ServiceSelector_ALL}
	case Exact:
		return &prototrust.ServiceConfiguration{Selector: prototrust.ServiceSelector_EXACT, Count: uint32(r.Count)} // #nosec G115 -- Parse and Encode bound it
	}
	return &prototrust.ServiceConfiguration{}
}

// Select picks the services that hold at a time. A list that has services, of
// which none holds or none has an API that is known, is an error.
func (c Config) Select(now time.Time) (Chosen, error) {
	var chosen Chosen
	for _, list := range []struct {
		what     string
		services []Service
		rule     Rule
		highest  uint32
		one      **Service
		many     *[]Service
	}{
		{"certificate authority", c.Authorities, Rule{Selector: Any}, AuthorityVersion, &chosen.Authority, nil},
		{"identity provider", c.Providers, Rule{Selector: Any}, 1, &chosen.Provider, nil},
		{"transparency log", c.Logs, c.LogRule, LogVersion, nil, &chosen.Logs},
		{"timestamp authority", c.Timestamps, c.TimestampRule, TimestampVersion, nil, &chosen.Timestamps},
	} {
		if len(list.services) == 0 && list.rule.Selector != Exact {
			continue
		}
		picked, err := pick(list.services, list.rule, list.highest, now)
		if err != nil {
			return Chosen{}, fmt.Errorf("%s: %w", list.what, err)
		}
		if list.one != nil {
			*list.one = &picked[0]
		} else {
			*list.many = picked
		}
	}
	return chosen, nil
}

func pick(services []Service, rule Rule, highest uint32, now time.Time) ([]Service, error) {
	var valid []Service
	for _, s := range services {
		if s.Version >= 1 && s.Version <= highest && !now.Before(s.From) && (s.Until.IsZero() || !now.After(s.Until)) {
			valid = append(valid, s)
		}
	}
	if len(valid) == 0 {
		return nil, fmt.Errorf("the signing configuration has none that is valid at %s with an API version up to %d", now.UTC().Format(time.RFC3339), highest)
	}
	slices.SortStableFunc(valid, func(a, b Service) int {
		if a.Version != b.Version {
			return int(b.Version) - int(a.Version)
		}
		return b.From.Compare(a.From)
	})
	operators := map[string]bool{}
	var distinct []Service
	for _, s := range valid {
		if s.Version == valid[0].Version && !operators[s.Operator] {
			operators[s.Operator] = true
			distinct = append(distinct, s)
		}
	}
	switch rule.Selector {
	case Any:
		return distinct[:1], nil
	case Exact:
		if rule.Count > len(distinct) {
			return nil, fmt.Errorf("the signing configuration wants %d of distinct operators, and has %d that are valid", rule.Count, len(distinct))
		}
		return distinct[:rule.Count], nil
	}
	return distinct, nil
}
