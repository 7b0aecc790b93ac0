package e2e

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/e2e/house"
	"ecardid/internal/jose"
	"ecardid/storage"
)

// basic posts a form with a client's secret, from an address of its own.
func basic(t *testing.T, h *house.House, p *house.Relying, path string, form url.Values) *house.Answer {
	t.Helper()
	user := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(p.ID) + ":" + url.QueryEscape(p.Secret)))
	return h.Robot(t).Raw(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), http.Header{"Authorization": {"Basic " + user}})
}

// TestTrailOfRefusals: what is refused is in the trail, each once, with whom it is about and
// from where, and with nothing of what was sent (SECURITY AD3, DP2).
func TestTrailOfRefusals(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	const insurance = "urn:ecardid:resource:insurance"
	owner := h.Relying(t, "owner")
	clinic := h.Relying(t, "clinic", map[string]any{"resources": []string{"urn:ecardid:resource:pension"}})
	// It may exchange, and the tokens it is shown here are not for it.
	broker := h.Relying(t, "broker", map[string]any{
		"grant_types": []string{"client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"}, "redirect_uris": []string{}, "response_modes": []string{},
		"scope": "card.status pension.read", "resources": []string{"urn:ecardid:resource:pension"}, "exchange_resources": []string{"urn:ecardid:resource:pension"},
	})
	modest := h.Relying(t, "modest", map[string]any{"scope": "openid"})
	bank := h.Bank(t, "bank", jose.ES256, nil)

	c := h.Citizen(t)
	r := h.Robot(t)
	q := owner.Ask("openid offline_access insurance.read")
	tok := q.Redeem(q.Came(c.SignIn(r.Get(q.Path())).Submit("consent-allow").Location).Get("code"))
	phone, browser := phoneOf(t, h, h.Citizen(t), jose.ES256)
	exchange := func(audience string) url.Values {
		return url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {tok.Access},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "audience": {audience},
		}
	}
	signed := func(method, path, nonce string) int {
		return phone.SendWith(phone.Sign(method, path, nonce, nil), method, path, nil).Status
	}
	const approvals = "/device/v1/approvals"

	for _, test := range []struct {
		name   string
		kind   audit.Kind
		client string
		reason string
		do     func() int // the status that was answered
		status int
	}{
		{"wrong-secret", audit.ClientRefused, "modest", "authentication", func() int {
			wrong := &house.Relying{ID: modest.ID, Secret: "wrong-" + modest.Secret}
			return basic(t, h, wrong, "/token", url.Values{"grant_type": {"client_credentials"}}).Status
		}, 401},
		{"assertion-again", audit.ClientRefused, "bank", "the assertion was used before", func() int {
			form := url.Values{"client_assertion": {bank.Assertion()}, "token": {"x"}}
			bank.Post(h.Issuer, "/introspect", nil, form)
			a, _ := bank.Post(h.Issuer, "/introspect", nil, form)
			return a.Status
		}, 401},
		{"proof-again", audit.ProofRefused, "owner", "the DPoP proof was used before", func() int {
			proof := bank.Holder.Proof(t, http.MethodPost, h.Issuer+"/par", "")
			form := owner.Ask("openid").Values
			form.Set("client_secret", owner.Secret)
			user := base64.StdEncoding.EncodeToString([]byte(owner.ID + ":" + url.QueryEscape(owner.Secret)))
			form.Del("client_secret")
			last := 0
			for range 2 {
				last = h.Robot(t).Raw(http.MethodPost, "/par", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()),
					http.Header{"Authorization": {"Basic " + user}, "DPoP": {proof}}).Status
			}
			return last
		}, 400},
		{"registering-without-a-token", audit.RegisterRefused, "", "no initial access token", func() int {
			return h.Robot(t).Raw(http.MethodPost, "/register", "application/json", strings.NewReader("{}"), nil).Status
		}, 401},
		{"registering-with-a-wrong-token", audit.RegisterRefused, "", "unknown, expired or used up initial access token", func() int {
			return h.Robot(t).Raw(http.MethodPost, "/register", "application/json", strings.NewReader("{}"), http.Header{"Authorization": {"Bearer wrong-token"}}).Status
		}, 401},
		{"another's-registration", audit.RegisterRefused, "owner", "a registration access token that is not this client's", func() int {
			return h.Robot(t).Raw(http.MethodDelete, "/register/owner", "", nil, http.Header{"Authorization": {"Bearer wrong-token"}}).Status
		}, 401},
		{"introspection-by-no-resource-server", audit.AccessRefused, "modest", "introspection by a client that is no resource server", func() int {
			return basic(t, h, modest, "/introspect", url.Values{"token": {tok.Access}}).Status
		}, 200},
		{"introspection-of-another's", audit.AccessRefused, "clinic", "introspection of a token for somebody else", func() int {
			return basic(t, h, clinic, "/introspect", url.Values{"token": {tok.Access}}).Status
		}, 200},
		{"revocation-of-another's", audit.AccessRefused, "modest", "revocation of another client's token", func() int {
			return basic(t, h, modest, "/revoke", url.Values{"token": {tok.Refresh}}).Status
		}, 200},
		{"exchange-by-whoever", audit.GrantRefused, "modest", "not admitted with urn:ietf:params:oauth:grant-type:token-exchange", func() int {
			return basic(t, h, modest, "/token", exchange(insurance)).Status
		}, 400},
		{"exchange-for-what-is-not-its", audit.AccessRefused, "broker", "token exchange for a resource that is not the client's to call", func() int {
			return basic(t, h, broker, "/token", exchange(insurance)).Status
		}, 400},
		{"exchange-of-another's", audit.AccessRefused, "broker", "token exchange with a token for somebody else", func() int {
			return basic(t, h, broker, "/token", exchange("urn:ecardid:resource:pension")).Status
		}, 400},
		{"too-much-at-authorize", audit.ScopeRefused, "modest", "a scope that is not the client's", func() int {
			return h.Robot(t).Get(modest.Ask("openid insurance.read made-up").Path()).Status
		}, 303},
		{"too-much-at-token", audit.ScopeRefused, "broker", "a scope that is not the client's", func() int {
			return basic(t, h, broker, "/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"card.status pension.read"}}).Status
		}, 400},
		{"bad-request-object", audit.RequestRefused, "owner", "request object", func() int {
			return h.Robot(t).Get("/authorize?client_id=owner&request=not.a.jwt").Status
		}, 400},
		{"not-pushed", audit.RequestRefused, "bank", "another way than the client registered", func() int {
			return h.Robot(t).Get(bank.Ask("openid").Path()).Status
		}, 303},
		{"redirect-of-a-stranger", audit.RequestRefused, "modest", "redirect URI", func() int {
			return h.Robot(t).Get(modest.Ask("openid", "redirect_uri", "https://evil.example/").Path()).Status
		}, 400},
		{"no-signature", audit.SignatureRefused, "", "no signature", func() int {
			return h.Robot(t).Raw(http.MethodGet, approvals, "", nil, nil).Status
		}, 401},
		{"wrong-signature", audit.SignatureRefused, "", "signature", func() int {
			head := phone.Sign(http.MethodGet, "/device/v1/devices/"+phone.ID.String(), phone.Nonce(), nil)
			return phone.SendWith(head, http.MethodGet, approvals, nil).Status
		}, 401},
		{"wrong-nonce", audit.SignatureRefused, "", "nonce", func() int { return signed(http.MethodGet, approvals, "AAAA") }, 401},
		{"nonce-again", audit.SignatureRefused, "", "used before", func() int {
			nonce := phone.Nonce()
			signed(http.MethodGet, approvals, nonce)
			return signed(http.MethodGet, approvals, nonce)
		}, 401},
		{"another-site", audit.FormRefused, "", "another site", func() int {
			return h.Robot(t).Raw(http.MethodPost, "/account/password", "application/x-www-form-urlencoded", strings.NewReader("csrf=x"),
				http.Header{"Origin": {"https://evil.example"}}).Status
		}, 403},
		{"no-token", audit.FormRefused, "", "token", func() int {
			return h.Robot(t).PostOnce("/account/password", url.Values{"csrf": {"x"}}).Status
		}, 403},
		{"stale-factors", audit.StepUpRefused, "", "factors not fresh", func() int {
			action, form := browser.Get("/account/password").Form("password-submit")
			h.Clock.Advance(6 * time.Minute)
			form.Set("password-submit", "1")
			return browser.PostOnce(action, form).Status
		}, 303},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := trail(t, h, test.kind)
			if status := test.do(); status != test.status {
				t.Errorf("answered %d, want %d", status, test.status)
			}
			rows := trail(t, h, test.kind)
			if len(rows) != len(before)+1 {
				t.Fatalf("%d rows", len(rows)-len(before))
			}
			row := rows[0]
			if row.Reason != test.reason || row.Client != test.client || row.Actor != string(audit.BySystem) {
				t.Errorf("it says %q about %q by %s", row.Reason, row.Client, row.Actor)
			}
			line, err := row.Line()
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(row.Place, ".0/24") {
				t.Errorf("from %q", row.Place)
			}
			for _, sent := range []string{"evil", "made-up", "wrong-", tok.Access, tok.Refresh, owner.Secret, modest.Secret, c.Card} {
				if strings.Contains(string(line), sent) {
					t.Errorf("the entry holds %q: %s", sent, line)
				}
			}
			switch test.name {
			case "stale-factors":
				if row.Citizen.IsZero() || row.Login.IsZero() {
					t.Errorf("nobody is named: %s", line)
				}
			case "wrong-signature", "nonce-again":
				if row.Device != phone.ID {
					t.Errorf("no phone is named: %s", line)
				}
			case "too-much-at-authorize":
				if row.Detail != `{"scope":"insurance.read"}` {
					t.Errorf("%s", row.Detail)
				}
			}
		})
	}

	t.Run("a-flood", func(t *testing.T) {
		before := len(trail(t, h, audit.RegisterRefused))
		crowd := h.Robot(t)
		knock := func() {
			crowd.Raw(http.MethodPost, "/register", "application/json", strings.NewReader("{}"), nil)
		}
		h.Clock.Advance(2 * time.Minute)
		for range 12 {
			knock()
		}
		if n := len(trail(t, h, audit.RegisterRefused)) - before; n != 3 {
			t.Errorf("%d rows of twelve refusals", n)
		}
		h.Clock.Advance(2 * time.Minute)
		knock()
		rows := trail(t, h, audit.RegisterRefused)
		if n := len(rows) - before; n != 5 || rows[1].Reason != "repeated" || rows[1].Detail != `{"more":"9"}` {
			t.Errorf("%d rows, the last but one says %q %s", n, rows[1].Reason, rows[1].Detail)
		}
	})
	if _, err := h.Store.ChainAudit(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := h.Store.VerifyAudit(t.Context()); err != nil {
		t.Error(err)
	}
}

// trail is the entries of a kind, the newest first.
func trail(t *testing.T, h *house.House, kind audit.Kind) []audit.Linked {
	t.Helper()
	rows, err := h.Store.SearchAudit(t.Context(), storage.TrailQuery{Kind: kind, Limit: storage.MaxFound})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
