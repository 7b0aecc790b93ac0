// Package form reads the parameters strangers send (RFC 6749 §3.1, §3.2): as
// application/x-www-form-urlencoded and nothing else, bounded, in valid UTF-8,
// each known one once (but for the targets of RFC 8707). What is unknown is ignored
// and what is empty is absent, as the RFC asks; what is malformed is an error and
// never repaired (SECURITY G8, DS1).
package form
