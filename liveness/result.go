package liveness

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/emmansun/gmsm/sm3"
)

// What a provider can answer. Only one of the four is a success.
const (
	answerPass         = "pass"
	answerFail         = "fail"
	answerInconclusive = "inconclusive"
	answerError        = "error"
)

// A score runs from 0 to 100. It is personal data about a face: it is compared
// and forgotten (SECURITY LV3).
type score struct {
	value     int
	threshold int // what the provider itself asks for
	pad       int // the presentation-attack level the check was tested at (ISO/IEC 30107-3); liveness only
	source    Reference
}

// A result is what the provider signed, every member present and of its type.
type result struct {
	issuer, audience, jti string
	issuedAt, expires     time.Time
	sessionID, requestID  string
	nonce, txnHash        string
	subjectRef, deviceRef string
	answer                string
	liveness              score
	match                 *score
	risks                 []string
	capturedAt            time.Time
	attempt               int
}

// String keeps a result out of every log line and error text.
func (result) String() string { return "liveness result" }

// LogValue implements slog.LogValuer for the same reason.
func (result) LogValue() slog.Value { return slog.StringValue("liveness result") }

// maxTime is the year 9999: what does not fit our databases is no time.
const maxTime = 253402300799

// parseResult reads the claims of a result or a notice. A member that is
// missing, unknown, doubled or of another type is an error, and an error returns
// the zero result.
func parseResult(payload []byte) (result, error) {
	f := parseFields(payload, "iss", "aud", "jti", "iat", "exp", "session_id", "request_id", "nonce", "txn_hash",
		"subject_ref", "device_ref", "verdict", "liveness", "match", "risk", "captured_at", "attempt", "evidence_ref")
	at := func(name string) time.Time { return time.Unix(f.integer(name, 1, maxTime), 0).UTC() }
	r := result{
		issuer:     f.text("iss", maxURL),
		audience:   f.text("aud", maxURL), // an array, even of one, is another audience
		jti:        f.text("jti", maxText),
		issuedAt:   at("iat"),
		expires:    at("exp"),
		sessionID:  f.text("session_id", maxText),
		requestID:  f.text("request_id", maxText),
		nonce:      f.text("nonce", maxText),
		txnHash:    f.text("txn_hash", maxText),
		subjectRef: f.text("subject_ref", maxText),
		answer:     f.text("verdict", maxText),
		risks:      f.texts("risk", maxRisks),
		capturedAt: at("captured_at"),
		attempt:    int(f.integer("attempt", 1, maxAttempt)),
	}
	if f.err == nil && !f.isNull("device_ref") {
		r.deviceRef = f.text("device_ref", maxText)
	}
	// The provider's own note to itself; we check that it is one and forget it.
	f.text("evidence_ref", maxText)

	switch r.answer {
	case answerPass, answerFail, answerInconclusive, answerError:
	default:
		f.fail("verdict", "is none that we know")
	}
	if f.err == nil {
		inner := parseFields(f.members["liveness"], "score", "threshold", "pad")
		r.liveness = score{
			value:     int(inner.integer("score", 0, 100)),
			threshold: int(inner.integer("threshold", 0, 100)),
			pad:       int(inner.integer("pad", 0, 9)),
		}
		f.err = inner.err
	}
	if f.err == nil && !f.isNull("match") {
		inner := parseFields(f.members["match"], "score", "threshold", "source")
		r.match = &score{
			value:     int(inner.integer("score", 0, 100)),
			threshold: int(inner.integer("threshold", 0, 100)),
			source:    Reference(inner.text("source", maxText)),
		}
		f.err = inner.err
	}
	if f.err != nil {
		return result{}, f.err
	}
	return r, nil
}

// digest sums up what a notice and a result must agree in. The nonce inside it
// is in no database, so scores cannot be guessed back from a stored digest.
func (r result) digest() []byte {
	var m score
	if r.match != nil {
		m = *r.match
	}
	// %q keeps the parts apart whatever is in them.
	h := sm3.Sum(fmt.Appendf(nil, "%q %d %d %d %t %d %d %q",
		[]string{r.sessionID, r.requestID, r.nonce, r.txnHash, r.subjectRef, r.deviceRef, r.answer},
		r.liveness.value, r.liveness.threshold, r.liveness.pad,
		r.match != nil, m.value, m.threshold, string(m.source)))
	return h[:]
}
