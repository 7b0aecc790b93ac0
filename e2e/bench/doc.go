// Package bench holds the house to the budgets of the design. It holds tests only.
//
// TestRoundTrips counts what each operation asks of PostgreSQL and fails when it is
// more than was promised. The benchmarks print time, allocations and flows a second
// on both databases, in process and over loopback, and last a table in which every
// figure stands beside the limit it is made of: one ES256 signature, one INSERT
// commit on the same kind of database, one net/http handler that does nothing.
// Machines differ and are shared; ratios taken in one run are what can be compared.
//
// Over loopback the server is a process of its own, so that its CPU time and its
// memory are its own and not the load's.
package bench
