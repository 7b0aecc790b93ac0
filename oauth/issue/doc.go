// Package issue makes tokens and reads them back: opaque handles, RFC 9068 access
// tokens, ID tokens, and the signed answers of userinfo, introspection (RFC 9701) and
// back-channel logout. Types do not mix (SECURITY G2): a handle's prefix says what
// it is and its tag covers the prefix; a JWT's typ is part of what is signed and
// is compared when it is read.
//
// An access token is bound to the key of the request it was asked for with (RFC 9449
// §6, RFC 8705 §3); whoever asks has proved it before. What a client wants encrypted
// goes through an Encrypter (oauth/encrypt) after it was signed, or is not made.
//
// Whether what a token stands for is still alive, only storage knows; its
// callers (introspect, userinfo, revoke) ask there.
package issue
