// Package jar reads request objects (RFC 9101): the parameters of an authorization
// request, signed by its client. It says which parameters they are and that this
// client signed them, for this server, a moment ago; what they mean is read by
// oauth/authorize, for which they then are all there is: nothing outside the object
// counts, and nothing is merged (§6.3, SECURITY CO4).
//
// Objects come by value only. No URL is followed here, and none of the keys: those
// are the client's registered ones, which oauth/clientkeys finds. Encrypted objects
// are not offered.
package jar
