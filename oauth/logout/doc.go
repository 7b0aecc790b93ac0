// Package logout ends sessions and tells relying parties so: OpenID Connect
// RP-Initiated Logout 1.0 at /end-session, Back-Channel Logout 1.0 from an outbox,
// Front-Channel Logout 1.0 on the page that says goodbye.
//
//	/end-session           what the application asks: checked, then made a ticket
//	/end-session/confirm   asks the citizen, unless the application has shown an ID
//	                       token of this very session (SECURITY OI3)
//	/end-session/done      the frames of the front channel, and the way back
//
// A ticket is what was checked, sealed: the pages need nothing of the request
// any more, and the ID token that came as a hint stands in no second URL.
//
// The session ends on the server, durably, before anybody is told. Storage writes a
// Farewell for each relying party in the transaction that ends the session, whoever
// ends it and however; the Postman signs and delivers them. What cannot be delivered
// is tried again, with longer and longer waits, for a day.
package logout
