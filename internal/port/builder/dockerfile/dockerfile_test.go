package dockerfile_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/seed-161fc314/assay/internal/port/builder"
	"github.com/seed-161fc314/assay/internal/port/builder/dockerfile"
)

// The test binary stands in for the tool when this is set: it writes down how
// it was called, and leaves the layout that the tool would leave. buildah
// itself is run by the interop tests.
const standIn = "ASSAY_TEST_STAND_IN"

func TestMain(m *testing.M) {
	if mode := os.Getenv(standIn); mode != "" {
		os.Exit(tool(mode, os.Args[1:]))
	}
	os.Exit(m.Run())
}

func tool(mode string, arguments []string) int {
	call, _ := json.Marshal(arguments)
	file, err := os.OpenFile(os.Getenv("CALLS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 9
	}
	defer file.Close()
	fmt.Fprintf(file, "%s\n", call)
	fmt.Println("step 1 of 1")
	if mode == "fail" {
		fmt.Fprintln(os.Stderr, "no space left on device")
		return 7
	}
	for i, argument := range arguments {
		if argument == "--iidfile" {
			content := "sha256:" + strings.Repeat("a", 64)
			if mode == "lie" {
				content = "--all"
			}
			if os.WriteFile(arguments[i+1], []byte(content), 0o600) != nil {
				return 9
			}
		}
		var dir string
		if _, after, found := strings.Cut(argument, "dest="); found {
			dir = after
		} else if after, found := strings.CutPrefix(argument, "oci:"); found {
			dir = after
		} else if argument == "--oci-layout-path" {
			dir = arguments[i+1]
		}
		if dir != "" && mode != "nothing" {
			image, _ := random.Image(10, 1)
			out, err := layout.Write(dir, empty.Index)
			if err != nil || out.AppendImage(image) != nil {
				return 9
			}
			if mode == "two" && out.AppendImage(must(random.Image(10, 1))) != nil {
				return 9
			}
		}
	}
	return 0
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func build(t *testing.T, tool dockerfile.Tool, mode string, change func(*builder.Request)) (builder.Result, [][]string, string, error) {
	t.Helper()
	dir, out, calls := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "calls")
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	b, err := dockerfile.New(dockerfile.Config{Tool: tool, Program: os.Args[0], Arguments: []string{"--global"}, Isolation: "chroot",
		Env: []string{standIn + "=" + mode, "CALLS=" + calls}, Log: &log})
	if err != nil {
		t.Fatal(err)
	}
	request := builder.Request{Dir: dir, Out: out, Platforms: []string{"linux/amd64"}, Created: time.Unix(1000, 0),
		Labels: map[string]string{"b": "2", "a": "1"}, Dockerfile: builder.Dockerfile{Arguments: map[string]string{"K": "V"}}}
	if change != nil {
		change(&request)
	}
	result, err := b.Build(context.Background(), request)
	var made [][]string
	content, _ := os.ReadFile(calls)
	for line := range bytes.Lines(content) {
		var call []string
		if err := json.Unmarshal(line, &call); err != nil {
			t.Fatal(err)
		}
		for i := range call {
			call[i] = strings.NewReplacer(dir, "DIR", out, "OUT").Replace(call[i])
		}
		made = append(made, call)
	}
	return result, made, log.String(), err
}

func TestCalls(t *testing.T) {
	for tool, want := range map[dockerfile.Tool][]string{
		dockerfile.Buildah:  {"--global build --format oci --iidfile * --file DIR/Dockerfile --timestamp 1000 --isolation chroot --platform linux/amd64 --build-arg K=V --label a=1 --label b=2 DIR", "--global push --quiet sha256:" + strings.Repeat("a", 64) + " oci:OUT", "--global rmi sha256:" + strings.Repeat("a", 64)},
		dockerfile.BuildKit: {"--global build --frontend dockerfile.v0 --local context=DIR --local dockerfile=DIR --opt filename=Dockerfile --opt build-arg:SOURCE_DATE_EPOCH=1000 --opt platform=linux/amd64 --opt build-arg:K=V --opt label:a=1 --opt label:b=2 --output type=oci,tar=false,rewrite-timestamp=true,dest=OUT"},
		dockerfile.Kaniko:   {"--global --context dir://DIR --dockerfile DIR/Dockerfile --no-push --reproducible --oci-layout-path OUT --custom-platform linux/amd64 --build-arg K=V --label a=1 --label b=2"},
		dockerfile.Docker:   {"--global buildx build --file DIR/Dockerfile --provenance=false --sbom=false --build-arg SOURCE_DATE_EPOCH=1000 --platform linux/amd64 --build-arg K=V --label a=1 --label b=2 --output type=oci,tar=false,rewrite-timestamp=true,dest=OUT DIR"},
	} {
		t.Run(string(tool), func(t *testing.T) {
			result, calls, log, err := build(t, tool, "ok", nil)
			if err != nil {
				t.Fatal(err)
			}
			if result.Digest.IsZero() || result.Index || result.Dependencies != "" {
				t.Errorf("result is %+v", result)
			}
			if !strings.Contains(log, "step 1 of 1") {
				t.Errorf("the tool's output is not in the log: %q", log)
			}
			var got []string
			for _, call := range calls {
				if i := slices.Index(call, "--iidfile"); i >= 0 {
					call[i+1] = "*"
				}
				got = append(got, strings.Join(call, " "))
			}
			if !slices.Equal(got, want) {
				t.Errorf("called\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		tool   dockerfile.Tool
		mode   string
		change func(*builder.Request)
		want   string
	}{
		"the tool fails":        {dockerfile.Docker, "fail", nil, "ended with status 7; it last said:\nstep 1 of 1\nno space left on device"},
		"no layout":             {dockerfile.Docker, "nothing", nil, "left no readable image layout"},
		"two images":            {dockerfile.Docker, "two", nil, "left 2 images in its layout, want 1"},
		"an id that is none":    {dockerfile.Buildah, "lie", nil, "image id that is none"},
		"no Dockerfile":         {dockerfile.Buildah, "ok", func(r *builder.Request) { r.Dockerfile.Path = "Containerfile" }, "Containerfile: no such file"},
		"Dockerfile escapes":    {dockerfile.Buildah, "ok", func(r *builder.Request) { r.Dockerfile.Path = "../Dockerfile" }, "leaves the source directory"},
		"platform is a flag":    {dockerfile.Buildah, "ok", func(r *builder.Request) { r.Platforms = []string{"--privileged"} }, "want os/architecture"},
		"two platforms buildah": {dockerfile.Buildah, "ok", func(r *builder.Request) { r.Platforms = []string{"linux/amd64", "linux/arm64"} }, "one platform at a time"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := build(t, c.tool, c.mode, c.change)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := dockerfile.New(dockerfile.Config{Tool: dockerfile.Docker, Program: os.Args[0], Env: []string{standIn + "=ok", "CALLS=" + filepath.Join(dir, "calls")}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Build(ctx, builder.Request{Dir: dir, Out: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "was stopped") {
		t.Errorf("got %v", err)
	}
}

func TestNotInstalled(t *testing.T) {
	_, err := dockerfile.New(dockerfile.Config{Tool: dockerfile.Buildah, Env: []string{"PATH=" + t.TempDir()}})
	if err == nil || !strings.Contains(err.Error(), "apt-get install buildah") {
		t.Errorf("got %v, want an error that says what to install", err)
	}
	if _, err := dockerfile.New(dockerfile.Config{Tool: "bazel"}); err == nil || !strings.Contains(err.Error(), "want layer, buildah") {
		t.Errorf("got %v", err)
	}
}
