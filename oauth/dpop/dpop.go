package dpop

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/proof"
	"ecardid/oauth"
)

// A Verifier verifies proofs. Its methods are safe for concurrent use.
type Verifier struct {
	Issuer string // an origin: where our endpoints are
	Alias  string // the origin they have for mutual TLS as well; empty: none
	Nonces Nonces
	Replay oauth.Replay
	Clock  clock.Clock
}

// Expect is what a proof has to be a proof of.
type Expect struct {
	Method string // empty: the request's
	URL    string // of the endpoint as published under the issuer; empty: issuer and the request's path
	// AccessToken the request came with at a resource; ath is then required (§7).
	AccessToken string
	// JKT of the only key that will do; empty: any.
	JKT string
	// RequireNonce refuses a proof that has none of our nonces (§8).
	RequireNonce bool
}

// A Proof is one that was verified.
type Proof struct {
	JKT      string
	HasNonce bool // with a nonce of ours, which was checked
}

// Present reports whether the request has a DPoP header, however many.
func Present(r *http.Request) bool { return len(r.Header.Values("DPoP")) > 0 }

// Verify verifies the proof of r and notes in the request's ledger that it is used
// up; without a ledger it is spent before Verify returns. Whatever is wrong with
// the proof is a *fosite.RFC6749Error, a missing one included, and a proof that is
// wrong uses nothing up. The numbers are those of RFC 9449 §4.3.
func (v *Verifier) Verify(ctx context.Context, r *http.Request, e Expect) (Proof, error) {
	now := v.Clock.Now()
	header := r.Header.Values("DPoP")
	if len(header) != 1 { // 1
		return Proof{}, InvalidProof("There must be exactly one DPoP header.")
	}
	if e.Method == "" {
		e.Method = r.Method
	}
	if e.URL == "" {
		e.URL = v.Issuer + r.URL.EscapedPath()
	}
	p, err := proof.Read(header[0])
	if err != nil {
		return Proof{}, bad(err)
	}
	until, err := v.check(p, e, now)
	if err != nil {
		return Proof{}, err
	}
	once := oauth.Once{Key: p.Key(), Expires: until.Add(kept)}
	if ledger := oauth.LedgerOf(ctx); ledger != nil {
		ledger.Add(once)
		return Proof{JKT: p.JKT, HasNonce: p.HasNonce}, nil
	}
	err = v.Replay.Spend(ctx, now, once)
	switch {
	case errors.Is(err, identity.ErrReplayed):
		return Proof{}, Replayed().WithWrap(err)
	case err != nil:
		return Proof{}, fosite.ErrServerError.WithWrap(err)
	}
	return Proof{JKT: p.JKT, HasNonce: p.HasNonce}, nil
}

// check compares the proof with the request and says how long it could be shown again.
func (v *Verifier) check(p proof.Proof, e Expect, now time.Time) (until time.Time, err error) {
	if err := p.Check(e.Method, e.AccessToken); err != nil {
		return until, bad(err)
	}
	age := proof.Age
	switch {
	case !v.same(p.URL, e.URL): // 9
		return until, InvalidProof("The htu of the DPoP proof is not this endpoint.")
	case e.JKT != "" && p.JKT != e.JKT: // 12
		return until, InvalidProof("The key of the DPoP proof is not the expected one.")
	case p.HasNonce && !v.Nonces.Valid(p.Nonce, now), e.RequireNonce && !p.HasNonce: // 10
		return until, UseNonce()
	case p.HasNonce:
		age = nonceAge
	}
	if until, err = p.Fresh(age, now); err != nil {
		return until, bad(err)
	}
	return until, nil
}

// bad makes an answer of what is wrong with a proof.
func bad(err error) error {
	problem := proof.Problem("The DPoP proof is malformed.")
	errors.As(err, &problem)
	return InvalidProof(string(problem)).WithWrap(err)
}

// Hash is ath: what a proof says about the access token it comes with (§4.2).
func Hash(accessToken string) string { return proof.Hash(accessToken) }
