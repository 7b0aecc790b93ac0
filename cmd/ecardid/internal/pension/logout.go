package pension

import (
	"net/http"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
)

// Where the identity provider sends people, frames and messages when a session ends.
const (
	SignedOutPath    = "/signed-out"
	FrontChannelPath = "/frontchannel-logout"
	BackChannelPath  = "/backchannel-logout"
)

// How somebody was signed out, which the page tells the next time it is looked at.
const (
	leftHere       = "here"
	leftEverywhere = "everywhere"
	leftFront      = "elsewhere-front"
	leftBack       = "elsewhere-back"
)

// signOut signs out here first, so that it holds whatever comes of the rest, and then
// at the identity provider (RP-Initiated Logout 1.0 §2).
func (o *Office) signOut(w http.ResponseWriter, r *http.Request) {
	who, state, ok := o.sessions.leave(r)
	if !ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	to := "/"
	p, err := o.provider(r.Context())
	if err == nil {
		var metadata struct {
			EndSession string `json:"end_session_endpoint"`
		}
		if err = p.Claims(&metadata); err == nil && metadata.EndSession != "" {
			to = metadata.EndSession + "?" + url.Values{
				"id_token_hint": {who.raw}, "post_logout_redirect_uri": {o.cfg.BaseURL + SignedOutPath},
				"state": {state}, "ui_locales": {locale(r)},
			}.Encode()
		}
	}
	if err != nil {
		o.cfg.Log.Info("signed out here only", "cause", err)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// signedOut is where the identity provider sends people back to. Anybody can link to
// it: only the state of this browser's own sign-out says anything.
func (o *Office) signedOut(w http.ResponseWriter, r *http.Request) {
	o.sessions.returned(r, r.URL.Query().Get("state"))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// frontChannel is loaded in a frame of the identity provider's page (Front-Channel
// Logout 1.0 §3). Browsers do not send our cookie into another site's frame, so it
// goes by sid, which nobody knows but the two of us and the browser.
func (o *Office) frontChannel(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors "+o.cfg.Issuer)
	h.Set("Content-Type", "text/html; charset=utf-8")
	q, err := once(r.URL.RawQuery)
	if err != nil || q["iss"] != o.cfg.Issuer || q["sid"] == "" {
		http.Error(w, "not understood", http.StatusBadRequest)
		return
	}
	o.sessions.ended(q["sid"], "", leftFront)
	_, _ = w.Write([]byte("<!doctype html><html lang=\"en\"><title>Signed out</title>"))
}

// backChannel hears from the identity provider itself (Back-Channel Logout 1.0 §2.5).
// The library checks signature, issuer, audience, time, event and the absence of a
// nonce (§2.6); that a token is heard once is ours to see to.
func (o *Office) backChannel(w http.ResponseWriter, r *http.Request) {
	refuse := func(cause error) {
		o.cfg.Log.Info("a logout token was not believed", "cause", cause)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest) // §2.8
		_, _ = w.Write([]byte(`{"error":"invalid_request"}`))
	}
	ctx := oidc.ClientContext(r.Context(), o.cfg.HTTP)
	p, err := o.provider(ctx)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable) // it comes again
		return
	}
	token, err := o.verifier(ctx, p, o.cfg.ClientID).VerifyLogout(ctx, r.PostFormValue("logout_token"))
	if err != nil {
		refuse(err)
		return
	}
	if o.sessions.hear(token.TokenID) {
		o.sessions.ended(token.SessionID, token.Subject, leftBack)
	}
	w.WriteHeader(http.StatusOK)
}
