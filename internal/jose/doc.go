// Package jose signs and verifies compact JWS (RFC 7515) and reads and writes
// JWK (RFC 7517), for the five algorithms this house speaks: ES256, PS256, RS256,
// EdDSA with Ed25519 (RFC 7518, RFC 8037) and SGD_SM3_SM2, the national signature
// under the name of GM/T 0125. There is no encryption, no MAC and no "none" here,
// so none of them can be chosen by mistake.
//
// What a stranger sends is taken apart by [Parse], which trusts nothing, and
// becomes [Verified] only through a key that was known before: the key is found
// by kid, and the header's alg must then be the key's own. A header never chooses
// what kind of key it is checked with (SECURITY KY1, KY2), and never brings the
// key along, except for DPoP, whose room asks for it by name ([Token.VerifyKey]).
//
// Signatures of r‖s outside any token, as phones put them on requests, are
// [Key.SignRaw] and [Key.VerifyRaw]. JSON is taken apart by internal/strictjson.
//
// SM2 is used the one way described in decision D4: ZA with the default identity
// "1234567812345678" over the octets received, a signature of r‖s in 64 bytes,
// crv "SM2" ("SM2-P-256" is read as well). SM2 keys live in their own key set,
// because common libraries refuse a whole set in which they meet one.
//
// [Ring] is the immutable set of this server's own keys, and [Plan] decides when
// one is to be made, used, retired and dropped. Who stores and seals the private
// halves, applies the plan and swaps the ring is the caller's business, and so
// are fetching of client key sets, replay of jti, and what a claim means.
package jose
