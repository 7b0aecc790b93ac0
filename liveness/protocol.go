package liveness

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/emmansun/gmsm/sm3"

	"ecardid/identity"
	"ecardid/internal/secret"
)

// Types of the messages, in the JWS header. One kind is never taken for another
// (SECURITY G2; RFC 8725 §3.11).
const (
	typeStart  = "liveness-start+jwt"
	typePull   = "liveness-pull+jwt"
	typeNotice = "liveness-notice+jwt"
	typeResult = "liveness-result+jwt"
)

// A Purpose is what a verdict is wanted for. It is good for nothing else.
type Purpose string

// The purposes.
const (
	PurposeLogin      Purpose = "login"
	PurposeStepUp     Purpose = "step_up"
	PurposeUnfreeze   Purpose = "unfreeze"
	PurposeDeviceBind Purpose = "device_bind"
	PurposeRecover    Purpose = "recover"
)

// Valid reports whether p is a purpose we know.
func (p Purpose) Valid() bool {
	return slices.Contains([]Purpose{PurposeLogin, PurposeStepUp, PurposeUnfreeze, PurposeDeviceBind, PurposeRecover}, p)
}

// A Mode says what is asked: is somebody alive there, or is it this somebody?
type Mode string

// The modes.
const (
	ModeLiveness Mode = "liveness"
	ModeMatch    Mode = "liveness+match"
)

// A Reference is what the provider compares a face with. Whose it is, it knows by
// subject_ref, enrolled between operator and provider: no name and no number
// travels in this protocol.
type Reference string

// The references.
const (
	ReferenceNone      Reference = "none"
	ReferenceAuthority Reference = "authority"
	ReferenceHandle    Reference = "handle"
)

// A Transaction says what a check is about: the half-finished act, as the server
// has it stored for the browser that is asking right now (SECURITY G3). Start and
// Finish each want it from there, never from the browser's own words.
type Transaction struct {
	ID       string
	ClientID string // the relying party's; empty when we ask ourselves
	Citizen  identity.ID
	Device   identity.ID // zero for none, where the policy allows
	Purpose  Purpose
}

func (t Transaction) check() error {
	var errs []error
	if t.ID == "" || len(t.ID) > maxText || strings.ContainsRune(t.ID, 0) {
		errs = append(errs, errors.New("no transaction"))
	}
	if len(t.ClientID) > maxURL || strings.ContainsRune(t.ClientID, 0) {
		errs = append(errs, errors.New("no such client id"))
	}
	if t.Citizen.IsZero() {
		errs = append(errs, errors.New("no citizen"))
	}
	if !t.Purpose.Valid() {
		errs = append(errs, errors.New("no such purpose"))
	}
	return errors.Join(errs...)
}

// hash is what the provider learns of the transaction. The parts hold no NUL, so
// no two transactions run together into one.
func (t Transaction) hash() []byte {
	h := sm3.Sum([]byte(t.ID + "\x00" + t.ClientID + "\x00" + string(t.Purpose)))
	return h[:]
}

// refs derives, from one key per provider, what stands for a citizen, a device
// and a session outside this house. The provider cannot turn a reference back,
// two providers cannot compare theirs, and the nonce needs no place in the
// database, where a dump would show it (SECURITY DP1).
type refs struct {
	key      secret.Value
	provider string
}

func (r refs) derive(what string, id identity.ID) string {
	m := hmac.New(sm3.New, []byte(r.key.Reveal()))
	m.Write([]byte(what + "\x00" + r.provider + "\x00"))
	m.Write(id[:])
	return encode(m.Sum(nil))
}

func (r refs) subject(citizen identity.ID) string { return r.derive("subject", citizen) }

func (r refs) nonce(session identity.ID) string { return r.derive("nonce", session) }

// device returns noDevice for the zero id.
func (r refs) device(device identity.ID) string {
	if device.IsZero() {
		return noDevice
	}
	return r.derive("device", device)
}

// noDevice is device_ref when there is none; it travels as null.
const noDevice = ""

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jtiKey is what a jti is remembered by: of one size, and unique to its provider.
func jtiKey(provider, jti string) []byte {
	h := sm3.Sum([]byte(provider + "\x00" + jti))
	return h[:]
}

// startClaims is the body of step 1.
type startClaims struct {
	Issuer      string    `json:"iss"`
	Audience    string    `json:"aud"`
	JTI         string    `json:"jti"`
	IssuedAt    int64     `json:"iat"`
	Expires     int64     `json:"exp"`
	RequestID   string    `json:"request_id"`
	Nonce       string    `json:"nonce"`
	Purpose     Purpose   `json:"purpose"`
	SubjectRef  string    `json:"subject_ref"`
	Reference   Reference `json:"reference"`
	TxnHash     string    `json:"txn_hash"`
	DeviceRef   *string   `json:"device_ref"`
	MinScore    int       `json:"min_score"`
	MinPAD      int       `json:"min_pad"`
	Mode        Mode      `json:"mode"`
	MaxAttempts int       `json:"max_attempts"`
	ExpiresIn   int       `json:"expires_in"`
	ReturnURI   string    `json:"return_uri"`
	CallbackURI string    `json:"callback_uri"`
}

// pullClaims is the body of step 4.
type pullClaims struct {
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"`
	JTI       string `json:"jti"`
	IssuedAt  int64  `json:"iat"`
	Expires   int64  `json:"exp"`
	SessionID string `json:"session_id"`
	Nonce     string `json:"nonce"`
}
