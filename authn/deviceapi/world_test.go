package deviceapi

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ecardid/authn"
	"ecardid/authn/phone"
	"ecardid/authn/phone/attest"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/secret"
)

const origin = "https://login.ecard.test"

// A world is one server and what it remembers.
type world struct {
	t      testing.TB
	mem    *memory
	clock  *clock.Manual
	nonces phone.Nonces
	server http.Handler
	other  http.Handler // a second replica
}

func newWorld(t testing.TB, bend ...func(*Parts)) *world {
	t.Helper()
	w := &world{t: t, mem: newMemory(), clock: clock.At(time.Unix(1_800_000_000, 0))}
	tag := func(message []byte) []byte {
		m := hmac.New(sha256.New, []byte("the key of the nonces"))
		m.Write(message)
		return m.Sum(nil)
	}
	w.nonces = phone.Nonces{
		Tag:   func(message []byte) ([]byte, error) { return tag(message), nil },
		Check: func(got, message []byte) bool { return hmac.Equal(got, tag(message)) },
	}
	set, err := attest.NewSet(attest.Unattested{}, maker{})
	if err != nil {
		t.Fatal(err)
	}
	p := Parts{
		Store: w.mem, Nonces: w.nonces, Attest: set, Origin: origin,
		Throttle: func(m []byte) ([]byte, error) { return tag(append([]byte("throttle"), m...)), nil },
		Source:   func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.7") },
		Place:    func(*http.Request) string { return "192.0.2.0/24" },
		Clock:    w.clock, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	}
	for _, b := range bend {
		b(&p)
	}
	w.server, w.other = mount(t, p), mount(t, p)
	return w
}

func mount(t testing.TB, p Parts) http.Handler {
	t.Helper()
	api, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, r := range api.Routes() {
		mux.Handle(r.Method+" "+r.Pattern, r.Handler)
	}
	return mux
}

// maker is an attestation format for tests: the phone's word that it has a TEE,
// unless it brings a certificate.
type maker struct{}

func (maker) Format() string { return "test" }

func (maker) Verify(_ time.Time, s attest.Statement) (attest.Result, error) {
	if len(s.Chain) > 0 {
		return attest.Result{}, attest.ErrRefused
	}
	return attest.Result{Format: "test", Level: identity.KeyTEE, Version: "1"}, nil
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
}

func (a answer) code() string {
	var e struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal([]byte(a.body), &e) // no error in it: ""
	return e.Error
}

func send(h http.Handler, r *http.Request) answer {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

func request(method, path string, body []byte) *http.Request {
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	r := httptest.NewRequest(method, path, in)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func (w *world) post(path, body string) answer {
	return send(w.server, request(http.MethodPost, path, []byte(body)))
}

// open is what the account page does: a code for a phone of the citizen.
func (w *world) open(citizen identity.ID) (secret.Value, identity.ID) {
	code, login := secret.New(16), identity.NewID()
	id := identity.NewID()
	w.mem.mu.Lock()
	defer w.mem.mu.Unlock()
	w.mem.enrolments[id] = &enrolled{PhoneEnrolment: authn.PhoneEnrolment{
		ID: id, Citizen: citizen, Login: login, Code: code.Hash(), Expires: w.clock.Now().Add(10 * time.Minute),
	}}
	return code, login
}

type challenge struct {
	EnrolmentID identity.ID `json:"enrolment_id"`
	Challenge   string      `json:"challenge"`
	ExpiresIn   int         `json:"expires_in"`
	Alg         []jose.Alg  `json:"alg"`
	Formats     []string    `json:"formats"`
	Audience    string      `json:"aud"`
}

func (c challenge) path() string { return "/device/v1/enrolments/" + c.EnrolmentID.String() }

func (w *world) claim(code secret.Value) challenge {
	w.t.Helper()
	a := w.post("/device/v1/enrolments", `{"code":"`+code.Reveal()+`"}`)
	if a.status != http.StatusOK {
		w.t.Fatalf("claiming: %d %s", a.status, a.body)
	}
	var c challenge
	a.decode(w.t, &c)
	return c
}

func (w *world) signer(alg jose.Alg) phone.Signer {
	w.t.Helper()
	s, err := phone.NewSigner(alg)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) enrol(s phone.Signer, c challenge, format string) []byte {
	w.t.Helper()
	body, err := s.Enrol(phone.EnrolmentChallenge{
		EnrolmentID: c.EnrolmentID, Challenge: c.Challenge, Audience: c.Audience,
	}, phone.About{Name: "Ying's phone", Model: "M1", OS: "H 5"}, format, nil, w.clock.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

// A handset is a bound phone and what it needs to sign.
type handset struct {
	phone.Signer
	w  *world
	id identity.ID
}

func (w *world) bound(citizen identity.ID, alg jose.Alg, format string) handset {
	w.t.Helper()
	code, _ := w.open(citizen)
	c, s := w.claim(code), w.signer(alg)
	a := w.post(c.path(), string(w.enrol(s, c, format)))
	if a.status != http.StatusCreated {
		w.t.Fatalf("binding: %d %s", a.status, a.body)
	}
	var out struct {
		DeviceID identity.ID `json:"device_id"`
	}
	a.decode(w.t, &out)
	return handset{s, w, out.DeviceID}
}

func (h handset) nonce() string {
	h.w.t.Helper()
	r := request(http.MethodGet, "/device/v1/nonce", nil)
	r.Header.Set(phone.HeaderDevice, h.id.String())
	var out struct {
		Nonce string `json:"nonce"`
	}
	send(h.w.server, r).decode(h.w.t, &out)
	return out.Nonce
}

// sign makes a signed request; bend changes what is signed, not what is sent.
func (h handset) sign(method, path string, body []byte, bend ...func(*phone.Request)) *http.Request {
	h.w.t.Helper()
	p := phone.Request{Method: method, Path: path, Audience: origin, Body: body, Signed: phone.Signed{Device: h.id}}
	p.Nonce = h.nonce()
	for _, b := range bend {
		b(&p)
	}
	head, err := h.SignRequest(p, h.w.clock.Now())
	if err != nil {
		h.w.t.Fatal(err)
	}
	r := request(method, path, body)
	for name, values := range head {
		r.Header[name] = values
	}
	return r
}

func (h handset) send(method, path, body string) answer {
	h.w.t.Helper()
	var b []byte
	if body != "" {
		b = []byte(body)
	}
	return send(h.w.server, h.sign(method, path, b))
}

func (h handset) self() string { return "/device/v1/devices/" + h.id.String() }

// ask stores a question to the citizen's phones.
func (w *world) ask(citizen identity.ID) authn.Approval {
	w.t.Helper()
	right, choices, err := phone.NewNumbers(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	id, now := identity.NewID(), w.clock.Now()
	// The angle brackets are there because JSON encoders like to rewrite them.
	shown, err := phone.Context{
		ApprovalID: id, Action: "sign-in", Client: "养老金 <Office>", Host: "pension.test",
		Browser: "Firefox · Linux", Place: "198.51.100.0/24", At: now, Choices: choices,
	}.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	a := authn.Approval{
		ID: id, Flow: identity.NewID(), Citizen: citizen, Context: shown, Number: right, Choices: choices,
		State: authn.ApprovalPending, Created: now, Expires: now.Add(2 * time.Minute),
	}
	w.mem.mu.Lock()
	defer w.mem.mu.Unlock()
	kept := a
	w.mem.approvals[id] = &kept
	return a
}

func (w *world) approval(id identity.ID) authn.Approval {
	w.mem.mu.Lock()
	defer w.mem.mu.Unlock()
	return *w.mem.approvals[id]
}

func approve(a authn.Approval) phone.Approval {
	return phone.Approval{
		ID: a.ID, Decision: phone.Approve, Number: a.Number, ContextHash: phone.ContextHash(a.Context), UserVerified: true,
	}
}

func (h handset) decide(a phone.Approval) answer {
	h.w.t.Helper()
	body, err := json.Marshal(a)
	if err != nil {
		h.w.t.Fatal(err)
	}
	return h.send(http.MethodPost, "/device/v1/approvals/"+a.ID.String(), string(body))
}

func replaceOnce(t testing.TB, s, old, with string) string {
	t.Helper()
	if strings.Count(s, old) != 1 {
		t.Fatalf("%q is not once in %q", old, s)
	}
	return strings.Replace(s, old, with, 1)
}
