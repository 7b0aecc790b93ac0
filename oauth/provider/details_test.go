package provider_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
	"ecardid/oauth/issue"
)

const (
	bill      = `[{"amount":{"currency":"CNY","value":"1234.50"},"payee":{"name":"第一医院"},"reference":"R-1","type":"insurance_payment"}]`
	otherBill = `[{"amount":{"currency":"CNY","value":"1.00"},"payee":{"name":"第二医院"},"type":"insurance_payment"}]`
)

// clinic is a relying party that may ask for payments.
func (h *house) clinic(more string) {
	h.t.Helper()
	h.client(`{"client_id":"pension","client_name":"Clinic","redirect_uris":["` + callback + `"],
		"grant_types":["authorization_code","refresh_token"],"authorization_details_types":["insurance_payment"],
		"scope":"openid card.basic insurance.pay"` + more + `}`)
	h.client(`{"client_id":"insurance-api","client_name":"Insurance API","grant_types":["client_credentials"],"resources":["` + insuranceResource + `"]}`)
}

// sure signs in with all that a payment needs.
func (b *browser) sure(device identity.ID) identity.Login {
	b.h.t.Helper()
	return b.signIn(0, password(), identity.Proof{Factor: identity.FactorPhone, Device: device, Verified: true})
}

// proves answers what the request just asked for and comes back to the consent page.
func (b *browser) proves(device identity.ID) string {
	b.h.t.Helper()
	b.h.clock.Advance(time.Second)
	b.sure(device)
	w := b.get(b.h.logins.last(b.h.t).back)
	location := w.Header().Get("Location")
	if !strings.HasPrefix(location, "/consent?") {
		b.h.t.Fatalf("no consent page: %d to %q", w.Code, location)
	}
	return location
}

// A payment is shown, proved for, agreed to, signed by us, and told to whom it is for.
func TestPayment(t *testing.T) {
	h := newHouse(t)
	h.clinic("")
	phone := h.phone()
	b := h.browser()
	b.sure(phone)
	for round := range 2 { // what was agreed to once is asked about again
		raised := len(h.logins.raised)
		b.get("/authorize?" + ask("scope", "openid insurance.pay", "authorization_details", bill).Encode())
		if len(h.logins.raised) != raised+1 {
			t.Fatalf("round %d: a single sign-on was enough", round)
		}
		need := h.logins.last(t).need
		if need.Level != identity.LevelBound || !need.Since.Equal(h.clock.Now()) {
			t.Errorf("need is %+v", need)
		}
		if words := need.Approve; words["zh-CN"] != "用医保账户支付 ¥1,234.50，单号 R-1，收款方：第一医院" || !strings.Contains(words["en"], "CNY 1,234.50") {
			t.Errorf("the phone shows %q", words)
		}
		at := b.proves(phone)
		b.get(at)
		v := h.pages.consent
		if v == nil || len(v.Payments) != 1 || v.Payments[0] != (oauth.PaymentView{Amount: "1,234.50", Payee: "第一医院", Reference: "R-1"}) || len(v.Scopes) != 2 {
			t.Fatalf("shown: %+v", v)
		}
		code := answer(t, b.consent(at, "consent-allow")).Get("code")
		status, out := h.call("/token", rp, redeem(code))
		if got, _ := json.Marshal(out["authorization_details"]); status != http.StatusOK || string(got) != bill {
			t.Fatalf("%d %v", status, out)
		}
		access, _ := out["access_token"].(string)
		if !strings.HasPrefix(access, "eca_") {
			t.Errorf("the token outlives a revocation: %q", access)
		}
		_, seen := h.call("/introspect", "insurance-api", url.Values{"token": {access}})
		if got, _ := json.Marshal(seen["authorization_details"]); string(got) != bill || seen["acr"] != "urn:ecardid:acr:bound" {
			t.Errorf("introspected: %v", seen)
		}
	}
	receipts := h.receipts()
	if len(receipts) != 2 {
		t.Fatalf("%d receipts", len(receipts))
	}
	h.verify(receipts[1])
}

// receipts reads those in the audit trail.
func (h *house) receipts() []string {
	h.t.Helper()
	if _, err := h.store.ChainAudit(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	var all []string
	err := h.store.ExportAudit(h.t.Context(), time.Time{}, func(line []byte) error {
		var e struct {
			Kind   string
			Detail map[string]string
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.Kind == "consent.give" && e.Detail["receipt"] != "" {
			all = append(all, e.Detail["receipt"])
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// verify reads a receipt as an arbiter would: with the published SM2 keys alone.
func (h *house) verify(receipt string) {
	h.t.Helper()
	set, err := jose.ParseSet(h.browser().get("/sm2-jwks").Body.Bytes())
	if err != nil {
		h.t.Fatal(err)
	}
	parsed, err := jose.Parse(receipt)
	if err != nil {
		h.t.Fatal(err)
	}
	verified, err := parsed.Verify(set, jose.SM2)
	if err != nil || !verified.Header.Is("consent-receipt+jwt") {
		h.t.Fatalf("%v %+v", err, parsed.Header)
	}
	var claims struct {
		jose.Standard
		ClientID string          `json:"client_id"`
		Login    string          `json:"login"`
		ACR      string          `json:"acr"`
		AMR      []string        `json:"amr"`
		Digest   string          `json:"authorization_details_s256"`
		Details  json.RawMessage `json:"authorization_details"`
	}
	if err := verified.Claims(&claims); err != nil {
		h.t.Fatal(err)
	}
	client, err := h.registry.Client(h.t.Context(), rp)
	if err != nil {
		h.t.Fatal(err)
	}
	if claims.Issuer != issuer || claims.Subject != h.subjects.Subject(client, h.citizens[0]) || !claims.Audience.IsZero() ||
		claims.ClientID != rp || claims.Login == "" || claims.ID == "" || claims.IssuedAt.IsZero() ||
		claims.ACR != "urn:ecardid:acr:bound" || len(claims.AMR) == 0 || string(claims.Details) != bill || claims.Digest != challenge(bill) {
		h.t.Errorf("says %+v", claims)
	}
}

func TestDetailsRefused(t *testing.T) {
	h := newHouse(t)
	h.clinic("")
	h.client(`{"client_id":"plain","client_name":"Plain","redirect_uris":["` + callback + `"],"scope":"openid"}`)
	b := h.browser()
	b.signIn(0, password(), totp())
	for name, changes := range map[string][]string{
		"malformed":    {"authorization_details", `{}`},
		"unknown-type": {"authorization_details", `[{"type":"payment_initiation"}]`},
		"amount":       {"authorization_details", strings.Replace(bill, "1234.50", "1234.5", 1)},
		"number":       {"authorization_details", strings.Replace(bill, `"1234.50"`, "1234.50", 1)},
		"bidi":         {"authorization_details", strings.Replace(bill, "第一", "第\u202e一", 1)},
		"not-admitted": {"client_id", "plain", "scope", "openid", "authorization_details", bill},
	} {
		t.Run(name, func(t *testing.T) {
			got := answer(t, b.get("/authorize?"+ask(changes...).Encode()))
			if got.Get("error") != "invalid_authorization_details" || got.Get("code") != "" || got.Get("state") == "" {
				t.Errorf("answered %v", got)
			}
		})
	}
	if len(h.logins.raised) != 0 {
		t.Error("somebody had to sign in for it")
	}
	twice := ask() // a parameter that is there twice is none (SECURITY G8)
	twice["authorization_details"] = []string{bill, otherBill}
	if w := b.get("/authorize?" + twice.Encode()); w.Code != http.StatusBadRequest || w.Header().Get("Location") != "" {
		t.Errorf("twice: %d to %q", w.Code, w.Header().Get("Location"))
	}
}

// Nothing is paid without asking, whoever asks (OI1, OI2, CN1).
func TestDetailsSilent(t *testing.T) {
	h := newHouse(t)
	h.clinic(`,"first_party":true`)
	b := h.browser()
	silent := "/authorize?" + ask("prompt", "none", "authorization_details", bill).Encode()
	if got := answer(t, b.get(silent)).Get("error"); got != "login_required" {
		t.Errorf("nobody there: %s", got)
	}
	b.signIn(0, password(), totp())
	if got := answer(t, b.get(silent)).Get("error"); got != "interaction_required" {
		t.Errorf("not sure enough: %s", got)
	}
	phone := h.phone()
	b.sure(phone)
	if got := answer(t, b.get(silent)).Get("error"); got != "consent_required" {
		t.Errorf("signed in: %s", got)
	}
	b.get("/authorize?" + ask("authorization_details", bill).Encode())
	b.proves(phone)
}

// The answer to one payment is no answer to another, nor of another login, and it
// does not wait (CN1, OI4, SECURITY §0 step-up).
func TestPaymentForm(t *testing.T) {
	h := newHouse(t)
	h.clinic("")
	phone := h.phone()
	b := h.browser()
	open := func(details string) (path, token string) {
		b.get("/authorize?" + ask("authorization_details", details).Encode())
		b.get(b.proves(phone))
		return h.pages.consent.Path, h.pages.consent.Token
	}
	first, cheap := open(otherBill)
	second, _ := open(bill)
	post := func(path, token string) *httptest.ResponseRecorder {
		return b.post(path, url.Values{"token": {token}, "consent-allow": {"1"}})
	}
	if w := post(second, cheap); w.Code != http.StatusForbidden {
		t.Errorf("another payment's form: %d", w.Code)
	}
	if w := post(first, cheap); w.Code != http.StatusForbidden { // the login is another by now
		t.Errorf("another login's form: %d", w.Code)
	}
	b.get(second)
	token := h.pages.consent.Token
	h.clock.Advance(5*time.Minute + time.Second)
	w := post(second, token)
	if location := w.Header().Get("Location"); !strings.HasPrefix(location, "/authorize?") {
		t.Fatalf("an old proof: %d to %q", w.Code, location)
	}
	raised := len(h.logins.raised)
	b.get(w.Header().Get("Location"))
	if len(h.logins.raised) != raised+1 {
		t.Fatal("an old proof was enough")
	}
	if got := answer(t, b.consent(b.proves(phone), "consent-allow")); got.Get("code") == "" {
		t.Errorf("answered %v", got)
	}
	if got := answer(t, b.consent(openAgain(t, b, phone), "consent-deny")); got.Get("error") != "access_denied" {
		t.Errorf("answered %v", got)
	}
	if n := len(h.receipts()); n != 1 {
		t.Errorf("%d receipts for one consent", n)
	}
}

func openAgain(t *testing.T, b *browser, phone identity.ID) string {
	t.Helper()
	b.get("/authorize?" + ask("authorization_details", bill).Encode())
	return b.proves(phone)
}

// A pushed payment waits for its browser. What is proved meanwhile is proved for
// something else.
func TestPushedPayment(t *testing.T) {
	h := newHouse(t)
	h.clinic("")
	phone := h.phone()
	form := ask("authorization_details", bill)
	form.Del("client_id")
	status, out := h.call("/par", rp, form)
	uri, _ := out["request_uri"].(string)
	if status != http.StatusCreated || uri == "" {
		t.Fatalf("%d %v", status, out)
	}
	h.clock.Advance(10 * time.Second)
	b := h.browser()
	b.sure(phone)
	h.clock.Advance(10 * time.Second)
	b.get("/authorize?" + url.Values{"client_id": {rp}, "request_uri": {uri}}.Encode())
	need := h.logins.last(t).need
	if !need.Since.Equal(h.clock.Now()) {
		t.Errorf("proof counts from %v, the browser came at %v", need.Since, h.clock.Now())
	}
	// Coming again without having proved anything changes nothing.
	b.get(h.logins.last(t).back)
	if len(h.logins.raised) != 2 {
		t.Error("an earlier proof was enough")
	}
	if got := answer(t, b.consent(b.proves(phone), "consent-allow")); got.Get("code") == "" {
		t.Errorf("answered %v", got)
	}
	bad := ask("authorization_details", "[]")
	bad.Del("client_id")
	if status, out := h.call("/par", rp, bad); status != http.StatusBadRequest || out["error"] != "invalid_authorization_details" {
		t.Errorf("%d %v", status, out)
	}
}

// Whom a payment is for hears of it, whichever scopes are beside it (RFC 8707).
func TestPaymentAudience(t *testing.T) {
	h := newHouse(t)
	h.clinic("")
	phone := h.phone()
	for name, changes := range map[string][]string{
		"openid-only": {"scope", "openid", "authorization_details", bill},
		"by-resource": {"scope", "openid card.basic", "resource", insuranceResource, "authorization_details", bill},
	} {
		t.Run(name, func(t *testing.T) {
			b := h.browser()
			b.get("/authorize?" + ask(changes...).Encode())
			code := answer(t, b.consent(b.proves(phone), "consent-allow")).Get("code")
			status, out := h.call("/token", rp, redeem(code))
			if status != http.StatusOK {
				t.Fatalf("%d %v", status, out)
			}
			hash, ok := issue.Handles{Keys: keyed(t, 2)}.Hash(issue.Access, out["access_token"].(string))
			if !ok {
				t.Fatalf("%v", out)
			}
			info, err := h.store.Token(t.Context(), hash, h.clock.Now())
			if err != nil || !slices.Contains(info.Resource, insuranceResource) || string(info.Grant.Details) != bill {
				t.Errorf("%v: %+v", err, info)
			}
		})
	}
	b := h.browser()
	if got := answer(t, b.get("/authorize?"+ask("scope", "openid", "resource", insuranceResource).Encode())); got.Get("error") != "invalid_target" {
		t.Errorf("answered %v", got)
	}
}
