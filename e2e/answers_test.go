package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"ecardid/authn/phone"
	"ecardid/e2e/browser"
	"ecardid/e2e/house"
	"ecardid/internal/jose"
)

const hospitalBill = `[{"type":"insurance_payment","amount":{"currency":"CNY","value":"1234.50"},"payee":{"name":"第一医院"},"reference":"R-1"}]`

// payments is an application that may ask for them.
func payments(t *testing.T, h *house.House, id string) *house.Relying {
	return h.Relying(t, id, map[string]any{"authorization_details_types": []string{"insurance_payment"}})
}

// receipts are the consents to payments that the trail keeps.
func receipts(t *testing.T, h *house.House) []string {
	t.Helper()
	if _, err := h.Store.ChainAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []string
	err := h.Store.ExportAudit(t.Context(), time.Time{}, func(line []byte) error {
		var e struct {
			Kind   string
			Detail map[string]string
		}
		err := json.Unmarshal(line, &e)
		if e.Kind == "consent.give" && e.Detail["receipt"] != "" {
			all = append(all, e.Detail["receipt"])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestPayment: what is paid, and to whom, is on the page, on the phone and in the
// receipt; proof that was given before does not do.
func TestPayment(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{CoolOff: -1}) // a phone is bound in it
	rp := payments(t, h, "clinic")

	// With a passkey, in English.
	t.Run("passkey", func(t *testing.T) {
		c, key := h.Citizen(t), h.Passkey(t, false)
		r := keyed(t, h, c, key)
		q := rp.Ask("openid insurance.pay", "authorization_details", hospitalBill)
		r.Header.Set("Accept-Language", "en")
		a := r.Get(q.Path())
		if a.Has("consent-allow") {
			t.Fatal("a single sign-on agrees to a payment")
		}
		a = key.SignIn(a)
		if a.Has("device-skip") {
			a = a.Submit("device-skip")
		}
		if got := a.Text("payment"); !strings.Contains(got, "1,234.50") || !strings.Contains(got, "第一医院") || !strings.Contains(got, "R-1") {
			t.Errorf("the page at %s says %q", a.Path, got)
		}
		a = a.Submit("consent-deny")
		if v := q.Came(a.Location); v.Get("error") != "access_denied" {
			t.Errorf("a refused payment comes back as %v", v)
		}
		if n := len(receipts(t, h)); n != 0 {
			t.Errorf("%d receipts for a payment that was refused", n)
		}
	})

	// By phone, in a browser without JavaScript.
	t.Run("phone", func(t *testing.T) {
		c := h.Citizen(t)
		ph, _ := phoneOf(t, h, c, jose.SM2)
		p := person{c, t, browser.New(t, browser.NoScript())}
		q := rp.Ask("openid insurance.pay", "authorization_details", hospitalBill)
		p.tab.Go(q.URL())
		p.password()
		if p.tab.Has("#way-phone") {
			p.tab.Press("#way-phone")
		}
		if !p.tab.Has(".match") {
			p.tab.Press("#phone-continue")
		}
		asked := ph.Asked()
		if len(asked) != 1 {
			t.Fatalf("the phone is asked %d questions", len(asked))
		}
		if got := text(asked[0]); !strings.Contains(got, "1,234.50") || !strings.Contains(got, "第一医院") {
			t.Errorf("the phone shows %s", got)
		}
		number, err := strconv.Atoi(p.tab.Text(".match strong"))
		if err != nil {
			t.Fatal(err)
		}
		if a := ph.Answer(asked[0], phone.Approve, number); a.Status != http.StatusOK {
			t.Fatalf("approving: %d %s", a.Status, a.Body)
		}
		p.tab.Press("#phone-continue")
		p.tab.Press("#device-skip")
		viewPlain(t, p.tab, "consent-payment")
		if got := p.tab.Text(".payment"); !strings.Contains(got, "1,234.50") || !strings.Contains(got, "第一医院") {
			t.Errorf("the page says %q", got)
		}
		p.tab.Press("button[name=locale]")
		if got := p.tab.Text("main"); !strings.Contains(got, "1,234.50") || !strings.Contains(got, "Payee") {
			t.Errorf("in English the page says %q", got)
		}
		viewPlain(t, p.tab, "consent-payment-en")
		p.tab.Press("#consent-allow")
		v := p.came(q)
		a := rp.Token(h.Issuer, url.Values{"grant_type": {"authorization_code"}, "code": {v.Get("code")}, "redirect_uri": {rp.Redirect}, "code_verifier": {q.Verifier}})
		if a.Status != http.StatusOK {
			t.Fatalf("redeeming: %d %s", a.Status, a.Error)
		}
		kept := receipts(t, h)
		if len(kept) != 1 {
			t.Fatalf("%d receipts", len(kept))
		}
		if claims := h.Opened(t, kept[0], "consent-receipt+jwt", jose.SM2); !strings.Contains(text(claims["authorization_details"]), `"1234.50"`) {
			t.Errorf("the receipt says %v", claims)
		}
	})
}

// TestSingleClaims: what is asked for by name is on the page by name.
func TestSingleClaims(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	rp := h.Relying(t, "by-name")
	p := visitor(t, h)
	q := rp.Ask("openid", "claims", `{"userinfo":{"phone_number":null},"id_token":{"name":{"essential":true}}}`)
	p.tab.Go(q.URL())
	p.signIn()
	view(t, p.tab, "consent-claims")
	got := p.tab.Text(".scopes")
	for _, want := range []string{"姓名", "手机号码"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not on the page: %q", want, got)
		}
	}
	p.tab.Press("#consent-allow")
	tok := q.Redeem(p.came(q).Get("code"))
	if tok.Claims["name"] != p.Name || tok.Claims["phone_number"] != nil {
		t.Errorf("the ID token says %v", tok.Claims)
	}
	if _, claims := rp.Userinfo(tok.Access); claims["phone_number"] == nil || claims["name"] != nil {
		t.Errorf("userinfo says %v", claims)
	}
}

// TestPushedPages: a request that was pushed belongs to the browser that opened it,
// and an answer may come signed in a form.
func TestPushedPages(t *testing.T) {
	t.Parallel()
	h := house.Open(t, house.Options{})
	rp := h.Relying(t, "pusher", map[string]any{"response_modes": []string{"query", "form_post.jwt"}})
	push := func(q *house.Request) string {
		t.Helper()
		handle := rp.Push(h.Issuer, q)
		return h.Issuer + "/authorize?" + url.Values{"client_id": {rp.ID}, "request_uri": {handle}}.Encode()
	}
	q := rp.Ask("openid", "response_mode", "form_post.jwt")
	at := push(q)
	p := visitor(t, h)
	p.tab.Go(at)
	p.password()
	stranger := browser.New(t, browser.Speaking("en"))
	stranger.Go(at)
	if stranger.Has("#username") || stranger.Has("#code") || stranger.Status != http.StatusBadRequest {
		t.Errorf("another browser opens the request: %d at %s", stranger.Status, stranger.URL())
	}
	view(t, stranger, "pushed-elsewhere")
	p.code()
	p.tab.Press("#device-skip")
	p.tab.Press("#consent-allow")
	p.tab.WaitURL(rp.Redirect)
	if p.tab.Text("#code") != "" || p.tab.Text("#state") != "" {
		t.Error("a signed answer comes in the clear as well")
	}
	claims := h.Opened(t, p.tab.Text("#response"), "JWT", jose.ES256)
	code, _ := claims["code"].(string)
	if claims["state"] != q.Values.Get("state") || claims["aud"] != rp.ID || code == "" {
		t.Fatalf("the signed answer says %v", claims)
	}
	q.Redeem(code)
	p.tab.Go(at)
	if p.tab.Status != http.StatusBadRequest {
		t.Errorf("a request that was answered: %d at %s", p.tab.Status, p.tab.URL())
	}
	view(t, p.tab, "pushed-again")

	// Without script the form has a button.
	plain := person{p.Citizen, t, browser.New(t, browser.NoScript())}
	q = rp.Ask("openid", "response_mode", "form_post.jwt")
	plain.tab.Go(push(q))
	plain.signIn()
	plain.tab.Press("#form-post")
	plain.tab.WaitURL(rp.Redirect)
	if claims := h.Opened(t, plain.tab.Text("#response"), "JWT", jose.ES256); claims["code"] == nil {
		t.Errorf("the signed answer says %v", claims)
	}
}
