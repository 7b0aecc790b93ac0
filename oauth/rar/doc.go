// Package rar reads authorization_details (RFC 9396): what a client wants to be
// allowed this once, said in more than a scope's name. Each type has its own reader,
// strict about every member; a type nobody registered here, one the client was not
// admitted with or whose scope it may not have, and a member nobody knows are refused
// (§5).
//
//	request ─▶ Types.Parse ─▶ Details ─▶ consent page, phone, receipt
//	                             └─▶ JSON, the one spelling ─▶ oauth.Grant.Details
//	token request ─▶ Subset(granted, asked)
//	refresh ─▶ Types.Carried        introspection ─▶ Types.For
//
// The spelling is that of RFC 8785: members by name, no space, nothing escaped that
// need not be. What is agreed to, stored, told in tokens and digested is one text.
//
// oauth/authorize asks the citizen and oauth/token narrows. What details are worth to
// a resource is the resource's to decide; that a payment is made once is, too.
package rar
