// Package introspect serves POST /introspect (RFC 7662). It answers resource
// servers that have authenticated, about access tokens of ours that are meant for
// them; about anything else it says exactly {"active": false} (§2.2, SECURITY
// TK2), in every form. Refresh tokens and ID tokens are nothing it knows. What a
// resource server gets to see of a token with several audiences is its own part.
//
// The answer is JSON, or a JWT for whoever asks for one by Accept (RFC 9701) or has
// registered to have it encrypted. Whether a bound token came with its proof is the
// resource server's to check: it is told the key, in cnf (RFC 9449 §6.2, RFC 8705
// §3.2).
package introspect
