// Package loss is the desk where a loss is reported (DESIGN D8, D9): of a phone, of
// the whole card, or of one device out of a list. It makes the number a citizen can
// quote and the receipt behind it, signed with SM2, and has storage end everything
// that hung on what was lost in one transaction.
//
// Whoever comes to the desk has been heard elsewhere: authn has checked one factor,
// the account pages a login, and staff the caller's answers (Questions, Passes). Undoing is dearer
// and is theirs as well: two fresh factors, never of the device that was reported, or
// a service counter.
//
// A receipt says what ended and when, and nothing about whom. Signing comes before the
// transaction, so that the trail holds the receipt; when there is no key to sign with,
// the loss is reported all the same and the receipt goes without.
package loss
