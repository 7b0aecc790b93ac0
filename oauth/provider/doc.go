// Package provider introduces the rooms of oauth to each other: from a list of
// ingredients it makes every handler of the protocol, and it lists the routes for
// server to mount. Nothing is decided here.
package provider
