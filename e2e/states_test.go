package e2e

import (
	"net/url"
	"strings"
	"testing"

	"ecardid/e2e/house"
)

// A spot is where somebody has stopped half way.
type spot struct {
	robot *house.Robot
	who   *house.Citizen
	page  *house.Answer
	flow  string
	csrf  string
	ask   *house.Request // nil when nobody asked
}

// at looks around where a walk has stopped.
func at(t *testing.T, r *house.Robot, c *house.Citizen, a *house.Answer, q *house.Request) spot {
	t.Helper()
	u, err := url.Parse(a.Path)
	if err != nil {
		t.Fatal(err)
	}
	s := spot{robot: r, who: c, page: a, flow: u.Query().Get("flow"), ask: q}
	_, form := a.Form("locale")
	s.csrf = form.Get("csrf")
	if s.flow == "" || s.csrf == "" {
		t.Fatalf("the walk stopped at %s (%d, %s), which is no step", a.Path, a.Status, a.Title())
	}
	return s
}

// step is the last part of the page's path: password, code, liveness …
func (s spot) step() string {
	path, _, _ := strings.Cut(s.page.Path, "?")
	return strings.TrimPrefix(path, "/login/")
}

// halfWays are all the places a sign-in can stop at, each reached by walking there.
func halfWays() []halfWay {
	sign := func(a *house.Answer, c *house.Citizen) *house.Answer {
		return a.Submit("login-submit", "username", c.Card, "password", c.Password)
	}
	return []halfWay{
		{"password", func(t *testing.T, h *house.House, p *house.Relying) spot {
			r, q := h.Robot(t), p.Ask("openid")
			return at(t, r, h.Newcomer(t), r.Get(q.Path()), q)
		}},
		{"code", func(t *testing.T, h *house.House, p *house.Relying) spot {
			c, r, q := h.Citizen(t), h.Robot(t), p.Ask("openid pension.read")
			return at(t, r, c, sign(r.Get(q.Path()), c), q)
		}},
		{"enrol", func(t *testing.T, h *house.House, p *house.Relying) spot {
			c, r, q := h.Citizen(t), h.Robot(t), p.Ask("openid")
			a := sign(r.Get(q.Path()), c).Click("way-recovery").Submit("code-submit", "code", c.Recovery[0])
			return at(t, r, c, a, q)
		}},
		{"device", func(t *testing.T, h *house.House, p *house.Relying) spot {
			c, r, q := h.Citizen(t), h.Robot(t), p.Ask("openid")
			return at(t, r, c, sign(r.Get(q.Path()), c).Submit("code-submit", "code", c.Code()), q)
		}},
		{"key", func(t *testing.T, h *house.House, p *house.Relying) spot {
			c, r, q := h.Citizen(t), h.Robot(t), p.Ask("openid insurance.pay")
			return at(t, r, c, sign(r.Get(q.Path()), c).Submit("code-submit", "code", c.Code()), q)
		}},
		{"liveness", func(t *testing.T, h *house.House, p *house.Relying) spot {
			c, r, q := h.Citizen(t), h.Robot(t), p.Ask("openid pension.claim")
			key := h.Passkey(t, false)
			a := sign(r.Get(q.Path()), c).Submit("code-submit", "code", c.Code())
			a = key.SignIn(key.Register(a.Submit("step-continue")))
			return at(t, r, c, a, q)
		}},
		{"activate", func(t *testing.T, h *house.House, _ *house.Relying) spot {
			r := h.Robot(t)
			return at(t, r, h.Newcomer(t), r.Get("/login/activate"), nil)
		}},
		{"activate/password", func(t *testing.T, h *house.House, _ *house.Relying) spot {
			r, c := h.Robot(t), h.Newcomer(t)
			return at(t, r, c, r.Get("/login/activate").Submit("activate-submit", "card", c.Card, "code", c.Activation), nil)
		}},
		{"activate/greeting", func(t *testing.T, h *house.House, _ *house.Relying) spot {
			r, c := h.Robot(t), h.Newcomer(t)
			a := r.Get("/login/activate").Submit("activate-submit", "card", c.Card, "code", c.Activation)
			return at(t, r, c, a.Submit("password-submit", "password", c.Password), nil)
		}},
		{"activate/enrol", func(t *testing.T, h *house.House, _ *house.Relying) spot {
			r, c := h.Robot(t), h.Newcomer(t)
			a := r.Get("/login/activate").Submit("activate-submit", "card", c.Card, "code", c.Activation)
			a = a.Submit("password-submit", "password", c.Password)
			return at(t, r, c, a.Submit("greeting-submit", "greeting", c.Greeting), nil)
		}},
	}
}

type halfWay struct {
	name  string
	reach func(*testing.T, *house.House, *house.Relying) spot
}
