package advisorydb

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/format/pydist"
)

// clockSlack is how far the clocks of two machines may be apart.
const clockSlack = time.Hour

// AgeError says that the advisories of an ecosystem are older than they may
// be, or not of this time.
type AgeError struct {
	Ecosystem string
	// Age is how long ago they were last known to be current; negative for the
	// future. Bound is what was allowed.
	Age, Bound time.Duration
}

// Error names the ecosystem, its age and what to do.
func (e *AgeError) Error() string {
	if e.Age < 0 {
		return fmt.Sprintf("the advisories of %s are dated %s in the future; this machine's clock or the one that made them is wrong", e.Ecosystem, Days(-e.Age))
	}
	return fmt.Sprintf("the advisories of %s were last known to be current %s ago, and the bound is %s; update them", e.Ecosystem, Days(e.Age), Days(e.Bound))
}

// Days writes a duration for people, in days where it has any.
func Days(d time.Duration) string {
	days, rest := int(d/(24*time.Hour)), (d % (24 * time.Hour)).Truncate(time.Minute)
	text := strings.TrimSuffix(rest.String(), "0s")
	switch {
	case days == 0:
		return d.Truncate(time.Second).String()
	case rest < time.Hour && days == 1:
		return "1 day"
	case rest < time.Hour || days > 9:
		return fmt.Sprintf("%d days", days)
	}
	return fmt.Sprintf("%dd%s", days, text)
}

// Bound makes lookups in an ecosystem an *AgeError whose source was not known
// to be current within maxAge (0 for no bound), or that was made after now. It
// is called before the database is used.
func (d *Database) Bound(now time.Time, maxAge time.Duration) { d.now, d.maxAge = now, maxAge }

// Age is how long ago the source of an ecosystem, with or without release, was
// last known to be current; ok is false where it is not there.
func (d *Database) Age(ecosystem string, now time.Time) (age time.Duration, ok bool) {
	if d.sample != nil {
		return now.Sub(d.info.Current), ecosystem == pydist.Ecosystem
	}
	f := d.file(ecosystem)
	if f == nil {
		return 0, false
	}
	return now.Sub(f.header.Current), true
}

func (d *Database) tooOld(ecosystem string) error {
	if d.now.IsZero() {
		return nil
	}
	if f := d.file(ecosystem); f != nil {
		if made := d.now.Sub(f.header.Built); made < -clockSlack {
			return &AgeError{Ecosystem: f.header.Name, Age: made}
		}
	}
	age, ok := d.Age(ecosystem, d.now)
	base, _, _ := strings.Cut(ecosystem, ":")
	switch {
	case ok && age < -clockSlack:
		return &AgeError{Ecosystem: base, Age: age, Bound: d.maxAge}
	case ok && d.maxAge > 0 && age > d.maxAge:
		return &AgeError{Ecosystem: base, Age: age, Bound: d.maxAge}
	}
	return nil
}
