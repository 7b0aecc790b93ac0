// Command login is a relying party with coreos/go-oidc and golang.org/x/oauth2: code flow,
// PKCE, nonce, userinfo, refresh, and a call to an API.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

type app struct {
	issuer   string
	api      string
	provider *oidc.Provider
	oauth    oauth2.Config
}

func main() {
	issuer, base := os.Getenv("ECARD_ISSUER"), "http://localhost:"+os.Getenv("PORT")
	provider, err := oidc.NewProvider(context.Background(), issuer)
	if err != nil {
		log.Fatal(err)
	}
	a := &app{issuer: issuer, api: os.Getenv("API_URL"), provider: provider, oauth: oauth2.Config{
		ClientID:     os.Getenv("CLIENT_ID"),
		ClientSecret: os.Getenv("CLIENT_SECRET"),
		Endpoint:     provider.Endpoint(),
		RedirectURL:  base + "/callback",
		Scopes:       []string{oidc.ScopeOpenID, "profile", oidc.ScopeOfflineAccess, "insurance.read"},
	}}
	http.HandleFunc("GET /{$}", a.start)
	http.HandleFunc("GET /callback", a.callback)
	srv := &http.Server{Addr: strings.TrimPrefix(base, "http://"), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(srv.ListenAndServe())
}

// start sends the browser to sign in. What it has to come back with waits in cookies.
func (a *app) start(w http.ResponseWriter, r *http.Request) {
	state, nonce, verifier := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	for name, value := range map[string]string{"state": state, "nonce": nonce, "verifier": verifier} {
		// On https: Secure as well, and names that begin with __Host-.
		http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 600})
	}
	http.Redirect(w, r, a.oauth.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), http.StatusSeeOther)
}

func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	answer, err := a.finish(r)
	if err != nil {
		log.Print(err)
		http.Error(w, "Signing in did not work.", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (a *app) finish(r *http.Request) (map[string]any, error) {
	ctx := r.Context()
	waiting := map[string]string{}
	for _, name := range []string{"state", "nonce", "verifier"} {
		c, err := r.Cookie(name)
		if err != nil {
			return nil, err
		}
		waiting[name] = c.Value
	}
	q := r.URL.Query()
	switch {
	case q.Get("state") != waiting["state"]:
		return nil, errors.New("not the browser that began")
	case q.Get("iss") != a.issuer:
		return nil, errors.New("not our issuer's answer") // RFC 9207
	case q.Get("error") != "":
		return nil, fmt.Errorf("refused: %s", q.Get("error"))
	}
	token, err := a.oauth.Exchange(ctx, q.Get("code"), oauth2.VerifierOption(waiting["verifier"]))
	if err != nil {
		return nil, err
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := a.provider.Verifier(&oidc.Config{ClientID: a.oauth.ClientID}).Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	if id.Nonce != waiting["nonce"] {
		return nil, errors.New("nonce")
	}
	var claims struct{ ACR string }
	if err := id.Claims(&claims); err != nil {
		return nil, err
	}
	person, err := a.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, err
	}
	var named struct{ Name string }
	if err := person.Claims(&named); err != nil {
		return nil, err
	}
	if person.Subject != id.Subject {
		return nil, errors.New("userinfo speaks of somebody else")
	}
	renewed, err := a.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil {
		return nil, err
	}
	resp, err := a.oauth.Client(ctx, renewed).Get(a.api)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	bills, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"sub": id.Subject, "acr": claims.ACR, "name": named.Name, "refreshed": renewed.AccessToken != token.AccessToken,
		"status": resp.StatusCode, "bills": string(bills),
	}, nil
}
