package phone

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"ecardid/authn/phone/attest"
	"ecardid/identity"
	"ecardid/internal/jose"
)

const (
	// ProofType is the typ of an enrolment proof: no other JWS of ours or of a
	// client's can pass for one (RFC 8725 §3.11).
	ProofType = "ecardid-device-proof+jwt"

	challengeLen = 32              // bytes; Android takes up to 128
	enrolLife    = 2 * time.Minute // making a key in hardware takes seconds
	clockSkew    = time.Minute     // between a phone's clock and ours
	maxCerts     = 10
	maxCert      = 8 << 10
)

// An EnrolmentChallenge is what the server sets and keeps, with citizen and
// session, under the enrolment's id. The first answer spends it (SECURITY G1).
type EnrolmentChallenge struct {
	EnrolmentID identity.ID `json:"enrolment_id"`
	Challenge   string      `json:"challenge"` // 32 bytes, base64url
	Audience    string      `json:"aud"`       // our origin, from configuration
	Expires     time.Time   `json:"expires"`
}

// NewEnrolmentChallenge sets a challenge from r, which is crypto/rand.Reader
// outside tests.
func NewEnrolmentChallenge(r io.Reader, enrolment identity.ID, audience string, now time.Time) (EnrolmentChallenge, error) {
	b := make([]byte, challengeLen)
	if _, err := io.ReadFull(r, b); err != nil {
		return EnrolmentChallenge{}, fmt.Errorf("setting an enrolment challenge: %w", err)
	}
	return EnrolmentChallenge{enrolment, encode64(b), audience, now.Add(enrolLife)}, nil
}

// About is what a phone says of itself, fit to be shown. Nothing depends on it.
type About struct {
	Name  string `json:"name"`
	Model string `json:"model"`
	OS    string `json:"os"`
}

// An Enrolment is a phone's answer, read and not yet believed.
type Enrolment struct {
	Key      Key
	Format   string // of the attestation
	About    About
	chain    [][]byte
	proof    jose.Token
	evidence []byte
}

// A Bound phone is one whose answer was verified: what storage keeps.
type Bound struct {
	Key         Key
	Attestation attest.Result
	Evidence    []byte // the attestation as it came, JSON
	About       About
}

// ParseEnrolment reads the body of POST /device/v1/enrolments/{id}:
//
//	{"alg": "ES256", "public_jwk": {…}, "proof": "<JWS>",
//	 "attestation": {"format": "android-key", "chain": ["<base64 DER>", …]},
//	 "device": {"name": "…", "model": "…", "os": "…"}}
//
// Certificates are standard base64, as in x5c (RFC 7515 §4.1.6). What fails to
// parse returns nothing.
func ParseEnrolment(body []byte) (Enrolment, error) {
	var in struct {
		Alg         string          `json:"alg"`
		JWK         json.RawMessage `json:"public_jwk"`
		Proof       string          `json:"proof"`
		Attestation json.RawMessage `json:"attestation"`
		Device      About           `json:"device"`
	}
	if err := decode(body, &in); err != nil {
		return Enrolment{}, err
	}
	key, err := ParseKey(in.JWK)
	if err != nil {
		return Enrolment{}, err
	}
	if string(key.Alg()) != in.Alg {
		return Enrolment{}, malformed("alg %q with a key for %q", in.Alg, string(key.Alg()))
	}
	proof, err := jose.Parse(in.Proof)
	if err != nil {
		return Enrolment{}, malformed("proof: %v", err)
	}
	var st struct {
		Format string   `json:"format"`
		Chain  []string `json:"chain"`
	}
	// A phone that attests nothing says so.
	if len(in.Attestation) == 0 || json.Unmarshal(in.Attestation, &st) != nil || st.Format == "" {
		return Enrolment{}, malformed("no attestation, not even of format none")
	}
	if len(st.Chain) > maxCerts {
		return Enrolment{}, malformed("%d certificates", len(st.Chain))
	}
	var chain [][]byte
	for i, c := range st.Chain {
		if len(c) > base64.StdEncoding.EncodedLen(maxCert) {
			return Enrolment{}, malformed("certificate %d is too long", i)
		}
		der, err := base64.StdEncoding.Strict().DecodeString(c)
		if err != nil || len(der) == 0 {
			return Enrolment{}, malformed("certificate %d is not base64", i)
		}
		chain = append(chain, der)
	}
	return Enrolment{
		Key: key, Format: st.Format, chain: chain, proof: proof, evidence: in.Attestation,
		About: About{clean(in.Device.Name), clean(in.Device.Model), clean(in.Device.OS)},
	}, nil
}

// proofClaims is the payload of an enrolment proof.
type proofClaims struct {
	Challenge   string           `json:"challenge"`
	EnrolmentID string           `json:"enrolment_id"`
	Audience    jose.Audience    `json:"aud"`
	Thumbprint  string           `json:"jkt"`
	IssuedAt    jose.NumericDate `json:"iat"`
}

// Verify believes an answer to challenge c if the new key made the proof, for this
// challenge, this enrolment, our origin and itself, and if the attestation holds.
// The errors are this package's, attest.ErrFormat or attest.ErrRefused.
func (e Enrolment) Verify(c EnrolmentChallenge, verifiers attest.Set, now time.Time) (Bound, error) {
	if c.Expires.IsZero() || !now.Before(c.Expires) {
		return Bound{}, ErrExpired
	}
	raw, err := decode64(c.Challenge, challengeLen, challengeLen)
	if err != nil || c.EnrolmentID.IsZero() || c.Audience == "" {
		return Bound{}, fmt.Errorf("verifying an enrolment: half a challenge was stored")
	}
	if e.Key.IsZero() || !e.proof.Header.Is(ProofType) || e.proof.Header.JWK != nil {
		return Bound{}, refuse("not a proof: typ %q", e.proof.Header.Type)
	}
	v, err := e.proof.VerifyKey(e.Key.jose, Algorithms()...)
	if err != nil {
		return Bound{}, refuse("proof: %v", err)
	}
	var claims proofClaims
	if err := v.Claims(&claims); err != nil {
		return Bound{}, malformed("proof: %v", err)
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(claims.Challenge), []byte(c.Challenge)) != 1:
		return Bound{}, refuse("proof over another challenge")
	case claims.EnrolmentID != c.EnrolmentID.String():
		return Bound{}, refuse("proof for another enrolment")
	case !claims.Audience.Only(c.Audience):
		return Bound{}, refuse("proof for another audience")
	case claims.Thumbprint != e.Key.Thumbprint():
		return Bound{}, refuse("proof about another key")
	case claims.IssuedAt.IsZero() || claims.IssuedAt.Sub(now).Abs() > clockSkew:
		return Bound{}, fmt.Errorf("%w: proof of another time", ErrExpired)
	}
	result, err := verifiers.Verify(now, attest.Statement{Format: e.Format, Chain: e.chain, Key: e.Key.attestable(), Challenge: raw})
	if err != nil {
		return Bound{}, err
	}
	return Bound{Key: e.Key, Attestation: result, Evidence: e.evidence, About: e.About}, nil
}

// Enrol answers a challenge, as the app does. The chain is what the phone's
// keystore gives for format; none for attest.None.
func (s Signer) Enrol(c EnrolmentChallenge, about About, format string, chain [][]byte, now time.Time) ([]byte, error) {
	proof, err := jose.Sign(s.jwt, ProofType, proofClaims{
		Challenge: c.Challenge, EnrolmentID: c.EnrolmentID.String(), Audience: jose.To(c.Audience),
		Thumbprint: s.Thumbprint(), IssuedAt: jose.Date(now),
	})
	if err != nil {
		return nil, fmt.Errorf("answering an enrolment: %w", err)
	}
	type attestation struct {
		Format string   `json:"format"`
		Chain  [][]byte `json:"chain,omitempty"` // encoding/json writes standard base64
	}
	body, err := json.Marshal(struct {
		Alg         jose.Alg        `json:"alg"`
		JWK         json.RawMessage `json:"public_jwk"`
		Proof       string          `json:"proof"`
		Attestation attestation     `json:"attestation"`
		Device      About           `json:"device"`
	}{s.Alg(), s.JWK(), proof, attestation{format, chain}, about})
	if err != nil {
		return nil, fmt.Errorf("answering an enrolment: %w", err)
	}
	return body, nil
}
