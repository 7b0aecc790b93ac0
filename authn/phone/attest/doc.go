// Package attest judges what a phone says about where its key is kept. A statement
// has a format, each format has a [Verifier], and the outcome is a level on one
// ladder: unattested < software < tee < secure-element. Which level may approve
// what is policy and decided elsewhere: phones sold without the maker's attestation
// are phones too, so "none" is a level and not an error. A statement that does not
// hold, on the other hand, is refused; it is worth less than none.
//
// android-key is Android Key Attestation (the KeyDescription extension
// 1.3.6.1.4.1.11129.2.1.17 in an X.509 chain). Roots, revoked serials and our own
// apps come from configuration; nothing is fetched. Verification happens once, at
// enrolment, by the clock of that moment: intermediate certificates live for weeks,
// so the same chain would fail later (authn keeps the chain and the result).
package attest
