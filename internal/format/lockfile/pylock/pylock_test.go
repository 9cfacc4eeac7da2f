package pylock_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/format/lockfile/lockfiletest"
	"github.com/seed-161fc314/assay/internal/format/lockfile/pylock"
	"github.com/seed-161fc314/assay/internal/format/requirement"
)

const hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

const good = `lock-version = '1.0'
environments = ["sys_platform == 'win32'", "sys_platform == 'linux'"]
requires-python = '>=3.8'
extras = ["gpu", "all"]
dependency-groups = ["dev", "docs"]
default-groups = ["main"]
created-by = 'mousebender'

[[packages]]
name = 'attrs'
version = '25.1.0'
requires-python = '>=3.8'
wheels = [
  {name = 'attrs.whl', url = 'https://files.pythonhosted.org/attrs.whl', size = 63152, hashes = {sha256 = '` + hash + `', md5 = 'x'}},
]
[[packages.attestation-identities]]
kind = 'GitHub'

[[packages]]
name = 'cattrs'
version = '24.1.2'
dependencies = [{name = 'attrs'}, {name = 'numpy', version = '2.2.3'}, {name = 'numpy', version = '9'}, {name = 'gone'}]
sdist = {name = 'x', hashes = {sha512 = '` + hash + hash + `'}}

[[packages]]
name = 'numpy'
version = '2.2.3'
marker = "python_version >= '3.10'"
index = 'https://mirror.example.com/simple'

[[packages]]
name = 'numpy'
version = '1.24'
marker = "python_version < '3.10'"

[[packages]]
name = 'torch'
version = '2.1.0'
marker = "('gpu' in extras or 'all' in extras) and sys_platform == 'linux'"

[[packages]]
name = 'pytest'
version = '8'
marker = "'dev' in dependency_groups"

[[packages]]
name = 'sphinx'
version = '7'
marker = "'docs' in dependency_groups and 'gpu' in extras"

[[packages]]
name = 'core'
version = '1'
marker = "'main' in dependency_groups"

[[packages]]
name = 'no-longer'
version = '1'
marker = "'unheard' in extras"

[[packages]]
name = 'from-git'
version = '1'
[packages.vcs]
type = 'git'
url = 'https://u:p@example.com/x.git'
commit-id = 'abc'

[[packages]]
name = 'here'
[packages.directory]
path = '.'
editable = true

[[packages]]
name = 'there'
directory = {path = '../there'}

[[packages]]
name = 'arch'
version = '1'
[packages.archive]
path = './arch-1.tar.gz'
[packages.archive.hashes]
sha256 = '` + hash + `'

[[packages]]
name = 'wheel'
[packages.archive]
url = 'https://example.com/wheel-0.42.0-py3-none-any.whl'
hashes = {sha256 = '` + hash + `'}
`

func many(n int) string {
	var b strings.Builder
	b.WriteString("lock-version = \"1.0\"\n")
	for i := range n {
		fmt.Fprintf(&b, "[[packages]]\nname = \"p%d\"\nversion = \"1.%d\"\n", i, i)
	}
	return b.String()
}

func TestContract(t *testing.T) {
	lockfiletest.Run(t, lockfiletest.Format{Parser: pylock.Parser{}, Base: "pylock.toml", Others: []string{"pylock.dev.toml"}, Foreign: []string{"pylock.a.b.toml", "pylock..toml", "pyproject.toml"},
		Good: good, Edges: true, NewVersion: "lock-version = '2.0'\n", Found: "2.0", Many: many})
}

func TestParse(t *testing.T) {
	result, err := pylock.Parser{}.Parse(strings.NewReader(good), "pylock.toml", requirement.DefaultEnvironment())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"attrs==25.1.0:9 sha256:e3b0c44298fc", "cattrs==24.1.2:19 sha512:e3b0c44298fc -> attrs@25.1.0 numpy@2.2.3",
		"numpy==2.2.3:25", "torch==2.1.0:36 [all gpu]", "pytest==8:41 [dev]", "sphinx==7:46 [docs gpu]", "core==1:51", "wheel==0.42.0:87 sha256:e3b0c44298fc",
		"? from-git @ git+https://****@example.com/x.git:61 it comes from version control, and no index knows that version",
		"? there @ ../there:75 a local directory has no fixed version",
		"? arch @ ./arch-1.tar.gz:79 it comes from a file at a URL or path, which names no version that could be checked",
		"- numpy:31 python_version < '3.10'", "- no-longer:56 'unheard' in extras",
		"! 25 numpy from the index https://mirror.example.com/simple: matched by name against the advisories for PyPI",
	}
	if diff := cmp.Diff(want, lockfiletest.Describe(result)); diff != "" {
		t.Error(diff)
	}
}

// A file for another environment is read, and the report says so.
func TestEnvironments(t *testing.T) {
	for content, want := range map[string]string{
		"requires-python = '>=3.13'":                   "! 2 the file is for Python >=3.13, and was read for CPython 3.11 on linux, x86_64",
		"environments = [\"sys_platform == 'win32'\"]": "! 2 the file names its environments, and CPython 3.11 on linux, x86_64 is none of them",
		"requires-python = 'x'":                        "! 2 the Python version that the file is for could not be read: \"x\"",
		"environments = []":                            "",
	} {
		result, err := pylock.Parser{}.Parse(strings.NewReader("lock-version = '1.0'\n"+content+"\n"), "f", requirement.DefaultEnvironment())
		if got := strings.Join(lockfiletest.Describe(result), "\n"); err != nil || got != want {
			t.Errorf("%s: %q, %v", content, got, err)
		}
	}
	for content, want := range map[string]string{
		"requires-python = 1":           "f:2: want a string, found a number",
		"environments = [\"x == '1'\"]": "f:2: environments: ",
		"extras = [" + strings.Repeat("'x',", limit.LockedGroups+1) + "]": "larger than the bound",
		"packages = [1]": "f:2: want a table, found a number",
	} {
		_, err := pylock.Parser{}.Parse(strings.NewReader("lock-version = '1.0'\n"+content+"\n"), "f", requirement.DefaultEnvironment())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v", content, err)
		}
	}
	var over *limit.Error
	_, err := pylock.Parser{}.Parse(strings.NewReader("lock-version = '1.0'\n[[packages]]\nname='a'\nversion='1'\ndependencies=["+strings.Repeat("{name='a'},", limit.LockedEdges/5)+"]\n"), "f", requirement.DefaultEnvironment())
	if err != nil {
		t.Errorf("a package that needs itself often: %v", err)
	}
	_, err = pylock.Parser{}.Parse(strings.NewReader("lock-version = '1.0'\n"+strings.Repeat("[[packages]]\nname='a'\nversion='1'\n", 5)+
		"dependencies=["+strings.Repeat("{name='b'},", 1000)+"]\n"+versions("b", limit.LockedEdges/1000)), "f", requirement.DefaultEnvironment())
	if !errors.As(err, &over) || over.Bound != limit.LockedEdges {
		t.Errorf("too many edges: %v", err)
	}
}

func versions(name string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[[packages]]\nname='%s'\nversion='%d'\n", name, i)
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Fuzz(func(t *testing.T, content string) { lockfiletest.Fuzz(t, pylock.Parser{}, content) })
}
