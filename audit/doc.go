// Package audit says what happened: who did what to whom, when, why and with
// which outcome. An Event is written by storage in the same transaction as the
// act it describes, refusals included, so there is no act without its entry
// (SECURITY AD3, DV5). Entries are only ever appended; a chain over them shows
// edit, deletion, reordering and truncation.
//
// Events name people by id. They hold no personal data, no secret, no token.
package audit
