package lint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/remark"
)

// ignores are the comments that take findings out.
var ignores = regexp.MustCompile(`#\s*assay:ignore\b[ \t]*([^\s]*)[ \t]*(.*?)\s*$`)

// Ignored takes out of the findings of a file what its comments ignore, and adds
// what is wrong with the comments. It gives how many were taken out.
func Ignored(file string, content []byte, findings []Finding) (kept []Finding, ignored int) {
	kept = findings
	lines := strings.Split(string(content), "\n")
	for i, line := range lines {
		match := ignores.FindStringSubmatchIndex(line)
		if match == nil {
			continue
		}
		rule, reason := line[match[2]:match[3]], line[match[4]:match[5]]
		found := Finding{Remark: remark.Remark{File: file, Line: i + 1, Column: match[0] + 1}}
		if reason == "" || !slices.ContainsFunc(Rules(), func(r remark.Rule) bool { return r.ID == rule }) {
			found.Rule, found.Level = "ignore-reason", levelOf("ignore-reason")
			found.Message = "this ignore has no effect: it needs a rule that there is, and a reason"
			found.Fix = "write # assay:ignore RULE REASON; assay policy lint --rules lists the rules"
			kept = append(kept, found)
			continue
		}
		target := i + 1
		if strings.TrimSpace(line[:match[0]]) == "" {
			for target++; target <= len(lines) && commentOrBlank(lines[target-1]); target++ {
			}
		}
		before := len(kept)
		kept = slices.DeleteFunc(slices.Clone(kept), func(f Finding) bool { return f.Rule == rule && f.Line == target })
		ignored += before - len(kept)
		if before == len(kept) {
			found.Rule, found.Level = "ignore-unused", levelOf("ignore-unused")
			found.Message, found.Fix = "rule "+rule+" finds nothing at the line that this ignore is about", "remove the comment"
			kept = append(kept, found)
		}
	}
	slices.SortStableFunc(kept, func(a, b Finding) int { return remark.Compare(a.Remark, b.Remark) })
	return kept, ignored
}

func commentOrBlank(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || strings.HasPrefix(line, "#")
}
