// Package password serves the first factor most people have: it says whether a
// new password will do (Policy), turns it into what is stored (Hasher.Hash) and
// tells whether one that was typed is the one that was set (Hasher.Verify).
// NIST SP 800-63B-4 §3.1.1 is the rule book; SECURITY §0, PW7, KY4 and DS2 give the
// numbers.
//
// What is stored is
//
//	HMAC-SM3(pepper, argon2id(password, salt))
//
// so that a copy of the database without the pepper, which internal/seal keeps
// under the key hierarchy, cannot even be guessed at.
//
// Hashing is the most expensive thing a stranger can ask of this server. It
// happens for at most one person per core at a time, a few wait, and the rest are
// told to come back (ErrBusy), so a flood of logins leaves the token endpoints
// working.
//
// Throttling, and answering alike for accounts that exist and that do not, belong
// to authn; this room lends it VerifyNothing for that. The texts of Problem keys
// live with the pages.
package password
