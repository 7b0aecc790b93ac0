// Package discovery serves what everybody may know: the metadata of OpenID
// Connect Discovery 1.0 §3 and RFC 8414 §2, and the public keys. The documents say
// what this server does and nothing it does not do yet; a test compares them with
// the routes. They are encoded once and answered from memory, with an ETag.
//
// SM2 keys are published at sm2_jwks_uri alone: common libraries refuse a whole
// set in which they meet one (DESIGN D4).
package discovery
