package authn

import (
	"net/http"

	"ecardid/identity"
)

// A Route is one address of this room, for the server to mount behind what it does
// for all pages: the browser cookie, the CSRF token and Origin check of every
// POST, size limits and headers.
type Route struct {
	Method  string
	Pattern string // as http.ServeMux takes it
	Takes   string // content type of the body; "" for none
	// Machine: no browser's page but the liveness provider's callback; no cookie, no
	// CSRF token.
	Machine bool
	Handler http.Handler
}

// Routes lists every address there is.
func (s *Service) Routes() []Route {
	show := s.page(s.show)
	get := func(pattern string, h http.Handler) Route {
		return Route{Method: http.MethodGet, Pattern: pattern, Handler: h}
	}
	post := func(pattern string, h http.Handler) Route {
		return Route{Method: http.MethodPost, Pattern: pattern, Takes: formType, Handler: h}
	}
	script := func(pattern string, h http.Handler) Route {
		return Route{Method: http.MethodPost, Pattern: pattern, Takes: jsonType, Handler: h}
	}
	passkeySteps := []StepKind{StepIdentify, StepFactor}
	enrolSteps := []StepKind{StepEnrol, StepKey}

	routes := []Route{
		get("/login", show),
		get("/login/liveness/return", s.page(s.livenessReturn)),
		get("/login/liveness/state", http.HandlerFunc(s.livenessState)),
		get("/login/phone/state", http.HandlerFunc(s.phoneState)),
		get("/login/activate", s.page(s.activate)),
		get("/login/cancel", s.page(s.askCancel)),

		post("/login/password", s.answers(StepIdentify, identity.FactorPassword, s.passwordStep)),
		post("/login/choose", s.answers(StepFactor, "", s.choose)),
		post("/login/code", s.answers(StepFactor, identity.FactorTOTP, s.totpStep)),
		post("/login/recovery", s.answers(StepFactor, identity.FactorRecovery, s.recoveryStep)),
		post("/login/phone", s.answers(StepFactor, identity.FactorPhone, s.phoneStep)),
		post("/login/key", s.answers(StepKey, identity.FactorPasskey, s.offerKey)),
		post("/login/liveness", s.answers(StepLiveness, identity.FactorFace, s.livenessStep)),
		post("/login/enrol/totp", s.answers(StepEnrol, identity.FactorTOTP, s.enrolTOTP)),
		post("/login/codes", s.answers(StepCodes, "", s.codesKept)),
		post("/login/device", s.answers(StepDevice, "", s.bindDevice)),
		post("/login/cancel", s.page(s.cancel)),
		post("/login/activate", s.answers(StepActivate, "", s.activateStep)),
		post("/login/activate/password", s.answers(StepPassword, "", s.choosePassword)),
		post("/login/activate/greeting", s.answers(StepGreeting, "", s.chooseGreeting)),

		script("/login/passkey/options", s.script(passkeySteps, s.passkeyOptions)),
		script("/login/passkey/finish", s.script(passkeySteps, s.passkeyFinish)),
		script("/login/enrol/passkey/options", s.script(enrolSteps, s.registerOptions)),
		script("/login/enrol/passkey/finish", s.script(enrolSteps, s.registerFinish)),

		get("/logout", s.page(s.logout)),
		post("/logout", s.page(s.endLogout)),
		get("/signed-out", s.page(s.signedOut)),
	}
	// Each page has an address of its own, which its form posts to and the language
	// switch comes back to.
	for _, page := range []string{
		"password", "factor", "code", "recovery", "phone", "passkey", "key", "liveness", "enrol", "enrol/totp",
		"enrol/passkey", "codes", "device", "held", "impossible", "activate/password", "activate/greeting",
	} {
		routes = append(routes, get("/login/"+page, show))
	}
	if s.Liveness != nil {
		routes = append(routes, Route{Method: http.MethodPost, Pattern: "/liveness/callback", Machine: true, Handler: s.Liveness})
	}
	return routes
}

// choose leads to the page of a factor the step offers.
func (s *Service) choose(v *visit) error {
	f := identity.Factor(v.form.get("factor"))
	if !v.step.Offers(f) {
		return v.redirect(v.path("factor"))
	}
	if f == identity.FactorPhone && v.flow.State.Approval.IsZero() {
		return s.phoneStep(v)
	}
	return v.redirect(v.path(pageOf(f)))
}
