package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-161fc314/assay/internal/job/attest"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

const batchHelp = `

Several arguments, or -f with a list of them, are worked on at once, and printed in
the order in which they were named; the key is opened once. One that fails stops no
other, and the exit code is then 3.`

// signVerb is what sign and attest have in common.
type signVerb struct {
	signFlags
	batchFlags
	bundleFlags
	recursive bool
}

func (v *signVerb) add(command *cobra.Command) {
	v.signFlags.add(command)
	v.batchFlags.add(command, "images or files")
	v.bundleFlags.add(command, "sign a file instead of an image, and write the Sigstore bundle here")
	command.Flags().BoolVarP(&v.recursive, "recursive", "r", false, "do the same for every manifest in an image index")
}

// verbWork is what one run of sign or attest does.
type verbWork struct {
	// done is the verb in the past, source the file with what is said, "" for
	// signatures.
	done, source string
	// order is what is signed about each image, without the image.
	order attest.Order
	// seal makes the bundle of a file.
	seal func(ctx context.Context, sealer *attest.Sealer, name string) ([]byte, error)
}

// signedOne is what was done about one argument.
type signedOne struct {
	Reference string          `json:"reference"`
	Image     string          `json:"image,omitempty"`
	Stored    []attest.Stored `json:"stored,omitempty"`
	Bundle    string          `json:"bundle,omitempty"`
	Error     string          `json:"error,omitempty"`
	// resolved is said where a tag was resolved.
	resolved string
}

func (v *signVerb) run(ctx context.Context, host *Host, args []string, work verbWork) error {
	if err := oneOf("-o", v.format, "text", "json"); err != nil {
		return err
	}
	references, err := v.references(host, args)
	if err != nil {
		return err
	}
	if err := v.bundleFlags.check(len(references)); err != nil {
		return err
	}
	if v.files() && v.recursive {
		return usage("--recursive is for images; a file has no manifests in it")
	}
	var one func(reference string) (signedOne, error)
	if v.files() {
		sealer, err := v.sealer(ctx, host)
		if err != nil {
			return err
		}
		one = func(name string) (signedOne, error) { return v.file(ctx, host, sealer, name, work) }
	} else {
		for _, reference := range references {
			if strings.HasPrefix(reference, "oci:") {
				return usage("%s: evidence is not written into image layouts", reference).withHint("`assay copy %s REGISTRY/IMAGE`, and sign it there; copied back, the layout has the evidence", reference)
			}
			if err := host.localName(reference, "a file's evidence goes into a bundle: --bundle FILE.sigstore.json; an image layout is copied to a registry first"); err != nil {
				return err
			}
		}
		client := host.registries()
		attester, err := v.attester(ctx, host, client)
		if err != nil {
			return err
		}
		one = func(reference string) (signedOne, error) { return v.image(ctx, client, attester, reference, work) }
	}
	var faults tally
	var list []signedOne
	err = inOrder(references, v.atOnce(v.waits), one, func(reference string, result outcome[signedOne]) error {
		if result.value.resolved != "" {
			host.say("%s is %s now; that digest is what counts", reference, result.value.resolved)
		}
		if result.err != nil && len(references) == 1 {
			return result.err
		}
		result.value.Reference = reference
		if result.err != nil {
			faults.faults++
			host.fault(reference, result.err)
			result.value.Error = result.err.Error()
		}
		if v.format == "json" {
			list = append(list, result.value)
			return nil
		}
		return result.value.print(host.Out, work.done)
	})
	if err != nil {
		return err
	}
	if v.format == "json" {
		if err := writeJSON(host.Out, list); err != nil {
			return err
		}
	}
	return faults.end()
}

func (s signedOne) print(w io.Writer, done string) error {
	var b strings.Builder
	for _, stored := range s.Stored {
		fmt.Fprintf(&b, "%s %s  %s as %s %s\n", done, stored.Image, clean(stored.Type), stored.Form, stored.Digest.Short())
		for _, old := range stored.Supersedes {
			fmt.Fprintf(&b, "  in place of %s\n", old.Short())
		}
	}
	if s.Bundle != "" {
		fmt.Fprintf(&b, "%s %s  in %s\n", done, clean(s.Reference), clean(s.Bundle))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// image signs about one image, and with --recursive about its manifests too:
// those first, so that an index is never signed before what it lists.
func (v *signVerb) image(ctx context.Context, client *oci.Client, attester *attest.Attester, reference string, work verbWork) (signedOne, error) {
	resolved, err := client.Resolve(ctx, reference)
	if err != nil {
		return signedOne{}, err
	}
	image := attest.Image{Repository: resolved.Name(), Digest: resolved.Digest, MediaType: resolved.MediaType, Size: resolved.Size}
	one := signedOne{Image: image.String()}
	if !strings.Contains(reference, "@") {
		one.resolved = resolved.Digest.String()
	}
	var orders []attest.Order
	order := work.order
	if v.recursive {
		for _, platform := range resolved.Platforms {
			order.Image = attest.Image{Repository: image.Repository, Digest: platform.Digest, MediaType: platform.MediaType, Size: platform.Size}
			orders = append(orders, order)
		}
	}
	order.Image = image
	one.Stored, err = attester.Publish(ctx, append(orders, order))
	if err != nil && work.source != "" {
		err = fmt.Errorf("%s: %w", work.source, err)
	}
	return one, err
}

// file signs about one file, into its bundle.
func (v *signVerb) file(ctx context.Context, host *Host, sealer *attest.Sealer, name string, work verbWork) (signedOne, error) {
	sealed, err := work.seal(ctx, sealer, name)
	if err != nil {
		return signedOne{}, err
	}
	path := v.path(name)
	err = host.replace("--bundle", path, func(w io.Writer) error {
		_, err := w.Write(append(sealed, '\n'))
		return err
	})
	return signedOne{Bundle: path}, err
}

// sealFile signs a file's bytes.
func (h *Host) sealFile(ctx context.Context, sealer *attest.Sealer, name string) ([]byte, error) {
	file, err := os.Open(h.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("%s is no file; with --bundle, files are signed and not images", name)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	h.readOpen(name, file)
	return sealer.File(ctx, name, file)
}

// readOpen notes that a file is being read.
func (h *Host) readOpen(name string, file *os.File) {
	if info, err := file.Stat(); err == nil {
		h.read.add(name, info)
	}
}
