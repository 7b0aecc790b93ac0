// Package revoke serves POST /revoke (RFC 7009). A client ends what is its own: a
// refresh token, however old, with its whole family, an opaque access token alone, a JWT access
// token with the grant it hangs on, since it cannot be ended by itself. The
// answer is 200 when the change is durable and not before (SECURITY TK3, G5), and
// 200 as well for what is not there (§2.2).
package revoke
