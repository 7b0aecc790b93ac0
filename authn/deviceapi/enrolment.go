package deviceapi

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/phone"
	"ecardid/authn/phone/attest"
	"ecardid/identity"
	"ecardid/internal/exchange"
	"ecardid/internal/jose"
	"ecardid/internal/secret"
	"ecardid/templates"
)

// claim serves POST /device/v1/enrolments: the app has scanned the code of the
// account page and spends it for a challenge. That the citizen was there with two
// fresh factors is what the code stands for (SECURITY DV1).
func (a *API) claim(w http.ResponseWriter, r *http.Request) error {
	body, err := exchange.JSON(w, r)
	if err != nil {
		return err
	}
	in := parseMembers(body, "code")
	code := secret.Of(in.Text("code", maxCode))
	if in.Err() != nil {
		return invalidRequest("The body is {\"code\": \"…\"}.").because(in.Err())
	}
	// Counted before it is judged, so that guesses sent side by side count as well.
	counter, err := a.count(r)
	if err != nil {
		return err
	}
	now := a.Clock.Now()
	ch, err := phone.NewEnrolmentChallenge(a.Rand, identity.ID{}, a.Origin, now)
	if err != nil {
		return err
	}
	e, err := a.Store.ClaimEnrolment(r.Context(), code.Hash(), ch.Challenge, ch.Expires, now)
	switch {
	case errors.Is(err, identity.ErrNotFound), errors.Is(err, identity.ErrSpent), errors.Is(err, identity.ErrEnded):
		return refusedCode().because(err)
	case err != nil:
		return fmt.Errorf("claiming an enrolment: %w", err)
	}
	if err := a.Store.Refund(r.Context(), counter); err != nil {
		return fmt.Errorf("refunding an attempt: %w", err)
	}
	a.answer(w, http.StatusOK, struct {
		EnrolmentID identity.ID `json:"enrolment_id"`
		Challenge   string      `json:"challenge"`
		ExpiresIn   int         `json:"expires_in"`
		Alg         []jose.Alg  `json:"alg"`
		Formats     []string    `json:"formats"`
		Audience    string      `json:"aud"`
	}{e.ID, ch.Challenge, int(challengeLife.Seconds()), phone.Algorithms(), a.Attest.Formats(), a.Origin})
	return nil
}

// count counts one guess at a code for the request's source, and returns the
// counter.
func (a *API) count(r *http.Request) ([]byte, error) {
	source := "unknown"
	bits := 64 // of IPv6: what one subscriber has
	addr := a.Source(r).Unmap().WithZone("")
	if addr.Is4() {
		bits = 32
	}
	if p, err := addr.Prefix(bits); err == nil {
		source = p.String()
	}
	key, err := a.Throttle([]byte("ecardid enrolment code\x00" + source))
	if err != nil {
		return nil, fmt.Errorf("keying a counter: %w", err)
	}
	tallies, err := a.Store.Attempt(r.Context(), a.Clock.Now(), authn.Try{Key: key, Rule: a.CodeRule})
	if err != nil {
		return nil, fmt.Errorf("counting an attempt: %w", err)
	}
	if len(tallies) != 1 {
		return nil, errors.New("counting an attempt: another number of tallies than of tries")
	}
	if !tallies[0].Allowed {
		return nil, throttled(a.CodeRule.Base).because(nil)
	}
	return key, nil
}

// bind serves POST /device/v1/enrolments/{id}: the phone answers the challenge. One
// answer is all there is (SECURITY §0, WA1): once it could be read it is spent, and
// a wrong one sends the citizen back to the account page.
func (a *API) bind(w http.ResponseWriter, r *http.Request) error {
	body, err := exchange.JSON(w, r)
	if err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	answer, err := parseAnswer(body)
	if err != nil {
		return invalidRequest("The body does not fit: see the protocol.").because(err)
	}
	if !slices.Contains(a.Attest.Formats(), answer.Format) {
		return invalidRequest("This attestation format is not supported.").because(attest.ErrFormat)
	}
	ctx, now := r.Context(), a.Clock.Now()
	e, err := a.Store.Enrolment(ctx, id, now)
	if err := over(err, "reading an enrolment"); err != nil {
		return err
	}
	err = a.Store.SpendNonce(ctx, answerKey(id), e.Expires, now)
	switch {
	case errors.Is(err, identity.ErrSpent):
		return answered().because(err)
	case err != nil:
		return fmt.Errorf("spending an enrolment: %w", err)
	}
	bound, err := answer.Verify(phone.EnrolmentChallenge{
		EnrolmentID: id, Challenge: e.Challenge, Audience: a.Origin, Expires: e.Expires,
	}, a.Attest, now)
	if err == nil && !attest.AtLeast(bound.Attestation.Level, a.Least) {
		err = errWeak
	}
	if err != nil {
		return a.refuse(r, e, err)
	}
	d := authn.Device{
		ID: identity.IDFrom(a.Rand), Citizen: e.Citizen, Kind: identity.DevicePhone,
		Name: nameOf(bound.About), State: identity.DeviceActive,
		JWK: bound.Key.JWK(), Alg: string(bound.Key.Alg()), Thumbprint: bound.Key.Digest(),
		KeyLevel: bound.Attestation.Level, Evidence: bound.Evidence,
		Created: now, Place: a.Place(r),
	}
	ev := a.event(r, audit.DeviceBound, e.Citizen)
	ev.Login, ev.Device, ev.Notify = e.Login, d.ID, true
	ev.Detail = map[string]string{
		"kind": string(d.Kind), "alg": d.Alg, "level": string(d.KeyLevel),
		"format": bound.Attestation.Format, "verifier": bound.Attestation.Version,
	}
	err = a.Store.BindPhone(ctx, id, d, now, ev)
	if errors.Is(err, identity.ErrConflict) {
		return knownKey().because(err)
	}
	// It may have expired meanwhile, or the login that opened it was ended: what the
	// citizen began and then signed out of is not finished for them (SECURITY G6).
	if err := over(err, "binding a phone"); err != nil {
		return err
	}
	w.Header().Set("Location", "/device/v1/devices/"+d.ID.String())
	a.answer(w, http.StatusCreated, struct {
		DeviceID identity.ID       `json:"device_id"`
		Level    identity.KeyLevel `json:"level"`
	}{d.ID, d.KeyLevel})
	return nil
}

var errWeak = errors.New("the key's level is below policy")

// refuse writes a refused answer down and says what the app may know of it. A
// stranger cannot cause entries here: it takes an enrolment's id, and each gives one.
func (a *API) refuse(r *http.Request, e authn.PhoneEnrolment, cause error) error {
	var p problem
	var reason string
	switch {
	case errors.Is(cause, errWeak):
		p, reason = weakKey(), "key level"
	case errors.Is(cause, attest.ErrRefused):
		p, reason = refusedAttestation(), "attestation"
	case errors.Is(cause, attest.ErrFormat):
		p, reason = invalidRequest("This attestation format is not supported."), "attestation format"
	case errors.Is(cause, phone.ErrMalformed):
		p, reason = invalidRequest("The proof does not fit: see the protocol."), "proof"
	case errors.Is(cause, phone.ErrExpired):
		p, reason = refusedProof(), "time"
	case errors.Is(cause, phone.ErrRefused):
		p, reason = refusedProof(), "proof"
	default:
		return fmt.Errorf("verifying an enrolment: %w", cause)
	}
	ev := a.event(r, audit.LoginRefused, e.Citizen)
	ev.Login, ev.Reason = e.Login, "phone not bound: "+reason
	ev.Detail = map[string]string{"factor": string(identity.FactorPhone)}
	if err := a.Store.Record(r.Context(), ev); err != nil {
		return fmt.Errorf("recording a refusal: %w", err)
	}
	return p.because(cause)
}

// parseAnswer holds the body to its members before package phone reads it: an app
// that sends what nobody here understands may mean something by it.
func parseAnswer(body []byte) (phone.Enrolment, error) {
	in := parseMembers(body, "alg", "public_jwk", "key_protection?", "attestation", "proof", "device")
	in.Text("key_protection", maxID) // what the app believes; the attestation says what is true
	statement := in.Object("attestation", "format", "chain?")
	statement.Text("format", maxID)
	statement.Texts("chain", 10, exchange.MaxBody)
	about := in.Object("device", "name?", "model?", "os?")
	for _, name := range []string{"name", "model", "os"} {
		about.Text(name, 4*maxID)
	}
	if err := in.Err(); err != nil {
		return phone.Enrolment{}, err
	}
	return phone.ParseEnrolment(body)
}

// answerKey is the gate an enrolment's answers pass, one of them.
func answerKey(enrolment identity.ID) []byte {
	sum := sha256.Sum256(append([]byte("ecardid enrolment answer\x00"), enrolment[:]...))
	return sum[:]
}

// nameOf is what the list on the account page calls a new phone.
func nameOf(about phone.About) string {
	for _, s := range []string{about.Name, about.Model, about.OS} {
		if name := templates.Clean(s, maxName); name != "" {
			return name
		}
	}
	return "Phone"
}
