package templates

import (
	"errors"
	"strings"
)

// View is what every page needs, whatever it is about.
type View struct {
	Locale Locale
	Elder  bool   // larger letters, larger buttons
	Nonce  string // the CSP's, see Policy
	CSRF   string // goes into every form and into X-CSRF-Token
	Flow   string // the login transaction; "" outside one
	Path   string // this page's own GETable path: forms post to it, the language switch comes back to it
}

var errPath = errors.New("View.Path must be a path of ours")

// check refuses a path that would lead elsewhere (SECURITY AZ4). It is ours to
// begin with; the check is for the day somebody passes a parameter through.
func (v View) check() error {
	if !ownPath(v.Path) {
		return errPath
	}
	return nil
}

func ownPath(p string) bool {
	if !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "//") || len(p) > 2048 {
		return false
	}
	for _, r := range p {
		if r <= ' ' || r == '\\' || r == 0x7f {
			return false
		}
	}
	return true
}

// Links are the addresses pages lead to. New fills empty ones with the paths of
// DESIGN §5.
type Links struct {
	Login, Lost, Activate, Privacy, Account, Preferences, SignOut string
}

func (l Links) orDefaults() Links {
	for _, d := range []struct {
		at   *string
		path string
	}{
		{&l.Login, "/login"}, {&l.Lost, "/lost"}, {&l.Activate, "/activate"}, {&l.Privacy, "/privacy"},
		{&l.Account, "/account"}, {&l.Preferences, "/preferences"}, {&l.SignOut, "/account/sign-out"},
	} {
		if *d.at == "" {
			*d.at = d.path
		}
	}
	return l
}

// Config is what the pages know about the service they belong to.
type Config struct {
	Authority        string // who issues the card, as in Chinese
	AuthorityEnglish string // the same in English; "" shows Authority
	Domain           string // the official domain people are told to look for
	Helpline         string // "" is 12333
	Demo             bool   // says on every page that this is a demonstration
	Links            Links
}
