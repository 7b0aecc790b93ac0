// Package storage remembers what the rooms ask it to remember, in PostgreSQL or
// in one SQLite file. It implements the small interfaces those rooms declare;
// they never import it.
//
// The store is laid out by operation and not by row: what may happen once is one
// conditional write whose affected-row count decides, and whatever has been
// revoked is refused by the very statement that would have used it. On
// PostgreSQL a hot operation is one statement; on SQLite it is one short
// transaction on the single writer.
//
// Where things are:
//
//	store.go       Open, Migrate, Options: what the command uses
//	contracts.go   what the rooms asked for; their interfaces have a file a subject
//	grants.go      when a grant is alive; issuing, redeeming and refreshing, whose
//	               shapes differ, are in grants_postgres.go and grants_sqlite.go
//	once.go        values that may be used once, spent by the statement they came with
//	exchange.go    grants derived from grants
//	devicecodes.go devices that wait for somebody to answer
//	farewells.go   the outbox of sessions that ended
//	signals.go     streams of shared signals, and the outbox of each
//	telling.go     what is put there, in the transactions of the acts
//	notices.go     citizens' notices as an outbox, for the operator's gateway
//	locks.go       what changes a citizen's logins or factors locks the citizen first
//	sealing.go     personal data under the data keys
//	events.go      audit entries, each with its MAC, in the transaction of the act
//	trail.go       the chain over the audit trail, its end, its export
//	admission.go   clients on their way in, from draft to live
//	usage.go       what clients did, by day
//	watch.go       the trail as auditors search it, and alarms
//	operator.go    what the command line asks for, and sweeping
//	db.go          the small interface every operation is written against
//	pgdb.go        that interface over pgx
//	litedb.go      that interface over SQLite: reading
//	litewriter.go  the one SQLite writer, which commits callers in groups
//	litetx.go      what a caller holds while it is its turn at the writer
//	listen.go      being told that something changed
//	count.go       counting statements, for tests that hold us to a budget
//	migrate.go     the forward-only migrator; its files are in migrations/
//
// Times are Unix milliseconds, ids are 16 bytes, and time always comes in from
// the caller. Text that neither database could keep (NUL, broken UTF-8) is
// refused before it is sent.
package storage
