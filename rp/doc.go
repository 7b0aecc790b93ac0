// Package rp is how a resource server checks the access tokens of ecardid: the
// hospital's API that is called with one, the pension office's. It is the one package
// of this module that other programs import.
//
//	tokens, err := rp.New(rp.Config{
//		Issuer:   "https://login.ecard.example",
//		Audience: "urn:ecardid:resource:insurance",
//	})
//	…
//	mux.Handle("GET /bills", tokens.Require(rp.Demand{
//		Scope: []string{"insurance.read"},
//		ACR:   rp.MFA,
//	}, bills))
//
// A JWT (RFC 9068) is verified here, from the published keys, without asking anybody:
// signature (ES256, PS256, RS256 and the national SGD_SM3_SM2), type, issuer, audience,
// time, and the key it is bound to by DPoP (RFC 9449) or a certificate (RFC 8705).
// What has been revoked is then believed for at most the five minutes such a token
// lives. Who cannot wait so long gives credentials for introspection and sets
// Demand.Live: the server is asked each time (RFC 7662). Opaque tokens always are.
//
// A token that is good but not sure enough is answered with the step-up challenge of
// RFC 9470, which a relying party turns into a new authorization request.
//
// The keys are kept for a quarter of an hour, and for half a day while the server
// cannot be reached; a kid nobody knows makes it be asked once in half a minute. With
// several replicas, give them a Replay they share.
//
// Everything that cannot be verified is refused. Neither errors nor challenges repeat
// what a stranger sent.
package rp
