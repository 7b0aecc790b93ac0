// Package token serves POST /token (RFC 6749 §3.2), one file per grant. What all
// grants have in common is the endpoint's: the form, the client and its
// admission to the grant, and afterwards the tokens. A Grant proves one thing and
// has nothing else to remember.
//
// What may happen once happens in one statement of storage, before anything is
// signed, and after it was found that there is a key to sign with. If signing then
// fails all the same the citizen signs in again; the other order would let a code be
// used twice.
//
// The code grant is one type for both ends: it issues at the authorization
// endpoint and redeems here, PKCE and OpenID Connect included, because they are
// one row. Device grant and token exchange will be further files; proofs of
// possession (DPoP, mutual TLS) arrive in framework.Session.Binding.
package token
