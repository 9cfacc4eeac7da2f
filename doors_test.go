package assay_test

import (
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/seed-161fc314/assay/internal/format/ignorefile"
	"github.com/seed-161fc314/assay/internal/job/scan"
)

// build makes the binary that the hook and the action run.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "assay")
	if output, err := exec.Command("go", "build", "-o", binary, "./cmd/assay").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return binary
}

// readYAML reads one of the files that other programs look for at the root.
func readYAML(t *testing.T, name string, value any) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, value); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestPreCommitHook holds .pre-commit-hooks.yaml to what pre-commit wants, and
// its pattern to the files that a scan reads.
func TestPreCommitHook(t *testing.T) {
	var hooks []struct {
		ID, Name, Entry, Language, Files string
		PassFilenames                    *bool `yaml:"pass_filenames"`
	}
	readYAML(t, ".pre-commit-hooks.yaml", &hooks)
	if len(hooks) != 1 || hooks[0].ID != "assay-scan" || hooks[0].Name == "" || hooks[0].Language != "golang" || hooks[0].PassFilenames == nil || *hooks[0].PassFilenames {
		t.Fatalf("hooks are %+v", hooks)
	}
	files, err := regexp.Compile(hooks[0].Files)
	if err != nil {
		t.Fatal(err)
	}
	// Whatever a scan of the directory reads runs the hook; so do the names that
	// are near to those, as far as it reads them.
	changes := append(scan.Examples(), ignorefile.DefaultName)
	for _, name := range changes {
		if name != ignorefile.DefaultName && !scan.Reads(name) || !files.MatchString(name) || !files.MatchString("a/b/"+name) {
			t.Errorf("%s: read is %v, the hook runs is %v", name, scan.Reads(name), files.MatchString(name))
		}
		dir, base := path.Split(name)
		stem, ext := strings.TrimSuffix(base, path.Ext(base)), path.Ext(base)
		for _, near := range []string{"x-" + base, "x_" + base, "x." + base, stem + "-x" + ext, stem + "_x" + ext, stem + ".x" + ext, stem + ".yml", stem + ".yaml", stem + ".txt", stem + ".toml", stem + ".lock", strings.ToUpper(base), base + ".bak"} {
			if scan.Reads(dir+near) && !files.MatchString(dir+near) {
				t.Errorf("%s is read, and changing it does not run the hook", dir+near)
			}
		}
	}
	for _, name := range []string{"README.md", "main.py", "notes.txt", "yarn.lock", "requirements/README.md", "my.pyproject.toml.bak", "src/setup.pyc", "deploy.yaml", "explicit.txt", "testspec.txt", "direct_url.json", "package.json"} {
		if files.MatchString(name) || scan.Reads(name) {
			t.Errorf("%s: read is %v, the hook runs is %v", name, scan.Reads(name), files.MatchString(name))
		}
	}
	entry := strings.Fields(hooks[0].Entry)
	if entry[0] != "assay" {
		t.Fatalf("the entry is %q, which `go install ./...` does not make", hooks[0].Entry)
	}
	binary, dir := build(t), t.TempDir()
	for content, want := range map[string]int{"pyarrow==13.0.0\n": 1, "pyarrow==14.0.1\n": 0} {
		if err := os.WriteFile(filepath.Join(dir, "requirements.txt"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		command := exec.Command(binary, append(entry[1:], "--db", "sample")...)
		command.Dir = dir
		output, _ := command.CombinedOutput()
		if got := command.ProcessState.ExitCode(); got != want {
			t.Errorf("the hook on %q ends with %d, want %d:\n%s", content, got, want, output)
		}
	}
}

// step is one step of a composite action.
type step struct {
	ID, Run, Shell, Uses string
	Env                  map[string]string
}

func action(t *testing.T) (inputs map[string]struct{ Default, Description string }, steps []step) {
	t.Helper()
	var file struct {
		Inputs map[string]struct{ Default, Description string }
		Runs   struct {
			Using string
			Steps []step
		}
	}
	readYAML(t, "action.yml", &file)
	if file.Runs.Using != "composite" || len(file.Runs.Steps) != 2 {
		t.Fatalf("runs is %+v", file.Runs)
	}
	return file.Inputs, file.Runs.Steps
}

// TestActionPassesInputsAsVariables: GitHub puts ${{ }} into a script as text,
// so that there an input could be a command.
func TestActionPassesInputsAsVariables(t *testing.T) {
	inputs, steps := action(t)
	used := map[string]bool{}
	reference := regexp.MustCompile(`^\$\{\{ (inputs\.([a-z-]+)|github\.action_path) \}\}$`)
	for _, s := range steps {
		if strings.Contains(s.Run, "${{") || s.Uses != "" || s.Shell != "bash" || !strings.HasPrefix(s.Run, "set -euo pipefail\n") {
			t.Errorf("step %s: %+v", s.ID, s)
		}
		for name, value := range s.Env {
			match := reference.FindStringSubmatch(value)
			if match == nil || !strings.Contains(s.Run, "$"+name) {
				t.Errorf("step %s: %s is %q, or is not used", s.ID, name, value)
				continue
			}
			used[match[2]] = true
		}
	}
	for name, input := range inputs {
		if !used[name] || input.Description == "" {
			t.Errorf("input %s reaches no step, or is not described", name)
		}
	}
}

// perform runs the action's scan step as a runner does, and gives its log, its
// exit code and what it wrote to GITHUB_OUTPUT.
func perform(t *testing.T, binary, dir string, values map[string]string) (log string, code int, outputs string) {
	t.Helper()
	inputs, steps := action(t)
	temporary := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(temporary, "assay")); err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(temporary, "output")
	command := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps[1].Run)
	command.Dir = dir
	command.Env = append(os.Environ(), "RUNNER_TEMP="+temporary, "GITHUB_OUTPUT="+output, "GITHUB_STEP_SUMMARY="+filepath.Join(dir, "summary.md"))
	for name, value := range steps[1].Env {
		input := strings.TrimSuffix(strings.TrimPrefix(value, "${{ inputs."), " }}")
		given, set := values[input]
		if !set {
			given = inputs[input].Default
		}
		command.Env = append(command.Env, name+"="+given)
	}
	text, _ := command.CombinedOutput()
	written, err := os.ReadFile(output)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(text), command.ProcessState.ExitCode(), string(written)
}

func TestActionRuns(t *testing.T) {
	binary, dir := build(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "requirements.txt"), []byte("pyarrow==13.0.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	log, code, outputs := perform(t, binary, dir, map[string]string{"db": "sample", "sarif": "out.sarif"})
	if code != 1 || !strings.Contains(log, "::error file=requirements.txt,line=1,title=pyarrow 13.0.0%3A upgrade to 14.0.1::CRITICAL CVE-2023-47248") || outputs != "sarif=out.sarif\nexit-code=1\n" {
		t.Errorf("exit code %d, outputs %q, log\n%s", code, outputs, log)
	}
	for name, want := range map[string]string{"out.sarif": `"ruleId": "CVE-2023-47248"`, "summary.md": "[CVE-2023-47248](https://osv.dev/"} {
		if content, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s: %v\n%s", name, err, content)
		}
	}
	for name, test := range map[string]struct {
		values map[string]string
		want   int
	}{
		"reports and passes": {map[string]string{"db": "sample", "exit-code": "0"}, 0},
		"nothing fails":      {map[string]string{"db": "sample", "fail-on": "none"}, 0},
		"another severity":   {map[string]string{"db": "sample", "severity": "LOW"}, 0},
		"further arguments":  {map[string]string{"db": "sample", "args": "--exit-code\n7\n"}, 7},
		"no database":        {map[string]string{"db": "nowhere"}, 3},
		"no database, SARIF": {map[string]string{"db": "nowhere", "sarif": "x.sarif"}, 3},
		"a wrong word":       {map[string]string{"db": "sample", "ignore-unfixed": "perhaps"}, 2},
		"no such target":     {map[string]string{"db": "sample", "target": "./nowhere"}, 2},
	} {
		if log, code, _ := perform(t, binary, dir, test.values); code != test.want {
			t.Errorf("%s: exit code %d, want %d\n%s", name, code, test.want, log)
		}
	}
}

// TestActionHostileInputs: an input is one argument, whatever it says.
func TestActionHostileInputs(t *testing.T) {
	dir := t.TempDir()
	echo := filepath.Join(dir, "echo")
	if err := os.WriteFile(echo, []byte("#!/bin/sh\nfor argument; do printf '<%s>' \"$argument\"; done\necho\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	inputs, _ := action(t)
	for _, text := range []string{"$(touch pwned)", "`touch pwned`", "; touch pwned;", "x' && touch pwned '", `" touch pwned "`, "--help", "a b", "*", "$HOME", "${{ github.token }}"} {
		values := map[string]string{}
		for name := range inputs {
			values[name] = text
		}
		log, _, _ := perform(t, echo, dir, values)
		want := "<db><import><--db=" + text + "><--><" + text + ">\n" +
			"<scan><--db=" + text + "><--ignore-unfixed=" + text + "><--severity=" + text + "><" + text + "><--format=sarif><--output=" + text + "><--exit-code=0><--><" + text + ">\n" +
			"<scan><--db=" + text + "><--ignore-unfixed=" + text + "><--severity=" + text + "><" + text + "><--fail-on=" + text + "><--exit-code=" + text + "><--output=" + text + "><--format=" + text + "><--><" + text + ">\n"
		if log != want {
			t.Errorf("%q runs\n%s\nwant\n%s", text, log, want)
		}
	}
	if log, code, outputs := perform(t, echo, dir, map[string]string{"sarif": "a\nexit-code=0"}); code != 2 || outputs != "" {
		t.Errorf("a file name of two lines gives %d, %q, %s", code, outputs, log)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("files are left behind: %v, %v", entries, err)
	}
	// The word "update" is the only one that contacts anybody.
	if log, _, _ := perform(t, echo, dir, map[string]string{"advisories": "update", "ecosystems": "PyPI,$(x)", "db": "d"}); !strings.HasPrefix(log, "<db><update><--db=d><--ecosystem=PyPI,$(x)>\n<scan>") {
		t.Errorf("update runs\n%s", log)
	}
	if log, _, _ := perform(t, echo, dir, nil); strings.Contains(log, "<db>") {
		t.Errorf("nothing was asked for, and this runs\n%s", log)
	}
	if names := slices.Sorted(maps.Keys(inputs)); len(names) != 12 {
		t.Errorf("the inputs are %v: does this test know them all", names)
	}
}
