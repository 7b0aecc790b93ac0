// Package totp checks one-time codes that change with the time: RFC 6238 as
// every authenticator app computes them, and the national variant on SM3
// (GM/T 0021, GB/T 38556) for the card app. Both are six digits over steps of
// thirty seconds.
//
// It holds no state. The seed comes out of sealed storage (SECURITY DP1) and the
// last accepted step with it; Match says which step a code belongs to, and the
// caller spends that step with one conditional write, because a code may be used
// once across all replicas (SECURITY G1, NIST SP 800-63B-4 §3.1.4.2). Counting
// tries is the caller's too.
package totp
