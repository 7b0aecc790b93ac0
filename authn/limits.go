package authn

import "time"

// Times.
const (
	flowLife     = 15 * time.Minute // SECURITY DS3: rows that strangers can create
	sessionIdle  = time.Hour        // SECURITY §0, AAL2; configuration may only shorten it
	sessionMax   = 24 * time.Hour   // likewise
	touchEvery   = time.Minute      // how exact the idle end is; a write a page view would be a waste
	freshFor     = 5 * time.Minute  // SECURITY §0, step-up: how old MFA may be to change a factor
	approvalLife = 2 * time.Minute  // to find the phone, unlock it, read and compare
	enrolLife    = 10 * time.Minute // to install nothing and scan one code
	trustLife    = 30 * 24 * time.Hour
	// trustOverlap is how long the cookie before the last rotation is taken for a
	// second tab that was on its way, and not for a copy.
	trustOverlap = time.Minute
	busyFor      = 2 * time.Second
	relativeAsk  = 14 * 24 * time.Hour // for somebody who looks at their account now and then
	coolOff      = 24 * time.Hour      // DESIGN D8: long enough for the owner to see the notice
	// untilRight is the count of a rule with a Max: consecutive failures, which end
	// with success and not with a day's rest. It is longer than anything here lasts.
	untilRight = 10 * 365 * 24 * time.Hour
	alarmFor   = 10 * time.Minute
)

// Tries within one flow. What counts across flows is counted by [Attempts].
const (
	maxCodes     = 5 // SECURITY §0: TOTP tries per transaction
	maxRecovery  = 5
	maxApprovals = 3 // prompts somebody's phone can be pestered with
	maxFaces     = 3 // SECURITY LV3 allows five
)

// Sizes of what people type.
const (
	maxTyped    = 128
	maxCode     = 128
	maxGreeting = 40
	maxName     = 40
)

// DefaultRules are the throttles (SECURITY PW2 to PW4).
//
// Account has no Max on purpose. NIST SP 800-63B-4 §3.2.2 wants an authenticator
// disabled after a hundred failures in a row, and SECURITY PW3 wants that strangers
// cannot shut anybody out for good; with a cap of fifteen minutes a password sees
// about a hundred guesses a day whatever the number of sources, and the owner's
// trusted browser has a counter of its own (docs/divergences.md). Whoever guesses at
// a code of the app's has shown the password before: there a hundred in a row is the
// end, over whatever time, until the generator is another one or the owner, who has
// other factors, changes the password.
//
// Paper has no Max because a code on it has 80 bits, and from 64 on nothing has to be
// slowed (NIST SP 800-63B-4 §3.1.2). Desk has none because anybody may come to /lost
// who knows a number: a last try there would take the six digits from the owner for
// good. What a lucky one gets is a report, or the card back of somebody whose password
// they have; signing in asks for the code again.
func DefaultRules() Rules {
	return Rules{
		Account:    Rule{Free: 5, Base: 30 * time.Second, Cap: 15 * time.Minute, Per: 24 * time.Hour},
		Browser:    Rule{Free: 10, Base: 30 * time.Second, Cap: 15 * time.Minute, Per: untilRight, Max: 100},
		Code:       Rule{Free: 4, Base: time.Minute, Cap: 15 * time.Minute, Per: untilRight, Max: 100},
		Paper:      Rule{Free: 4, Base: time.Minute, Cap: 15 * time.Minute, Per: 24 * time.Hour},
		Desk:       Rule{Free: 4, Base: time.Minute, Cap: 15 * time.Minute, Per: 24 * time.Hour},
		Activation: Rule{Free: 5, Base: time.Minute, Cap: 15 * time.Minute, Per: 24 * time.Hour},
		Approval:   Rule{Free: 5, Base: time.Minute, Cap: 15 * time.Minute, Per: time.Hour},
		// A hospital behind one address signs in hundreds; what they get right is refunded.
		Source: Rule{Free: 50, Base: 10 * time.Second, Cap: 15 * time.Minute, Per: time.Hour},
		// Whoever loses the phone twice a day calls the helpline the third time.
		Loss: Rule{Free: 2, Base: 24 * time.Hour, Cap: 24 * time.Hour, Per: 24 * time.Hour},
		// Each naming is a notice in somebody's inbox.
		Naming: Rule{Free: 10, Base: 24 * time.Hour, Cap: 24 * time.Hour, Per: 24 * time.Hour},
		// Ceremonies and flows are rows that strangers can create (SECURITY DS3).
		Opening: Rule{Free: 3000, Base: 5 * time.Second, Cap: time.Minute, Per: time.Hour},
		Alarm:   500,
	}
}

// Rules are the throttles in force; zero fields take their default.
type Rules struct {
	Account    Rule // password, per citizen, from browsers nobody vouches for
	Browser    Rule // password, per citizen and trusted browser
	Code       Rule // six digits, per generator (and trusted browser)
	Paper      Rule // recovery codes, per citizen (and trusted browser)
	Desk       Rule // six digits at /lost and /lost/undo, per citizen (and trusted browser)
	Activation Rule // activation code, per citizen
	Approval   Rule // questions to a citizen's phones
	Source     Rule // guesses of any kind, per source address
	Loss       Rule // reports of a loss that succeeded, per citizen and factor, or per tie of a relative
	Naming     Rule // relatives named, per citizen
	Opening    Rule // passkey challenges and flows, per source address
	// Alarm is how many wrong guesses within ten minutes, over all accounts and
	// sources, look like spraying (SECURITY PW4). While it lasts, strange browsers
	// get fewer free guesses.
	Alarm int
}

func (r Rules) orDefaults() Rules {
	d := DefaultRules()
	for _, p := range []struct{ at, def *Rule }{
		{&r.Account, &d.Account}, {&r.Browser, &d.Browser}, {&r.Code, &d.Code}, {&r.Paper, &d.Paper}, {&r.Desk, &d.Desk}, {&r.Activation, &d.Activation},
		{&r.Approval, &d.Approval}, {&r.Source, &d.Source}, {&r.Opening, &d.Opening}, {&r.Loss, &d.Loss}, {&r.Naming, &d.Naming},
	} {
		if *p.at == (Rule{}) {
			*p.at = *p.def
		}
	}
	if r.Alarm == 0 {
		r.Alarm = d.Alarm
	}
	return r
}

// wary is the rule while the alarm lasts.
func (r Rule) wary() Rule {
	r.Free = max(r.Free/2, 1)
	return r
}
