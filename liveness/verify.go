package liveness

import (
	"bytes"
	"crypto/subtle"
	"slices"
	"time"

	"ecardid/internal/jose"
)

// A Reason says which check a result did not stand. It is an error, for errors.Is,
// and a short stable word, for logs and rows.
type Reason string

// The reasons, by the numbers of notes §6.2.
const (
	ReasonSignature    Reason = "signature"        // 1 not by a pinned key, or not with that key's algorithm
	ReasonMalformed    Reason = "malformed"        // 1 signed, but not a result
	ReasonIssuer       Reason = "issuer"           // 2
	ReasonAudience     Reason = "audience"         // 2
	ReasonClock        Reason = "clock"            // 3 stale, from the future or too long-lived
	ReasonReplay       Reason = "replay"           // 4
	ReasonSession      Reason = "session"          // 5 another session or request than ours
	ReasonNotPending   Reason = "not_pending"      // 5
	ReasonLate         Reason = "late"             // 5
	ReasonNonce        Reason = "nonce"            // 6
	ReasonTransaction  Reason = "transaction"      // 7
	ReasonSubject      Reason = "subject"          // 8
	ReasonDevice       Reason = "device"           // 9
	ReasonCaptured     Reason = "captured"         // 10 outside of the session
	ReasonVerdict      Reason = "verdict"          // 11 the provider says no
	ReasonInconclusive Reason = "inconclusive"     // 11 the provider cannot tell
	ReasonScore        Reason = "score"            // 11 liveness below ours or theirs
	ReasonPAD          Reason = "pad"              // 11 tested at too low a level
	ReasonMatch        Reason = "match"            // 11 not the face, not compared, or with something else
	ReasonAttempts     Reason = "attempts"         // 11 more tries than we gave
	ReasonRisk         Reason = "risk"             // 12
	ReasonDisagree     Reason = "notice_disagrees" // 13
	ReasonStanding     Reason = "standing"         // 14
	ReasonNotReady     Reason = "not_ready"        // no result yet
	ReasonUnavailable  Reason = "unavailable"      // no answer from the provider
)

// Error implements error.
func (r Reason) Error() string { return "liveness: refused: " + string(r) }

// alarming reports whether no honest citizen and no honest provider brings this
// about: somebody should look.
func (r Reason) alarming() bool {
	switch r {
	case ReasonVerdict, ReasonInconclusive, ReasonScore, ReasonMatch, ReasonLate, ReasonNotPending,
		ReasonStanding, ReasonNotReady, ReasonUnavailable:
		return false
	}
	return true
}

// An Outcome is what the caller acts on. The zero Outcome is not a pass.
type Outcome string

// The outcomes.
const (
	Passed       Outcome = "passed"
	Failed       Outcome = "failed"       // no; another try needs a reason to differ, a weaker factor is no way out
	Inconclusive Outcome = "inconclusive" // not this time; try again
	Unavailable  Outcome = "unavailable"  // nobody answered; try again or prove otherwise
)

// A Band is all we keep of a score: how far above the bar it was.
type Band string

// The bands.
const (
	BandNone  Band = ""
	BandBelow Band = "below"
	BandMeets Band = "meets"
	BandClear Band = "clear" // at least half-way from the bar to the top
)

func bandOf(value, bar int) Band {
	switch {
	case value < bar:
		return BandBelow
	case value-bar < 100-value:
		return BandMeets
	default:
		return BandClear
	}
}

// A Verdict is what came of a check.
type Verdict struct {
	Outcome  Outcome
	Reason   Reason // empty when passed
	Provider string
	Band     Band
	At       time.Time // when the face was seen, never later than now
}

// Passed reports whether the verdict is a pass. There is no other way to ask.
func (v Verdict) Passed() bool { return v.Outcome == Passed && v.Reason == "" }

// A Policy is what we ask of a check, whoever does it.
type Policy struct {
	Mode      Mode
	Reference Reference
	MinScore  int // 1 to 100, for liveness
	MinMatch  int // 1 to 100, for the match; unused in ModeLiveness
	MinPAD    int
	// Tolerated lists the risk tags that do not block. Every other one does, those
	// invented tomorrow included.
	Tolerated []string
}

// Expect is everything a result is held against.
type Expect struct {
	Provider         string
	Issuer, Audience string

	Session Session     // as stored
	Current Transaction // as it stands for the browser that asks now

	Nonce, SubjectRef, DeviceRef string // as we sent them; DeviceRef is empty for null
	WithoutDevice                bool   // the policy allows Current to have no device
	Attempts                     int    // how often the provider may have tried

	Policy Policy
}

// A Finding is a verdict with what Settle needs to make it count once.
type Finding struct {
	Verdict
	JTI    []byte // nil unless the provider signed this
	Digest []byte
	Tries  int
}

// Verify holds a pulled result against what is expected, by the fourteen checks of
// notes §6.2. It reads no clock, no row and no network. A nil error is the one
// form of success; with any error the Finding is a refusal, and the error is, or
// wraps, its Reason.
//
// Checks 4 and 14 are repeated by Sessions.Settle, in the statement that makes
// the verdict count: what was read here may be old by then.
func Verify(jws string, want Expect, keys jose.Set, now time.Time) (Finding, error) {
	no := Finding{Verdict: Verdict{Outcome: Failed, Provider: want.Provider}, Tries: max(want.Attempts, 1)}

	// 1: a pinned key, that key's algorithm, over the received octets.
	payload, err := open(jws, typeResult, keys)
	if err != nil {
		no.Reason = ReasonSignature
		return no, refusal{ReasonSignature, err}
	}
	r, err := parseResult(payload)
	if err != nil {
		no.Reason = ReasonMalformed
		return no, refusal{ReasonMalformed, err}
	}

	f := no
	f.JTI, f.Digest = jtiKey(want.Provider, r.jti), r.digest()
	f.Reason = judge(r, f, want, now)
	switch f.Reason {
	case ReasonInconclusive:
		f.Outcome, f.Tries = Inconclusive, r.attempt
	case "", ReasonScore, ReasonVerdict:
		f.Tries = r.attempt
		f.Band = bandOf(r.liveness.value, max(want.Policy.MinScore, r.liveness.threshold))
	}
	if f.Reason != "" {
		return f, f.Reason
	}
	f.Outcome = Passed
	f.At = r.capturedAt
	if f.At.After(now) {
		f.At = now
	}
	return f, nil
}

// A refusal carries the cause beside the reason.
type refusal struct {
	reason Reason
	cause  error
}

func (r refusal) Error() string   { return r.reason.Error() + ": " + r.cause.Error() }
func (r refusal) Unwrap() []error { return []error{r.reason, r.cause} }

// judge returns the first check that r does not stand, or nothing.
func judge(r result, f Finding, want Expect, now time.Time) Reason {
	if reason := judgeMessage(r, want, now); reason != "" { // 2, 3
		return reason
	}
	if n := want.Session.Notice; n != nil && bytes.Equal(n.JTI, f.JTI) { // 4
		return ReasonReplay
	}
	if reason := judgeBinding(r, want, now); reason != "" { // 5 to 10
		return reason
	}
	// 13 comes before 11: of "the notice said pass, the result says fail" the
	// first half is the news.
	if n := want.Session.Notice; want.Session.Contradicted || n != nil && !bytes.Equal(n.Digest, f.Digest) {
		return ReasonDisagree
	}
	if reason := judgeFace(r, want.Policy); reason != "" { // 11
		return reason
	}
	if r.attempt > want.Attempts {
		return ReasonAttempts
	}
	for _, tag := range r.risks { // 12
		if !slices.Contains(want.Policy.Tolerated, tag) {
			return ReasonRisk
		}
	}
	if !want.Session.Standing { // 14
		return ReasonStanding
	}
	return ""
}

// judgeMessage is what results and notices have in common: who speaks to whom,
// and when.
func judgeMessage(r result, want Expect, now time.Time) Reason {
	switch {
	case r.issuer != want.Issuer: // 2
		return ReasonIssuer
	case r.audience != want.Audience:
		return ReasonAudience
	case r.issuedAt.After(now.Add(aheadBy)), // 3
		!r.expires.After(r.issuedAt),
		r.expires.Sub(r.issuedAt) > resultLife,
		!now.Before(r.expires.Add(lateBy)):
		return ReasonClock
	}
	return ""
}

func judgeBinding(r result, want Expect, now time.Time) Reason {
	s, t := want.Session, want.Current
	switch {
	// 5
	case s.ID.IsZero() || s.ProviderSession == "" || s.Provider != want.Provider,
		r.sessionID != s.ProviderSession,
		r.requestID != s.ID.String():
		return ReasonSession
	case s.State != StatePending:
		return ReasonNotPending
	case !now.Before(s.Ends.Add(pullGrace)):
		return ReasonLate
	// 6
	case !same(r.nonce, want.Nonce):
		return ReasonNonce
	// 7: what the provider saw, what we stored, and what this browser is doing now.
	case t.check() != nil,
		t.Purpose != s.Purpose,
		!same(string(t.hash()), string(s.TxnHash)),
		!same(r.txnHash, encode(t.hash())):
		return ReasonTransaction
	// 8
	case t.Citizen != s.Citizen, !same(r.subjectRef, want.SubjectRef):
		return ReasonSubject
	// 9
	case t.Device != s.Device,
		t.Device.IsZero() && !want.WithoutDevice,
		t.Device.IsZero() != (want.DeviceRef == noDevice),
		r.deviceRef != want.DeviceRef:
		return ReasonDevice
	// 10
	case r.capturedAt.Before(s.Begun.Add(-aheadBy)),
		r.capturedAt.After(s.Ends.Add(aheadBy)),
		r.capturedAt.After(now.Add(aheadBy)),
		r.capturedAt.After(r.issuedAt),
		now.Sub(r.capturedAt) > captureAge:
		return ReasonCaptured
	}
	return ""
}

func judgeFace(r result, p Policy) Reason {
	switch r.answer {
	case answerPass:
	case answerInconclusive, answerError:
		return ReasonInconclusive
	default:
		return ReasonVerdict
	}
	switch {
	case p.MinScore < 1, r.liveness.value < p.MinScore, r.liveness.value < r.liveness.threshold:
		return ReasonScore
	case r.liveness.pad < p.MinPAD:
		return ReasonPAD
	}
	switch p.Mode {
	case ModeLiveness:
		// A comparison nobody asked for is not this protocol.
		if r.match != nil {
			return ReasonMatch
		}
	case ModeMatch:
		m := r.match
		if m == nil || p.MinMatch < 1 || m.value < p.MinMatch || m.value < m.threshold || m.source != p.Reference {
			return ReasonMatch
		}
	default:
		return ReasonMatch
	}
	return ""
}

// same compares in constant time. Two absent values are not the same.
func same(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
