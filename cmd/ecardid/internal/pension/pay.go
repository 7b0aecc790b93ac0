package pension

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"ecardid/internal/secret"
)

// PayCallbackPath is where people come back to from a payment.
const PayCallbackPath = "/pay/callback"

// A Counter takes payments, as a client of its own of profile fapi2: it says who it
// is with a key. The zero value takes none.
type Counter struct {
	ClientID string
	KeyID    string
	Key      *ecdsa.PrivateKey // P-256
}

func (c Counter) open() bool { return c.ClientID != "" && c.Key != nil }

// A bill is one payment in the words of authorization_details (RFC 9396 §2).
type bill struct {
	Type   string `json:"type"`
	Amount struct {
		Currency string `json:"currency"`
		Value    string `json:"value"`
	} `json:"amount"`
	Payee struct {
		Name string `json:"name"`
	} `json:"payee"`
	Reference string `json:"reference"`

	bound *ecdsa.PrivateKey // made for this payment, and forgotten with it
}

// A receipt is what came of it.
type receipt struct {
	Amount, Payee, Reference string
	TokenType, JKT, ACR      string
}

func newBill() (*bill, error) {
	b := &bill{Type: "insurance_payment", Reference: "DEMO-" + strings.Trim(secret.New(6).Reveal(), "-_")}
	b.Amount.Currency, b.Amount.Value = "CNY", "86.50"
	b.Payee.Name = "示例医院（演示）"
	var err error
	b.bound, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return b, err
}

func (o *Office) speaker(b *bill) speaker {
	return speaker{
		issuer: o.cfg.Issuer, client: o.cfg.Counter.ClientID, kid: o.cfg.Counter.KeyID, key: o.cfg.Counter.Key, bound: b.bound,
		http: o.cfg.HTTP, now: o.cfg.Clock.Now,
	}
}

// pay pushes a signed request for one payment and sends the browser on with nothing
// but its handle.
func (o *Office) pay(w http.ResponseWriter, r *http.Request) {
	if !o.cfg.Counter.open() {
		o.fail(w, r, http.StatusNotFound, "not-found", nil)
		return
	}
	p, err := o.provider(r.Context())
	if err != nil {
		o.fail(w, r, http.StatusBadGateway, "provider", err)
		return
	}
	bill, err := newBill()
	if err != nil {
		o.fail(w, r, http.StatusServiceUnavailable, "busy", err)
		return
	}
	attempt := attempt{nonce: secret.New(24).Reveal(), verifier: oauth2.GenerateVerifier(), bill: bill}
	state, err := o.sessions.begin(w, r, attempt, strings.HasPrefix(o.cfg.BaseURL, "https:"))
	if err != nil {
		o.fail(w, r, http.StatusServiceUnavailable, "busy", err)
		return
	}
	handle, err := o.push(r.Context(), p, attempt, state, locale(r))
	if err != nil {
		o.fail(w, r, http.StatusBadGateway, "push", err)
		return
	}
	to := p.Endpoint().AuthURL + "?" + url.Values{"client_id": {o.cfg.Counter.ClientID}, "request_uri": {handle}}.Encode()
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (o *Office) push(ctx context.Context, p *oidc.Provider, a attempt, state, lang string) (handle string, err error) {
	var metadata struct {
		PAR string `json:"pushed_authorization_request_endpoint"`
	}
	if err := p.Claims(&metadata); err != nil || metadata.PAR == "" {
		return "", errors.New("the identity provider takes no pushed requests")
	}
	s := o.speaker(a.bill)
	object, err := s.object(map[string]any{
		"response_type": "code", "redirect_uri": o.cfg.BaseURL + PayCallbackPath, "scope": oidc.ScopeOpenID,
		"state": state, "nonce": a.nonce, "code_challenge": oauth2.S256ChallengeFromVerifier(a.verifier), "code_challenge_method": "S256",
		"authorization_details": []*bill{a.bill}, "ui_locales": lang,
	})
	if err != nil {
		return "", err
	}
	var pushed struct {
		Handle string `json:"request_uri"`
	}
	if err := s.post(ctx, metadata.PAR, url.Values{"client_id": {o.cfg.Counter.ClientID}, "request": {object}}, &pushed); err != nil {
		return "", err
	}
	if pushed.Handle == "" {
		return "", errors.New("no request_uri came back")
	}
	return pushed.Handle, nil
}

// paid believes a payment only if everything is as at a sign-in, the token is bound
// to our key, and what was agreed to is what was asked, member by member.
func (o *Office) paid(w http.ResponseWriter, r *http.Request) {
	q, err := once(r.URL.RawQuery)
	if err != nil {
		o.fail(w, r, http.StatusBadRequest, "answer", err)
		return
	}
	attempt, ok := o.sessions.finish(r, q["state"])
	if !ok || attempt.bill == nil {
		o.fail(w, r, http.StatusBadRequest, "state", nil)
		return
	}
	if q["iss"] != o.cfg.Issuer {
		o.fail(w, r, http.StatusBadRequest, "issuer", nil)
		return
	}
	if q["error"] != "" {
		o.refused(w, r, q["error"], q["error_description"])
		return
	}
	receipt, err := o.redeem(oidc.ClientContext(r.Context(), o.cfg.HTTP), attempt, q["code"])
	if err != nil {
		o.fail(w, r, http.StatusBadGateway, "payment", err)
		return
	}
	o.sessions.paid(r, receipt)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (o *Office) redeem(ctx context.Context, a attempt, code string) (receipt, error) {
	p, err := o.provider(ctx)
	if err != nil {
		return receipt{}, err
	}
	var token struct {
		Access  string `json:"access_token"`
		Type    string `json:"token_type"`
		ID      string `json:"id_token"`
		Details []bill `json:"authorization_details"`
	}
	s := o.speaker(a.bill)
	err = s.post(ctx, p.Endpoint().TokenURL, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {o.cfg.BaseURL + PayCallbackPath}, "code_verifier": {a.verifier},
	}, &token)
	if err != nil {
		return receipt{}, fmt.Errorf("redeeming: %w", err)
	}
	claims, err := o.verify(ctx, p, o.cfg.Counter.ClientID, token.ID, token.Access)
	if err != nil {
		return receipt{}, fmt.Errorf("ID token: %w", err)
	}
	asked, err := json.Marshal([]*bill{a.bill})
	if err != nil {
		return receipt{}, err
	}
	agreed, err := json.Marshal(token.Details)
	if err != nil {
		return receipt{}, err
	}
	switch {
	case claims.Nonce != a.nonce:
		return receipt{}, errors.New("the ID token has another nonce")
	case !enough(claims.ACR, "urn:ecardid:acr:bound"):
		return receipt{}, errors.New("the sign-in is not sure enough")
	case !strings.EqualFold(token.Type, "DPoP"):
		return receipt{}, errors.New("the token is not bound")
	case string(agreed) != string(asked):
		return receipt{}, errors.New("the details are others")
	}
	// The token is used where there is a resource: the insurance would be asked the
	// same way.
	var info struct {
		Subject string `json:"sub"`
	}
	if err := s.get(ctx, p.UserInfoEndpoint(), token.Access, &info); err != nil {
		return receipt{}, fmt.Errorf("userinfo: %w", err)
	}
	if info.Subject != claims.Subject {
		return receipt{}, errors.New("userinfo is about somebody else")
	}
	jkt, err := s.jkt()
	if err != nil {
		return receipt{}, err
	}
	return receipt{
		Amount: a.bill.Amount.Value, Payee: a.bill.Payee.Name, Reference: a.bill.Reference,
		TokenType: token.Type, JKT: jkt, ACR: claims.ACR,
	}, nil
}
