// Package storagetest examines a store. It holds the promises written beside the
// interfaces of authn, oauth and liveness against an implementation: what is
// found and what is not, what ends with what, what happens once, and that no act
// goes without its entry in the audit trail.
//
//	Run   behaviour, on one store, with times passed in
//	Race  many at once, on stores that share a database: exactly one wins
//
// Each check brings a citizen and a client of its own, so all of them may share
// one database and none needs it empty. The files are by subject; world.go is
// the little world every check begins with.
package storagetest
