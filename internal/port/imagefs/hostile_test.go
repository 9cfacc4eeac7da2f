package imagefs_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/port/imagefs"
)

// What a hostile layer does with links and names stays inside the image, ends,
// and hides nothing.
func TestHostileNames(t *testing.T) {
	torch := installed("torch", "2.1.0")
	for _, test := range []struct {
		name   string
		layers [][]entry
		want   []string
	}{
		{"links that go round", [][]entry{{symlink("a", "b"), symlink("b", "a"), symlink(site+"x.dist-info", "y.dist-info"), symlink(site+"y.dist-info", "x.dist-info"), torch}}, []string{"? " + site + "x.dist-info", "? " + site + "y.dist-info", "torch 2.1.0"}},
		{"a link to itself", [][]entry{{symlink(torch.name, "METADATA")}}, []string{"? " + torch.name}},
		{"a link out of the image", [][]entry{{symlink(torch.name, "../../../../../../../../etc/passwd")}}, []string{"? " + torch.name}},
		{"a link to the root", [][]entry{{symlink(strings.TrimSuffix(torch.name, "/METADATA"), "/")}}, []string{"? " + strings.TrimSuffix(torch.name, "/METADATA")}},
		{"a link of no name", [][]entry{{symlink(torch.name, ".")}}, []string{"? " + torch.name}},
		{"a hard link out of the image", [][]entry{{hardlink(torch.name, "../../../../etc/passwd")}}, []string{"? " + torch.name}},
		{"a hard link to itself", [][]entry{{hardlink(torch.name, torch.name)}}, []string{"? " + torch.name}},
		{"a hard link to what comes later", [][]entry{{hardlink("opt/torch-2.1.0.dist-info/METADATA", torch.name), torch}}, []string{"? opt/torch-2.1.0.dist-info/METADATA", "torch 2.1.0"}},
		{"absolute names", [][]entry{{file("/"+torch.name, torch.content)}}, []string{"torch 2.1.0"}},
		{"names with dots in the middle", [][]entry{{file("usr/../../"+torch.name, torch.content)}}, []string{"torch 2.1.0"}},
		{"a whiteout above the root", [][]entry{{torch}, {file("../../.wh.usr", "")}}, []string{}},
		{"a whiteout of nothing", [][]entry{{torch}, {file("usr/.wh.", "")}}, []string{"torch 2.1.0"}},
		{"a whiteout of dots", [][]entry{{torch}, {file("usr/lib/.wh...", "")}}, []string{"torch 2.1.0"}},
		{"an opaque directory above the root", [][]entry{{torch}, {file("../.wh..wh..opq", "")}}, []string{}},
		{"a device where metadata should be", [][]entry{{torch}, {entry{name: torch.name, kind: tar.TypeChar}}}, []string{}},
		{"a pipe over a directory", [][]entry{{torch}, {entry{name: "usr/lib/python3", kind: tar.TypeFifo}}}, []string{}},
		{"the same file twice: the last one counts", [][]entry{{torch, file(torch.name, metadata("torch", "2.1.1"))}}, []string{"torch 2.1.1"}},
		{"a package manager's directory that is a file", [][]entry{{file("etc/os-release", debian), file(status, bash)}, {file("var/lib/dpkg", "")}}, []string{"? etc/os-release"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			made := image(t)
			for _, entries := range test.layers {
				made = stack(t, made, layer(t, entries...))
			}
			if diff := cmp.Diff(test.want, listed(read(t, made))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// An entry that a runtime passes over takes nothing away; one of a type that
// they refuse is an error.
func TestOddTypes(t *testing.T) {
	torch := installed("torch", "2.1.0")
	raw := func(kind byte, name string) v1.Layer {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		header := &tar.Header{Name: name, Typeflag: kind, Mode: 0o644}
		if kind == tar.TypeXGlobalHeader {
			header.PAXRecords, header.Format = map[string]string{"comment": "x"}, tar.FormatPAX
			header.Mode = 0
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		made, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	for _, name := range []string{strings.TrimSuffix(torch.name, "/METADATA"), torch.name, "usr", "usr/.wh.lib", "usr/.wh..wh..opq"} {
		made := stack(t, image(t), layer(t, torch))
		if diff := cmp.Diff([]string{"torch 2.1.0"}, listed(read(t, stack(t, made, raw(tar.TypeXGlobalHeader, name))))); diff != "" {
			t.Errorf("a global header called %s (-want +got)\n%s", name, diff)
		}
		for _, kind := range []byte{tar.TypeCont, 'V', 'D', '8', 'Z'} {
			_, _, err := imagefs.Read(t.Context(), stack(t, made, raw(kind, name)), imagefs.Config{})
			if err == nil || !strings.Contains(err.Error(), "type '"+string(kind)+"'") {
				t.Errorf("type %q, called %s: %v", kind, name, err)
			}
		}
	}
}

// generated is an image of one layer that is made as it is read.
func generated(t *testing.T, make func() io.Reader) v1.Image {
	t.Helper()
	sum := sha256.New()
	if _, err := io.Copy(sum, make()); err != nil {
		t.Fatal(err)
	}
	honest := layer(t, file("a", "b"))
	base := image(t, honest)
	config, err := base.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.RootFS.DiffIDs = []v1.Hash{{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}}
	made, err := mutate.ConfigFile(base, config)
	if err != nil {
		t.Fatal(err)
	}
	return lying{made, []v1.Layer{raw{honest, make}}}
}

// entries is a tar stream of many headers with nothing behind them.
type entries struct {
	header  []byte
	left    int
	number  int
	digits  int // where the number stands in the name
	pending []byte
}

func manyEntries(count int, name string) io.Reader {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	if err := w.WriteHeader(&tar.Header{Name: name + "00000000", Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatUSTAR}); err != nil {
		return failing{}
	}
	return io.MultiReader(&entries{header: buffer.Bytes(), left: count, digits: len(name)}, bytes.NewReader(make([]byte, 1024)))
}

func (e *entries) Read(p []byte) (int, error) {
	if len(e.pending) == 0 {
		if e.left == 0 {
			return 0, io.EOF
		}
		// The checksum of a header is the sum of its bytes with its own field
		// as spaces: only the number changes.
		e.left, e.number = e.left-1, e.number+1
		copy(e.header[e.digits:], fmt.Sprintf("%08d", e.number))
		copy(e.header[148:156], "        ")
		sum := 0
		for _, b := range e.header {
			sum += int(b)
		}
		copy(e.header[148:156], fmt.Sprintf("%06o\x00 ", sum))
		e.pending = e.header
	}
	n := copy(p, e.pending)
	e.pending = e.pending[n:]
	return n, nil
}

// Empty files by the million cost time, and no memory; whiteouts by the million
// end at the bound on what is kept. The numbers are small so
// that the test is quick; what is measured grows with them or not at all.
func TestManyEntries(t *testing.T) {
	const count = 200_000
	started := time.Now()
	made := generated(t, func() io.Reader { return manyEntries(count, "srv/data/file-") })
	making := time.Since(started)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	started = time.Now()
	inventory, _, err := imagefs.Read(t.Context(), made, imagefs.Config{})
	took := time.Since(started)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil || len(inventory.Components) != 0 {
		t.Fatalf("%v, %v", listed(inventory), err)
	}
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 32<<20 {
		t.Errorf("%d empty files took %d MB", count, grown>>20)
	}
	t.Logf("%d empty files: %v, of which the making of the stream is %v", count, took, making)
	var bound *limit.Error
	if _, _, err := imagefs.Read(t.Context(), made, imagefs.WithBounds(count-1, 0)); !errors.As(err, &bound) || bound.Unit != "files" {
		t.Errorf("one file over the bound: %v", err)
	}
	whiteouts := generated(t, func() io.Reader { return manyEntries(20_000, "srv/.wh.file-") })
	if _, _, err := imagefs.Read(t.Context(), whiteouts, imagefs.WithBounds(0, 1<<20)); !errors.As(err, &bound) || bound.Unit != "bytes" {
		t.Errorf("whiteouts over the bound: %v", err)
	}
	if _, _, err := imagefs.Read(t.Context(), whiteouts, imagefs.Config{}); err != nil {
		t.Errorf("whiteouts within it: %v", err)
	}
}

// Metadata that says that it has a gigabyte ends at its
// bound, and is not read to its end.
func TestHugeMetadataEndsEarly(t *testing.T) {
	const size = 1 << 30
	read := &counted{}
	stream := func() io.Reader {
		var header bytes.Buffer
		if err := tar.NewWriter(&header).WriteHeader(&tar.Header{Name: site + "torch-2.1.0.dist-info/METADATA", Typeflag: tar.TypeReg, Size: size, Mode: 0o644}); err != nil {
			return failing{}
		}
		read.Reader, read.n = io.MultiReader(&header, io.LimitReader(zeroes{}, size+1024)), 0
		return read
	}
	honest := layer(t, installed("torch", "2.1.0"))
	var bound *limit.Error
	_, _, err := imagefs.Read(t.Context(), lying{image(t, honest), []v1.Layer{raw{honest, stream}}}, imagefs.Config{})
	if !errors.As(err, &bound) || bound.Bound != limit.PackageMetadata {
		t.Errorf("error is %v, want the bound on metadata", err)
	}
	if read.n > limit.PackageMetadata+(4<<20) {
		t.Errorf("%d bytes were read before it ended", read.n)
	}
}

type counted struct {
	io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// Headers of the tar format's extensions are bounded by the reader itself, and
// what is sparse has its holes.
func TestHeadersOfExtensions(t *testing.T) {
	pax := func(size int) []byte {
		text := metadata("torch", "2.1.0")
		return rawArchive(rawEntry{'x', "", record("ASSAY.x", strings.Repeat("x", size))}, rawEntry{'0', site + "torch-2.1.0.dist-info/METADATA", text})
	}
	of := func(content []byte) v1.Image {
		return generated(t, func() io.Reader { return bytes.NewReader(content) })
	}
	if diff := cmp.Diff([]string{"torch 2.1.0"}, listed(read(t, of(pax(1000))))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, _, err := imagefs.Read(t.Context(), of(pax(2<<20)), imagefs.Config{}); !errors.Is(err, tar.ErrFieldTooLong) {
		t.Errorf("a header of 2 MB: %v", err)
	}
	// A file that says that it has a terabyte of holes is one of a terabyte.
	if _, _, err := imagefs.Read(t.Context(), of(sparse(site+"torch-2.1.0.dist-info/METADATA", 1<<40)), imagefs.Config{}); err == nil || !strings.Contains(err.Error(), fmt.Sprint(limit.PackageMetadata)) {
		t.Errorf("metadata of holes: %v", err)
	}
	// The same where nobody wants it costs nothing.
	if diff := cmp.Diff([]string{}, listed(read(t, of(sparse("srv/data", 1<<40))))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// sparse is an archive of one file without data, in PAX's form 0.1 of sparse
// files.
func sparse(name string, size int64) []byte {
	records := record("GNU.sparse.name", name) + record("GNU.sparse.size", fmt.Sprint(size)) + record("GNU.sparse.numblocks", "1") + record("GNU.sparse.map", fmt.Sprintf("%d,0", size))
	return rawArchive(rawEntry{'x', "", records}, rawEntry{'0', "part", ""})
}

// record is a PAX record, which begins with its own length.
func record(key, value string) string {
	line := fmt.Sprintf(" %s=%s\n", key, value)
	for n := len(line) + 1; ; n++ {
		if text := fmt.Sprint(n) + line; len(text) == n {
			return text
		}
	}
}

type rawEntry struct {
	kind       byte
	name, body string
}

// rawArchive writes what the tar package refuses to.
func rawArchive(list ...rawEntry) []byte {
	var buffer bytes.Buffer
	for _, e := range list {
		header := make([]byte, 512)
		copy(header, e.name)
		copy(header[100:], "0000644\x000000000\x000000000\x00")
		copy(header[124:], fmt.Sprintf("%011o\x0000000000000\x00        ", len(e.body)))
		header[156] = e.kind
		copy(header[257:], "ustar\x0000")
		sum := 0
		for _, b := range header {
			sum += int(b)
		}
		copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
		buffer.Write(header)
		buffer.WriteString(e.body)
		buffer.Write(make([]byte, (512-len(e.body)%512)%512))
	}
	buffer.Write(make([]byte, 1024))
	return buffer.Bytes()
}

// Layers may be compressed in each of the ways that images have; a bomb unpacks
// as a stream, and a broken stream is an error.
func TestCompressedLayers(t *testing.T) {
	content := archive(t, installed("torch", "2.1.0"))
	// A zstd frame of one raw block: magic, descriptor, window, block, content.
	packed := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58}, byte(1|len(content)<<3), byte(len(content)>>5), byte(len(content)>>13))
	packed = append(packed, content...)
	made, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"torch 2.1.0"}, listed(read(t, image(t, made)))); diff != "" {
		t.Errorf("zstd (-want +got)\n%s", diff)
	}
	bomb := func() io.Reader {
		var header bytes.Buffer
		if err := tar.NewWriter(&header).WriteHeader(&tar.Header{Name: "srv/zeroes", Typeflag: tar.TypeReg, Size: 256 << 20, Mode: 0o644}); err != nil {
			return failing{}
		}
		return io.MultiReader(&header, io.LimitReader(zeroes{}, 256<<20+1024))
	}
	var before, after runtime.MemStats
	blown := generated(t, bomb)
	runtime.GC()
	runtime.ReadMemStats(&before)
	if diff := cmp.Diff([]string{}, listed(read(t, blown))); diff != "" {
		t.Errorf("a bomb (-want +got)\n%s", diff)
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 32<<20 {
		t.Errorf("256 MB of zeroes took %d MB", grown>>20)
	}
}
