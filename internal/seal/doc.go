// Package seal keeps personal data unreadable wherever it rests (DESIGN D11,
// GB/T 39786). A key-encryption key stays with a KeyProvider; under it lie data
// keys, one per Purpose and version, which storage remembers wrapped; under
// those, fields are sealed with SM4-GCM (GB/T 32907, RFC 8998) and looked up by
// an HMAC-SM3 blind index (GB/T 32905).
//
//	KeyProvider (file, environment, HSM)  KEK
//	  └── WrappedKey rows                 one data key per purpose and version
//	        └── HKDF-SM3                  one key per use: sealing, MAC, each indexed field
//
// A sealed field is
//
//	ver(1) ‖ key id(4) ‖ nonce(12) ‖ ciphertext ‖ tag(16)
//
// and is bound to its Place, the table, column and row it was written to, so a
// value copied to another citizen's row does not open there.
//
// Life of a key. A new version is inserted as DecryptOnly and made Active once
// every replica has loaded it; the version before it then turns DecryptOnly,
// fields are sealed anew in the background (NeedsReseal), and at last it is
// Destroyed. A new KEK rewraps the rows (Rewrap) and touches no field.
//
// The software provider in this package is not a certified cryptographic module
// (GM/T 0028), and Describe says so. Where one is demanded, a KeyProvider over an
// HSM or KMS takes its place. Storing the rows, deciding when to rotate and
// walking the tables belong to storage and cmd; passwords belong to
// authn/password, which asks here only for its pepper.
package seal
