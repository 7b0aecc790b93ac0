// Package recovery makes and reads the codes a citizen keeps on paper: recovery
// codes, for the day every other second factor is lost, and activation codes, with
// which an imported citizen first comes in (NIST SP 800-63B-4 §4.2.1.1).
//
// It says what a code looks like, forgives what tired people type, and turns a
// code into what may be stored: a keyed hash over purpose, owner and code, so that
// a code of one purpose or of one citizen is nothing to another (SECURITY G2) and a
// dump of the database is no help in guessing. The key lives in internal/seal and
// comes in as a function. Spending a code is one conditional write of storage's
// (SECURITY G1); throttling and notices are the flow's.
package recovery
