// Package introspect serves POST /introspect (RFC 7662). It answers resource
// servers that have authenticated, about access tokens of ours that are meant for
// them; about anything else it says exactly {"active": false} (§2.2, SECURITY
// TK2). Refresh tokens and ID tokens are nothing it knows. What a resource server
// gets to see of a token with several audiences is its own part.
//
// The signed form of the answer (RFC 9701) is the same object, encoded by Accept;
// its place is in respond.
package introspect
