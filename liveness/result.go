package liveness

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/emmansun/gmsm/sm3"

	"ecardid/internal/strictjson"
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

// fields reads one JSON object that has exactly the named members.
func fields(raw []byte, names ...string) *strictjson.Fields {
	return strictjson.Limits{Bytes: maxBody, Depth: maxDepth}.Fields(raw, names...)
}

// parseResult reads the claims of a result or a notice. A member that is
// missing, unknown, doubled or of another type is an error, and an error returns
// the zero result.
func parseResult(payload []byte) (result, error) {
	f := fields(payload, "iss", "aud", "jti", "iat", "exp", "session_id", "request_id", "nonce", "txn_hash",
		"subject_ref", "device_ref", "verdict", "liveness", "match", "risk", "captured_at", "attempt", "evidence_ref")
	at := func(name string) time.Time { return time.Unix(f.Integer(name, 1, maxTime), 0).UTC() }
	r := result{
		issuer:     f.Text("iss", maxURL),
		audience:   f.Text("aud", maxURL), // an array, even of one, is another audience
		jti:        f.Text("jti", maxText),
		issuedAt:   at("iat"),
		expires:    at("exp"),
		sessionID:  f.Text("session_id", maxText),
		requestID:  f.Text("request_id", maxText),
		nonce:      f.Text("nonce", maxText),
		txnHash:    f.Text("txn_hash", maxText),
		subjectRef: f.Text("subject_ref", maxText),
		answer:     f.Text("verdict", maxText),
		risks:      f.Texts("risk", maxRisks, maxText),
		capturedAt: at("captured_at"),
		attempt:    int(f.Integer("attempt", 1, maxAttempt)),
	}
	if !f.IsNull("device_ref") {
		r.deviceRef = f.Text("device_ref", maxText)
	}
	// The provider's own note to itself; we check that it is one and forget it.
	f.Text("evidence_ref", maxText)

	switch r.answer {
	case answerPass, answerFail, answerInconclusive, answerError:
	default:
		f.Fail("verdict", "is none that we know")
	}
	inner := f.Object("liveness", "score", "threshold", "pad")
	r.liveness = score{
		value:     int(inner.Integer("score", 0, 100)),
		threshold: int(inner.Integer("threshold", 0, 100)),
		pad:       int(inner.Integer("pad", 0, 9)),
	}
	if !f.IsNull("match") {
		inner := f.Object("match", "score", "threshold", "source")
		r.match = &score{
			value:     int(inner.Integer("score", 0, 100)),
			threshold: int(inner.Integer("threshold", 0, 100)),
			source:    Reference(inner.Text("source", maxText)),
		}
	}
	if err := f.Err(); err != nil {
		return result{}, err
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
