// Package signals tells relying parties what happens to the citizens they know, between
// two logins: OpenID Shared Signals Framework 1.0, as a transmitter.
//
//	/.well-known/ssf-configuration   where everything is (§7)
//	/ssf/stream                      a client's one stream: made, read, changed, deleted (§8.1.1)
//	/ssf/status                      enabled, paused, disabled (§8.1.2)
//	/ssf/subjects/add, remove        citizens it wants to hear nothing of (§8.1.3)
//	/ssf/verify                      an event on demand, to see that the line works (§8.1.4)
//	/ssf/poll/{id}                   events fetched and acknowledged (RFC 8936)
//
// Clients come with an access token of their own (oauth/caller): ssf.read reads and
// polls, ssf.manage does everything.
//
// What is told are the events of oauth.SignalTypes, each as one security event token
// (RFC 8417) about one citizen, by the sub that the client knows. Storage puts them on
// the streams in the transactions of the acts, for clients that hold a grant of the
// citizen; so there is no act without its signal and no signal without its act. The
// Courier takes them to push endpoints (RFC 8935) through internal/outbound, in order,
// one stream by one replica at a time, with longer and longer waits where nobody
// answers. Delivery is at least once; the jti tells a repetition.
//
// A stream lives and dies with its client: nothing is sent for one that is suspended,
// and one that is withdrawn has none. Back-channel logout (oauth/logout) is another way
// to hear that a session has ended, and does not depend on this one.
package signals
