// Package token serves POST /token (RFC 6749 §3.2), one file per grant. What all
// grants have in common is the endpoint's: the form, the client and its
// admission to the grant, the key its tokens are bound to, and afterwards the tokens.
// A Grant proves one thing and has nothing else to remember.
//
//	form ─▶ client ─▶ proof of a key ─▶ Grant.Prove ─▶ what is left is spent ─▶ tokens
//	        (clientauth, dpop, mtls)     one statement                           (issue)
//
// What may happen once happens in one statement of storage, before anything is
// signed, and after it was found that there is a key to sign with. If signing then
// fails all the same the citizen signs in again; the other order would let a code be
// used twice. The assertion and the proof of the request are used up by the same
// statement, and by one of their own where a request has none.
//
// Tokens are bound to the key of their request (RFC 9449 §5, RFC 8705 §3); the
// refresh tokens of a public client are bound to it too, those of a confidential
// client to the client. narrow.go says what of a grant an access token is for
// (RFC 8707, RFC 9396 §6).
//
// The code grant is one type for both ends: it issues at the authorization
// endpoint and redeems here, PKCE and OpenID Connect included, because they are
// one row.
package token
