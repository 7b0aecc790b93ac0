// Package house opens the whole server for tests, in this process and on loopback:
// every room, a real database, the stand-in liveness provider, and as many replicas
// as asked for. Its clock is the world's plus an offset that a test may move, so
// that a time step, a code's end and a flow's end need no waiting.
//
// It also plays the visitors that need no browser: a Robot keeps cookies and sends
// forms as a browser does, a Phone is the card app with a key in software, a
// Relying is an application that redeems codes. A Citizen knows everything about
// themselves, as people do.
//
// A house fails its test when the server logged an error: no visitor here has a
// right to cause one.
package house
