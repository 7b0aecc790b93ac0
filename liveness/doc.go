// Package liveness asks somebody else whether a living person, the right one,
// sits before the device, and believes the answer only when it can be checked.
// It is a hook (DESIGN D10, SECURITY §13): any provider, or an adapter in front
// of a vendor, that speaks the protocol below can stand behind it.
//
//	1 start    POST {base}/liveness/v1/sessions              liveness-start+jwt, signed by us
//	           → 201 {session_id, capture_url, expires_at[, standin]}
//	2 capture  the browser goes to capture_url and comes back to return_uri;
//	           nothing the browser brings back is a verdict
//	3 notice   POST callback_uri                             liveness-notice+jwt, signed by them
//	           a wake-up and a second opinion; 204 whatever it says
//	4 pull     POST {base}/liveness/v1/sessions/{id}/result  liveness-pull+jwt, signed by us
//	           → 200 application/jose liveness-result+jwt, signed by them, or 202: not yet
//	5 settle   one conditional update, pending → passed | failed | …
//
// Verify is the heart: a pure function with fourteen checks and one way to pass.
// Engine walks the steps, Provider is the line to the other side, Sessions is
// what storage must do for us, with every "once" in one statement.
//
// Whatever goes wrong, the answer is "not passed": a Verdict that nobody filled
// in has not passed either. No image, template or exact score is kept or
// logged; of a score only its Band remains.
//
// What a pass is good for (one transaction, identity.LiveFor, beside other
// factors) is decided in authn; the pages are in templates; liveness/standin is
// a provider for demo and tests.
package liveness
