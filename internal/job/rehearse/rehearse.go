// Package rehearse tries policies on statements that nobody signed.
//
// Entry points are [New], which makes a [Company], and [Company.Decide]. A
// company plays the signers of policies: each has a key that is made for the
// run and thrown away, and what a test says that a signer signed is signed with
// it. Policies are loaded and judged, and evidence verified, by the same code as
// at every door; only who signs is another. Nothing is contacted, and what a
// company signs counts nowhere else.
package rehearse

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-161fc314/assay/internal/domain/identity"
	"github.com/seed-161fc314/assay/internal/domain/subject"
	"github.com/seed-161fc314/assay/internal/domain/verdict"
	"github.com/seed-161fc314/assay/internal/engine/policy"
	"github.com/seed-161fc314/assay/internal/engine/trust"
	"github.com/seed-161fc314/assay/internal/format/dsse"
	"github.com/seed-161fc314/assay/internal/format/intoto"
	"github.com/seed-161fc314/assay/internal/format/simplesigning"
	"github.com/seed-161fc314/assay/internal/job/gate"
	"github.com/seed-161fc314/assay/internal/port/oci"
)

// Company plays signers. It is a policy.Rehearsal, and may be used by several
// goroutines.
type Company struct {
	policy.Material
	lock sync.Mutex
	keys map[string]*ecdsa.PrivateKey
	// asked are the signers that policies asked for, in order.
	asked []string
}

// New makes a company. Config maps are those of material; keys and trusted
// roots are not read.
func New(material policy.Material) (*Company, error) {
	if material == nil {
		return nil, errors.New("rehearse: material is needed")
	}
	return &Company{Material: material, keys: map[string]*ecdsa.PrivateKey{}}, nil
}

// StandIn is the key that plays a signer.
func (c *Company) StandIn(signer string) trust.Key {
	c.lock.Lock()
	if !slices.Contains(c.asked, signer) {
		c.asked = append(c.asked, signer)
	}
	c.lock.Unlock()
	key := c.key(signer)
	id, err := identity.KeyOf(key.Public())
	if err != nil {
		panic(err) // a P-256 key always has a fingerprint
	}
	return trust.Key{ID: id, Public: key.Public()}
}

// Signer plays whoever has the key of a reference.
func (c *Company) Signer(reference string) (trust.Signer, error) {
	id := c.key(reference)
	key, err := identity.KeyOf(id.Public())
	return trust.Signer{Name: reference, Keys: []trust.Key{{ID: key, Public: id.Public()}}}, err
}

// Root is empty: who stands in needs no authority.
func (c *Company) Root(string) (*trust.Root, error) { return &trust.Root{}, nil }

// Signers are those that the policies which were loaded name.
func (c *Company) Signers() []string {
	c.lock.Lock()
	defer c.lock.Unlock()
	return slices.Clone(c.asked)
}

func (c *Company) key(name string) *ecdsa.PrivateKey {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.keys[name] == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		c.keys[name] = key
	}
	return c.keys[name]
}

func (c *Company) sign(name string, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	return ecdsa.SignASN1(rand.Reader, c.key(name), sum[:])
}

// Attestation is a statement signed by who plays a signer. A statement that is
// none is an error.
func (c *Company) Attestation(signer string, statement []byte) (trust.Evidence, error) {
	if _, err := intoto.Decode(statement); err != nil {
		return trust.Evidence{}, err
	}
	signature, err := c.sign(signer, dsse.PAE(dsse.InToto, statement))
	if err != nil {
		return trust.Evidence{}, err
	}
	content, err := dsse.Encode(dsse.Envelope{PayloadType: dsse.InToto, Payload: statement, Signatures: []dsse.Signature{{Sig: signature}}})
	return trust.Evidence{Digest: subject.Of(content), Source: "signed by " + signer + " in this rehearsal", Form: trust.Envelope, Content: content}, err
}

// Signature is an image signature by who plays a signer.
func (c *Company) Signature(signer, repository string, digest subject.Digest, annotations map[string]string) (trust.Evidence, error) {
	content := simplesigning.Encode(repository, digest, annotations)
	signature, err := c.sign(signer, content)
	return trust.Evidence{Digest: subject.Of(content), Source: "signed by " + signer + " in this rehearsal", Form: trust.SimpleSigning, Content: content,
		Signature: base64.StdEncoding.EncodeToString(signature)}, err
}

// Image is the image that a reference means in a rehearsal: with the digest
// that it has, or else one that is made of its text.
func Image(reference string) (oci.Resolved, error) {
	r, err := oci.Parse(reference)
	if err != nil {
		return oci.Resolved{}, err
	}
	if r.Digest.IsZero() {
		r.Digest = subject.Of([]byte(reference))
	}
	return oci.Resolved{Reference: reference, Registry: r.Registry, Repository: r.Repository, Tag: r.Tag, Digest: r.Digest}, nil
}

// Scene is what a gate is asked in a rehearsal.
type Scene struct {
	Policies []policy.Policy
	Image    oci.Resolved
	Request  policy.Request
	// Evidence is all that there is about the image.
	Evidence []trust.Evidence
	// Config is what the image says of itself.
	Config oci.ImageConfig
	// Now is the door's clock.
	Now time.Time
}

// Decide asks a gate that has nothing but the scene. The error is the gate's.
func Decide(ctx context.Context, scene Scene) (verdict.Verdict, error) {
	g, err := gate.New(gate.Config{Policies: scene.Policies, Registry: stage{scene}, Now: func() time.Time { return scene.Now }})
	if err != nil {
		return verdict.Verdict{}, err
	}
	return g.Decide(ctx, gate.Question{Reference: scene.Image.Reference, Request: scene.Request})
}

// stage is a registry that has one image.
type stage struct{ scene Scene }

// Resolve knows the image of the scene.
func (s stage) Resolve(_ context.Context, reference string) (oci.Resolved, error) {
	if reference != s.scene.Image.Reference {
		return oci.Resolved{}, fmt.Errorf("%s is not the image of this rehearsal", reference)
	}
	return s.scene.Image, nil
}

// Evidence is that of the scene, for its digest, in whichever repository a
// policy looks for it.
func (s stage) Evidence(_ context.Context, repository string, digest subject.Digest) ([]trust.Evidence, error) {
	if digest != s.scene.Image.Digest {
		return nil, fmt.Errorf("%s@%s is not the image of this rehearsal", repository, digest)
	}
	return s.scene.Evidence, nil
}

// ImageConfig is that of the scene.
func (s stage) ImageConfig(context.Context, string, subject.Digest) (oci.ImageConfig, error) {
	return s.scene.Config, nil
}

// Statement makes a statement about an image, and gives its bytes.
func Statement(image oci.Resolved, predicateType string, body []byte) ([]byte, error) {
	return intoto.Encode(intoto.New([]intoto.Subject{intoto.SubjectOf(image.Name(), image.Digest)}, predicateType, body))
}
