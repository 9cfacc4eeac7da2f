package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

const (
	platformHelp = "platform of a multi-platform image (default: linux on this machine's architecture), and of the markers in files (default: linux/amd64)"
	pythonHelp   = "Python version of the markers in files, such as 3.12 (default: 3.11)"
)

// environmentOf is what markers are evaluated for.
func environmentOf(python, platform string) (requirement.Environment, error) {
	environment, err := requirement.EnvironmentOf(python, platform)
	if err != nil {
		return requirement.Environment{}, usage("%v", err).withHint("--python-version 3.12, --platform linux/arm64")
	}
	return environment, nil
}

// inGroups says which extras or groups bring a component in, "" for one that is
// always installed.
func inGroups(c component.Component) string {
	if len(c.Groups) == 0 {
		return ""
	}
	return " (only " + clean(strings.Join(c.Groups, ", ")) + ")"
}

// noted prints what else there is to know of an inventory.
func noted(w io.Writer, notes []component.Note) {
	if len(notes) == 0 {
		return
	}
	fmt.Fprintf(w, "\nnotes (%d):\n", len(notes))
	for _, n := range notes {
		place := n.Location.Path
		if n.Location.Line > 0 {
			place = fmt.Sprintf("%s:%d", place, n.Location.Line)
		}
		fmt.Fprintf(w, "  %s: %s\n", clean(place), clean(n.Text))
	}
}
