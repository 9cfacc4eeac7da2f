// Package policy owns the interface that every policy language implements:
// engine/policy/cel for EvidencePolicy, engine/policy/kyverno for the
// verifyImages rules of Kyverno's ClusterPolicy.
//
// Entry points are [Policy], [Input] and [Material]. A policy is compiled before it
// exists: a value of the interface is known to be well-formed, and what it
// uses that is not supported was an error at load. Evaluating has no side
// effects, reads no clock and contacts nothing.
package policy

import (
	"context"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/trust"
)

// Image is what is being judged, with its digest already resolved, once.
type Image struct {
	// Registry and Repository are normalised ("index.docker.io",
	// "library/python"); Tag is "" where the reference had none.
	Registry   string
	Repository string
	Tag        string
	Digest     subject.Digest
	// Pinned says that the reference named the digest itself. A tag beside it
	// is then what somebody wrote, and nobody asked the registry whether it
	// is so: it may make a policy apply, but never exempt from one.
	Pinned bool
}

// Proven is the image without a tag that nobody checked.
func (i Image) Proven() Image {
	if i.Pinned {
		i.Tag = ""
	}
	return i
}

// Spellings are the ways a pattern may name the image: with its tag where it
// has one, with its digest, and bare. A pattern that matches any of them
// matches the image, so that pinning a digest does not escape "repo:*".
func (i Image) Spellings() []string {
	repository := i.Registry + "/" + i.Repository
	spellings := []string{repository, repository + "@" + i.Digest.String()}
	if i.Tag != "" {
		spellings = append(spellings, repository+":"+i.Tag, repository+":"+i.Tag+"@"+i.Digest.String())
	}
	return spellings
}

// Request is the workload that asks for the image. The zero value means that
// no workload is known (an image is judged on its own, in CI): policies
// then apply as if the workload matched.
type Request struct {
	Known bool
	// Operation is CREATE, UPDATE, DELETE or CONNECT; "" is CREATE.
	Operation string
	// Group, Version, Kind, Namespace and Name are the object's; the group of
	// core kinds is "". Namespace is "" where it is not known or there is none.
	Group, Version  string
	Kind            string
	Namespace, Name string
	// Object and Old are the object as JSON values, Old before an update; nil
	// where they are not known. Neither may be changed.
	Object, Old map[string]any
	// Pod is the pod that the object makes, itself where it is one, with
	// apiVersion, kind, metadata and spec; nil where it makes none or is not
	// known. A rule about pods judges this, whatever made it.
	Pod map[string]any
	// Path is the field of Object that names the image, such as
	// "spec.containers[0].image".
	Path string
	// NamespaceLabels are the labels of the namespace, nil where they are not
	// known.
	NamespaceLabels map[string]string
	// User is who asks; zero where that is not known.
	User User
}

// User is who asks the API server for a workload.
type User struct {
	Name   string
	Groups []string
	// Roles are "NAMESPACE:NAME", ClusterRoles names, of what is bound to the
	// user; nil where that is not known.
	Roles, ClusterRoles []string
}

// Scope is one manifest that may run, with all evidence that counts for it:
// that of its own digest and that of the index it came through.
type Scope struct {
	// Platform is "linux/amd64" and the like inside an index, "" otherwise.
	Platform string
	// Subjects are the digests that evidence may be about: the manifest's,
	// and the index's where there is one.
	Subjects []subject.Digest
	Evidence []trust.Evidence
	// Elsewhere is evidence on the same digests in other repositories, by the
	// names that an Elsewhere gives; it counts for no policy but those that
	// name the repository.
	Elsewhere map[string][]trust.Evidence
	// Config is what the image says of itself; nil where no policy that judges
	// it is an Inspector that looks at it.
	Config *ImageConfig
}

// ImageConfig is the part of an image's configuration that says how it runs
// (OCI image specification, "Image Configuration"). It belongs to the digest,
// and is as true as who made the image.
type ImageConfig struct {
	OS, Architecture, Variant string
	Created                   time.Time
	Labels                    map[string]string
	Env                       []string
	User                      string
	Entrypoint, Cmd           []string
}

// Inspector is a Policy that may look at the configuration of images, which is
// read for no other.
type Inspector interface {
	Policy
	Inspects() bool
}

// Elsewhere is a Policy that looks for evidence in other repositories than the
// image's: the names of those ("registry.example.com/signatures") that it needs
// to judge an image for a request.
type Elsewhere interface {
	Policy
	Elsewhere(Image, Request) []string
}

// Credentialed is a Policy that names secrets with credentials for its
// registries ("NAMESPACE/NAME", or "NAME" where Kyverno runs): those that it names
// for an image and a request. They open registries and prove nothing; a door that
// does not read them says so.
type Credentialed interface {
	Policy
	CredentialsFor(Image, Request) []string
}

// Extractor is a Policy that knows where kinds of objects name images. A door
// asks about what it finds besides what the door finds itself.
type Extractor interface {
	Policy
	// Extract finds images in Request.Object. An error means that one may have
	// been overlooked: nothing is admitted by it.
	Extract(Request) ([]Extracted, error)
}

// Extracted is an image that an Extractor found.
type Extracted struct {
	// Path is the field, such as "spec.steps[0].image"; Reference what names
	// the image.
	Path, Reference string
}

// Input is everything that a policy may look at.
type Input struct {
	Image   Image
	Request Request
	// Scopes has one entry for a single image, one per platform for an
	// index. Every scope must satisfy the policy.
	Scopes []Scope
	// Now is the door's clock.
	Now time.Time
}

// Policy is one loaded policy.
type Policy interface {
	// Name is unique among the policies of one door: kind and name.
	Name() string
	// Match says whether the policy judges this image for this workload.
	Match(Image, Request) bool
	// Judge makes every check that the policy has, and returns them all.
	// A check that does not hold is a value (Outcome Failed or Broken); an
	// error means that no judgement was possible, and admits nothing.
	Judge(context.Context, Input) ([]verdict.Check, error)
}

// Fault is a kind of trouble that a policy may name.
type Fault string

// EvidenceUnavailable means that the digest is known, and that the registry
// did not say what evidence there is about it.
const EvidenceUnavailable Fault = "EvidenceUnavailable"

// Tolerant is a Policy that says what a fault means. One that is none denies.
type Tolerant interface {
	Policy
	// OnFault is Enforce where the fault closes the door; otherwise this policy
	// admits what it could not judge, with a warning.
	OnFault(fault Fault, now time.Time) verdict.Action
}

// Material is what a policy names and does not hold itself. It is asked when
// the policy is loaded, and never afterwards. Paths are relative to the
// policy's own file.
type Material interface {
	// Signer gives the public keys that a key reference speaks for: a PEM file,
	// env://, k8s://NAMESPACE/SECRET, a KMS or Vault URI.
	Signer(reference string) (trust.Signer, error)
	// Root gives the authorities in a trusted root's file; "" is the door's own.
	Root(reference string) (*trust.Root, error)
	// ConfigMap gives the data of a config map.
	ConfigMap(namespace, name string) (map[string]string, error)
}

// Rehearsal is Material for trying a policy without its signers.
type Rehearsal interface {
	Material
	// StandIn is the key that plays a signer, by the policy's name for it.
	StandIn(signer string) trust.Key
}

// Cast gives the signer that a policy made, or who plays it in a rehearsal.
// Every policy language calls it for each signer that it makes.
func Cast(material Material, signer trust.Signer) trust.Signer {
	if r, ok := material.(Rehearsal); ok {
		return trust.Signer{Name: signer.Name, Keys: []trust.Key{r.StandIn(signer.Name)}}
	}
	return signer
}
