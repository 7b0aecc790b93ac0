// Package authorize serves GET and POST /authorize, the /consent page and POST /par
// (RFC 6749 §3.1, OpenID Connect Core §3.1.2, RFC 9126).
//
//	parameters ─▶ request object? only what is inside counts (RFC 9101)
//	     │
//	     ▼
//	client and redirect URI trusted? ─no─▶ page, never a redirect
//	     │yes                              (/par: JSON, here and below)
//	     ▼
//	   valid, and came as its client holds itself to? ─no─▶ error redirect with iss
//	     │yes                        └─ /par: store it, 201 with its request_uri
//	     ▼
//	   login meets the need, consent is there? ─yes─▶ IssueCode ─▶ redirect
//	     │no                                    (prompt=none: error redirect)
//	     ▼
//	   store the request for this browser, or claim what was stored for none
//	     ├─▶ Logins.Raise ─▶ … ─▶ /authorize?client_id&request_uri, from the top
//	     └─▶ /consent?client_id&request_uri ─▶ allow: IssueCode, deny: access_denied
//
// Once a request is stored, only what is stored counts: nothing on the front
// channel beside client_id and request_uri is read again (RFC 9126 §4), the need
// is computed anew at the end from the stored parameters (SECURITY G3), and the
// statement that issues the code deletes the request, so it is answered once.
//
// A handle has two clocks. Within a minute it is first used; the browser that has to
// be sent away to sign in or to the consent page then claims it for the quarter of an
// hour that may take, and may open it again meanwhile. A browser that needs neither
// is answered without claiming anything.
//
// Every client in the registry was admitted by an operator, so a request that is
// wrong is answered by a redirect before anybody signs in (SECURITY AZ3). Those that
// register themselves do so with a token that an operator gave out.
//
// Its neighbours: oauth/jar reads request objects, oauth/clientauth knows the client
// at /par, oauth/respond writes the answers in every response mode, oauth/token issues
// the code. oauth/devicegrant has its citizens asked here too: device.go.
package authorize
