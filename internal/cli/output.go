package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/format/explain"
	"github.com/seed-161fc314/assay/internal/format/indent"
)

// formatFlag adds -o/--format.
func formatFlag(command *cobra.Command, value *string, initial string, formats ...string) {
	command.Flags().StringVarP(value, "format", "o", initial, "output format: "+strings.Join(formats, ", "))
	// A fixed list cannot fail to register.
	_ = command.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// oneOf refuses a word that is none of the words. A file name given to -o gets
// the hint that people need who know other tools.
func oneOf(flag, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	err := usage("%s %s: want one of %s", flag, value, strings.Join(words, ", "))
	if flag == "-o" && (strings.ContainsAny(value, "./") || filepath.Ext(value) != "") {
		return err.withHint("-o is the format; to write into a file use --output %s", value)
	}
	return err
}

func writeJSON(w io.Writer, value any) error { return indent.Encode(w, value) }

// write gives the writer of --output (host.Out where it is "") to produce. A
// file is replaced only after produce succeeded.
func (h *Host) write(output string, produce func(io.Writer) error) error {
	if output == "" || output == "-" {
		return produce(h.Out)
	}
	return h.replace("--output", output, produce)
}

// replace writes a file that flag names; what is there is replaced only after
// produce succeeded.
func (h *Host) replace(flag, output string, produce func(io.Writer) error) error {
	target := h.path(output)
	if err := h.mayReplace(flag, output); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Dir(target)); err != nil {
		return usage("%s %s: the directory %s cannot be written to: %v", flag, output, filepath.Dir(target), errors.Unwrap(err))
	}
	temporary, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".*")
	if err != nil {
		return fmt.Errorf("%s %s: %w", flag, output, err)
	}
	defer os.Remove(temporary.Name())
	if err := produce(temporary); err != nil {
		temporary.Close()
		return err
	}
	if err := temporary.Chmod(0o644); err != nil {
		temporary.Close()
		return fmt.Errorf("%s %s: %w", flag, output, err)
	}
	if err := temporary.Close(); err != nil {
		return fmt.Errorf("%s %s: %w", flag, output, err)
	}
	if err := os.Rename(temporary.Name(), target); err != nil {
		return fmt.Errorf("%s %s: %w", flag, output, err)
	}
	return nil
}

// mayReplace refuses to write over what the run read, and over private keys.
func (h *Host) mayReplace(flag, output string) error {
	info, err := os.Stat(h.path(output))
	if err != nil || !info.Mode().IsRegular() {
		return nil // replace says what is wrong, if anything is
	}
	if name, read := h.read.find(info); read {
		return usage("%s %s: it would be written over, and was read as %s", flag, output, name).withHint("name another file")
	}
	if info.Size() > limit.KeyFile {
		return nil
	}
	content, err := os.ReadFile(h.path(output))
	if err == nil && bytes.Contains(content, []byte("PRIVATE KEY-----")) {
		return usage("%s %s: there is a private key in it, and it would be lost", flag, output).withHint("name another file")
	}
	return nil
}

// say prints a line of progress for people, on standard error.
func (h *Host) say(format string, arguments ...any) {
	fmt.Fprintln(h.Err, clean(fmt.Sprintf(format, arguments...)))
}

// busy tells a person at a terminal what takes more than a second. The caller
// calls done before it prints; more than once does no harm.
func (h *Host) busy(text string) (done func()) {
	if !h.ErrTerminal {
		return func() {}
	}
	var lock sync.Mutex
	ended, shown := false, false
	timer := time.AfterFunc(time.Second, func() {
		lock.Lock()
		defer lock.Unlock()
		if !ended {
			shown = true
			fmt.Fprintf(h.Err, "%s …", clean(text))
		}
	})
	return func() {
		timer.Stop()
		lock.Lock()
		defer lock.Unlock()
		if shown && !ended {
			fmt.Fprint(h.Err, "\r\x1b[K")
		}
		ended = true
	}
}

// warn prints a warning.
func (h *Host) warn(format string, arguments ...any) {
	fmt.Fprintln(h.Err, clean("assay: warning: "+fmt.Sprintf(format, arguments...)))
}

// colour paints text on a terminal that wants it.
func (h *Host) colour(code, text string) string {
	if !h.OutTerminal || h.env("NO_COLOR") != "" || h.env("TERM") == "dumb" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (h *Host) paintLevel(level finding.Level, text string) string {
	switch level {
	case finding.Critical:
		return h.colour("1;31", text)
	case finding.High:
		return h.colour("31", text)
	case finding.Medium:
		return h.colour("33", text)
	}
	return text
}

// explain prints a verdict, folded to the terminal where there is one.
func (h *Host) explain(v verdict.Verdict) error {
	if h.OutTerminal {
		return explain.Fold(h.Out, v, h.Width)
	}
	return explain.Write(h.Out, v)
}

// clean makes text from outside safe to print on a terminal.
func clean(text string) string { return explain.Clean(text) }

// table prints aligned columns: a header, then rows. Cells are plain text; paint
// colours a finished cell, so that colour does not count as width.
func (h *Host) table(w io.Writer, header []string, rows [][]string, paint func(row, column int, cell string) string) error {
	widths := make([]int, len(header))
	for _, row := range append([][]string{header}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	line := func(number int, row []string) error {
		var b strings.Builder
		for i, cell := range row {
			padding := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if paint != nil && number >= 0 {
				cell = paint(number, i, cell)
			}
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(padding + "  ")
			}
		}
		_, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
		return err
	}
	if err := line(-1, header); err != nil {
		return err
	}
	for number, row := range rows {
		if err := line(number, row); err != nil {
			return err
		}
	}
	return nil
}
