package devicegrant

import (
	"time"

	"ecardid/oauth"
)

const (
	// Life of a device code: to find a phone, sign in and read (SECURITY DS3).
	Life = 10 * time.Minute

	// Interval between two polls; RFC 8628 §3.2 suggests it.
	Interval = 5 * time.Second

	// spins is how often a user code is drawn that is free. One that is taken is one in
	// millions.
	spins = 3
)

// What may be guessed at user codes (RFC 8628 §5.1). There are 20⁸ of them and at most
// ten thousand that are good, so that one guess in two and a half million is right; a
// right one lets the guesser give a stranger's device their own data, and nothing else.
//
// The count over all of them shuts out only who is not signed in: otherwise a stranger
// could shut out everybody. Right guesses are taken back.
func bySource() oauth.Counter {
	return oauth.Counter{Free: 30, Base: 30 * time.Second, Cap: 15 * time.Minute, Per: time.Hour}
}

func byBrowser() oauth.Counter {
	return oauth.Counter{Free: 5, Base: 30 * time.Second, Cap: 15 * time.Minute, Per: time.Hour}
}

func byCitizen() oauth.Counter {
	return oauth.Counter{Free: 10, Base: time.Minute, Cap: 15 * time.Minute, Per: time.Hour}
}

func byAll() oauth.Counter {
	return oauth.Counter{Free: 300, Base: time.Minute, Cap: 10 * time.Minute, Per: time.Hour}
}

// openings are devices that begin without a credential, by client and source: a row
// for each, which strangers can make us keep.
func openings() oauth.Counter {
	return oauth.Counter{Free: 60, Base: 30 * time.Second, Cap: 15 * time.Minute, Per: time.Hour}
}
