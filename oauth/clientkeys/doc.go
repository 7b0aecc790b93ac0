// Package clientkeys finds the public keys of a client: those of its registration
// (jwks), or those at its jwks_uri (RFC 7591 §2). Client assertions, request objects
// and self-signed certificates are checked with them, and answers encrypted to them.
//
// What is behind a jwks_uri is kept for five minutes. A key that is not there may be
// a new one, so the set is fetched again for it, and since strangers can name keys
// that do not exist, once a minute for each client and no more (SECURITY KY5); a
// fetch that failed counts. While a client's server does not answer, the set it last
// gave is believed for up to an hour.
//
// Calls go out through internal/outbound, documents are read by internal/jose.
// Encryption keys are read from [Source.Document] by those who encrypt.
package clientkeys
