package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// isDocument says whether a file is an SBOM, or would be one in another form:
// its first bytes decide, so that no other file is read whole. A pipe can be
// read only once; "sbom:" says what is in it.
func isDocument(path string, info fs.FileInfo) (bool, error) {
	if !info.Mode().IsRegular() {
		return false, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	head := make([]byte, 4096)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return false, err
	}
	head = head[:n]
	if text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n"); bytes.HasPrefix(text, []byte("{")) {
		rest, err := limit.ReadAll(file, path, limit.SBOM)
		if err != nil {
			return false, err
		}
		head = append(head, rest...)
	}
	format, err := sbom.Sniff(head)
	return format != "" || errors.Is(err, sbom.ErrUnsupported), nil
}

// openDocument reads an SBOM from a file, or with "-" from standard input.
func (h *Host) openDocument(name, file string) (target, error) {
	var content []byte
	var err error
	if file == "-" {
		content, err = limit.ReadAll(h.In, "standard input", limit.SBOM)
	} else {
		content, err = h.readFile(file, limit.SBOM)
	}
	if err != nil {
		return target{}, err
	}
	format, err := sbom.Sniff(content)
	if err != nil {
		return target{}, usage("%s: %v", name, err)
	}
	if format == "" {
		return target{}, usage("%s is no SBOM", name).withHint("CycloneDX 1.2 to 1.7 and SPDX 2.2 and 2.3 are read, both in JSON; anything else is a target without sbom:")
	}
	// A byte order mark is no JSON, and some tools write one.
	document, err := scan.Decode(format, bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")), file)
	if err != nil {
		return target{}, err
	}
	return target{name: name, kind: format, document: &document, content: subject.Of(content), close: func() error { return nil }}, nil
}

// listed is an SBOM file as a target of a scan: nobody's word, and said to be.
func (t target) listed() scan.Listed {
	return scan.Listed{Name: t.name, Kind: t.kind, Inventory: t.document.Inventory, SBOMs: []finding.SBOM{{
		Format: t.document.Format, Tool: t.document.Tool, Created: t.document.Created, Digest: t.content, Source: t.name}}}
}

// scanSigned scans an image from the SBOMs that --key signed. Neither its
// layers nor its configuration are fetched.
func (h *Host) scanSigned(ctx context.Context, scanner *scan.Scanner, name string, flags scanFlags) (finding.Report, error) {
	if _, err := os.Stat(h.path(name)); err == nil || localTarget(name) {
		return finding.Report{}, usage("%s: --from-sbom is for an image in a registry", name).withHint("what lies here is scanned without it; an SBOM in a file is a target itself")
	}
	signer, err := h.trusted(ctx, "--key", flags.key)
	if err != nil {
		return finding.Report{}, err
	}
	ctx = oci.Together(ctx)
	client := h.registries()
	resolved, err := client.Resolve(ctx, name)
	if err != nil {
		return finding.Report{}, err
	}
	if !strings.Contains(name, "@") {
		h.say("%s is %s now; that digest is what counts", name, resolved.Digest)
	}
	subjects, err := subjectsOf(resolved, flags.platform)
	if err != nil {
		return finding.Report{}, err
	}
	listed, err := scan.Signed(ctx, scan.SignedConfig{Evidence: client, Repository: resolved.Name(), Subjects: subjects,
		Signers: []trust.Signer{signer}, Now: h.Now()})
	if err != nil {
		return finding.Report{}, err
	}
	listed.Name = name
	if resolved.Index {
		listed.Index = resolved.Digest
	}
	report, err := scanner.Listed(ctx, listed)
	if err == nil && flags.format != "table" {
		h.say("%s was not pulled: its packages are those of its signed SBOM", name)
	}
	return report, err
}

// localTarget says whether a target is spelled as one that no registry has.
func localTarget(name string) bool {
	return slices.ContainsFunc([]string{"oci:", "docker-archive:", "sbom:", ".", "/"}, func(head string) bool { return strings.HasPrefix(name, head) })
}

// subjectsOf are the digests that evidence about an image may name: for an
// index that of the platform's manifest first.
func subjectsOf(resolved oci.Resolved, platform string) ([]subject.Digest, error) {
	if !resolved.Index {
		return []subject.Digest{resolved.Digest}, nil
	}
	if platform == "" {
		platform = "linux/" + runtime.GOARCH
	}
	i := slices.IndexFunc(resolved.Platforms, func(p oci.Platform) bool { return p.Name == platform })
	if i < 0 {
		var names []string
		for _, p := range resolved.Platforms {
			names = append(names, p.Name)
		}
		return nil, fmt.Errorf("%s has no %s; it has %s (--platform)", resolved.Pinned(), platform, strings.Join(names, ", "))
	}
	return []subject.Digest{resolved.Platforms[i].Digest, resolved.Digest}, nil
}
