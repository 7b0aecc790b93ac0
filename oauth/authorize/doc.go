// Package authorize serves GET and POST /authorize and the /consent page
// (RFC 6749 §3.1, OpenID Connect Core §3.1.2).
//
//	parameters ─▶ client and redirect URI trusted? ─no─▶ page, never a redirect
//	     │yes
//	     ▼
//	   valid? ─no─▶ error redirect with iss
//	     │yes
//	     ▼
//	   login meets the need, consent is there? ─yes─▶ IssueCode ─▶ redirect
//	     │no                                    (prompt=none: error redirect)
//	     ▼
//	   store the request, bind it to the browser
//	     ├─▶ Logins.Raise ─▶ … ─▶ /authorize?client_id&request_uri, from the top
//	     └─▶ /consent?client_id&request_uri ─▶ allow: IssueCode, deny: access_denied
//
// Once a request is stored, only what is stored counts: nothing on the front
// channel beside client_id and request_uri is read again (RFC 9126 §4), the need
// is computed anew at the end from the stored parameters (SECURITY G3), and the
// statement that issues the code deletes the request, so it is answered once.
// Pushed requests and request objects will enter through the same door: stored
// parameters of another Kind.
//
// Every client in the registry was admitted by an operator, so a request that is
// wrong is answered by a redirect before anybody signs in (SECURITY AZ3). Clients
// that register themselves, when there are some, must not be.
package authorize
