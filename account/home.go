package account

import (
	"errors"
	"net/http"

	"ecardid/identity"
	"ecardid/internal/exchange"
	"ecardid/templates"
)

// newsShown is how far back the front page looks; the rest is in the trail.
const newsShown = 8

// home greets and tells of the last sign-in, by which an owner notices a stranger.
func (s *Service) home(v *visit) error {
	ctx := v.r.Context()
	acc, err := s.Factors.Account(ctx, v.login)
	if err != nil {
		return err
	}
	page := templates.AccountHome{
		Account: v.said(), Name: templates.Text(acc.MaskedName), Greeting: templates.Text(acc.Greeting),
		WeakLogin: !acc.Factors.Any(),
	}
	last, err := s.Logins.LastLogin(ctx, v.login)
	switch {
	case err == nil:
		page.LastLogin = templates.Event{At: last.Started, Place: templates.Text(last.Place), Device: templates.Text(last.Agent)}
	case !errors.Is(err, identity.ErrNotFound): // which is: this is the first
		return err
	}
	devices, err := s.Devices.ListDevices(ctx, v.login)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if d.State == identity.DeviceActive && !s.expired(d) {
			page.Devices++
		}
	}
	logins, err := s.Logins.ListLogins(ctx, v.login)
	if err != nil {
		return err
	}
	consents, err := s.Consents.ListConsents(v.r, v.login.Citizen)
	if err != nil {
		return err
	}
	page.Sessions, page.Consents = len(logins), len(consents)
	notices, err := s.Factors.Notices(ctx, v.login, newsShown)
	if err != nil {
		return err
	}
	for _, n := range notices {
		page.News = append(page.News, templates.News{What: templates.NewsOf(string(n.Kind)), At: n.At, Place: templates.Text(n.Place)})
	}
	return s.show(v, page)
}

// signOut ends this browser's login. It asks nothing first: the form's token says
// that the person is on our page (SECURITY SS2).
func (s *Service) signOut(w http.ResponseWriter, r *http.Request) {
	v := &visit{w: w, r: r, path: homePath}
	if _, err := exchange.Form(w, r); err != nil {
		s.fail(v, err)
		return
	}
	if err := s.Logins.SignOut(w, r); err != nil {
		s.fail(v, err)
		return
	}
	see(v, signedOutPath)
}
