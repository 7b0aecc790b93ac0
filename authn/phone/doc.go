// Package phone is the card app's side door: how a phone is bound to a citizen,
// how its requests prove they are its own, and how a citizen approves on it what a
// browser asks (SECURITY §12, DV1 and DV4).
//
// Enrolment. The server sets a challenge; the app makes a key in the phone's
// hardware and answers with the public half, a statement about where the key is
// kept (package attest) and a proof: a JWS of type ecardid-device-proof+jwt by the
// new key over challenge, enrolment, our origin and the key's thumbprint. The
// enrolment's id stands for citizen and session, which storage keeps with it, so
// the proof is over those as well.
//
// Requests. After that every request carries a signature over method, path,
// server-made nonce, time, audience and body, checked with the stored key by the
// stored key's algorithm. A header never says which algorithm.
//
// Approvals. The phone shows who asks for what and from where, the citizen picks
// the number the browser shows, and the answer names the approval, the number and
// the hash of what was shown.
//
// Keys are ES256 (every phone's hardware) or SM2 (where there is one, for the
// national factor). Everything here is pure: nonces and challenges are spent,
// keys kept unique, notices sent by the flow and storage.
package phone
