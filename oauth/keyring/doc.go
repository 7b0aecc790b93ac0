// Package keyring looks after our signing keys (DESIGN D4): it reads them from
// storage, keeps them as one immutable ring behind an atomic pointer, and carries
// out internal/jose's rotation plan under storage's lock, so that of two replicas
// that rotate at once the second sees what the first did.
//
//	next ──NextFor──▶ active ──ActiveFor──▶ retired ──RetireFor──▶ gone
//
// A key is published for NextFor before it signs and for RetireFor after, which
// are longer than relying parties may keep a key set and tokens live; no
// verification fails over a rotation (SECURITY KY5). Sealing the private halves
// is storage's.
package keyring
