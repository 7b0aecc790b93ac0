package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// A call is one HTTP request, before anybody has decided how it travels.
type call struct {
	method, path string
	auth         string // Authorization
	proof        string // DPoP
	cookie       string
	body         string // a form
	from         string // the sender's address, where the way lets us choose it
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte // until the next call on the same way
}

// A way takes calls to the server. It is for one goroutine.
type way interface {
	send(c call) (answer, error)
}

const formType = "application/x-www-form-urlencoded"

// inside calls the handler in this process.
type inside struct {
	ctx     context.Context
	handler http.Handler
	w       memory
}

func (i *inside) send(c call) (answer, error) {
	path, query, _ := strings.Cut(c.path, "?")
	r := &http.Request{
		Method: c.method, URL: &url.URL{Path: path, RawQuery: query}, RequestURI: c.path, Host: "login.ecard.example",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, RemoteAddr: "192.0.2.1:40000", Header: make(http.Header, 4), Body: http.NoBody,
	}
	if c.from != "" {
		r.RemoteAddr = c.from + ":40000"
	}
	if c.method == http.MethodPost {
		r.Header["Content-Type"] = []string{formType}
		r.Header["Sec-Fetch-Site"] = []string{"same-origin"}
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(c.body)), int64(len(c.body))
	}
	if c.auth != "" {
		r.Header["Authorization"] = []string{c.auth}
	}
	if c.proof != "" {
		r.Header["Dpop"] = []string{c.proof}
	}
	if c.cookie != "" {
		r.Header["Cookie"] = []string{c.cookie}
	}
	i.w = memory{header: make(http.Header, 12), body: i.w.body[:0]}
	i.handler.ServeHTTP(&i.w, r.WithContext(i.ctx))
	return answer{i.w.status, i.w.header, i.w.body}, nil
}

// memory is a ResponseWriter that costs next to nothing.
type memory struct {
	header http.Header
	status int
	body   []byte
}

func (m *memory) Header() http.Header { return m.header }

func (m *memory) WriteHeader(status int) {
	if m.status == 0 {
		m.status = status
	}
}

func (m *memory) Write(b []byte) (int, error) {
	m.WriteHeader(http.StatusOK)
	m.body = append(m.body, b...)
	return len(b), nil
}

// wire is one connection that is kept open. http.Client would cost more than some of
// the handlers it measures.
type wire struct {
	conn net.Conn
	r    *bufio.Reader
	out  []byte
	in   bytes.Buffer
}

func dial(addr string) (*wire, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &wire{conn: conn, r: bufio.NewReaderSize(conn, 8<<10)}, nil
}

func (w *wire) send(c call) (answer, error) {
	b := fmt.Appendf(w.out[:0], "%s %s HTTP/1.1\r\nHost: localhost\r\n", c.method, c.path)
	if c.auth != "" {
		b = fmt.Appendf(b, "Authorization: %s\r\n", c.auth)
	}
	if c.proof != "" {
		b = fmt.Appendf(b, "DPoP: %s\r\n", c.proof)
	}
	if c.cookie != "" {
		b = fmt.Appendf(b, "Cookie: %s\r\n", c.cookie)
	}
	if c.method == http.MethodPost {
		b = fmt.Appendf(b, "Content-Type: %s\r\nContent-Length: %d\r\n", formType, len(c.body))
	}
	b = append(append(b, "\r\n"...), c.body...)
	w.out = b
	if _, err := w.conn.Write(b); err != nil {
		return answer{}, err
	}
	resp, err := http.ReadResponse(w.r, nil)
	if err != nil {
		return answer{}, err
	}
	w.in.Reset()
	_, err = w.in.ReadFrom(resp.Body)
	return answer{resp.StatusCode, resp.Header, w.in.Bytes()}, err
}

// want makes anything but the expected status an error that says what came instead.
func want(a answer, err error, status int, doing string) (answer, error) {
	if err == nil && a.status != status {
		err = fmt.Errorf("%s: status %d: %.200s", doing, a.status, a.body)
	}
	return a, err
}

func get(w way, path string) error {
	a, err := w.send(call{method: http.MethodGet, path: path})
	_, err = want(a, err, http.StatusOK, path)
	return err
}

// tokens of a token response.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}

func (a answer) tokens() (t tokens, err error) {
	err = json.Unmarshal(a.body, &t)
	return t, err
}

// authorize is the authorization endpoint for somebody who is signed in and agreed.
func (h *house) authorize(w way, p person, scope string) (code string, err error) {
	return answered(w, p, h.ask[scope], "code")
}

// answered goes to the authorization endpoint and returns the parameter of the answer.
func answered(w way, p person, path, parameter string) (value string, err error) {
	a, err := w.send(call{method: http.MethodGet, path: path, cookie: p.login})
	if a, err = want(a, err, http.StatusSeeOther, "authorize"); err != nil {
		return "", err
	}
	_, rest, ok := strings.Cut(a.header.Get("Location"), parameter+"=")
	if value, _, _ = strings.Cut(rest, "&"); !ok || !strings.HasPrefix(a.header.Get("Location"), callback) {
		return "", fmt.Errorf("authorize: no %s in %s", parameter, a.header.Get("Location"))
	}
	return value, nil
}

func (h *house) exchange(w way, code string) (answer, error) {
	a, err := w.send(call{method: http.MethodPost, path: "/token", auth: h.pension,
		body: "grant_type=authorization_code&code=" + code + "&redirect_uri=" + url.QueryEscape(callback) + "&code_verifier=" + verifier})
	return want(a, err, http.StatusOK, "code exchange")
}

// obtain is the whole code flow.
func (h *house) obtain(w way, p person, scope string) (tokens, error) {
	code, err := h.authorize(w, p, scope)
	if err != nil {
		return tokens{}, err
	}
	a, err := h.exchange(w, code)
	if err != nil {
		return tokens{}, err
	}
	return a.tokens()
}

func (h *house) refresh(w way, token string) error {
	a, err := w.send(call{method: http.MethodPost, path: "/token", auth: h.pension, body: "grant_type=refresh_token&refresh_token=" + token})
	if a, err = want(a, err, http.StatusOK, "refresh"); err == nil && !bytes.Contains(a.body, []byte(`"id_token"`)) {
		err = fmt.Errorf("refresh: no ID token")
	}
	return err
}

func (h *house) introspect(w way, token string) error {
	a, err := w.send(call{method: http.MethodPost, path: "/introspect", auth: h.clinic, body: "token=" + token})
	if a, err = want(a, err, http.StatusOK, "introspect"); err == nil && !bytes.Contains(a.body, []byte(`"active":true`)) {
		err = fmt.Errorf("introspect: not active: %s", a.body)
	}
	return err
}

func (h *house) userinfo(w way, token string) error {
	a, err := w.send(call{method: http.MethodGet, path: "/userinfo", auth: "Bearer " + token})
	_, err = want(a, err, http.StatusOK, "userinfo")
	return err
}

func (h *house) credentials(w way) error {
	a, err := w.send(call{method: http.MethodPost, path: "/token", auth: h.clinic, body: "grant_type=client_credentials&scope=card.status"})
	_, err = want(a, err, http.StatusOK, "client credentials")
	return err
}

// challengeOf is S256 (RFC 7636 §4.2).
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
