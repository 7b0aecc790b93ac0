// Package issue makes tokens and reads them back: opaque handles, RFC 9068 access
// tokens, ID tokens. Types do not mix (SECURITY G2): a handle's prefix says what
// it is and its tag covers the prefix; a JWT's typ is part of what is signed and
// is compared when it is read.
//
// Whether what a token stands for is still alive, only storage knows; its
// callers (introspect, userinfo, revoke) ask there.
package issue
