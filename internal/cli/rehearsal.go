package cli

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/manifest"
	"github.com/seed-161fc314/assay/internal/format/policycase"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/rehearse"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/predicate"
)

// rehearsal is policies that are loaded for a company that plays their signers,
// and the files beside them.
type rehearsal struct {
	host *Host
	// dir is what paths are relative to.
	dir      string
	company  *rehearse.Company
	policies []policy.Policy
	around   manifest.Surroundings
}

// rehearse loads policies; paths are relative to dir. The manifests of around
// hold config maps and namespaces.
func (h *Host) rehearse(ctx context.Context, dir string, paths, around []string) (*rehearsal, error) {
	r := &rehearsal{host: h, dir: dir, around: manifest.Surroundings{ConfigMaps: map[string]map[string]string{}, Namespaces: map[string]map[string]string{}}}
	for _, path := range around {
		if err := r.read(path); err != nil {
			return nil, err
		}
	}
	company, err := rehearse.New(&material{ctx: ctx, host: h, dir: dir, configMaps: r.around.ConfigMaps})
	if err != nil {
		return nil, err
	}
	r.company = company
	for _, path := range paths {
		name := r.path(path)
		content, err := h.readFile(name, limit.Policy)
		if err != nil {
			return nil, fmt.Errorf("reading policy: %w", err)
		}
		documents, err := strictyaml.Documents(name, content)
		if err != nil {
			return nil, err
		}
		for _, document := range documents {
			p, err := loadPolicy(document, company)
			if err != nil {
				return nil, err
			}
			r.policies = append(r.policies, p)
		}
	}
	if len(r.policies) == 0 {
		return nil, fmt.Errorf("%s: no policy is there", strings.Join(paths, ", "))
	}
	return r, nil
}

func (r *rehearsal) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(r.dir, path)
}

func (r *rehearsal) read(path string) error {
	content, err := r.host.readFile(r.path(path), limit.Policy)
	if err != nil {
		return err
	}
	found, err := manifest.ReadSurroundings(r.path(path), content, "default")
	if err != nil {
		return err
	}
	maps.Copy(r.around.ConfigMaps, found.ConfigMaps)
	maps.Copy(r.around.Namespaces, found.Namespaces)
	return nil
}

// workloads are those of a manifest, with the images that policies find in them.
func (r *rehearsal) workloads(path string) ([]manifest.Workload, error) {
	content, err := r.host.readFile(r.path(path), limit.Policy)
	if err != nil {
		return nil, err
	}
	objects, err := manifest.Objects(r.path(path), content)
	for i, w := range objects {
		for _, p := range r.policies {
			extractor, ok := p.(policy.Extractor)
			if !ok {
				continue
			}
			found, err := extractor.Extract(request(w, "", "default", r.around))
			if err != nil {
				return nil, err
			}
			for _, e := range found {
				objects[i].Images = append(objects[i].Images, manifest.ImageUse{Path: e.Path, Reference: e.Reference, Line: w.Line})
			}
		}
	}
	return objects, err
}

// evidence makes the pieces that a test lists.
func (r *rehearsal) evidence(image oci.Resolved, list []policycase.Evidence) ([]trust.Evidence, error) {
	var made []trust.Evidence
	for _, piece := range list {
		about := image
		if piece.About != "" {
			digest, err := subject.Parse(piece.About)
			if err != nil {
				return nil, err
			}
			about.Digest = digest
		}
		e, err := r.piece(about, piece)
		if err != nil {
			return nil, fmt.Errorf("evidence of type %s by %s: %w", piece.Type, piece.Signer, err)
		}
		made = append(made, e)
	}
	return made, nil
}

func (r *rehearsal) piece(about oci.Resolved, piece policycase.Evidence) (trust.Evidence, error) {
	if piece.URI == predicate.TypeCosignSign && piece.Statement == "" {
		return r.company.Signature(piece.Signer, about.Name(), about.Digest, piece.Annotations)
	}
	statement := []byte(nil)
	body := []byte(piece.Predicate)
	var err error
	switch {
	case piece.Statement != "":
		statement, err = r.host.readFile(r.path(piece.Statement), limit.Evidence)
	case piece.PredicateFile != "":
		body, err = r.host.readFile(r.path(piece.PredicateFile), limit.Evidence)
	case len(body) == 0:
		body = []byte("{}")
	}
	if err != nil {
		return trust.Evidence{}, err
	}
	if statement == nil {
		if statement, err = rehearse.Statement(about, piece.URI, body); err != nil {
			return trust.Evidence{}, err
		}
	}
	return r.company.Attestation(piece.Signer, statement)
}

// asks finds the workload that asks for an image; without an image, the one
// image that the workloads ask for.
func (r *rehearsal) asks(path, image string) (string, policy.Request, error) {
	workloads, err := r.workloads(path)
	if err != nil {
		return "", policy.Request{}, err
	}
	var images []string
	for _, w := range workloads {
		for _, use := range w.Images {
			if image == "" || use.Reference == image {
				images = append(images, use.Reference)
			}
		}
	}
	slices.Sort(images)
	if images = slices.Compact(images); len(images) != 1 {
		return "", policy.Request{}, fmt.Errorf("%s asks for %d images that fit, and one is judged at a time; name it with image", r.path(path), len(images))
	}
	for _, w := range workloads {
		for _, use := range w.Images {
			if use.Reference == images[0] {
				return images[0], request(w, use.Path, "default", r.around), nil
			}
		}
	}
	return "", policy.Request{}, fmt.Errorf("%s does not ask for %s", r.path(path), image)
}
