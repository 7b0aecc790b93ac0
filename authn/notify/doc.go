// Package notify brings what happens to citizens' accounts to the operator's gateway for
// text messages and e-mail, as what stands in the citizens' own pages already (authn,
// Notices): each notice is one POST of one signed JWT.
//
//	POST https://gateway.example/notices
//	Content-Type: application/jwt
//
// Its claims are those of Letter: which kind of thing happened, when and from how coarse
// a place, in which language the citizen reads and in what words we say it to them, and
// the telephone number it is for. There is never a secret in it, neither a code nor a
// token, so that whoever reads a text message over somebody's shoulder has nothing.
//
// The gateway verifies the token with our published keys; jti is the notice's id, by which
// it tells a repetition. Anything between 200 and 299 is taken as "it is on its way"; else
// the notice is tried again, with longer and longer waits, for a day. Every replica has a
// Courier, and a lease keeps two from bringing the same.
package notify
