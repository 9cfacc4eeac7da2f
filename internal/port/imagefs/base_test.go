package imagefs_test

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/seed-161fc314/assay/internal/domain/component"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/port/imagefs"
)

// stack puts a layer on an image.
func stack(t *testing.T, base v1.Image, layers ...v1.Layer) v1.Image {
	t.Helper()
	made, err := mutate.AppendLayers(base, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// told is an image whose history says this; "+" is an entry with a layer.
func told(t *testing.T, base v1.Image, entries ...string) v1.Image {
	t.Helper()
	file, err := base.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.History = nil
	for _, entry := range entries {
		text, layered := strings.CutPrefix(entry, "+")
		file.History = append(file.History, v1.History{CreatedBy: text, EmptyLayer: !layered})
	}
	made, err := mutate.ConfigFile(base, file)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestGuessedBase(t *testing.T) {
	layers := []v1.Layer{layer(t, installed("numpy", "1.26.4")), layer(t, installed("torch", "2.1.0")), layer(t, file("c", "c"))}
	made := image(t, layers...)
	const add, run = "+ADD rootfs.tar / # buildkit", "+RUN pip install"
	for _, test := range []struct {
		name    string
		history []string
		want    int
	}{
		{"BuildKit", []string{add, `CMD ["bash"]`, run, run, `CMD ["app"]`}, 1},
		{"the builder before it", []string{"+/bin/sh -c #(nop) ADD file:1 in / ", `/bin/sh -c #(nop)  CMD ["bash"]`, run, `/bin/sh -c #(nop) ENTRYPOINT ["x"]`, run}, 2},
		{"the newest of several bases", []string{add, `CMD ["bash"]`, run, "ENV A=b", `ENTRYPOINT ["python3"]`, run}, 2},
		{"an image that nobody built on", []string{add, run, run, `CMD ["bash"]`}, 0},
		{"one that no command ends", []string{add, "ENV A=b", run, run}, 0},
		{"a command that ran", []string{add, "RUN echo CMD [1]", "+RUN CMD x", run}, 0},
		{"no history", nil, 0},
		{"a history of other layers", []string{add, `CMD ["bash"]`, run}, 0},
		{"a command before all layers", []string{`CMD ["x"]`, add, run, run}, 0},
	} {
		_, description, err := imagefs.Read(t.Context(), told(t, made, test.history...), imagefs.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if description.BaseLayers != test.want || (description.Base != "") != (test.want > 0) || test.want > 0 && !strings.Contains(description.Base, "guess") {
			t.Errorf("%s: %d layers (%q), want %d", test.name, description.BaseLayers, description.Base, test.want)
		}
	}
}

func TestNamedBase(t *testing.T) {
	below := image(t, layer(t, installed("numpy", "1.26.4")))
	made := told(t, stack(t, below, layer(t, installed("torch", "2.1.0"))), "+a", "+b", `CMD ["x"]`)
	config, err := below.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	base, err := imagefs.DiffIDs(config)
	if err != nil {
		t.Fatal(err)
	}
	inventory, description, err := imagefs.Read(t.Context(), made, imagefs.Config{BaseDiffIDs: base})
	if err != nil || description.BaseLayers != 1 || strings.Contains(description.Base, "guess") {
		t.Fatalf("%d layers (%q), %v", description.BaseLayers, description.Base, err)
	}
	for _, c := range inventory.Components {
		if got, want := description.InBase(c), c.Name == "numpy"; got != want {
			t.Errorf("%s is of the base: %v", c.Name, got)
		}
	}
	both := inventory.Components[0]
	both.Locations = append(both.Locations, component.Location{Layer: description.DiffIDs[1]})
	if description.InBase(both) || description.InBase(component.Component{}) {
		t.Error("what is in a layer above too, or nowhere, is said to be of the base")
	}
	description.BaseLayers = 0
	if description.InBase(inventory.Components[0]) {
		t.Error("without a base something is of it")
	}
	strange, err := image(t, layer(t, file("x", "x"))).ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	other, err := imagefs.DiffIDs(strange)
	if err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string][]subject.Digest{"another": other, "more layers": append(slices.Clone(description.DiffIDs), other...)} {
		if _, _, err := imagefs.Read(t.Context(), made, imagefs.Config{BaseDiffIDs: wrong}); err == nil || !strings.Contains(err.Error(), "not built on the base image") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
