// Command conformance points a running OpenID conformance suite at ecardid.
//
//	go run ./e2e/conformance -suite https://localhost:8443 [-ca FILE] [-plan NAME,…] [-module NAME,…]
//
// It builds ecardid, starts it with the test profile op.yaml on a fresh database,
// brings in two citizens, registers the applications of clients/, creates the plans
// of plan.go by the suite's REST API and runs their modules one after another. Each
// result is held against expected.json, which says for every warning, review and
// skipped module why it is none of our faults; anything else ends with status 1.
//
// All keys and certificates are made anew at each start and kept in run/, which is
// not part of the repository, beside the logs and the results. With -report FILE the
// results of run/ become the table of that document; with -render nothing is run for
// it. With -keep the server goes on serving; its configuration works by hand as well:
//
//	ECARDID_CONFORMANCE_DATABASE=sqlite:$PWD/e2e/conformance/run/op.db ecardid serve --config e2e/conformance/op.yaml
//
// The suite is not ours and is not here: it is built and started elsewhere. Its
// certificate is private; without -ca it is taken as it comes, from loopback only.
package main
