package cli

import "github.com/seed-161fc314/assay/internal/format/requirement"

const (
	platformHelp = "platform of a multi-platform image (default: linux on this machine's architecture), and of the markers in files (default: linux/amd64)"
	baseHelp     = "the image that this one was built on; its layers are told from the image's own (default: guessed from the history)"
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
