package proof

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ecardid/internal/jose"
	"ecardid/internal/strictjson"
)

const (
	maxProof = 8 << 10 // the largest RSA key we take makes a proof of 4
	maxJTI   = 256     // a UUID has 36
	maxURI   = 2048

	ahead = 10 * time.Second // SECURITY §0, JWT clock
)

// Age is how old a proof without a nonce may be: one slow request and two honest
// clocks.
const Age = time.Minute

// Algs are the algorithms of proofs: FAPI 2.0 §5.4.1 and the national one. RS256 is
// left out as it is for client assertions.
func Algs() []jose.Alg { return []jose.Alg{jose.ES256, jose.PS256, jose.EdDSA, jose.SM2} }

// A Problem is what is wrong with a proof: a sentence for the client's developer,
// with nothing of what was sent in it.
type Problem string

func (p Problem) Error() string { return string(p) }

func wrong(p Problem, cause error) error { return fmt.Errorf("%w (%w)", p, cause) }

// A Proof is one whose signature was checked with the key it brought.
type Proof struct {
	ID        string // jti
	JKT       string // thumbprint of its key (RFC 7638)
	Method    string // htm
	URL       string // htu, as it was sent; see Same
	TokenHash string // ath
	Nonce     string
	HasNonce  bool
	claims    jose.Standard
}

// Read takes a proof apart. Whatever is wrong with it is a Problem. The numbers are
// those of RFC 9449 §4.3.
func Read(header string) (Proof, error) {
	if len(header) > maxProof {
		return Proof{}, Problem("The DPoP proof is too long.")
	}
	token, err := jose.Parse(header) // 2; also 5: an algorithm of ours
	if err != nil {
		return Proof{}, wrong("The DPoP proof is not a JWT we can read.", err)
	}
	if !token.Header.Is("dpop+jwt") { // 4
		return Proof{}, Problem("The typ of the DPoP proof is not dpop+jwt.")
	}
	if token.Header.JWK == nil {
		return Proof{}, Problem("The DPoP proof has no jwk in its header.")
	}
	key, err := jose.ParseJWK(token.Header.JWK) // 7
	if errors.Is(err, jose.ErrPrivate) {
		return Proof{}, wrong("The jwk of the DPoP proof is not a public key; treat it as lost.", err)
	}
	if err == nil {
		// The key came with the proof: nobody registered another algorithm for it.
		key, err = key.For(token.Header.Alg)
	}
	if err != nil {
		return Proof{}, wrong("The jwk of the DPoP proof is not a key for its alg.", err)
	}
	verified, err := token.VerifyKey(key, Algs()...) // 5, 6
	if err != nil {
		return Proof{}, wrong("The signature of the DPoP proof is wrong or its alg not accepted.", err)
	}
	p := Proof{JKT: key.Thumbprint()}
	if p.claims, err = verified.Standard(); err != nil {
		return Proof{}, wrong("A claim of the DPoP proof has the wrong type.", err)
	}
	p.ID = p.claims.ID
	// By exact name: encoding/json would read HTM into a field for htm.
	var claims map[string]json.RawMessage
	if err := verified.Claims(&claims); err != nil {
		return Proof{}, wrong("The claims of the DPoP proof cannot be read.", err)
	}
	for name, into := range map[string]*string{"htm": &p.Method, "htu": &p.URL, "ath": &p.TokenHash, "nonce": &p.Nonce} {
		raw, there := claims[name]
		if !there {
			continue
		}
		text, ok := strictjson.Text(raw)
		if !ok {
			return Proof{}, Problem("A claim of the DPoP proof has the wrong type.")
		}
		*into = text
		if name == "nonce" {
			p.HasNonce = true
		}
	}
	return p, nil
}

// Check compares what does not depend on who asks: that it is a proof for this method
// and, unless accessToken is empty, for this token (§7).
func (p Proof) Check(method, accessToken string) error {
	switch {
	case p.ID == "" || len(p.ID) > maxJTI: // 3
		return Problem("The jti of the DPoP proof is missing or too long.")
	case p.claims.IssuedAt.IsZero(): // 3
		return Problem("The DPoP proof has no iat.")
	case p.Method != method: // 8; methods are case-sensitive (RFC 9110 §9.1)
		return Problem("The htm of the DPoP proof is not the method of this request.")
	case accessToken != "" && p.TokenHash != Hash(accessToken): // 12
		return Problem("The ath of the DPoP proof is not the hash of the access token.")
	}
	return nil
}

// Fresh refuses a proof older than age (11). It returns until when the same proof would
// be accepted again.
func (p Proof) Fresh(age time.Duration, now time.Time) (until time.Time, err error) {
	until = p.claims.IssuedAt.Add(age)
	if now.After(until) {
		return time.Time{}, Problem("The DPoP proof is too old.")
	}
	// An iat ahead of us is refused here, and so are exp and nbf where somebody
	// thought of them.
	if err := p.claims.Check(now, jose.Window{Leeway: ahead, NoExpiry: true}); err != nil {
		return time.Time{}, wrong("The DPoP proof is not valid now.", err)
	}
	return until, nil
}

// Hash is ath: what a proof says about the access token it comes with (§4.2).
func Hash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Key is what a proof is remembered by, so that it is not accepted twice.
func (p Proof) Key() []byte {
	sum := sha256.Sum256([]byte("dpop\x00" + p.JKT + "\x00" + p.ID))
	return sum[:]
}
