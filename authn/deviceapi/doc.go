// Package deviceapi serves /device/v1: the card app's door (DESIGN D8). A phone is
// bound here, says here what it is called, ends itself here, and here it hears of
// the questions browsers ask its owner and answers them. The protocol of proofs,
// signatures and questions is package phone's, attestation package phone/attest's;
// here is what needs a connection: reading, order, spending and remembering.
//
//	POST   /device/v1/enrolments        {"code"} → 200 {"enrolment_id", "challenge", "expires_in", "alg", "formats", "aud"}
//	POST   /device/v1/enrolments/{id}   {"alg", "public_jwk", "key_protection", "attestation", "proof", "device"}
//	                                    → 201 {"device_id", "level"}
//	GET    /device/v1/nonce             (Device-Id) → 200 {"nonce", "expires_in"}
//	GET    /device/v1/devices/{id}      signed → 200, the phone's own state
//	PATCH  /device/v1/devices/{id}      signed, {"name"} → 200
//	DELETE /device/v1/devices/{id}      signed → 204
//	GET    /device/v1/approvals         signed → 200 {"approvals": [{"approval_id", "context", "choices", "age", "expires_in"}]}
//	POST   /device/v1/approvals/{id}    signed, {"approval_id", "decision", "number", "context_hash", "uv"} → 200 {"state"}
//
// An approval's "context" is a text that holds JSON. The phone shows what is in it
// and hashes the text as it came: nobody writes it anew in between.
//
// The order inside a signed request is the whole of its security: headers are
// read, the nonce is seen to be ours, the phone is read from among the active
// ones of citizens who may sign in, the signature is checked with the stored key,
// the nonce is spent, and only then is anything done (SECURITY DV4, G1). A nonce is
// spent by requests that verified, so that strangers can neither burn a phone's
// nonces nor fill a table (DS3). Every refusal up to there is the same 401.
//
// Errors are {"error", "error_description"}. There are no cookies here, hence no
// CSRF: what a browser sends along by itself proves nothing to this door.
package deviceapi
