// Package outbound calls other people's servers at addresses that other people
// chose: key sets, sector identifiers, logout endpoints (SECURITY SR1). Such an
// address is an invitation to call the wrong one, so here is the one way out:
//
//   - only hosts that somebody answers for: those the operator lists ([Config.Only]) and
//     those of whom the operator has admitted ([Hosts]), looked up at each call;
//   - https only, TLS 1.2 at least, no proxy from the environment, no redirects;
//   - no special-use address, looked at when the connection is made and the name is
//     resolved, so that a name that changes its mind gains nothing; a host that may
//     be one, such as a test suite on this machine, is named in [Config.Allow];
//   - one exception: the relying party of the demonstration, on this machine, may be
//     posted to in the clear ([Config.Demo]);
//   - five seconds and 64 kB for all of it;
//   - a bounded number of calls at once, and of calls to one host, so that a host
//     which hangs holds a few requests and not all of them.
//
// Caching and how often to ask is the callers' business, and so is what an answer
// means. The line to the liveness provider has limits of its own and borrows
// [Guard].
package outbound
