// Package standin is a liveness provider that checks nobody: whoever sits before
// its page presses a button and is believed. It speaks the protocol of package
// liveness from the other side, for the demo and for tests, and was written from
// the protocol and not from that package, which it does not import.
//
// It says what it is wherever it can: on its page, in large letters, and in every
// start answer ("standin": true), which a production server takes as a reason to
// hang up.
//
// Options.Trouble lets a test make it misbehave.
package standin
