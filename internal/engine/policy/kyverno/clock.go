package kyverno

import (
	"fmt"
	"strconv"
	"time"
)

// clockFunctions are Kyverno's functions on times and durations. What is now is
// the door's word.
var clockFunctions = map[string]function{
	"time_now":      {call: func(now time.Time, _ []any) (any, error) { return now.Format(time.RFC3339), nil }},
	"time_now_utc":  {call: func(now time.Time, _ []any) (any, error) { return now.UTC().Format(time.RFC3339), nil }},
	"time_since":    {arguments: takes(text, text, text), call: timeSince},
	"time_to_cron":  {arguments: takes(text), call: onTimes(cron)},
	"time_add":      {arguments: takes(text, text), call: onText(func(s []string) (string, error) { return shift(s, time.Time.Add) })},
	"time_truncate": {arguments: takes(text, text), call: onText(func(s []string) (string, error) { return shift(s, time.Time.Truncate) })},
	"time_parse":    {arguments: takes(text, text), call: onText(timeParse)},
	"time_utc":      {arguments: takes(text), call: onTimes(func(t []time.Time) string { return t[0].UTC().Format(time.RFC3339) })},
	"time_diff":     {arguments: takes(text, text), call: onTimes(func(t []time.Time) string { return t[1].Sub(t[0]).String() })},
	"time_before":   {arguments: takes(text, text), call: onTimes(func(t []time.Time) bool { return t[0].Before(t[1]) })},
	"time_after":    {arguments: takes(text, text), call: onTimes(func(t []time.Time) bool { return t[0].After(t[1]) })},
	"time_between":  {arguments: takes(text, text, text), call: onTimes(func(t []time.Time) bool { return t[0].After(t[1]) && t[0].Before(t[2]) })},
}

func parseTime(layout, text string) (time.Time, error) {
	if layout == "" {
		layout = time.RFC3339
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s is no time of the layout %q", brief(text), layout)
	}
	return t, nil
}

func timeSince(now time.Time, arguments []any) (any, error) {
	layout, end := arguments[0].(string), arguments[2].(string)
	from, err := parseTime(layout, arguments[1].(string))
	if err != nil {
		return nil, err
	}
	to := now
	if end != "" {
		if to, err = parseTime(layout, end); err != nil {
			return nil, err
		}
	}
	return to.Sub(from).String(), nil
}

func shift(s []string, by func(time.Time, time.Duration) time.Time) (string, error) {
	t, err := parseTime("", s[0])
	if err != nil {
		return "", err
	}
	d, err := time.ParseDuration(s[1])
	if err != nil {
		return "", err
	}
	return by(t, d).Format(time.RFC3339), nil
}

func timeParse(s []string) (string, error) {
	if _, err := strconv.ParseInt(s[0], 10, 64); err == nil { // seconds since 1970
		seconds, err := strconv.ParseInt(s[1], 10, 64)
		if err != nil {
			return "", fmt.Errorf("%s is no number of seconds", brief(s[1]))
		}
		return time.Unix(seconds, 0).UTC().Format(time.RFC3339), nil
	}
	// The layout is what is written; an empty one is not RFC 3339 here.
	t, err := time.Parse(s[0], s[1])
	if err != nil {
		return "", fmt.Errorf("%s is no time of the layout %q", brief(s[1]), s[0])
	}
	return t.Format(time.RFC3339), nil
}

// cron is the schedule that fires at the time: minute, hour, day, month and
// day of the week.
func cron(t []time.Time) string {
	return fmt.Sprintf("%d %d %d %d %d", t[0].Minute(), t[0].Hour(), t[0].Day(), t[0].Month(), t[0].Weekday())
}
