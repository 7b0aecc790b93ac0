// Package mtls knows the certificate a request was sent with (RFC 8705): where it
// may come from, what tokens are bound to, and whether it authenticates a client.
//
// A certificate is either the connection's own, or in a header of a proxy that is
// configured by its address; anybody else's header is not read (SECURITY SC4). The
// connection alone proves possession of the key and nothing about whose it is:
// [Config.Subject] and [SelfSigned] are the two answers to that (§2.1, §2.2).
//
// The listener that asks for certificates is the server's; who must have one,
// oauth/clientauth says; keys of clients come from oauth/clientkeys.
package mtls
