package clientauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/dpop"
	"ecardid/oauth/mtls"
)

// Binding says what the tokens of this request are to be bound to, and refuses the
// request if that is less than the client is held to: a client of DPoPBound sends a
// proof (RFC 9449 §5.2), a client of CertBound a certificate (RFC 8705 §3.4), one of
// fapi2 either (FAPI 2.0 §5.3.2.1). Whoever else sends a proof has tokens bound to
// it, and a proof that is there is right or the request is refused. It is for the
// token endpoint, after Authenticate.
//
// A certificate on the connection of a client that is not CertBound binds nothing:
// a proxy in between may have brought it.
func (a *Authenticator) Binding(ctx context.Context, r *http.Request, client *oauth.Client, e dpop.Expect) (oauth.Binding, error) {
	var b oauth.Binding
	if client.CertBound {
		cert, err := a.MTLS.Certificate(r)
		if err != nil {
			return oauth.Binding{}, err
		}
		if cert == nil {
			return oauth.Binding{}, fosite.ErrInvalidRequest.WithHint("Tokens of this client are bound to its certificate, and the request came without one.")
		}
		b.X5T = mtls.Thumbprint(cert)
	}
	var err error
	if b.JKT, err = a.ProvenKey(ctx, r, client, e); err != nil {
		return oauth.Binding{}, err
	}
	if b.JKT == "" && (client.DPoPBound || client.Profile == oauth.ProfileFAPI2 && !client.CertBound) {
		return oauth.Binding{}, dpop.InvalidProof("Tokens of this client are bound to a DPoP key, and the request came without a proof.")
	}
	return b, nil
}

// ProvenKey is the thumbprint of the DPoP key the request proves to have, or empty
// without a proof. It is for the endpoints where a proof is welcome and not asked
// for, such as PAR (RFC 9449 §10.1).
func (a *Authenticator) ProvenKey(ctx context.Context, r *http.Request, client *oauth.Client, e dpop.Expect) (string, error) {
	if !dpop.Present(r) {
		return "", nil
	}
	e.RequireNonce = e.RequireNonce || client.RequireNonce
	proof, err := a.DPoP.Verify(ctx, r, e)
	return proof.JKT, err
}

// Replayed is the answer to identity.ErrReplayed, which an operation returns when one
// of the values it took from the ledger was used before. form is the body of the
// request: with an assertion in it the client is not who it says, without one it was
// the proof. Other errors come back as they are.
func Replayed(err error, form url.Values) error {
	switch {
	case !errors.Is(err, identity.ErrReplayed):
		return err
	case form.Has("client_assertion"):
		// It was verified, so it is of whom it says.
		id, _ := assertedID(form.Get("client_assertion"))
		return oauth.Refuse(refused(err), audit.ClientRefused, id, "the assertion was used before", nil)
	}
	return oauth.Refuse(dpop.Replayed().WithWrap(err), audit.ProofRefused, form.Get("client_id"), "the DPoP proof was used before", nil)
}
