package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
)

// parseAge reads a duration such as 36h or 7d; "" is none.
func parseAge(flag, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	age, err := parseDuration(text)
	if err != nil || age <= 0 {
		return 0, usage("%s %s: want a duration, such as 36h or 7d", flag, text)
	}
	return age, nil
}

// parseDuration reads what time.ParseDuration does, and days: 7d.
func parseDuration(text string) (time.Duration, error) {
	days, found := strings.CutSuffix(text, "d")
	if !found {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseFloat(days, 64)
	return time.Duration(n * float64(24*time.Hour)), err
}

// bound makes --max-age count in place of ASSAY_DB_MAX_AGE.
func (h *Host) bound(db *advisorydb.Database, maxAge string) error {
	age, err := parseAge("--max-age", maxAge)
	if err == nil && age > 0 {
		db.Bound(h.Now(), age)
	}
	return err
}

// warnOld says which advisories that were needed are old.
func (h *Host) warnOld(db *advisorydb.Database, report finding.Report) {
	const old = 7 * 24 * time.Hour
	said := map[string]bool{}
	for _, c := range report.Inventory.Components {
		base, _, _ := strings.Cut(c.Ecosystem, ":")
		if said[base] || report.Database.Sample {
			continue
		}
		said[base] = true
		if age, ok := db.Age(base, h.Now()); ok && age > old {
			h.warn("the advisories of %s were last known to be current %s ago; `assay db update` brings them up to date", base, advisorydb.Days(age))
		}
	}
}
