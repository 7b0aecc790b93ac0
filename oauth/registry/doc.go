// Package registry keeps the clients in memory (decision D2): one immutable set
// behind an atomic pointer, read by every request and replaced as a whole.
//
// A change is announced (Registry.Notify) and shows at once; without any
// announcement a set older than TTL is not used any more, so a suspended client
// stops within five seconds even on a replica that hears nothing. When the set
// cannot be renewed, nobody is known: fail closed (SECURITY G5, CA4).
//
// It also knows the hosts that operators vouched for by admitting a client there
// (Registry.Names), which are those that internal/outbound may call.
package registry
