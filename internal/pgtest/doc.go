// Package pgtest gives tests a real PostgreSQL. It starts a throw-away cluster
// once per test process, hands every caller a fresh database in it, and leaves
// neither a process nor a directory behind.
//
// A package that uses it has one line of set-up:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
// and a test asks for an empty database with DSN, or for one already migrated
// with Migrated, which migrates once and copies after that.
//
// When the server is not installed the test fails and says which package to
// install; a database that could not be tested is never passed over in silence.
// ECARDID_TEST_POSTGRES names a running server to use instead, by the DSN of a
// user who may create databases.
//
// Start is the same without the testing package, for benchmarks and demos.
package pgtest
