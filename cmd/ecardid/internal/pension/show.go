package pension

import (
	"bytes"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

//go:embed page.html style.css
var files embed.FS

// ladder orders the levels we ask for.
func ladder() []string {
	return []string{"", "urn:ecardid:acr:basic", "urn:ecardid:acr:mfa", "urn:ecardid:acr:bound", "urn:ecardid:acr:live"}
}

// enough reports whether got is at least want. What we do not know is nothing.
func enough(got, want string) bool {
	return slices.Index(ladder(), got) >= slices.Index(ladder(), want)
}

func scopeOf(t *oauth2.Token, asked []string) []string {
	if s, ok := t.Extra("scope").(string); ok {
		return strings.Fields(s)
	}
	return asked // RFC 6749 §5.1: left out when it is what was asked
}

// locale is the language of the page.
func locale(r *http.Request) string {
	if c, err := r.Cookie(languageCookie); err == nil {
		if c.Value == "en" {
			return "en"
		}
		return "zh-CN"
	}
	first, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ",")
	if first != "" && !strings.HasPrefix(strings.ToLower(first), "zh") {
		return "en"
	}
	return "zh-CN"
}

// view is what the page is made of.
type view struct {
	Lang      string
	English   bool
	Issuer    string
	Levels    []Level
	Problem   string // a sentence
	Code      string // the OAuth error code or our own word for it
	Notice    string // how the person before was signed out
	Left      string // the same in one word
	Counter   bool   // payments can be made
	Paid      *receipt
	SignedIn  bool
	Name      string
	ACR       string
	AMR       string
	Scope     []string
	ID        map[string]any
	Access    map[string]any // nil: opaque
	Info      map[string]any
	CanRenew  bool
	Refreshes int
}

func (o *Office) show(w http.ResponseWriter, r *http.Request, status int, code string, problem ...string) {
	here := o.sessions.of(r)
	who := here.who
	v := view{Lang: locale(r), Issuer: o.cfg.Issuer, Levels: Levels(), Code: code, Problem: strings.Join(problem, " ")}
	v.English = v.Lang == "en"
	v.Left, v.Notice = here.left, sentence(here.left, v.Lang)
	v.Counter, v.Paid = o.cfg.Counter.open(), here.paid
	if who != nil {
		v.SignedIn, v.ID, v.Info, v.Scope = true, who.claims.All, who.info, who.scope
		v.ACR, v.CanRenew, v.Refreshes = who.claims.ACR, who.token.RefreshToken != "", who.refreshes
		v.Access = payload(who.token.AccessToken)
		if amr, ok := who.claims.All["amr"].([]any); ok {
			v.AMR = strings.Trim(fmt.Sprint(amr), "[]")
		}
		for _, from := range []map[string]any{who.info, who.claims.All} {
			if name, ok := from["name"].(string); ok && v.Name == "" {
				v.Name = name
			}
		}
	}
	var b bytes.Buffer
	if err := o.page.Execute(&b, v); err != nil {
		o.cfg.Log.Error("rendering the pension office", "cause", err)
		http.Error(w, "error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", v.Lang)
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the browser may have left
}

// fail shows what went wrong. The cause goes to the log: it may hold what the
// identity provider wrote, but no token.
func (o *Office) fail(w http.ResponseWriter, r *http.Request, status int, code string, cause error) {
	o.cfg.Log.Info("pension office refused", "code", code, "cause", cause)
	o.show(w, r, status, code, sentence(code, locale(r)))
}

// refused shows an error that the identity provider sent back.
func (o *Office) refused(w http.ResponseWriter, r *http.Request, code, description string) {
	const most = 300
	if len(code) > 64 {
		code = "error"
	}
	if len(description) > most {
		description = strings.ToValidUTF8(description[:most], "") + "…"
	}
	o.cfg.Log.Info("sign-in refused by the identity provider", "code", code)
	o.show(w, r, http.StatusOK, code, sentence("refused", locale(r)), description)
}

func sentence(code, lang string) string {
	zh := map[string]string{
		"state":      "这次登录不是从本浏览器发起的，或已经完成、已过期。请重新开始。",
		"issuer":     "答复不是来自我们询问的身份提供方。",
		"answer":     "答复格式有误。",
		"provider":   "暂时联系不上身份提供方，请稍后再试。",
		"exchange":   "身份提供方没有接受授权码。",
		"id-token":   "身份令牌未通过验证。",
		"nonce":      "身份令牌不属于这次登录。",
		"acr":        "本次登录的保证等级不够。",
		"refresh":    "无法续期，请重新登录。",
		"no-refresh": "没有可用的刷新令牌，请先登录。",
		"userinfo":   "无法读取用户信息，请重新登录。",
		"signed-out": "请先登录。",
		"forged":     "请求不是从本页面发出的。",
		"refused":    "身份提供方没有完成这次登录。",
		"busy":       "当前使用人数过多，请稍后再试。",
		"level":      "没有这样的业务。",
		"not-found":  "没有这个页面。",
		"push":       "身份提供方没有接受这次支付请求。",
		"payment":    "身份提供方同意的不是这一笔支付。",

		leftHere:       "您已退出本应用。",
		leftEverywhere: "您已退出本应用，也已退出电子社保卡登录。",
		leftFront:      "您已在别处退出登录，本应用已随之退出（浏览器告知）。",
		leftBack:       "您已在别处退出登录，本应用已随之退出（身份提供方告知）。",
	}
	en := map[string]string{
		"state":      "This sign-in was not begun in this browser, is finished already, or took too long. Please begin again.",
		"issuer":     "The answer is not from the identity provider we asked.",
		"answer":     "The answer is malformed.",
		"provider":   "The identity provider cannot be reached. Please try again later.",
		"exchange":   "The identity provider did not accept the code.",
		"id-token":   "The ID token did not verify.",
		"nonce":      "The ID token is not from this sign-in.",
		"acr":        "This sign-in is not sure enough for what was asked.",
		"refresh":    "The tokens could not be renewed. Please sign in again.",
		"no-refresh": "There is no refresh token. Please sign in first.",
		"userinfo":   "Userinfo could not be read. Please sign in again.",
		"signed-out": "Please sign in first.",
		"forged":     "The request did not come from this page.",
		"refused":    "The identity provider did not finish this sign-in.",
		"busy":       "Too many people are here at the moment. Please try again later.",
		"level":      "There is no such service.",
		"not-found":  "There is no such page.",
		"push":       "The identity provider did not take this payment request.",
		"payment":    "What the identity provider agreed to is not this payment.",

		leftHere:       "You are signed out of this application.",
		leftEverywhere: "You are signed out of this application and of your card's sign-in.",
		leftFront:      "You were signed out elsewhere, and therefore here (your browser told us).",
		leftBack:       "You were signed out elsewhere, and therefore here (the identity provider told us).",
	}
	words := zh
	if lang == "en" {
		words = en
	}
	return words[code]
}

// payload shows the claims of a JWT without verifying it: it is for the resource
// server to believe, we only look at it. Nil for what is none.
func payload(token string) map[string]any {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var all map[string]any
	if json.Unmarshal(b, &all) != nil {
		return nil
	}
	return all
}

func pretty(v map[string]any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the template escapes
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return strings.TrimSpace(b.String()), err
}

func style(w http.ResponseWriter, _ *http.Request) {
	b, err := files.ReadFile("style.css")
	if err != nil {
		http.Error(w, "error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	_, _ = w.Write(b)
}
