package standin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
)

// start is what a session is asked for with.
type start struct {
	jose.Standard
	RequestID   string  `json:"request_id"`
	Nonce       string  `json:"nonce"`
	Purpose     string  `json:"purpose"`
	SubjectRef  string  `json:"subject_ref"`
	Reference   string  `json:"reference"`
	TxnHash     string  `json:"txn_hash"`
	DeviceRef   *string `json:"device_ref"`
	MinScore    int     `json:"min_score"`
	MinPAD      int     `json:"min_pad"`
	Mode        string  `json:"mode"`
	ExpiresIn   int     `json:"expires_in"`
	ReturnURI   string  `json:"return_uri"`
	CallbackURI string  `json:"callback_uri"`
}

type pull struct {
	jose.Standard
	SessionID string `json:"session_id"`
	Nonce     string `json:"nonce"`
}

func (s start) check() error {
	switch {
	case s.RequestID == "" || len(s.Nonce) < 22 || s.SubjectRef == "" || s.TxnHash == "" || s.Purpose == "":
		return errors.New("a member is missing")
	case s.ExpiresIn < 1 || s.ExpiresIn > 180:
		return errors.New("expires_in is not within 1 to 180")
	case !isWeb(s.ReturnURI) || !isWeb(s.CallbackURI):
		return errors.New("return_uri or callback_uri is not http or https")
	}
	return nil
}

func isWeb(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
}

// receive reads and verifies what our client signed. Every message counts once.
func (p *Provider) receive(w http.ResponseWriter, r *http.Request, typ string, into any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/jose" {
		return errors.New("not application/jose")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	t, err := jose.Parse(string(body))
	if err != nil {
		return err
	}
	if t.Header.Type != typ {
		return fmt.Errorf("typ is not %s", typ)
	}
	v, err := t.Verify(p.opts.ClientKeys, jose.ES256, jose.SM2)
	if err != nil {
		return err
	}
	std, err := v.Standard()
	if err != nil {
		return err
	}
	now := p.opts.Clock.Now()
	if err := std.Check(now, jose.Window{Leeway: 10 * time.Second, MaxLife: 70 * time.Second}); err != nil {
		return err
	}
	if std.Issuer != p.opts.Client || !std.Audience.Only(p.opts.Issuer) || std.ID == "" {
		return errors.New("iss, aud or jti")
	}
	if err := v.Claims(into); err != nil {
		return err
	}
	if !p.fresh(std.ID, now.Add(2*time.Minute)) {
		return errors.New("jti was used before")
	}
	return nil
}

func (p *Provider) handleStart(w http.ResponseWriter, r *http.Request) {
	trouble := p.opts.Trouble(StepStart)
	if trouble.answer(w, r) {
		return
	}
	var req start
	err := p.receive(w, r, "liveness-start+jwt", &req)
	if err == nil {
		err = req.check()
	}
	if err != nil {
		p.refuse(w, r, StepStart, err)
		return
	}
	s := &session{
		id:       identity.NewID().String(),
		capture:  identity.NewID().String(),
		start:    req,
		ends:     p.opts.Clock.Now().Add(time.Duration(req.ExpiresIn) * time.Second),
		evidence: "standin-" + identity.NewID().String(),
	}
	if !p.add(s) {
		http.Error(w, "this request has a session", http.StatusConflict)
		return
	}
	answer := Claims{
		"session_id":  s.id,
		"capture_url": p.opts.BaseURL + "/liveness/v1/capture/" + s.capture,
		"expires_at":  s.ends.Unix(),
		"standin":     true,
	}
	if trouble.Change != nil {
		trouble.Change(answer)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		p.refuse(w, r, StepStart, err)
		return
	}
	trouble.write(w, http.StatusCreated, "application/json", body)
}

func (p *Provider) handleResult(w http.ResponseWriter, r *http.Request) {
	trouble := p.opts.Trouble(StepResult)
	if trouble.answer(w, r) {
		return
	}
	var req pull
	if err := p.receive(w, r, "liveness-pull+jwt", &req); err != nil {
		p.refuse(w, r, StepResult, err)
		return
	}
	p.mu.Lock()
	found, ok := p.sessions[r.PathValue("id")]
	var s session
	if ok {
		s = *found
	}
	p.mu.Unlock()
	switch now := p.opts.Clock.Now(); {
	case !ok || req.SessionID != s.id || req.Nonce != s.start.Nonce || now.After(s.ends.Add(grace)):
		http.Error(w, "no such session", http.StatusNotFound)
		return
	case s.answer == "" || trouble.Drop:
		w.WriteHeader(http.StatusAccepted)
		return
	}
	jws, err := p.sign("liveness-result+jwt", s, trouble)
	if err != nil {
		p.refuse(w, r, StepResult, err)
		return
	}
	trouble.write(w, http.StatusOK, "application/jose", []byte(jws))
}

// sign says what came of s, freshly: its own jti and a minute to live.
func (p *Provider) sign(typ string, s session, t Trouble) (string, error) {
	now := p.opts.Clock.Now()
	score := 35
	if s.answer == answerPass {
		score = 96
	}
	c := Claims{
		"iss": p.opts.Issuer, "aud": p.opts.Client, "jti": identity.NewID().String(),
		"iat": now.Unix(), "exp": now.Add(resultLife).Unix(),
		"session_id":   s.id,
		"request_id":   s.start.RequestID,
		"nonce":        s.start.Nonce,
		"txn_hash":     s.start.TxnHash,
		"subject_ref":  s.start.SubjectRef,
		"device_ref":   s.start.DeviceRef,
		"verdict":      s.answer,
		"liveness":     map[string]any{"score": score, "threshold": threshold, "pad": padLevel},
		"match":        nil,
		"risk":         []string{},
		"captured_at":  s.captured.Unix(),
		"attempt":      s.attempts,
		"evidence_ref": s.evidence,
	}
	if s.start.Mode == "liveness+match" {
		c["match"] = map[string]any{"score": score, "threshold": threshold, "source": s.start.Reference}
	}
	if t.Change != nil {
		t.Change(c)
	}
	key := p.opts.SigningKey
	if t.Key != nil {
		key = *t.Key
	}
	if t.Type != "" {
		typ = t.Type
	}
	return jose.Sign(key, typ, c)
}

// notify posts the notice, once. Nobody depends on its arrival.
func (p *Provider) notify(ctx context.Context, s session) {
	trouble := p.opts.Trouble(StepNotice)
	if trouble.Drop {
		return
	}
	body, err := p.sign("liveness-notice+jwt", s, trouble)
	if err == nil {
		err = p.post(ctx, s.start.CallbackURI, []byte(body))
	}
	if err != nil {
		p.opts.Log.InfoContext(ctx, "stand-in: notice not delivered", "cause", err)
	}
}

func (p *Provider) post(ctx context.Context, to string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/jose")
	res, err := p.opts.HTTP.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, step Step, cause error) {
	p.opts.Log.InfoContext(r.Context(), "stand-in: refused", "step", step, "cause", cause)
	http.Error(w, "refused", http.StatusBadRequest)
}

// answer does what needs no session to go wrong, and reports whether that was
// all there is to say.
func (t Trouble) answer(w http.ResponseWriter, r *http.Request) bool {
	if t.Pause != nil {
		select {
		case <-t.Pause:
		case <-r.Context().Done():
			return true
		}
	}
	switch {
	case t.Hang:
		// The body must be read for the server to notice that the caller left.
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxBody))
		<-r.Context().Done()
	case t.Status != 0:
		w.WriteHeader(t.Status)
	case t.Redirect != "":
		http.Redirect(w, r, t.Redirect, http.StatusFound)
	default:
		return false
	}
	return true
}

func (t Trouble) write(w http.ResponseWriter, status int, media string, body []byte) {
	if t.Body != nil {
		body = t.Body
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-store")
	if t.Header != nil {
		t.Header(w.Header())
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
