package cli_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-161fc314/assay/internal/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"assay": func() { os.Exit(cli.Run(context.Background(), os.Args[1:], cli.System())) },
	})
}

// TestScript runs every behaviour of the command line that testdata/script
// tells, with the real command.
func TestScript(t *testing.T) {
	example, err := filepath.Abs(filepath.Join("..", "..", "examples", "pandas"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TMPDIR", env.WorkDir)
			env.Setenv("ASSAY_REGISTRY", filepath.Join(env.WorkDir, "registry"))
			env.Setenv("GIT_CONFIG_NOSYSTEM", "1")
			// Under the race detector a process waits a second before it ends.
			env.Setenv("GORACE", "atexit_sleep_ms=10")
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				env.Setenv("GIT_"+who+"_NAME", "Test")
				env.Setenv("GIT_"+who+"_EMAIL", "test@example.com")
			}
			return os.CopyFS(filepath.Join(env.WorkDir, "pandas"), os.DirFS(example))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// edit FILE OLD NEW replaces text that must be there.
			"edit": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 3 {
					ts.Fatalf("usage: edit FILE OLD NEW")
				}
				content := ts.ReadFile(args[0])
				if !strings.Contains(content, args[1]) {
					ts.Fatalf("%s has no %q", args[0], args[1])
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(content, args[1], args[2])), 0o600))
			},
			// putkey POLICY KEY puts a public key where the example says so.
			"putkey": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: putkey POLICY KEY")
				}
				body := strings.Split(strings.TrimSpace(ts.ReadFile(args[1])), "\n")
				policy := ts.ReadFile(args[0])
				if !strings.Contains(policy, "PUT YOUR KEY HERE") {
					ts.Fatalf("%s has no place for a key", args[0])
				}
				key := strings.Join(body[1:len(body)-1], "\n              ")
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(policy, "PUT YOUR KEY HERE", key, 1)), 0o600))
			},
			// zip ARCHIVE FILE… makes a zip file.
			"zip": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: zip ARCHIVE FILE…")
				}
				var buffer bytes.Buffer
				archive := zip.NewWriter(&buffer)
				for _, name := range args[1:] {
					w, err := archive.Create(filepath.Base(name))
					ts.Check(err)
					_, err = w.Write([]byte(ts.ReadFile(name)))
					ts.Check(err)
				}
				ts.Check(archive.Close())
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), buffer.Bytes(), 0o600))
			},
			// unsign INDEX leaves only the first manifest of an index.json.
			"unsign": func(ts *testscript.TestScript, neg bool, args []string) {
				var index map[string]any
				ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &index))
				list := index["manifests"].([]any)
				if len(list) != 2 {
					ts.Fatalf("%s lists %d manifests", args[0], len(list))
				}
				index["manifests"] = list[:1]
				content, err := json.Marshal(index)
				ts.Check(err)
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), content, 0o600))
			},
			// tamper LAYOUT TEXT flips a bit of the blobs that hold a text: as a
			// name in a tar header, or else anywhere.
			"tamper": func(ts *testscript.TestScript, neg bool, args []string) {
				blobs, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "blobs", "sha256", "*"))
				ts.Check(err)
				found := false
				for _, blob := range blobs {
					content, err := os.ReadFile(blob)
					ts.Check(err)
					at := bytes.Index(content, []byte(args[1]+"\x00"))
					if at < 0 {
						at = bytes.Index(content, []byte(args[1]))
					}
					if at >= 0 {
						found = true
						content[at] ^= 1
						ts.Check(os.WriteFile(blob, content, 0o600))
					}
				}
				if !found {
					ts.Fatalf("no blob has %q", args[1])
				}
			},
			// code N COMMAND… runs a command and wants its exit code.
			"code": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: code N COMMAND…")
				}
				err := ts.Exec(args[1], args[2:]...)
				got := "0"
				if err != nil {
					got = strings.TrimPrefix(err.Error(), "exit status ")
				}
				if got != args[0] {
					ts.Fatalf("exit code %s, want %s", got, args[0])
				}
			},
		},
	})
}
