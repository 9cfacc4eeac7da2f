// Package cli is the command line: one file per subcommand, and wire.go, which
// builds every concrete thing.
//
// Entry point is [Run]. This is the only floor that reads flags, the
// environment, default paths and the clock, that prints, and that turns errors
// into exit codes: 0 allowed or clean, 1 denied or findings over the
// threshold, 2 usage, 3 fault. No decision is taken here.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/port/oidc"
)

// Exit codes, the same for every command.
const (
	exitOK     = 0
	exitDenied = 1
	exitUsage  = 2
	exitFault  = 3
)

// Host is everything that a run takes from outside.
type Host struct {
	In       io.Reader
	Out, Err io.Writer
	// Env is the environment, as os.Environ gives it.
	Env []string
	// Dir is the working directory, absolute.
	Dir string
	// Now is the door's clock.
	Now func() time.Time
	// OutTerminal and ErrTerminal say that a person reads; Width is the
	// terminal's, in columns.
	OutTerminal, ErrTerminal bool
	Width                    int
	// ReadPassword asks at the terminal without echo, until the context ends; nil
	// where there is none.
	ReadPassword func(context.Context) ([]byte, error)
	// TokenFile is where an identity token may be mounted, ProductFile what
	// names the machine's maker; "" is nowhere.
	TokenFile, ProductFile string

	// keys are the public keys that this run fetched, read the files that it
	// read; Run sets both.
	keys *keyring
	read *readFiles
	// askPassword is ReadPassword until the run is interrupted.
	askPassword func() ([]byte, error)
}

// System is the host that the process runs on.
func System() Host {
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	host := Host{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Environ(), Dir: dir, Now: time.Now, Width: 100,
		TokenFile: oidc.TokenFile, ProductFile: "/sys/class/dmi/id/product_name"}
	host.OutTerminal = term.IsTerminal(int(os.Stdout.Fd()))
	host.ErrTerminal = term.IsTerminal(int(os.Stderr.Fd()))
	if width, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && width > 40 {
		host.Width = width
	}
	if input := int(os.Stdin.Fd()); term.IsTerminal(input) {
		host.ReadPassword = func(ctx context.Context) ([]byte, error) { return readPassword(ctx, input) }
	}
	return host
}

// readPassword asks at a terminal. An interrupt ends the wait, with the terminal
// as it was.
func readPassword(ctx context.Context, terminal int) ([]byte, error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return nil, err
	}
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() { // it ends with the process where nobody answers
		text, err := term.ReadPassword(terminal)
		answered <- answer{text, err}
	}()
	select {
	case a := <-answered:
		return a.text, a.err
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), term.Restore(terminal, before))
	}
}

// env is a variable of the environment, "" where it is not set.
func (h Host) env(name string) string {
	for i := len(h.Env) - 1; i >= 0; i-- {
		if value, found := strings.CutPrefix(h.Env[i], name+"="); found {
			return value
		}
	}
	return ""
}

// hasEnv says whether a variable is set, even to nothing.
func (h Host) hasEnv(name string) bool {
	for _, variable := range h.Env {
		if strings.HasPrefix(variable, name+"=") {
			return true
		}
	}
	return false
}

// path makes a path absolute against the working directory.
func (h Host) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(h.Dir, name)
}

// cacheDir is where what can be made again is kept.
func (h Host) cacheDir() (string, error) {
	if dir := h.env("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "assay"), nil
	}
	if home := h.env("HOME"); home != "" {
		return filepath.Join(home, ".cache", "assay"), nil
	}
	return "", errors.New("neither XDG_CACHE_HOME nor HOME is set; name the directory with a flag")
}

// dataDir is where what cannot be made again is kept.
func (h Host) dataDir() (string, error) {
	if dir := h.env("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "assay"), nil
	}
	if home := h.env("HOME"); home != "" {
		return filepath.Join(home, ".local", "share", "assay"), nil
	}
	return "", errors.New("neither XDG_DATA_HOME nor HOME is set; name the directory with a flag")
}

// version is set by the Makefile; a build by `go install` has the module's.
var version string

func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// usageError is a wrong call; it ends with exit code 2.
type usageError struct {
	text, hint string
}

// Error is the sentence without the hint.
func (e *usageError) Error() string { return e.text }

func usage(format string, arguments ...any) *usageError {
	return &usageError{text: fmt.Sprintf(format, arguments...)}
}

func (e *usageError) withHint(format string, arguments ...any) *usageError {
	e.hint = fmt.Sprintf(format, arguments...)
	return e
}

// deniedError ends with exit code 1; what is wrong was printed already.
type deniedError struct{ text string }

// Error is the last line.
func (e *deniedError) Error() string { return e.text }

// Run is the program: it runs the command that the arguments name, prints to
// the host's streams, and returns the exit code.
func Run(ctx context.Context, arguments []string, host Host) (code int) {
	defer func() {
		// A bug must not look like a denial or, worse, like success.
		if r := recover(); r != nil {
			fmt.Fprintf(host.Err, "assay: error: internal error: %v\nassay: hint: this is a bug; nothing was decided. Please report it with this trace:\n%s", r, debug.Stack())
			code = exitFault
		}
	}()
	host.keys, host.read = &keyring{signers: map[string]trust.Signer{}}, &readFiles{}
	host.askPassword = func() ([]byte, error) { return host.ReadPassword(ctx) }
	root := newRoot(&host)
	root.SetArgs(arguments)
	root.SetIn(host.In)
	root.SetOut(host.Out)
	root.SetErr(host.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var denied *deniedError
	if errors.As(err, &denied) {
		if denied.text != "" {
			fmt.Fprintf(host.Err, "assay: %s\n", clean(denied.text))
		}
		return exitDenied
	}
	var chosen *exitError
	if errors.As(err, &chosen) {
		return chosen.code
	}
	if ctx.Err() != nil {
		fmt.Fprintln(host.Err, "assay: error: interrupted; nothing was decided")
		return exitFault
	}
	fmt.Fprintf(host.Err, "assay: error: %s\n", oneOrMany(err))
	var wrong *usageError
	if errors.As(err, &wrong) {
		if wrong.hint != "" {
			fmt.Fprintf(host.Err, "assay: hint: %s\n", clean(wrong.hint))
		}
		return exitUsage
	}
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(host.Err, "assay: hint: %s\n", hint)
	}
	return exitFault
}

// oneOrMany puts several joined errors on lines of their own, without what a
// line before ends with.
func oneOrMany(err error) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		line = clean(line) // a registry's answer may be in it
		if !slices.ContainsFunc(lines, func(before string) bool { return strings.HasSuffix(before, line) }) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n  ")
}

// cosignFlags are flags of cosign's that are spelled otherwise here, or are not
// needed.
var cosignFlags = map[string]string{
	"--output":                  "-o text or -o json says how it is printed; --bundle is where a file's signature is written",
	"--yes":                     "nothing is asked, so that nothing needs to be confirmed: leave it out",
	"--tlog-upload":             "with --key nothing is logged unless --signing-config names a log: leave it out",
	"--new-bundle-format":       "--layout says which are written when signing, and both are read: leave it out",
	"--signature":               "a signature is in a bundle: --bundle (`cosign bundle create` makes one of a signature)",
	"--certificate":             "a certificate is in a bundle: --bundle (`cosign bundle create` makes one of a signature and a certificate)",
	"--output-signature":        "a signature goes into a bundle: --bundle FILE.sigstore.json",
	"--allow-insecure-registry": "registries on loopback may speak plain HTTP; SSL_CERT_FILE names other certificate authorities, in PEM",
}

func newRoot(host *Host) *cobra.Command {
	root := &cobra.Command{
		Use:   "assay",
		Short: "Evidence for machine-learning workloads, from commit to running pod",
		Long: `Assay tests what goes into an image, signs what it found as in-toto evidence on
the image's digest, and lets nothing run whose evidence does not satisfy the
policy.

New here? ` + "`assay demo`" + ` tells the story in a few seconds, in a temporary
directory. ` + "`assay init`" + ` writes the files that ` + "`assay run`" + ` needs.

Exit codes: 0 allowed or clean, 1 denied or findings over the threshold,
2 wrong usage, 3 fault: no verdict was possible.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				err := usage("unknown command %q", args[0])
				if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
					return err.withHint("did you mean `assay %s`?", near[0])
				}
				return err.withHint("`assay --help` lists the commands")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		for flag, hint := range cosignFlags {
			if err.Error() == "unknown flag: "+flag {
				return usage("%s", err).withHint("%s", hint)
			}
		}
		return usage("%s", err).withHint("`%s --help` shows the flags", cmd.CommandPath())
	})
	root.AddGroup(
		&cobra.Group{ID: "journey", Title: "From a repository to a verdict:"},
		&cobra.Group{ID: "scan", Title: "What is in it, and what is wrong with it:"},
		&cobra.Group{ID: "sign", Title: "Evidence and signatures:"},
		&cobra.Group{ID: "decide", Title: "May it run:"},
	)
	for _, command := range []*cobra.Command{
		inGroup("journey", newDemo(host)), inGroup("journey", newInit(host)), inGroup("journey", newRun(host)), inGroup("journey", newPromote(host)),
		inGroup("scan", newScan(host)), inGroup("scan", newSBOM(host)), inGroup("scan", newDB(host)),
		inGroup("sign", newKey(host)), inGroup("sign", newSign(host)), inGroup("sign", newAttest(host)),
		inGroup("sign", newVerify(host)), inGroup("sign", newVerifyAttestation(host)),
		inGroup("sign", newCopy(host)),
		inGroup("sign", newTree(host)), inGroup("sign", newTrust(host)),
		inGroup("decide", newCheck(host)), inGroup("decide", newPolicy(host)),
		newVerifyBundle(host), newSignBundle(host),
		newRegistry(host), newVersion(host),
	} {
		root.AddCommand(command)
	}
	wrapArgs(root)
	return root
}

func inGroup(id string, command *cobra.Command) *cobra.Command {
	command.GroupID = id
	return command
}

// wrapArgs makes a wrong number of arguments a usage error in every command.
func wrapArgs(command *cobra.Command) {
	if check := command.Args; check != nil && command.HasParent() {
		command.Args = func(cmd *cobra.Command, args []string) error {
			if err := emptyFlag(cmd); err != nil {
				return err
			}
			if err := check(cmd, args); err != nil {
				var already *usageError
				if errors.As(err, &already) {
					return err
				}
				return usage("%s: %s", cmd.CommandPath(), err).withHint("`%s --help` shows how it is called", cmd.CommandPath())
			}
			return nil
		}
	}
	for _, child := range command.Commands() {
		wrapArgs(child)
	}
}

// mayBeEmpty are the flags for which nothing means something.
var mayBeEmpty = []string{"ignorefile"}

// emptyFlag refuses a flag that is given and empty: a variable of a script that
// is not set must not mean that the flag was left out.
func emptyFlag(cmd *cobra.Command) error {
	var wrong error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if _, checked := f.Value.(requestValue); checked { // it refused that itself
			return
		}
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			if values = list.GetSlice(); len(values) == 0 {
				values = []string{""}
			}
		}
		if f.Value.Type() != "bool" && wrong == nil && slices.Contains(values, "") && !slices.Contains(mayBeEmpty, f.Name) {
			wrong = usage("--%s is empty", f.Name).withHint("is a variable that should be in it not set? leave the flag out where it is not meant")
		}
	})
	return wrong
}

func newVersion(host *Host) *cobra.Command {
	format := "text"
	command := &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Example: "  assay version -o json",
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("-o", format, "text", "json"); err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(host.Out, map[string]string{
					"version": versionString(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintf(host.Out, "assay %s (%s, %s/%s)\n", versionString(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	formatFlag(command, &format, "text", "text", "json")
	return command
}
