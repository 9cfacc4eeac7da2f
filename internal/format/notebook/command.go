package notebook

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/format/requirement"
)

// shells are cell magics whose cell is a shell script, plain those whose cell is
// Python with magics all the same. Cells of other magics (%%html, %%writefile)
// are no commands.
var (
	shells = []string{"bash", "sh", "script", "!", "sx", "system", "zsh"}
	plain  = []string{"capture", "time", "timeit", "prun", "python", "python3", "debug"}
)

// code reads the lines of a code cell.
func (r *reader) code(lines []text) error {
	shell := false
	for i, l := range lines {
		first := strings.TrimSpace(l.line)
		if first == "" {
			continue
		}
		if magic, found := strings.CutPrefix(first, "%%"); found {
			word, _, _ := strings.Cut(magic, " ")
			shell = slices.Contains(shells, word)
			if !shell && !slices.Contains(plain, word) {
				return nil
			}
			lines = lines[i+1:]
		}
		break
	}
	for i := 0; i < len(lines); i++ {
		line, at := strings.TrimSpace(lines[i].line), lines[i].at
		var joined strings.Builder
		for strings.HasSuffix(line, "\\") && i+1 < len(lines) {
			joined.WriteString(strings.TrimSuffix(line, "\\") + " ")
			i++
			line = strings.TrimSpace(lines[i].line)
		}
		joined.WriteString(line)
		line = joined.String()
		command, is := line, shell
		if !shell {
			command, is = shellOf(line)
		}
		var err error
		if is {
			err = r.shell(command, at)
		} else if fromPython.MatchString(line) && !strings.HasPrefix(line, "#") {
			err = r.note(line, "Python code runs pip here, and what it installs is not known", at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fromPython is a call of pip in Python code: os.system("pip install x"),
// subprocess.run([sys.executable, "-m", "pip", "install", "x"]).
var fromPython = regexp.MustCompile(`["'\s,]pip3?["',\s]+install\b`)

// assigned is "name = !command", which keeps a command's output.
var assigned = regexp.MustCompile(`^[A-Za-z_][\w, ]*=\s*(!|%sx |%system )`)

// automagic are commands that IPython takes without the percent sign.
var automagic = regexp.MustCompile(`^(pip3?|conda|mamba|micromamba|uv\s+pip)\s+(install|create)\b`)

// shellOf is the command that a line of Python with magics gives to the shell.
func shellOf(line string) (command string, is bool) {
	if m := assigned.FindStringIndex(line); m != nil {
		return line[m[1]:], true
	}
	switch {
	case strings.HasPrefix(line, "!"):
		return strings.TrimLeft(line, "! "), true
	case strings.HasPrefix(line, "%"):
		rest := strings.TrimLeft(line, "%")
		word, arguments, _ := strings.Cut(rest, " ")
		switch word {
		case "sx", "system", "time":
			return strings.TrimLeft(arguments, "! "), word != "time" || strings.HasPrefix(strings.TrimSpace(arguments), "!")
		case "pip", "pip3", "conda", "mamba", "micromamba", "uv":
			return rest, true
		}
		return "", false
	}
	return line, automagic.MatchString(line)
}

// note records something that cannot be tested, within the bound of lines.
func (r *reader) note(text, reason string, at int) error {
	var counted []requirement.Line
	if err := r.declare(&counted, text, at); err != nil {
		return err
	}
	r.unresolved(at, text, reason)
	return nil
}

// shell reads the commands of one line.
func (r *reader) shell(line string, at int) error {
	commands, ok := split(line)
	if !ok {
		if installs.MatchString(line) {
			return r.note(line, "this command cannot be read: a quotation is not closed", at)
		}
		return nil
	}
	for _, words := range commands {
		if err := r.command(words, at); err != nil {
			return err
		}
	}
	return nil
}

var installs = regexp.MustCompile(`\b(pip3?|conda|mamba|micromamba)\b.*\binstall\b`)

var (
	pipName      = regexp.MustCompile(`^pip[\d.]*$`)
	pythonName   = regexp.MustCompile(`^(python[\d.]*|\{sys\.executable\}|\$\{?\w+\}?|py)$`)
	environments = regexp.MustCompile(`^[A-Za-z_]\w*=`)
)

// command reads one command, if it installs.
func (r *reader) command(words []string, at int) error {
	whole := strings.Join(words, " ")
	for len(words) > 0 && (environments.MatchString(words[0]) || slices.Contains([]string{"sudo", "-E", "-H", "time", "exec", "nohup", "yes", "env"}, words[0])) {
		words = words[1:]
	}
	if len(words) > 2 && pythonName.MatchString(path.Base(words[0])) && words[1] == "-m" {
		words = words[2:]
	}
	if len(words) > 1 && words[0] == "uv" && words[1] == "pip" {
		words = words[1:]
	}
	if len(words) == 0 {
		return nil
	}
	name := path.Base(words[0])
	verb := slices.IndexFunc(words, func(w string) bool { return w == "install" || w == "create" })
	switch {
	case verb > 0 && pipName.MatchString(name) && words[verb] == "install":
		return r.arguments(words[verb+1:], pipOptions, at, r.pipArgument)
	case verb > 0 && slices.Contains([]string{"conda", "mamba", "micromamba"}, name) && !slices.Contains(words[:verb], "run") && !slices.Contains(words[:verb], "env"):
		return r.arguments(words[verb+1:], condaOptions, at, r.condaArgument)
	case installs.MatchString(whole) && !slices.Contains([]string{"echo", "#", "printf", "cat", "grep"}, name):
		return r.note(whole, "what this command installs is not known", at)
	}
	return nil
}

// Options that take a value, by their letters and names.
var (
	pipOptions = options{"rceiftCPbp", []string{"requirement", "requirements", "constraint", "constraints", "editable", "index-url", "extra-index-url", "find-links", "target", "root", "prefix", "src",
		"upgrade-strategy", "progress-bar", "no-binary", "only-binary", "trusted-host", "cert", "client-cert", "proxy", "retries", "timeout", "exists-action", "cache-dir",
		"log", "python-version", "platform", "python-platform", "implementation", "abi", "report", "python", "config-settings", "config-setting", "global-option", "root-user-action", "use-feature",
		"use-deprecated", "keyring-provider", "index", "default-index", "index-strategy", "resolution", "prerelease", "exclude-newer", "link-mode", "upgrade-package",
		"reinstall-package", "override", "overrides", "build-constraint", "build-constraints", "torch-backend", "extra", "group", "config-file", "directory", "project"}}
	condaOptions = options{"cnp", []string{"channel", "name", "prefix", "file", "revision", "solver", "platform", "subdir", "repodata-fn", "experimental"}}
)

type options struct {
	letters string
	names   []string
}

// arguments goes through the arguments of an installing command and hands on
// options (with their value) and operands.
func (r *reader) arguments(words []string, known options, at int, take func(option, value string, at int) error) error {
	for i := 0; i < len(words); i++ {
		word := words[i]
		next := func() string {
			if i+1 < len(words) {
				i++
				return words[i]
			}
			return ""
		}
		option, value := "", word
		switch {
		case word == "--" || word == "-":
			continue
		case strings.HasPrefix(word, "--"):
			name, given, has := strings.Cut(word[2:], "=")
			option, value = name, given
			if !has && slices.Contains(known.names, name) {
				value = next()
			}
		case strings.HasPrefix(word, "-"):
			option, value = "", ""
			for j, letter := range word[1:] {
				if strings.ContainsRune(known.letters, letter) {
					option, value = string(letter), strings.TrimPrefix(word[1+j+1:], "=")
					if value == "" {
						value = next()
					}
					break
				}
			}
			if option == "" {
				continue // -q, -U, -y
			}
		}
		if err := take(option, value, at); err != nil {
			return err
		}
	}
	return nil
}

const reasonVariable = "a variable is not expanded here"

func (r *reader) pipArgument(option, value string, at int) error {
	if strings.ContainsAny(value, "${`") && option != "f" && option != "find-links" {
		return r.note(value, reasonVariable, at)
	}
	switch option {
	case "":
		return r.declare(&r.pip, value, at)
	case "r", "requirement", "requirements":
		if !r.present(value) {
			return r.note("-r "+value, "the included file is not there", at)
		}
		return r.declare(&r.pip, "-r "+value, at)
	case "c", "constraint", "constraints":
		if !r.present(value) {
			return r.note("-c "+value, "the included file is not there", at)
		}
		return r.declare(&r.pip, "-c "+value, at)
	case "e", "editable":
		return r.declare(&r.pip, "-e "+value, at)
	case "i", "index-url", "default-index":
		return r.declare(&r.pip, "--index-url "+value, at)
	case "extra-index-url", "index":
		return r.declare(&r.pip, "--extra-index-url "+value, at)
	case "f", "find-links":
		return r.declare(&r.pip, "--find-links "+value, at)
	case "no-index", "pre":
		return r.declare(&r.pip, "--"+option, at)
	}
	return nil
}

func (r *reader) condaArgument(option, value string, at int) error {
	switch {
	case option == "file":
		return r.note("--file "+value, "a file of specifications is not followed", at)
	case option != "":
		return nil
	case strings.ContainsAny(value, "${`"):
		return r.note(value, reasonVariable, at)
	}
	return r.declare(&r.conda, value, at)
}

// split cuts a line into commands and words as a shell does: quotes, comments,
// operators; redirections and their files are left out. Nothing is expanded.
// ok is false if a quotation is not closed.
func split(line string) (commands [][]string, ok bool) {
	var words []string
	var word strings.Builder
	inWord, redirect := false, false
	end := func() {
		if inWord && !redirect {
			words = append(words, word.String())
		}
		if inWord {
			redirect = false
		}
		word.Reset()
		inWord = false
	}
	finish := func() {
		end()
		redirect = false
		if len(words) > 0 {
			commands = append(commands, words)
		}
		words = nil
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			inWord = true
		case c == '\'' || c == '"':
			close := strings.IndexByte(line[i+1:], c)
			if close < 0 {
				return nil, false
			}
			word.WriteString(line[i+1 : i+1+close])
			i += close + 1
			inWord = true
		case c == ' ' || c == '\t':
			end()
		case c == '#' && !inWord:
			i = len(line)
		case c == ';' || c == '|' || c == '&':
			if redirect && c == '&' { // 2>&1
				continue
			}
			finish()
		case c == '>' || c == '<':
			if inWord && strings.Trim(word.String(), "0123456789") == "" {
				word.Reset() // a file descriptor
				inWord = false
			}
			end()
			redirect = true
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	finish()
	return commands, true
}
