package server

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"

	"ecardid/authn"
	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/devicegrant"
	"ecardid/oauth/logout"
	"ecardid/templates"
)

// The person's own choices about how pages look. They are no secrets.
const (
	localeCookie = "__Host-locale"
	elderCookie  = "__Host-elder"
)

// Locale returns the language of the pages for this request.
func (s *Server) Locale(r *http.Request) string { return string(s.locale(r)) }

func (s *Server) locale(r *http.Request) templates.Locale {
	chosen, _ := only(r, localeCookie)
	asked := strings.Join(oauth.UILocales(r.Context()), " ")
	return s.languages.Choose(asked, chosen, r.Header.Get("Accept-Language"))
}

// view is what every page has. The path is where the language switch comes back
// to: this page if it was asked for with GET and can be led back to, the front page
// otherwise.
func (s *Server) view(r *http.Request) templates.View {
	elder, _ := only(r, elderCookie)
	path := "/"
	if asked := r.URL.RequestURI(); (r.Method == http.MethodGet || r.Method == http.MethodHead) && authn.OwnPath(asked) {
		path = asked
	}
	return templates.View{Locale: s.locale(r), Elder: elder == "on", Nonce: noted(r).nonce, CSRF: s.browsers.token(r), Path: path}
}

// write shows a page of ours with the strictest policy.
func (s *Server) write(w http.ResponseWriter, r *http.Request, status int, page templates.Page) {
	s.send(w, r, status, s.view(r), templates.Plain, nil, page)
}

// send renders into a buffer, so that a page that cannot be rendered is an error
// page and not half a form.
func (s *Server) send(w http.ResponseWriter, r *http.Request, status int, v templates.View, kind templates.Kind, targets []string, page templates.Page) {
	var b bytes.Buffer
	err := s.pages.Render(&b, v, page)
	if err != nil {
		s.log.Error("rendering", "ref", noted(r).ref, "cause", err)
		b.Reset()
		v.Path = "/"
		status, kind, targets = http.StatusInternalServerError, templates.Plain, nil
		if err := s.pages.Render(&b, v, templates.Error{Reference: noted(r).ref}); err != nil {
			http.Error(w, http.StatusText(status), status)
			return
		}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(v.Locale))
	h.Set("Content-Security-Policy", templates.Policy(kind, v.Nonce, targets...))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = b.WriteTo(w) // a reader who left is not our error
	}
}

// Answer shows a page of the authn and account rooms.
func (s *Server) Answer(w http.ResponseWriter, r *http.Request, a authn.Answer) {
	v := s.view(r)
	v.Flow = a.Flow
	if a.Path != "" {
		v.Path = a.Path
	}
	switch p := a.Page.(type) {
	case templates.Error:
		p.Reference = noted(r).ref
		a.Page = p
	case templates.Busy:
		p.Reference = noted(r).ref
		a.Page = p
	}
	status := a.Status
	if status == 0 {
		status = http.StatusOK
	}
	s.send(w, r, status, v, a.Kind, s.targets(a), a.Page)
}

// targets are the further places a form on the page may lead to. Browsers hold
// form-action against every redirect after a POST (DESIGN D12).
func (s *Server) targets(a authn.Answer) []string {
	switch {
	case a.Kind == templates.Capture:
		return s.capture
	case a.Asker != nil && a.Asker.RedirectURI != "":
		if t := templates.FormTarget(a.Asker.RedirectURI); t != "" {
			return append([]string{t}, s.capture...)
		}
	}
	return s.capture
}

// Say puts a message into the language of the request.
func (s *Server) Say(r *http.Request, m templates.Message) string {
	text, err := s.pages.Say(s.locale(r), m)
	if err != nil {
		s.log.Error("speaking", "ref", noted(r).ref, "key", string(m.Key), "cause", err)
		return ""
	}
	return text
}

// oauthPages shows what the protocol rooms have to say to people.
type oauthPages struct {
	s        *Server
	accounts authn.Accounts
}

// in picks the text for a locale; "" is the fallback an application registered.
func in(texts map[string]string, l templates.Locale) templates.Text {
	if t := texts[string(l)]; t != "" {
		return templates.Text(t)
	}
	if t := texts[""]; t != "" {
		return templates.Text(t)
	}
	return templates.Text(texts[string(templates.ZhCN)])
}

func asker(a identity.Asker, l templates.Locale) templates.Asker {
	t := templates.Asker{Name: in(a.Name, l), Host: templates.Text(a.Host)}
	if a.Admitted {
		t.Admission = templates.Admitted
	}
	return t
}

// Consent implements oauth.Pages.
func (p oauthPages) Consent(w http.ResponseWriter, r *http.Request, c oauth.ConsentView) {
	acc, err := p.accounts.Account(r.Context(), c.Login.Citizen)
	if err != nil {
		p.s.fail(w, r, http.StatusInternalServerError, err)
		return
	}
	v := p.s.view(r)
	v.Path = c.Path
	page := templates.Consent{Step: templates.Step{Asker: asker(c.Asker, v.Locale)}, Account: templates.Text(acc.MaskedName), DeviceCode: templates.Text(c.UserCode), Until: c.Until, Token: c.Token}
	for _, sc := range c.Scopes {
		one := templates.Scope{Title: in(sc.Title, v.Locale), Purpose: in(sc.Purpose, v.Locale), Basis: in(sc.Basis, v.Locale), New: sc.New}
		for _, claim := range sc.Claims {
			one.Claims = append(one.Claims, in(claim, v.Locale))
		}
		page.Scopes = append(page.Scopes, one)
	}
	for _, p := range c.Payments {
		page.Payments = append(page.Payments, templates.Payment{
			Amount: templates.Text(p.Amount), Payee: templates.Text(p.Payee),
			Account: templates.Text(p.Account), Reference: templates.Text(p.Reference),
		})
	}
	var targets []string
	if t := templates.FormTarget(c.Asker.RedirectURI); t != "" {
		targets = append(targets, t)
	}
	p.s.send(w, r, http.StatusOK, v, templates.SignIn, targets, page)
}

// Error implements oauth.Pages.
func (p oauthPages) Error(w http.ResponseWriter, r *http.Request, status int, e oauth.ErrorView) {
	// One reference leads through the whole log; e's stands beside the cause.
	page := templates.Error{Reference: noted(r).ref}
	p.s.log.InfoContext(r.Context(), "refused", "ref", page.Reference, "status", status, "fault", string(e.Fault), "code", e.Code, "reference", e.Reference)
	switch e.Fault {
	case oauth.FaultClient, oauth.FaultRedirect, oauth.FaultRequest:
		page.Title, page.Next = templates.Say(templates.ErrorRequestTitle), templates.Say(templates.ErrorRequestNext)
	case oauth.FaultLapsed:
		page.Title, page.Next = templates.Say(templates.ErrorLapsedTitle), templates.Say(templates.ErrorLapsedNext)
	case oauth.FaultTesting:
		page.Title, page.Next = templates.Say(templates.ErrorTestingTitle), templates.Say(templates.ErrorTestingNext)
	case oauth.FaultExpired, oauth.FaultAnswered:
		page.Title, page.Next = templates.Say(templates.ErrorExpiredTitle), templates.Say(templates.ErrorExpiredNext)
	case oauth.FaultForm:
		page.Title, page.Next = templates.Say(templates.ErrorDeniedTitle), templates.Say(templates.ErrorDeniedNext)
	case oauth.FaultBusy:
		p.s.fail(w, r, http.StatusServiceUnavailable, errors.New("busy: "+e.Code))
		return
	}
	p.s.write(w, r, status, page)
}

// FormPost implements oauth.Pages.
func (p oauthPages) FormPost(w http.ResponseWriter, r *http.Request, f oauth.FormPostView) {
	v := p.s.view(r)
	page := templates.FormPost{Action: f.Action}
	for _, one := range f.Fields {
		page.Fields = append(page.Fields, templates.Field{Name: one.Name, Value: one.Value})
	}
	var targets []string
	if t := templates.FormTarget(f.Action); t != "" {
		targets = append(targets, t)
	}
	p.s.send(w, r, http.StatusOK, v, templates.SignIn, targets, page)
}

// Connect implements devicegrant.Pages. What follows the form may lead to sign-in, and
// never to another site.
func (p oauthPages) Connect(w http.ResponseWriter, r *http.Request, c devicegrant.ConnectView) {
	v := p.s.view(r)
	v.Path = c.Path
	page := templates.Connect{Code: templates.Text(c.Code)}
	switch c.Trouble {
	case devicegrant.WrongCode:
		page.Problem = templates.Say(templates.ProblemDeviceCode)
	case devicegrant.TooManyTries:
		page.Problem = templates.Say(templates.ProblemDeviceTries, "minutes", int(c.Wait.Minutes()))
	}
	p.s.send(w, r, http.StatusOK, v, templates.Plain, nil, page)
}

// Connected implements devicegrant.Pages.
func (p oauthPages) Connected(w http.ResponseWriter, r *http.Request, c devicegrant.ConnectedView) {
	p.s.write(w, r, http.StatusOK, templates.Connected{Allowed: c.Allowed})
}

// LogoutConfirm implements logout.Pages.
func (p oauthPages) LogoutConfirm(w http.ResponseWriter, r *http.Request, c logout.ConfirmView) {
	v := p.s.view(r)
	v.Path = c.Path
	page := templates.LogoutConfirm{}
	if c.Asker != nil {
		page.Asker = asker(*c.Asker, v.Locale)
	}
	p.s.send(w, r, http.StatusOK, v, templates.SignIn, nil, page)
}

// LoggedOut implements logout.Pages. The browser goes on by itself when the frames
// have had a moment; where it does not, there is a link.
func (p oauthPages) LoggedOut(w http.ResponseWriter, r *http.Request, d logout.DoneView) {
	v := p.s.view(r)
	page := templates.SignedOut{ReturnURL: d.Return, Frames: d.Frames}
	if d.Asker != nil {
		page.Client = in(d.Asker.Name, v.Locale)
	}
	var origins []string
	for _, f := range d.Frames {
		if o := templates.FormTarget(f); o != "" {
			origins = append(origins, o)
		}
	}
	if d.Return != "" {
		w.Header().Set("Refresh", "3; url="+d.Return)
	}
	p.s.send(w, r, http.StatusOK, v, templates.Farewell, origins, page)
}

// preferences keeps what a person chose about how pages look, and goes back. Who is
// signed in is written to in that language from now on.
func (s *Server) preferences(current func(*http.Request) (identity.Login, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.choose(w, r) {
			return
		}
		if locale := r.PostForm.Get("locale"); locale != "" {
			login, err := current(r)
			if err == nil {
				err = s.store.SetLocale(r.Context(), login.Citizen, locale)
			}
			if err != nil && !errors.Is(err, identity.ErrNotFound) {
				s.log.WarnContext(r.Context(), "a language not kept", "cause", err) // the page has it all the same
			}
		}
		back := r.PostForm.Get("back")
		if !authn.OwnPath(back) {
			back = "/"
		}
		http.Redirect(w, r, back, http.StatusSeeOther)
	})
}

// choose sets the cookies of the choices made, all of them or none.
func (s *Server) choose(w http.ResponseWriter, r *http.Request) bool {
	const year = 365 * 24 * 60 * 60
	for _, choice := range []struct {
		field, cookie string
		values        []string
	}{
		{"locale", localeCookie, []string{string(templates.ZhCN), string(templates.En)}},
		{"elder", elderCookie, []string{"on", "off"}},
		{"back", "", nil},
	} {
		got := r.PostForm[choice.field]
		if len(got) > 1 || len(got) == 1 && choice.values != nil && !slices.Contains(choice.values, got[0]) {
			w.Header().Del("Set-Cookie") // all of it or nothing
			s.fail(w, r, http.StatusBadRequest, errChoice)
			return false
		}
		if len(got) == 1 && choice.values != nil {
			http.SetCookie(w, &http.Cookie{
				Name: choice.cookie, Value: got[0], Path: "/", MaxAge: year, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
			})
		}
	}
	return true
}

var errChoice = errors.New("a preference that cannot be chosen, or two of one")
