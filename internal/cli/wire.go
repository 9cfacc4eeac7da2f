package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/seed-161fc314/assay/api/v1alpha1"
	"github.com/seed-161fc314/assay/internal/domain/finding"
	"github.com/seed-161fc314/assay/internal/domain/limit"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/engine/advisory"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/policy/cel"
	"github.com/seed-161fc314/assay/internal/engine/policy/kyverno"
	"github.com/seed-161fc314/assay/internal/format/assayfile"
	"github.com/seed-161fc314/assay/internal/format/sbom"
	"github.com/seed-161fc314/assay/internal/format/strictyaml"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/job/relocate"
	"github.com/seed-161fc314/assay/internal/job/scan"
	"github.com/seed-161fc314/assay/internal/port/advisorydb"
	"github.com/seed-161fc314/assay/internal/port/oci"
	"github.com/seed-161fc314/assay/internal/port/oci/registry"
	"github.com/seed-161fc314/assay/predicate"
)

// EmbeddedHost is the registry that every command serves itself, from a
// directory; see docs/adr/0005.
const EmbeddedHost = "assay.localhost"

// registryDir is where the embedded registry keeps its content.
func (h *Host) registryDir() (string, error) {
	if dir := h.env("ASSAY_REGISTRY"); dir != "" {
		return h.path(dir), nil
	}
	dir, err := h.dataDir()
	if err != nil {
		return "", fmt.Errorf("the embedded registry needs a directory: %w (ASSAY_REGISTRY)", err)
	}
	return filepath.Join(dir, "registry"), nil
}

// lazyRegistry opens the embedded registry at its first request, so that
// commands which never use it leave no directory behind.
type lazyRegistry struct{ host *Host }

// ServeHTTP opens the directory, and passes the request on.
func (l lazyRegistry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	dir, err := l.host.registryDir()
	if err == nil {
		var r *registry.Registry
		if r, err = registry.Open(dir, registry.Config{}); err == nil {
			r.ServeHTTP(w, request)
			return
		}
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// registries speaks to registries, the embedded one included.
func (h *Host) registries() *oci.Client {
	return oci.New(oci.Config{UserAgent: "assay/" + versionString(),
		Embedded: map[string]http.Handler{EmbeddedHost: lazyRegistry{h}}})
}

// databaseDir is where `assay db` keeps advisories.
func (h *Host) databaseDir(flag string) (string, error) {
	if flag != "" {
		return h.path(flag), nil
	}
	if dir := h.env("ASSAY_DB"); dir != "" {
		return h.path(dir), nil
	}
	dir, err := h.cacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "db"), nil
}

// advisories opens what --db names: a directory, the word "sample", or nothing
// for the default directory. ASSAY_DB_MAX_AGE bounds its age.
func (h *Host) advisories(flag string) (*advisorydb.Database, error) {
	maxAge, err := parseAge("ASSAY_DB_MAX_AGE", h.env("ASSAY_DB_MAX_AGE"))
	if err != nil {
		return nil, err
	}
	if flag == assayfile.SampleAdvisories {
		db, err := advisorydb.Sample()
		if err != nil {
			return nil, err
		}
		db.Bound(h.Now(), maxAge)
		return db, nil
	}
	dir, err := h.databaseDir(flag)
	if err != nil {
		return nil, err
	}
	db, err := advisorydb.Open(dir)
	if err != nil {
		return nil, err
	}
	db.Bound(h.Now(), maxAge)
	return db, nil
}

// hintFor says what to do about faults that many users meet.
func hintFor(err error) string {
	var missing *advisory.MissingEcosystemError
	var shrinks *advisorydb.ShrinkError
	var age *advisorydb.AgeError
	var older *advisorydb.OlderError
	var taken *relocate.TakenError
	var authority x509.UnknownAuthorityError
	switch {
	case oci.IsRefused(err):
		return "credentials come from where docker keeps them: config.json in DOCKER_CONFIG, or in ~/.docker (`docker login` and `crane auth login` write it)"
	case errors.As(err, &authority):
		return "certificate authorities are the system's; SSL_CERT_FILE names a file of others, in PEM"
	case errors.Is(err, advisorydb.ErrMissing):
		return "`assay db update` fetches one, `assay db import all.zip` makes one from an OSV export; `--db sample` uses the built-in sample, for trying things out"
	case errors.As(err, &age) && age.Age > 0:
		return "`assay db update` brings them up to date; --max-age and ASSAY_DB_MAX_AGE are the bound"
	case errors.As(err, &taken):
		return "nothing was tagged; name another tag, or move it with --force"
	case errors.As(err, &older):
		return "--force replaces it all the same"
	case errors.As(err, &missing):
		return "`assay db update --ecosystem " + clean(missing.Ecosystem) + "` fetches them; OSV publishes one export for each ecosystem"
	case errors.As(err, &shrinks):
		return "name the ecosystem that is meant with --ecosystem; --shrink imports all the same"
	}
	return ""
}

// policySet is what policy files hold.
type policySet struct {
	policies []policy.Policy
	// sources are the files of policies, by the policies' names, with their
	// digests.
	sources map[string]predicate.ResourceDescriptor
}

// policies loads policy files; each document's kind picks the language. They
// may read the config maps that are given by "NAMESPACE/NAME".
func (h *Host) policies(ctx context.Context, paths []string, configMaps map[string]map[string]string) (policySet, error) {
	set := policySet{sources: map[string]predicate.ResourceDescriptor{}}
	for _, path := range paths {
		content, err := h.readFile(path, limit.Policy)
		if err != nil {
			return policySet{}, fmt.Errorf("reading policy: %w", err)
		}
		documents, err := strictyaml.Documents(path, content)
		if err != nil {
			return policySet{}, err
		}
		if len(documents) == 0 {
			return policySet{}, fmt.Errorf("%s: holds no policy", path)
		}
		dir, digest := filepath.Dir(h.path(path)), subject.Of(content)
		for _, document := range documents {
			p, err := loadPolicy(document, &material{ctx: ctx, host: h, dir: dir, configMaps: configMaps})
			if err != nil {
				return policySet{}, err
			}
			set.policies = append(set.policies, p)
			set.sources[p.Name()] = predicate.ResourceDescriptor{Name: p.Name(), URI: filepath.ToSlash(path), Digest: map[string]string{digest.Algorithm(): digest.Hex()}}
		}
	}
	return set, nil
}

func loadPolicy(document strictyaml.Document, m policy.Material) (policy.Policy, error) {
	switch apiVersion, kind := document.Field("apiVersion"), document.Field("kind"); {
	case apiVersion == v1alpha1.GroupVersion && kind == v1alpha1.KindEvidencePolicy:
		return cel.Load(document, m)
	case strings.HasPrefix(apiVersion, "kyverno.io/"):
		return kyverno.Load(document, m)
	default:
		return nil, fmt.Errorf("%s:%d: apiVersion %q and kind %q are no policy; want %s %s, or Kyverno's ClusterPolicy with verifyImages",
			document.File, document.Line, apiVersion, kind, v1alpha1.GroupVersion, v1alpha1.KindEvidencePolicy)
	}
}

// gate makes the gate of some policy files.
func (h *Host) gate(ctx context.Context, paths []string, client *oci.Client) (*gate.Gate, error) {
	g, _, err := h.gateWith(ctx, paths, nil, client)
	return g, err
}

// gateWith makes the gate of some policy files, which may read config maps.
func (h *Host) gateWith(ctx context.Context, paths []string, configMaps map[string]map[string]string, client *oci.Client) (*gate.Gate, policySet, error) {
	if len(paths) == 0 {
		return nil, policySet{}, usage("--policy is missing").withHint("name the policy files, such as --policy policy.yaml")
	}
	set, err := h.policies(ctx, paths, configMaps)
	if err != nil {
		return nil, policySet{}, err
	}
	g, err := gate.New(gate.Config{Policies: set.policies, Registry: client, Now: h.Now})
	return g, set, err
}

// target is what a scan or an SBOM is about, opened.
type target struct {
	name string
	kind finding.TargetKind
	// files is set for a directory or a file; file is the one file.
	files fs.FS
	file  string
	close func() error
	// document is set for an SBOM: what it lists, and content its digest.
	document *sbom.Document
	content  subject.Digest
	// image and digest are set for images.
	image  v1.Image
	digest subject.Digest
	// index is the digest of the index that the image was chosen from, if any.
	index subject.Digest
}

const targetHelp = "a directory, one file that names packages (requirements, a lockfile,\n" +
	"a notebook, …), an image reference, oci:DIR (an OCI image layout),\n" +
	"docker-archive:FILE, or an SBOM: CycloneDX or SPDX in JSON, told by its content\n" +
	"(sbom:- reads standard input)"

// open finds out what a target is and opens it.
func (h *Host) open(ctx context.Context, name, platform string) (target, error) {
	if err := h.present(name); err != nil {
		return target{}, err
	}
	if platform == "" {
		platform = "linux/" + runtime.GOARCH
	}
	if dir, found := strings.CutPrefix(name, "oci:"); found {
		path, which, _ := strings.Cut(dir, "@")
		local, err := oci.OpenLayout(h.path(path), which)
		return pick(name, local, platform, err)
	}
	if file, found := strings.CutPrefix(name, "docker-archive:"); found {
		local, err := oci.OpenArchive(h.path(file))
		return pick(name, local, platform, err)
	}
	if file, found := strings.CutPrefix(name, "sbom:"); found {
		return h.openDocument(name, file)
	}
	path := h.path(name)
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir() && oci.IsLayout(path):
		if other, err := oci.Besides(path); err != nil {
			return target{}, err
		} else if other != "" {
			return target{}, usage("%s is an image layout, and holds %s besides, which no layout does: which of the two is meant?", name, clean(other)).
				withHint("for the image say oci:%s; for the files take oci-layout away", name)
		}
		local, err := oci.OpenLayout(path, "")
		return pick(name, local, platform, err)
	case err == nil && info.IsDir():
		return openFiles(name, path, "")
	case err == nil && strings.HasSuffix(name, ".tar"):
		local, err := oci.OpenArchive(path)
		return pick(name, local, platform, err)
	case err == nil:
		// What its name says that a file is decides before its content: a
		// lockfile with an SBOM's fields in it is still what is installed from.
		if !scan.Reads(filepath.ToSlash(path)) {
			if listed, err := isDocument(path, info); err != nil {
				return target{}, err
			} else if listed {
				return h.openDocument(name, name)
			}
		}
		return openFiles(name, filepath.Dir(path), filepath.Base(path))
	case !errors.Is(err, fs.ErrNotExist):
		return target{}, err
	}
	client := h.registries()
	resolved, err := client.Resolve(ctx, name)
	if err != nil {
		return target{}, fmt.Errorf("no file or directory is called %s, and as an image: %w", name, err)
	}
	image, err := client.Image(ctx, resolved, platform)
	if err != nil {
		return target{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return target{}, err
	}
	parsed, err := subject.Parse(digest.String())
	t := target{name: name, kind: finding.Container, image: image, digest: parsed, close: func() error { return nil }}
	if resolved.Index {
		t.index = resolved.Digest
	}
	return t, err
}

// present refuses a target that can only be a file or a directory and is not
// there, so that this is said before anything else that is missing. Any other
// name may be an image's.
func (h *Host) present(name string) error {
	file, local := name, localTarget(name) || slices.Contains([]string{".txt", ".json", ".tar", ".toml", ".lock", ".yml", ".yaml", ".ipynb"}, path.Ext(name)) || scan.Reads(filepath.ToSlash(name))
	for _, scheme := range []string{"oci:", "docker-archive:", "sbom:"} {
		if rest, found := strings.CutPrefix(name, scheme); found {
			file = rest
			if scheme == "oci:" {
				file, _, _ = strings.Cut(rest, "@")
			}
			if scheme == "sbom:" && rest == "-" {
				return nil
			}
			break
		}
	}
	if _, err := os.Stat(h.path(file)); local && errors.Is(err, fs.ErrNotExist) {
		return usage("%s does not exist", name).withHint("a target is %s", strings.ReplaceAll(targetHelp, "\n", " "))
	}
	return nil
}

func openFiles(name, dir, file string) (target, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return target{}, err
	}
	return target{name: name, kind: finding.Filesystem, files: root.FS(), file: file, close: root.Close}, nil
}

func pick(name string, local oci.Local, platform string, err error) (target, error) {
	if err != nil {
		return target{}, err
	}
	chosen := local.Images[0]
	var index subject.Digest
	if local.Index {
		index = local.Digest
		var names []string
		found := false
		for _, image := range local.Images {
			names = append(names, image.Platform)
			if image.Platform == platform {
				chosen, found = image, true
			}
		}
		if !found {
			return target{}, fmt.Errorf("%s has no %s; it has %s (--platform)", name, platform, strings.Join(names, ", "))
		}
	}
	return target{name: name, kind: finding.Container, image: chosen.Image, digest: chosen.Digest, index: index, close: func() error { return nil }}, nil
}
