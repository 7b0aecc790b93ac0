package liveness

import (
	"context"
	"errors"
	"io"
	"net/http"

	"ecardid/identity"
)

// Callback takes in what was posted to the callback URL. It returns nothing,
// because the sender learns nothing: a notice wakes us up and is a second
// opinion that may turn a pass into a refusal, never the other way round.
//
// Rows are looked at only for what the provider signed, so how long this takes
// tells a stranger nothing that they did not send.
func (e *Engine) Callback(ctx context.Context, body []byte) {
	err := e.note(ctx, body)
	switch {
	case err == nil:
	case errors.Is(err, identity.ErrNotFound):
		e.log.InfoContext(ctx, "liveness notice for no pending session")
	default:
		e.log.WarnContext(ctx, "liveness notice refused", "cause", err)
	}
}

func (e *Engine) note(ctx context.Context, body []byte) error {
	if len(body) > maxBody {
		return errors.New("larger than a notice can be")
	}
	payload, err := open(string(body), typeNotice, e.cfg.ProviderKeys)
	if err != nil {
		return refusal{ReasonSignature, err}
	}
	r, err := parseResult(payload)
	if err != nil {
		return refusal{ReasonMalformed, err}
	}
	want := Expect{Issuer: e.cfg.Issuer, Audience: e.cfg.Audience}
	if reason := judgeMessage(r, want, e.clock.Now()); reason != "" {
		return reason
	}
	// Whether it fits the session is not asked here: a notice that does not will
	// not agree with any result that does.
	return e.sessions.Note(ctx, e.cfg.Name, r.sessionID, Notice{JTI: jtiKey(e.cfg.Name, r.jti), Digest: r.digest()})
}

// ServeHTTP is the callback URL: 204 whatever comes (notes §6.2, step 3). The
// router sees to the method.
func (e *Engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err == nil {
		e.Callback(r.Context(), body)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}
