// Package register serves POST /register (RFC 7591, OpenID Connect Dynamic Client
// Registration 1.0) and GET, PUT and DELETE /register/{id} (RFC 7592), by which an
// application looks after its own registration.
//
// Whoever registers shows an initial access token, which an operator makes with
// `ecardid client token`: it says under which profile its clients are admitted, what
// scopes they may have at most, and how many there may be. A test profile may do
// without. What concerns admission is never the client's to say; and an update is
// read by the same rules as a registration and cannot widen what was given (SECURITY
// CA4, CA5). One that makes another client of it ends what citizens had agreed to
// (Registrations.UpdateClient, CN1).
//
// What a registration must look like, package oauth knows (ValidateRegistration), and
// what this server has to give, oauth.Offer. Addresses that we would call are on hosts
// that an operator named, or they are refused (SR1). The document at
// sector_identifier_uri is fetched through internal/outbound when it or the redirect
// URIs are new; jwks_uri is left to oauth/clientkeys and to the day it is needed.
package register
