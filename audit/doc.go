// Package audit says what happened: who did what to whom, when, why and with
// which outcome. An Event is written by storage in the same transaction as the
// act it describes, refusals included, so there is no act without its entry
// (SECURITY AD3, DV5). Entries are only ever appended.
//
// Events name people by id. They hold no personal data, no secret, no token.
//
// What shows that nobody has touched the trail, and to whom:
//
//	MAC of an entry   made as it is written: to whoever has the audit key, at once
//	chain             a moment later: to anybody, that the entries belong together
//	sealed head       beside the chain: to whoever has the key, that its end is there
//	Checkpoint        SM2-signed, kept elsewhere: to anybody with the public key, that
//	                  what was there then is there now
//
// What is refused is an entry too. Because strangers cause those, Refusals bounds them:
// the first few of a kind and source in a minute, and then one with a count.
//
// chain.go computes the first three, walk.go looks at them, export.go carries the
// trail to somebody who has no database. Rows, locks and pages are storage's; when
// to attest and where to is the command's.
package audit
