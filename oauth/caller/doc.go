// Package caller finds out which client calls a resource of this server's own: an API
// that clients use for themselves, such as the management of their streams
// (oauth/signals). It takes an access token of the client credentials grant, which
// speaks of no citizen, and looks at everything a resource server looks at (RFC 9068
// §4): signature, type, time, audience and scope; that the client is live and in the
// epoch the token was made in; and the key or certificate the token is bound to
// (RFC 9449 §7, RFC 8705 §3, SECURITY SC3). A client's own token is on no list in
// storage, so nothing is read there; a proof is used up at once.
//
// Tokens come in the Authorization header only (SECURITY TK4). Userinfo, whose tokens
// speak of citizens, is oauth/userinfo.
package caller
