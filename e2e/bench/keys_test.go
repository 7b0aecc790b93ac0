package bench

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth/dpop"
)

// An institution is a client that signs: its assertions with one key (RFC 7523), its
// DPoP proofs with another (RFC 9449).
type institution struct {
	id     string
	key    jose.Key
	holder jose.Key
	header string // of its proofs, encoded
}

// engage admits a client with keys.
func (h *house) engage(ctx context.Context, id, metadata string) (institution, error) {
	key, err1 := jose.Generate(jose.ES256, id+"-1")
	holder, err2 := jose.Generate(jose.ES256, id+"-holder")
	if err := errors.Join(err1, err2); err != nil {
		return institution{}, err
	}
	public, err1 := key.Public().MarshalJSON()
	shown, err2 := holder.Unnamed().MarshalJSON()
	if err := errors.Join(err1, err2); err != nil {
		return institution{}, err
	}
	header, err := json.Marshal(map[string]any{"typ": "dpop+jwt", "alg": jose.ES256, "jwk": json.RawMessage(shown)})
	if err != nil {
		return institution{}, err
	}
	metadata = `{"client_id":"` + id + `","client_name":"` + id + `","token_endpoint_auth_method":"private_key_jwt",` +
		`"jwks":{"keys":[` + string(public) + `]},` + metadata + `}`
	return institution{id, key, holder, base64.RawURLEncoding.EncodeToString(header)}, h.admit(ctx, metadata, nil)
}

// asserted is form with a client assertion, each good once.
func (h *house) asserted(c institution, form string) (string, error) {
	now := h.clock.Now()
	assertion, err := jose.Sign(c.key, "JWT", map[string]any{
		"iss": c.id, "sub": c.id, "aud": h.origin, "jti": identity.NewID().String(), "iat": now.Unix(), "exp": now.Add(4 * time.Minute).Unix(),
	})
	return form + "&client_assertion_type=" + url.QueryEscape("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") +
		"&client_assertion=" + assertion, err
}

// proof is a DPoP proof for one request, with the token it comes with or "".
func (h *house) proof(c institution, method, path, token string) (string, error) {
	claims := map[string]any{"jti": identity.NewID().String(), "htm": method, "htu": h.origin + path, "iat": h.clock.Now().Unix()}
	if token != "" {
		claims["ath"] = dpop.Hash(token)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	input := c.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := c.holder.SignRaw([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

// post is a call with a client assertion and, if so wanted, a proof.
func (h *house) post(c institution, path, form string, proven bool) (call, error) {
	body, err := h.asserted(c, form)
	if err != nil {
		return call{}, err
	}
	made := call{method: http.MethodPost, path: path, body: body}
	if proven {
		made.proof, err = h.proof(c, http.MethodPost, path, "")
	}
	return made, err
}

// signed prepares n calls, because signing them is the client's work and not what is
// measured, and then sends them.
func signed(n int, status int, prepare func(i int) (call, error)) (step, error) {
	calls := make([]call, n)
	for i := range calls {
		var err error
		if calls[i], err = prepare(i); err != nil {
			return nil, err
		}
	}
	return func(w way, i int) error {
		a, err := w.send(calls[i])
		_, err = want(a, err, status, calls[i].path)
		return err
	}, nil
}

// pushed is the form of a pushed request, plain or as a request object (RFC 9101)
// that is to be answered with a JWT (JARM).
func (h *house) pushed(object bool) (string, error) {
	ask := map[string]string{
		"client_id": h.bank.id, "redirect_uri": callback, "response_type": "code", "scope": scopeJWT,
		"state": "a-state", "nonce": "a-nonce", "code_challenge": challengeOf(verifier), "code_challenge_method": "S256",
	}
	if !object {
		form := url.Values{}
		for name, value := range ask {
			form.Set(name, value)
		}
		return form.Encode(), nil
	}
	now := h.clock.Now()
	claims := map[string]any{"iss": h.bank.id, "aud": h.origin, "nbf": now.Unix(), "exp": now.Add(4 * time.Minute).Unix(), "response_mode": "jwt"}
	for name, value := range ask {
		claims[name] = value
	}
	signed, err := jose.Sign(h.bank.key, "oauth-authz-req+jwt", claims)
	return "client_id=" + h.bank.id + "&request=" + signed, err
}

func (h *house) par(object bool) (call, error) {
	form, err := h.pushed(object)
	if err != nil {
		return call{}, err
	}
	return h.post(h.bank, "/par", form, true)
}

// resumed is the path of the authorization endpoint for a request that was pushed.
func (h *house) resumed(a answer) (string, error) {
	var out struct {
		RequestURI string `json:"request_uri"`
	}
	err := json.Unmarshal(a.body, &out)
	return "/authorize?" + url.Values{"client_id": {h.bank.id}, "request_uri": {out.RequestURI}}.Encode(), err
}

// push sends a pushed request and returns where the browser goes with it.
func (h *house) push(w way, c call) (string, error) {
	a, err := w.send(c)
	if a, err = want(a, err, http.StatusCreated, "pushed request"); err != nil {
		return "", err
	}
	return h.resumed(a)
}

const redeeming = "grant_type=authorization_code&redirect_uri=https%3A%2F%2Fpension.example%2Fcallback&code_verifier=" + verifier

// A fapiFlow is the calls of one flow, signed beforehand.
type fapiFlow struct{ par, exchange call }

func (h *house) fapiFlows(n int) ([]fapiFlow, error) {
	flows := make([]fapiFlow, n)
	for i := range flows {
		var err1, err2 error
		flows[i].par, err1 = h.par(false)
		flows[i].exchange, err2 = h.post(h.bank, "/token", redeeming, true)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
	}
	return flows, nil
}

// authorized is the code of a flow for a person.
func (h *house) authorized(w way, f fapiFlow, p person) (string, error) {
	path, err := h.push(w, f.par)
	if err != nil {
		return "", err
	}
	return answered(w, p, path, "code")
}

func redeemed(w way, f fapiFlow, code string) (answer, error) {
	c := f.exchange
	c.body += "&code=" + code
	a, err := w.send(c)
	return want(a, err, http.StatusOK, "code exchange")
}

// bound is the tokens of n flows, one of each person.
func (h *house) bound(w way, n int) ([]tokens, error) {
	flows, err := h.fapiFlows(min(n, len(h.people)))
	if err != nil {
		return nil, err
	}
	all := make([]tokens, len(flows))
	for i, f := range flows {
		code, err := h.authorized(w, f, h.people[i])
		if err != nil {
			return nil, err
		}
		a, err := redeemed(w, f, code)
		if err != nil {
			return nil, err
		}
		if all[i], err = a.tokens(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// keyedOperations are those of clients that sign (FAPI 2.0), and of delegation.
func keyedOperations() []operation {
	return []operation{
		{name: "credentials-assertion", trips: 1, load: true, prepare: func(h *house, _ way, n int) (step, error) {
			return signed(n, http.StatusOK, func(int) (call, error) {
				return h.post(h.clerks, "/token", "grant_type=client_credentials&scope=card.status", false)
			})
		}},
		{name: "credentials-dpop", trips: 1, prepare: func(h *house, _ way, n int) (step, error) {
			return signed(n, http.StatusOK, func(int) (call, error) {
				return h.post(h.clerks, "/token", "grant_type=client_credentials&scope=card.status", true)
			})
		}},
		{name: "introspect-assertion", trips: 1, load: true, prepare: func(h *house, w way, n int) (step, error) {
			t, err := h.obtain(w, h.people[0], scopeOpaque)
			if err != nil {
				return nil, err
			}
			return signed(n, http.StatusOK, func(int) (call, error) { return h.post(h.clerks, "/introspect", "token="+t.Access, false) })
		}},
		{name: "userinfo-dpop", trips: 1, load: true, prepare: func(h *house, w way, n int) (step, error) {
			all, err := h.bound(w, n)
			if err != nil {
				return nil, err
			}
			return signed(n, http.StatusOK, func(i int) (c call, err error) {
				token := all[i%len(all)].Access
				c = call{method: http.MethodGet, path: "/userinfo", auth: "DPoP " + token}
				c.proof, err = h.proof(h.bank, http.MethodGet, "/userinfo", token)
				return c, err
			})
		}},
		{name: "token-exchange", trips: 1, load: true, prepare: func(h *house, w way, n int) (step, error) {
			t, err := h.obtain(w, h.people[0], scopeBoth)
			if err != nil {
				return nil, err
			}
			form := "grant_type=" + url.QueryEscape("urn:ietf:params:oauth:grant-type:token-exchange") + "&subject_token=" + t.Access +
				"&subject_token_type=" + url.QueryEscape("urn:ietf:params:oauth:token-type:access_token") + "&audience=" + url.QueryEscape(resourceInsurance)
			return signed(n, http.StatusOK, func(int) (call, error) { return h.post(h.clerks, "/token", form, false) })
		}},
		{name: "refresh-dpop", trips: 1, load: true, prepare: func(h *house, w way, n int) (step, error) {
			all, err := h.bound(w, n)
			if err != nil {
				return nil, err
			}
			return signed(n, http.StatusOK, func(i int) (call, error) {
				return h.post(h.bank, "/token", "grant_type=refresh_token&refresh_token="+all[i%len(all)].Refresh, true)
			})
		}},
		{name: "par", trips: 1, load: true, prepare: func(h *house, _ way, n int) (step, error) {
			return signed(n, http.StatusCreated, func(int) (call, error) { return h.par(false) })
		}},
		{name: "par-jar", trips: 1, prepare: func(h *house, _ way, n int) (step, error) {
			return signed(n, http.StatusCreated, func(int) (call, error) { return h.par(true) })
		}},
		{name: "authorize-par", trips: 2, prepare: func(h *house, w way, n int) (step, error) { return h.resuming(w, n, false, "code") }},
		{name: "authorize-jarm", trips: 2, prepare: func(h *house, w way, n int) (step, error) { return h.resuming(w, n, true, "response") }},
		{name: "code-exchange-dpop", trips: 1, prepare: func(h *house, w way, n int) (step, error) {
			flows, err := h.fapiFlows(n)
			if err != nil {
				return nil, err
			}
			codes := make([]string, n)
			for i := range codes {
				if codes[i], err = h.authorized(w, flows[i], h.person(i)); err != nil {
					return nil, err
				}
			}
			return func(w way, i int) error {
				_, err := redeemed(w, flows[i], codes[i])
				return err
			}, nil
		}},
		{name: "fapi2-flow", trips: 4, load: true, prepare: func(h *house, _ way, n int) (step, error) {
			flows, err := h.fapiFlows(n)
			return func(w way, i int) error {
				code, err := h.authorized(w, flows[i], h.person(i))
				if err == nil {
					_, err = redeemed(w, flows[i], code)
				}
				return err
			}, err
		}},
	}
}

// resuming is the authorization endpoint for requests that were pushed before.
func (h *house) resuming(w way, n int, object bool, parameter string) (step, error) {
	paths := make([]string, n)
	for i := range paths {
		c, err := h.par(object)
		if err != nil {
			return nil, err
		}
		if paths[i], err = h.push(w, c); err != nil {
			return nil, err
		}
	}
	return func(w way, i int) error {
		value, err := answered(w, h.person(i), paths[i], parameter)
		if err == nil && parameter == "response" && strings.Count(value, ".") != 2 {
			err = fmt.Errorf("the answer is not a JWT: %.40s", value)
		}
		return err
	}, nil
}
