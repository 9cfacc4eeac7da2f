package cel

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/package-url/packageurl-go"
	"golang.org/x/mod/semver"

	"github.com/seed-161fc314/assay/internal/format/distver"
	"github.com/seed-161fc314/assay/internal/format/licence"
	"github.com/seed-161fc314/assay/internal/format/pep440"
	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// library is the functions that are ours. Each is pure, and takes time that
// grows with its arguments (see cost).
type library struct{ adapter types.Adapter }

// severities are the words, from the mildest.
var severities = [...]string{"UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"}

// functions declares them. The names of those with a point are of a namespace,
// and no methods.
func (l *library) functions() []celgo.EnvOption {
	text, texts, yes, finding := celgo.StringType, celgo.ListType(celgo.StringType), celgo.BoolType, object[Finding]()
	findings, components := celgo.ListType(finding), celgo.ListType(object[Component]())
	return []celgo.EnvOption{
		celgo.Function("days", celgo.Overload("days_int", []*celgo.Type{celgo.IntType}, celgo.DurationType, celgo.UnaryBinding(days))),
		celgo.Function("glob", celgo.Overload("glob_string_string", []*celgo.Type{text, text}, yes, celgo.BinaryBinding(func(pattern, of ref.Val) ref.Val {
			return types.Bool(glob(spell(pattern), spell(of)))
		}))),
		celgo.Function("version.compare", celgo.Overload("version_compare", []*celgo.Type{text, text, text}, celgo.IntType, celgo.FunctionBinding(compareVersions))),
		celgo.Function("version.within", celgo.Overload("version_within", []*celgo.Type{text, text}, yes, celgo.BinaryBinding(within))),
		celgo.Function("spdx.allows", celgo.Overload("spdx_allows", []*celgo.Type{texts, text}, yes, celgo.BinaryBinding(allows))),
		celgo.Function("spdx.identifiers", celgo.Overload("spdx_identifiers", []*celgo.Type{text}, texts, celgo.UnaryBinding(identifiers))),
		celgo.Function("spdx.valid", celgo.Overload("spdx_valid", []*celgo.Type{text}, yes, celgo.UnaryBinding(func(of ref.Val) ref.Val {
			_, err := licence.Parse(spell(of))
			return types.Bool(err == nil)
		}))),
		celgo.Function("purl", celgo.Overload("purl_string", []*celgo.Type{text}, object[PURL](), celgo.UnaryBinding(l.purl))),
		celgo.Function("purl.valid", celgo.Overload("purl_valid", []*celgo.Type{text}, yes, celgo.UnaryBinding(func(of ref.Val) ref.Val {
			_, err := packageurl.FromString(spell(of))
			return types.Bool(err == nil)
		}))),
		celgo.Function("purl.covers", celgo.Overload("purl_covers", []*celgo.Type{text, text}, yes, celgo.BinaryBinding(func(pattern, of ref.Val) ref.Val {
			wanted, err := packageurl.FromString(spell(pattern))
			if err != nil {
				return types.NewErr("%.200q is no package URL: %v", spell(pattern), err)
			}
			return types.Bool(covers(wanted, spell(of)))
		}))),
		celgo.Function("among", celgo.MemberOverload("components_among", []*celgo.Type{components, texts}, components, celgo.BinaryBinding(among))),
		celgo.Function("is", celgo.MemberOverload("finding_is", []*celgo.Type{finding, text}, yes, celgo.BinaryBinding(func(f, id ref.Val) ref.Val {
			found, ok := f.Value().(Finding)
			return types.Bool(ok && found.is(spell(id)))
		}))),
		celgo.Function("except", celgo.MemberOverload("findings_except", []*celgo.Type{findings, texts}, findings, celgo.BinaryBinding(func(list, ids ref.Val) ref.Val {
			known := spellAll(ids)
			return filter(list, func(f Finding) bool { return !slices.ContainsFunc(known, f.is) })
		}))),
		celgo.Function("atLeast", celgo.MemberOverload("findings_at_least", []*celgo.Type{findings, text}, findings, celgo.BinaryBinding(func(list, word ref.Val) ref.Val {
			least := slices.Index(severities[:], spell(word))
			if least < 0 {
				return types.NewErr("%.100q is no severity; want one of %q", spell(word), severities)
			}
			return filter(list, func(f Finding) bool { return slices.Index(severities[:], f.Severity) >= least })
		}))),
		celgo.Function("fixable", celgo.MemberOverload("findings_fixable", []*celgo.Type{findings}, findings, celgo.UnaryBinding(func(list ref.Val) ref.Val {
			return filter(list, func(f Finding) bool { return f.Fixed != "" })
		}))),
	}
}

// functionNames are the names, for suggestions.
func functionNames() []string {
	return []string{"days", "glob", "version.compare", "version.within", "spdx.allows", "spdx.identifiers", "spdx.valid", "purl", "purl.valid", "purl.covers",
		"among", "is", "except", "atLeast", "fixable", "semver", "quantity", "url", "ip", "cidr", "matches", "find", "size", "filter", "exists", "all", "map",
		"contains", "startsWith", "endsWith", "duration", "timestamp"}
}

func spell(value ref.Val) string {
	text, _ := value.(types.String)
	return string(text)
}

func spellAll(value ref.Val) []string {
	var texts []string
	for _, item := range listed(value) {
		texts = append(texts, spell(item))
	}
	return texts
}

// filter keeps the entries of a list of ours.
func filter[T any](list ref.Val, keep func(T) bool) ref.Val {
	lister, ok := list.(traits.Lister)
	if !ok {
		return types.MaybeNoSuchOverloadErr(list)
	}
	kept := []ref.Val{}
	for it := lister.Iterator(); it.HasNext() == types.True; {
		value := it.Next()
		if entry, ok := value.Value().(T); !ok || keep(entry) { // what is not known stays
			kept = append(kept, value)
		}
	}
	return types.NewRefValList(types.DefaultTypeAdapter, kept)
}

// is says whether a finding is a vulnerability, by its id or an alias.
func (f Finding) is(id string) bool {
	return strings.EqualFold(f.ID, id) || slices.ContainsFunc(f.Aliases, func(alias string) bool { return strings.EqualFold(alias, id) })
}

// days is a number of days of 24 hours.
func days(value ref.Val) ref.Val {
	n, ok := value.(types.Int)
	if !ok || n < -36500 || n > 36500 {
		return types.NewErr("days(%v): want -36500 to 36500", value)
	}
	return types.Duration{Duration: time.Duration(n) * 24 * time.Hour}
}

// compareVersions orders two versions as their ecosystem does: -1, 0 or 1. A
// text that is no version of it is an error.
func compareVersions(arguments ...ref.Val) ref.Val {
	ecosystem, a, b := spell(arguments[0]), spell(arguments[1]), spell(arguments[2])
	var result int
	ok := true
	switch ecosystem {
	case "pypi":
		x, err := pep440.Parse(a)
		y, err2 := pep440.Parse(b)
		ok = err == nil && err2 == nil
		if ok {
			result = x.Compare(y)
		}
	case "semver":
		x, y := "v"+strings.TrimPrefix(a, "v"), "v"+strings.TrimPrefix(b, "v")
		if ok = semver.IsValid(x) && semver.IsValid(y); ok {
			result = semver.Compare(x, y)
		}
	case "deb":
		result, ok = distver.Debian(a, b)
	case "apk":
		result, ok = distver.APK(a, b)
	case "rpm":
		result = distver.RPM(a, b)
	default:
		return types.NewErr("%.100q is no ecosystem whose versions are known; want one of %q", ecosystem, ecosystems)
	}
	if !ok {
		return types.NewErr("%.100q or %.100q is no version of %s", a, b, ecosystem)
	}
	return types.Int(min(1, max(-1, result)))
}

// ecosystems are those whose versions are ordered.
var ecosystems = [...]string{"pypi", "semver", "deb", "apk", "rpm"}

// within says whether a version of Python's is one of a set such as
// ">=1.2,<2" (PEP 440).
func within(version, set ref.Val) ref.Val {
	specifiers, err := pep440.ParseSpecifiers(spell(set))
	if err != nil {
		return types.WrapErr(err)
	}
	v, err := pep440.Parse(spell(version))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.Bool(specifiers.Contains(v))
}

func allows(list, statement ref.Val) ref.Val {
	allowed, err := licence.Allow(spellAll(list))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.Bool(allowed.Covers(spell(statement)))
}

func identifiers(expression ref.Val) ref.Val {
	ids, err := licence.Identifiers(spell(expression))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.NewStringList(types.DefaultTypeAdapter, ids)
}

func (l *library) purl(text ref.Val) ref.Val {
	p, err := packageurl.FromString(spell(text))
	if err != nil {
		return types.NewErr("%.200q is no package URL: %v", spell(text), err)
	}
	return l.adapter.NativeToValue(PURL{Type: p.Type, Namespace: p.Namespace, Name: p.Name, Version: p.Version, Qualifiers: maps.Clone(p.Qualifiers.Map()), Subpath: p.Subpath})
}

// covers says whether a package URL is of the package that another names, and
// of its version where that has one. Names of Python are compared as PyPI does.
// A text that is no package URL is of none.
func covers(wanted packageurl.PackageURL, text string) bool {
	p, err := packageurl.FromString(text)
	if err != nil || p.Type != wanted.Type || p.Namespace != wanted.Namespace {
		return false
	}
	name, other := p.Name, wanted.Name
	if p.Type == packageurl.TypePyPi {
		name, other = pydist.Normalise(name), pydist.Normalise(other)
	}
	return name == other && (wanted.Version == "" || wanted.Version == p.Version)
}

// among keeps the components that one of a list of package URLs names.
func among(list, urls ref.Val) ref.Val {
	var wanted []packageurl.PackageURL
	for _, text := range spellAll(urls) {
		p, err := packageurl.FromString(text)
		if err != nil {
			return types.WrapErr(fmt.Errorf("%.200q is no package URL: %w", text, err))
		}
		wanted = append(wanted, p)
	}
	return filter(list, func(c Component) bool {
		return c.PURL != "" && slices.ContainsFunc(wanted, func(p packageurl.PackageURL) bool { return covers(p, c.PURL) })
	})
}
