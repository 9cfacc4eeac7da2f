package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestHelp: every command has help with an example, and no flag's text has
// backquotes in it, which pflag takes for the name of the value.
func TestHelp(t *testing.T) {
	var walk func(command *cobra.Command)
	walk = func(command *cobra.Command) {
		if command.Name() == "help" || command.Name() == "completion" {
			return
		}
		if command.Short == "" || command.Runnable() && !command.HasSubCommands() && command.Example == "" {
			t.Errorf("%s has no help with an example", command.CommandPath())
		}
		command.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			if flag.Usage == "" || strings.Contains(flag.Usage, "`") {
				t.Errorf("%s --%s: %q", command.CommandPath(), flag.Name, flag.Usage)
			}
		})
		for _, child := range command.Commands() {
			walk(child)
		}
	}
	walk(newRoot(&Host{}))
}
