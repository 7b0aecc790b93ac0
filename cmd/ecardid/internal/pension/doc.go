// Package pension is the demo's relying party, the 养老金经办服务 Pension Office
// (DEMO). It is an ordinary web application that happens to live in our binary:
// everything it knows about ecardid it learned through coreos/go-oidc and
// golang.org/x/oauth2, so that what works here works with anybody's library. It
// imports nothing of ours but the clock and the secret.
//
// What those libraries do not speak is one button, a payment: a pushed and signed
// request, a key in place of a secret, tokens bound to another (pay.go). How that
// looks on the wire is written out in wire.go with the standard library alone.
// Signing out goes through the identity provider, and word of a session that ended
// elsewhere is taken from it by either channel (logout.go).
//
// It shows what it got: the claims of the ID token, those of the access token
// when it is a JWT, scope, acr and amr, and what userinfo says. No relying party
// should do that in earnest, and the page says that it is a demonstration.
package pension
