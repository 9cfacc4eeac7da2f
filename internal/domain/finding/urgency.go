package finding

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// Urgency orders findings by what to do first: those that are known to be
// exploited, then the worse severity, then the likelier to be exploited
// (EPSS), then what a version heals, then by package, version and id. It is a
// comparison for slices.SortStableFunc.
func Urgency(a, b Finding) int {
	return cmp.Or(
		compareBool(b.Threat.Exploited != nil, a.Threat.Exploited != nil),
		cmp.Compare(b.Severity.Level, a.Severity.Level),
		cmp.Compare(b.Threat.probability(), a.Threat.probability()),
		compareBool(b.Fixed != "", a.Fixed != ""),
		cmp.Compare(a.Component.Name, b.Component.Name),
		cmp.Compare(a.Component.Version, b.Component.Version),
		cmp.Compare(a.ID, b.ID))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (t Threat) probability() float64 {
	if t.EPSS == nil {
		return 0
	}
	return t.EPSS.Probability
}

// Threshold says which severities are too much. UNKNOWN is a class of its own
// and counts only where it is named. The zero value reaches nothing.
type Threshold struct {
	least   Level // Unknown for no rated level
	unknown bool
}

// ParseThreshold reads severities; each but "unknown" stands for itself and
// all above, so that of several the lowest decides. "none" alone is a
// threshold that nothing reaches. No word at all is an error.
func ParseThreshold(words []string) (Threshold, error) {
	var t Threshold
	if len(words) == 1 && strings.EqualFold(strings.TrimSpace(words[0]), "none") {
		return t, nil
	}
	if len(words) == 0 {
		return t, errors.New("no severity is named; want some of unknown, low, medium, high, critical, or none")
	}
	for _, word := range words {
		level, err := ParseLevel(word)
		switch {
		case err != nil && strings.EqualFold(strings.TrimSpace(word), "none"):
			return Threshold{}, errors.New("\"none\" stands alone")
		case err != nil:
			return Threshold{}, fmt.Errorf("%w, or none", err)
		case level == Unknown:
			t.unknown = true
		case t.least == Unknown || level < t.least:
			t.least = level
		}
	}
	return t, nil
}

// Line is a finding of a package in one line for people: severity, id, whether
// it is known to be exploited, what fixes it, and the headline.
func (f Finding) Line() string {
	line := f.Severity.Level.String() + " " + f.ID
	if f.Threat.Exploited != nil {
		line += " (known to be exploited)"
	}
	if f.Fixed != "" {
		line += ", fixed in " + f.Fixed
	}
	if title := f.Headline(); title != "" {
		line += ": " + title
	}
	return line
}

// DefaultThreshold is high and above.
func DefaultThreshold() Threshold { return Threshold{least: High} }

// Reached says whether a severity is at or above the threshold.
func (t Threshold) Reached(level Level) bool {
	if level == Unknown {
		return t.unknown
	}
	return t.least != Unknown && level >= t.least
}

// String is the threshold in words, such as "high or above".
func (t Threshold) String() string {
	var parts []string
	switch t.least {
	case Unknown:
	case Critical:
		parts = append(parts, "critical")
	default:
		parts = append(parts, fmt.Sprintf("%s or above", strings.ToLower(t.least.String())))
	}
	if t.unknown {
		parts = append(parts, "unknown")
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", or ")
}
