// Package passkey runs the two WebAuthn ceremonies (Web Authentication Level 3,
// §7.1 and §7.2): making a passkey and signing with one. The cryptography is
// go-webauthn's; what is here is our policy on top of it, because several of its
// defaults are not ours (SECURITY G10):
//
//   - ceremonies expire, by our clock and by the library's (it does not by default);
//   - presence and verification of the user are demanded in both;
//   - ES256, EdDSA and RS256 are offered, and what comes back is held to them and
//     to sane key sizes;
//   - attestation is judged after the library has verified it, since the library
//     takes format "none" however the metadata service is configured;
//   - a signature counter that goes back ends a device-bound passkey; the library
//     only leaves a note;
//   - flags travel as the one octet they are, because the library's own JSON
//     forgets it and then refuses every synced passkey.
//
// It holds no state. A Ceremony is put away by the flow under the browser's login
// or session and taken out by whatever answer comes first, right or wrong
// (SECURITY WA1, G1). That a credential id is unique over all citizens is a unique
// index of storage's. Sign-in starts with options that name nobody, so there is
// nothing an unknown account could look different in (SECURITY WA4).
package passkey
