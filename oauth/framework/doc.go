// Package framework is where fosite is set up, with every default of it that is
// not our policy written down (SECURITY G10) and tested: see New.
//
// What we keep is NewAuthorizeRequest, NewAccessRequest, the dispatch to
// handlers, the hooks for client authentication and response modes, the error
// model and the writers. Compose, CoreStrategy, the stock handlers and the stock
// storage interfaces stay out (decision D1): the handler lists are set by hand.
package framework
