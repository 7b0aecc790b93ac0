package house

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"ecardid/authn/phone"
	"ecardid/identity"
	"ecardid/internal/jose"
)

// A Phone is the card app, with its key in software.
type Phone struct {
	t     testing.TB
	site  site
	robot *Robot

	Signer phone.Signer
	ID     identity.ID // once it is bound
}

// Phone makes one that nobody knows yet.
func (h *House) Phone(t testing.TB, alg jose.Alg) *Phone {
	t.Helper()
	return newPhone(t, h.site(), h.Robot(t), alg)
}

// Phone makes one that nobody knows yet.
func (d *Demo) Phone(t testing.TB, alg jose.Alg) *Phone {
	t.Helper()
	s := site{d.Issuer, time.Now, func(string, string) {}, func(string) {}}
	return newPhone(t, s, s.robot(t), alg)
}

func newPhone(t testing.TB, at site, r *Robot, alg jose.Alg) *Phone {
	t.Helper()
	s, err := phone.NewSigner(alg)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", "ecard-app/1.0")
	return &Phone{t: t, site: at, robot: r, Signer: s}
}

// Bind does what the app does after scanning the code of the account page.
func (p *Phone) Bind(code string) {
	p.t.Helper()
	var bound struct {
		ID identity.ID `json:"device_id"`
	}
	p.read(p.TryBind(code), http.StatusCreated, &bound)
	p.ID = bound.ID
}

// TryBind is Bind that may be refused.
func (p *Phone) TryBind(code string) *Answer {
	p.t.Helper()
	var c struct {
		EnrolmentID identity.ID `json:"enrolment_id"`
		Challenge   string      `json:"challenge"`
		Audience    string      `json:"aud"`
	}
	p.read(p.Claim(code), http.StatusOK, &c)
	body, err := p.Signer.Enrol(phone.EnrolmentChallenge{EnrolmentID: c.EnrolmentID, Challenge: c.Challenge, Audience: c.Audience},
		phone.About{Name: "测试手机", Model: "T-1", OS: "TestOS"}, "none", nil, p.site.now())
	if err != nil {
		p.t.Fatal(err)
	}
	return p.json(http.MethodPost, "/device/v1/enrolments/"+c.EnrolmentID.String(), body, nil)
}

// Claim spends an enrolment code for a challenge.
func (p *Phone) Claim(code string) *Answer {
	p.t.Helper()
	p.site.saw("phone enrolment code", code)
	body, err := json.Marshal(map[string]string{"code": code})
	if err != nil {
		p.t.Fatal(err)
	}
	return p.json(http.MethodPost, "/device/v1/enrolments", body, nil)
}

func (p *Phone) json(method, path string, body []byte, h http.Header) *Answer {
	p.t.Helper()
	contentType, reader := "", io.Reader(nil)
	if body != nil {
		contentType, reader = "application/json", bytes.NewReader(body)
	}
	return p.robot.Raw(method, path, contentType, reader, h)
}

func (p *Phone) read(a *Answer, status int, into any) {
	p.t.Helper()
	if a.Status != status {
		p.t.Fatalf("%s: status %d: %s", a.Path, a.Status, a.Body)
	}
	if err := json.Unmarshal([]byte(a.Body), into); err != nil {
		p.t.Fatalf("%s: %v", a.Path, err)
	}
}

// Nonce asks for one.
func (p *Phone) Nonce() string {
	p.t.Helper()
	var n struct {
		Nonce string `json:"nonce"`
	}
	p.read(p.robot.Raw(http.MethodGet, "/device/v1/nonce", "", nil, http.Header{phone.HeaderDevice: {p.ID.String()}}), http.StatusOK, &n)
	return n.Nonce
}

// Sign returns the headers of a signed request.
func (p *Phone) Sign(method, path, nonce string, body []byte) http.Header {
	p.t.Helper()
	h, err := p.Signer.SignRequest(phone.Request{
		Method: method, Path: path, Audience: p.site.issuer, Body: body, Signed: phone.Signed{Device: p.ID, Nonce: nonce},
	}, p.site.now())
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}

// Send sends a signed request. Body may be nil.
func (p *Phone) Send(method, path string, body []byte) *Answer {
	p.t.Helper()
	return p.json(method, path, body, p.Sign(method, path, p.Nonce(), body))
}

// SendWith is Send with headers made before.
func (p *Phone) SendWith(h http.Header, method, path string, body []byte) *Answer {
	p.t.Helper()
	return p.json(method, path, body, h)
}

// A Question is what a browser asks the phone's owner.
type Question struct {
	ID      identity.ID `json:"approval_id"`
	Context string      `json:"context"`
	Choices []int       `json:"choices"`
}

// Asked are the questions now.
func (p *Phone) Asked() []Question {
	p.t.Helper()
	var out struct {
		Approvals []Question `json:"approvals"`
	}
	p.read(p.Send(http.MethodGet, "/device/v1/approvals", nil), http.StatusOK, &out)
	return out.Approvals
}

// Answer gives the owner's answer to a question.
func (p *Phone) Answer(q Question, d phone.Decision, number int) *Answer {
	p.t.Helper()
	body, err := json.Marshal(phone.Approval{ID: q.ID, Decision: d, Number: number, ContextHash: phone.ContextHash([]byte(q.Context)), UserVerified: true})
	if err != nil {
		p.t.Fatal(err)
	}
	return p.Send(http.MethodPost, "/device/v1/approvals/"+q.ID.String(), body)
}
