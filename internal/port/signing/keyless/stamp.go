package keyless

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/big"
	"net/http"

	"github.com/digitorus/timestamp"
)

// stamp has a timestamp authority say when it saw a signature (RFC 3161).
// The answer is held to its own request: this signature's hash, this nonce.
func (n *Notary) stamp(ctx context.Context, address string, signature []byte) ([]byte, error) {
	digest := sha256.Sum256(signature)
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return nil, err
	}
	request := timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: digest[:], Nonce: nonce, Certificates: true}
	body, err := request.Marshal()
	if err != nil {
		return nil, err
	}
	got, err := n.caller.do(ctx, call{method: http.MethodPost, url: address, body: body,
		contentType: "application/timestamp-query", accept: "application/timestamp-reply"})
	if err != nil {
		return nil, err
	}
	if got.status != http.StatusOK && got.status != http.StatusCreated {
		return nil, fmt.Errorf("it answered %s", got.text)
	}
	found, err := timestamp.ParseResponse(got.body)
	if err != nil {
		return nil, fmt.Errorf("its answer is no timestamp: %w", err)
	}
	switch {
	case found.HashAlgorithm != crypto.SHA256 || subtle.ConstantTimeCompare(found.HashedMessage, digest[:]) != 1:
		return nil, errors.New("its timestamp is over other data than this signature")
	case found.Nonce == nil || found.Nonce.Cmp(nonce) != 0:
		return nil, errors.New("its timestamp answers another request: the nonce differs")
	}
	return got.body, nil
}
