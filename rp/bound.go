package rp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"ecardid/internal/proof"
)

// algs are the algorithms of proofs, for challenges.
func algs() string {
	var names []string
	for _, a := range proof.Algs() {
		names = append(names, string(a))
	}
	return strings.Join(names, " ")
}

// A Replay remembers DPoP proofs that were accepted (RFC 9449 §11.1).
type Replay interface {
	// First reports whether key is seen for the first time, and remembers it until
	// then. Of two that ask at once, one is first.
	First(ctx context.Context, key string, until time.Time) (bool, error)
}

// bound holds the request against the key its token is bound to. A bound token is no
// bearer token, and a bearer token is none of DPoP's (RFC 9449 §7.1, §7.2).
func (v *Verifier) bound(r *http.Request, scheme, raw string, t Token) error {
	if t.X5T != "" && thumbprint(v.cfg.Certificate(r)) != t.X5T {
		return invalid(errors.New("not the certificate the token is bound to"))
	}
	if (t.JKT != "") != (scheme == "dpop") {
		e := invalid(errors.New("the token is bound, or is not, and the scheme says otherwise"))
		e.DPoP = t.JKT != ""
		return e
	}
	if t.JKT == "" {
		return nil
	}
	now := v.cfg.Now()
	key, until, err := v.prove(r, raw, t.JKT, now)
	if err != nil {
		return &Error{Code: "invalid_dpop_proof", Status: http.StatusUnauthorized, Description: said(err), DPoP: true, cause: err}
	}
	first, err := v.cfg.Replay.First(r.Context(), key, until.Add(leeway))
	switch {
	case err != nil:
		return err
	case !first:
		return &Error{Code: "invalid_dpop_proof", Status: http.StatusUnauthorized, Description: "This DPoP proof was used before.", DPoP: true}
	}
	return nil
}

// prove is RFC 9449 §4.3 at a resource.
func (v *Verifier) prove(r *http.Request, raw, jkt string, now time.Time) (key string, until time.Time, err error) {
	headers := r.Header.Values("DPoP")
	if len(headers) != 1 {
		return "", until, proof.Problem("There must be exactly one DPoP header.")
	}
	p, err := proof.Read(headers[0])
	if err == nil {
		err = p.Check(r.Method, raw)
	}
	switch {
	case err != nil:
		return "", until, err
	case v.cfg.Origin == "" || !proof.Same(p.URL, v.cfg.Origin+r.URL.EscapedPath()):
		return "", until, proof.Problem("The htu of the DPoP proof is not this resource.")
	case p.JKT != jkt:
		return "", until, proof.Problem("The key of the DPoP proof is not the one the token is bound to.")
	}
	until, err = p.Fresh(proof.Age, now)
	return string(p.Key()), until, err
}

func said(err error) string {
	problem := proof.Problem("The DPoP proof is malformed.")
	errors.As(err, &problem)
	return string(problem)
}

// connection is the certificate of the TLS connection, in DER; nil for none.
func connection(r *http.Request) []byte {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0].Raw
}

// thumbprint is x5t#S256 (RFC 8705 §3.1); empty for no certificate.
func thumbprint(der []byte) string {
	if len(der) == 0 {
		return ""
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// memory is a Replay for one process. It forgets what has run out when it has grown
// to twice what was left the last time, so its cost is spread over its entries.
type memory struct {
	mu   sync.Mutex
	seen map[string]time.Time
	next int
}

func (m *memory) First(_ context.Context, key string, until time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.seen[key]; known {
		return false, nil
	}
	if m.seen == nil {
		m.seen = map[string]time.Time{}
	}
	if len(m.seen) >= max(m.next, 1024) {
		// until is a minute or so ahead of now for every proof; what ended before it did
		// by more than all a proof can live is long over.
		for k, end := range m.seen {
			if until.Sub(end) > proof.Age+2*leeway {
				delete(m.seen, k)
			}
		}
		m.next = 2 * len(m.seen)
	}
	m.seen[key] = until
	return true, nil
}
