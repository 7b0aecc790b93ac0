package password

import (
	"log/slog"
	"unicode/utf8"
)

// A Problem is a reason to refuse a new password, as the key of the sentence
// that tells the person.
type Problem string

// The problems there are. Every language has a sentence for each.
const (
	TooShort      Problem = "password.too-short"       // under MinWithMFA
	TooShortAlone Problem = "password.too-short-alone" // under MinAlone and nothing else to sign in with
	TooLong       Problem = "password.too-long"        // over MaxBytes
	NotText       Problem = "password.not-text"        // invalid UTF-8
	Common        Problem = "password.common"          // many people chose it
	Breached      Problem = "password.breached"        // on the operator's list
	Personal      Problem = "password.personal"        // contains a name or number of theirs
	Guessable     Problem = "password.guessable"       // a pattern that is soon tried
	Unchecked     Problem = "password.unchecked"       // the list could not be read; try later
)

// Problems lists them all, for whoever makes sure that each has its sentences.
func Problems() []Problem {
	return []Problem{TooShort, TooShortAlone, TooLong, NotText, Common, Breached, Personal, Guessable, Unchecked}
}

const (
	// MinWithMFA and MinAlone are in characters, that is code points (NIST SP
	// 800-63B-4 §3.1.1.2).
	MinWithMFA = 8
	MinAlone   = 15
)

// Context is what is known about the person who chooses.
type Context struct {
	MFA bool // the account has another factor, so the password is not alone
	// Names are the person's names, user name and e-mail address.
	Names []string
	// Numbers are their ID, phone and card numbers. They are compared and
	// forgotten.
	Numbers []string
}

// A Leak knows passwords that are known to have leaked. Contains looks for the
// exact bytes. Safe for concurrent use.
type Leak interface {
	Contains(password string) (bool, error)
}

// A Policy says what is wrong with a new password. It asks for no kinds of
// characters and no change by the calendar, and takes the bytes as they come: no
// trimming, no normalisation. Safe for concurrent use.
type Policy struct {
	common blocklist
	leak   Leak
	log    *slog.Logger
}

// NewPolicy reads the built-in blocklist. leak may be nil.
func NewPolicy(leak Leak, log *slog.Logger) *Policy {
	return &Policy{common: newBlocklist(), leak: leak, log: log}
}

// Check returns what is wrong with password, most useful first, and nothing if
// it will do.
func (p *Policy) Check(password string, c Context) []Problem {
	// One at a time while there is nothing to compare: text of the right length
	// comes first.
	switch length := utf8.RuneCountInString(password); {
	case len(password) > MaxBytes:
		return []Problem{TooLong}
	case !utf8.ValidString(password):
		return []Problem{NotText}
	case length < MinWithMFA && c.MFA:
		return []Problem{TooShort}
	case length < MinAlone && !c.MFA:
		return []Problem{TooShortAlone}
	}
	var problems []Problem
	if personal(password, c) {
		problems = append(problems, Personal)
	}
	if p.common.has(password) {
		problems = append(problems, Common)
	} else if patterned(password) || walked(password) {
		problems = append(problems, Guessable)
	}
	if p.leak != nil {
		leaked, err := p.leak.Contains(password)
		switch {
		case err != nil:
			// Not checked is not good enough: the person is asked to come back.
			p.log.Error("looking for a password among the breached ones", "error", err)
			problems = append(problems, Unchecked)
		case leaked:
			problems = append(problems, Breached)
		}
	}
	return problems
}
