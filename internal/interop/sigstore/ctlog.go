package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
)

// ctlog is a certificate transparency log (RFC 6962) that promises to log what
// it is offered, and forgets it: its timestamps are real, its tree is not.
type ctlog struct {
	url    string
	key    *ecdsa.PrivateKey
	public []byte // PKIX DER
	id     [sha256.Size]byte
	close  func()
}

func newCTLog() (*ctlog, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	l := &ctlog{key: key, public: public, id: sha256.Sum256(public)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ct/v1/add-pre-chain", l.addPreChain)
	l.close, err = serve(func(url string) http.Handler {
		l.url = url
		return mux
	})
	return l, err
}

func (l *ctlog) addPreChain(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	response, err := l.promise(content, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(response) // the client is gone
}

// promise signs a timestamp for a precertificate and the chain above it
// (RFC 6962, sections 3.2 and 4.2).
func (l *ctlog) promise(content []byte, now time.Time) (ct.AddChainResponse, error) {
	var none ct.AddChainResponse
	var request ct.AddChainRequest
	if err := json.Unmarshal(content, &request); err != nil {
		return none, err
	}
	if len(request.Chain) < 2 {
		return none, errors.New("a precertificate needs its issuer in the chain")
	}
	var chain []ct.ASN1Cert
	for _, der := range request.Chain {
		chain = append(chain, ct.ASN1Cert{Data: der})
	}
	at := uint64(now.UnixMilli())
	leaf, err := ct.MerkleTreeLeafFromRawChain(chain, ct.PrecertLogEntryType, at)
	if err != nil {
		return none, err
	}
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: l.id}, Timestamp: at}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		return none, err
	}
	digest := sha256.Sum256(input)
	signature, err := l.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return none, err
	}
	signed, err := tls.Marshal(tls.DigitallySigned{Algorithm: tls.SignatureAndHashAlgorithm{Hash: tls.SHA256, Signature: tls.ECDSA}, Signature: signature})
	if err != nil {
		return none, err
	}
	return ct.AddChainResponse{SCTVersion: ct.V1, ID: l.id[:], Timestamp: at, Extensions: base64.StdEncoding.EncodeToString(nil), Signature: signed}, nil
}
