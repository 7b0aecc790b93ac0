package pension

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"ecardid/internal/clock"
	"ecardid/internal/secret"
)

// Config says who we are to the identity provider.
type Config struct {
	Issuer       string
	ClientID     string
	ClientSecret secret.Value
	BaseURL      string // ours, without a trailing slash
	Counter      Counter
	HTTP         *http.Client
	Clock        clock.Clock
	Log          *slog.Logger
}

// CallbackPath is where the identity provider sends people back to.
const CallbackPath = "/callback"

// A Level is one of the buttons: what is asked for, and how sure the identity
// provider has to be.
type Level struct {
	ID    string // of the button, after "signin-"
	ACR   string
	Scope []string
}

// Levels lists the buttons, lowest first.
func Levels() []Level {
	always := func(more ...string) []string { return append([]string{oidc.ScopeOpenID, "profile"}, more...) }
	return []Level{
		{"basic", "", always("card.basic")},
		{"mfa", "urn:ecardid:acr:mfa", always("pension.read")},
		{"bound", "urn:ecardid:acr:bound", always("insurance.pay")},
		{"live", "urn:ecardid:acr:live", always("pension.claim")},
	}
}

// Scope is everything the office may ask for, as registered.
func Scope() string {
	var all []string
	seen := map[string]bool{}
	for _, l := range Levels() {
		for _, s := range l.Scope {
			if !seen[s] {
				seen[s] = true
				all = append(all, s)
			}
		}
	}
	return strings.Join(all, " ")
}

func levelOf(id string) (Level, bool) {
	for _, l := range Levels() {
		if l.ID == id {
			return l, true
		}
	}
	return Level{}, false
}

// An Office is the running application. It is safe for concurrent use.
type Office struct {
	cfg      Config
	mux      *http.ServeMux
	guard    *http.CrossOriginProtection
	page     *template.Template
	sessions sessions

	discovery sync.Mutex
	found     *oidc.Provider
}

// New returns an Office that has not spoken to anybody yet.
func New(cfg Config) (*Office, error) {
	if cfg.Issuer == "" || cfg.ClientID == "" || cfg.BaseURL == "" || cfg.Clock == nil || cfg.Log == nil {
		return nil, errors.New("pension: issuer, client, address, clock and log are needed")
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: outbound, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	page, err := template.New("page.html").Funcs(template.FuncMap{"pretty": pretty}).ParseFS(files, "page.html")
	if err != nil {
		return nil, fmt.Errorf("pension: %w", err)
	}
	o := &Office{cfg: cfg, mux: http.NewServeMux(), guard: http.NewCrossOriginProtection(), page: page}
	o.sessions.clock = cfg.Clock
	o.mux.HandleFunc("GET /{$}", o.home)
	o.mux.HandleFunc("POST /signin", o.signIn)
	o.mux.HandleFunc("GET "+CallbackPath, o.callback)
	o.mux.HandleFunc("POST /refresh", o.refresh)
	o.mux.HandleFunc("POST /userinfo", o.userInfo)
	o.mux.HandleFunc("POST /signout", o.signOut)
	o.mux.HandleFunc("GET "+SignedOutPath, o.signedOut)
	o.mux.HandleFunc("GET "+FrontChannelPath, o.frontChannel)
	o.mux.HandleFunc("POST "+BackChannelPath, o.backChannel)
	o.mux.HandleFunc("POST /pay", o.pay)
	o.mux.HandleFunc("GET "+PayCallbackPath, o.paid)
	o.mux.HandleFunc("POST /language", o.language)
	o.mux.HandleFunc("GET /style.css", style)
	o.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		o.fail(w, r, http.StatusNotFound, "not-found", nil)
	})
	return o, nil
}

// ServeHTTP implements http.Handler.
func (o *Office) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' "+o.cfg.Issuer)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if err := o.guard.Check(r); err != nil {
		o.fail(w, r, http.StatusForbidden, "forged", err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	o.mux.ServeHTTP(w, r)
}

// provider discovers the identity provider, once it answers.
func (o *Office) provider(ctx context.Context) (*oidc.Provider, error) {
	o.discovery.Lock()
	defer o.discovery.Unlock()
	if o.found != nil {
		return o.found, nil
	}
	// The provider keeps the context for later key fetches.
	p, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), o.cfg.HTTP), o.cfg.Issuer)
	if err != nil {
		return nil, fmt.Errorf("discovering %s: %w", o.cfg.Issuer, err)
	}
	o.found = p
	return p, nil
}

func (o *Office) client(p *oidc.Provider, scope []string) *oauth2.Config {
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader // client_secret_basic, as registered
	return &oauth2.Config{
		ClientID: o.cfg.ClientID, ClientSecret: o.cfg.ClientSecret.Reveal(), Endpoint: endpoint,
		RedirectURL: o.cfg.BaseURL + CallbackPath, Scopes: scope,
	}
}

func (o *Office) home(w http.ResponseWriter, r *http.Request) {
	o.show(w, r, http.StatusOK, "")
}

// signIn sends the browser to the identity provider, with state, nonce and PKCE of
// this attempt in our session.
func (o *Office) signIn(w http.ResponseWriter, r *http.Request) {
	level, ok := levelOf(r.FormValue("level"))
	if !ok {
		o.fail(w, r, http.StatusBadRequest, "level", nil)
		return
	}
	p, err := o.provider(r.Context())
	if err != nil {
		o.fail(w, r, http.StatusBadGateway, "provider", err)
		return
	}
	attempt := attempt{level: level, nonce: secret.New(24).Reveal(), verifier: oauth2.GenerateVerifier()}
	state, err := o.sessions.begin(w, r, attempt, strings.HasPrefix(o.cfg.BaseURL, "https:"))
	if err != nil {
		o.fail(w, r, http.StatusServiceUnavailable, "busy", err)
		return
	}
	options := []oauth2.AuthCodeOption{
		oidc.Nonce(attempt.nonce), oauth2.S256ChallengeOption(attempt.verifier),
		oauth2.SetAuthURLParam("ui_locales", locale(r)),
	}
	if level.ACR != "" {
		options = append(options, oauth2.SetAuthURLParam("acr_values", level.ACR))
	}
	if r.FormValue("again") == "1" {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
	}
	http.Redirect(w, r, o.client(p, level.Scope).AuthCodeURL(state, options...), http.StatusSeeOther)
}

// callback believes an answer only if this browser asked for it (state), it comes
// from whom we asked (iss, RFC 9207), the code was issued for this attempt (PKCE),
// and the ID token says the same (issuer, audience, signature, time, nonce) and is
// as sure as we asked for (acr).
func (o *Office) callback(w http.ResponseWriter, r *http.Request) {
	q, err := once(r.URL.RawQuery)
	if err != nil {
		o.fail(w, r, http.StatusBadRequest, "answer", err)
		return
	}
	attempt, ok := o.sessions.finish(r, q["state"])
	if !ok || attempt.bill != nil {
		o.fail(w, r, http.StatusBadRequest, "state", nil)
		return
	}
	if q["iss"] != o.cfg.Issuer {
		o.fail(w, r, http.StatusBadRequest, "issuer", nil)
		return
	}
	if q["error"] != "" {
		o.refused(w, r, q["error"], q["error_description"])
		return
	}
	ctx := oidc.ClientContext(r.Context(), o.cfg.HTTP)
	p, err := o.provider(ctx)
	if err != nil {
		o.fail(w, r, http.StatusBadGateway, "provider", err)
		return
	}
	token, err := o.client(p, attempt.level.Scope).Exchange(ctx, q["code"], oauth2.VerifierOption(attempt.verifier))
	if err != nil {
		o.fail(w, r, http.StatusBadGateway, "exchange", err)
		return
	}
	claims, raw, err := o.identify(ctx, p, token)
	if err != nil {
		o.fail(w, r, http.StatusBadGateway, "id-token", err)
		return
	}
	if claims.Nonce != attempt.nonce {
		o.fail(w, r, http.StatusBadGateway, "nonce", nil)
		return
	}
	if !enough(claims.ACR, attempt.level.ACR) {
		o.fail(w, r, http.StatusBadGateway, "acr", fmt.Errorf("asked for %s, got %q", attempt.level.ACR, claims.ACR))
		return
	}
	if !o.sessions.signedIn(w, r, person{token: token, claims: claims, raw: raw, scope: scopeOf(token, attempt.level.Scope)}, strings.HasPrefix(o.cfg.BaseURL, "https:")) {
		o.fail(w, r, http.StatusBadRequest, "state", nil)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// identify verifies the ID token that came with the tokens.
func (o *Office) identify(ctx context.Context, p *oidc.Provider, token *oauth2.Token) (claims, string, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return claims{}, "", errors.New("there is no ID token")
	}
	c, err := o.verify(ctx, p, o.cfg.ClientID, raw, token.AccessToken)
	return c, raw, err
}

// verify checks an ID token that was issued to one of our clients beside an access
// token.
func (o *Office) verify(ctx context.Context, p *oidc.Provider, client, raw, access string) (claims, error) {
	verified, err := o.verifier(ctx, p, client).Verify(ctx, raw)
	if err != nil {
		return claims{}, err
	}
	if verified.AccessTokenHash != "" {
		if err := verified.VerifyAccessToken(access); err != nil {
			return claims{}, err
		}
	}
	c := claims{Subject: verified.Subject, Nonce: verified.Nonce}
	if err := verified.Claims(&c.All); err != nil {
		return claims{}, fmt.Errorf("claims: %w", err)
	}
	c.ACR, _ = c.All["acr"].(string)
	c.SID, _ = c.All["sid"].(string)
	return c, nil
}

func (o *Office) verifier(ctx context.Context, p *oidc.Provider, client string) *oidc.IDTokenVerifier {
	return p.VerifierContext(oidc.ClientContext(context.WithoutCancel(ctx), o.cfg.HTTP), &oidc.Config{ClientID: client, Now: o.cfg.Clock.Now})
}

// refresh asks for new tokens and compares whose they are (OpenID Connect Core §12.2).
func (o *Office) refresh(w http.ResponseWriter, r *http.Request) {
	who, ok := o.sessions.person(r)
	if !ok || who.token.RefreshToken == "" {
		o.fail(w, r, http.StatusConflict, "no-refresh", nil)
		return
	}
	ctx := oidc.ClientContext(r.Context(), o.cfg.HTTP)
	p, err := o.provider(ctx)
	if err != nil {
		o.fail(w, r, http.StatusBadGateway, "provider", err)
		return
	}
	fresh, err := o.client(p, nil).TokenSource(ctx, &oauth2.Token{RefreshToken: who.token.RefreshToken}).Token()
	if err != nil {
		o.fail(w, r, http.StatusBadGateway, "refresh", err)
		return
	}
	if fresh.Extra("id_token") != nil {
		c, raw, err := o.identify(ctx, p, fresh)
		if err != nil || c.Subject != who.claims.Subject {
			o.fail(w, r, http.StatusBadGateway, "id-token", err)
			return
		}
		who.claims, who.raw = c, raw
	}
	who.token, who.scope, who.info = fresh, scopeOf(fresh, who.scope), nil
	who.refreshes++
	o.sessions.update(r, who)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// userInfo asks who it is, and believes it only if it is the same person (OpenID
// Connect Core §5.3.2).
func (o *Office) userInfo(w http.ResponseWriter, r *http.Request) {
	who, ok := o.sessions.person(r)
	if !ok {
		o.fail(w, r, http.StatusConflict, "signed-out", nil)
		return
	}
	ctx := oidc.ClientContext(r.Context(), o.cfg.HTTP)
	p, err := o.provider(ctx)
	if err != nil {
		o.fail(w, r, http.StatusBadGateway, "provider", err)
		return
	}
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(who.token))
	if err != nil {
		o.fail(w, r, http.StatusBadGateway, "userinfo", err)
		return
	}
	all := map[string]any{}
	if err := info.Claims(&all); err != nil || info.Subject != who.claims.Subject {
		o.fail(w, r, http.StatusBadGateway, "userinfo", err)
		return
	}
	who.info = all
	o.sessions.update(r, who)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (o *Office) language(w http.ResponseWriter, r *http.Request) {
	value := "zh-CN"
	if r.FormValue("to") == "en" {
		value = "en"
	}
	http.SetCookie(w, &http.Cookie{Name: languageCookie, Value: value, Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// once reads a query in which nothing is there twice (RFC 6749 §3.1).
func once(raw string) (map[string]string, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, err
	}
	one := make(map[string]string, len(q))
	for name, values := range q {
		if len(values) != 1 {
			return nil, fmt.Errorf("parameter %q is there %d times", name, len(values))
		}
		one[name] = values[0]
	}
	return one, nil
}
