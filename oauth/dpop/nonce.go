package dpop

import (
	"encoding/base64"
	"strconv"
	"time"

	"ecardid/oauth"
)

// Nonces makes and recognises nonces (RFC 9449 §8). All replicas with the same keys
// know each other's; nothing is stored. A nonce says when a proof was made at the
// earliest; that a proof is shown once is the business of its jti.
type Nonces struct{ Keys oauth.Keyed }

const nonceLabel = "dpop nonce"

// Next is the nonce to send in DPoP-Nonce now: the one for the whole of its time, so
// that a client's parallel requests do not outdate each other.
func (n Nonces) Next(now time.Time) string { return n.at(bucket(now)) }

// Valid reports whether nonce is the current one or the one before.
func (n Nonces) Valid(nonce string, now time.Time) bool {
	mac, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || n.Keys.IsZero() {
		return false
	}
	b := bucket(now)
	return n.Keys.Check(mac, nonceLabel, name(b)) || n.Keys.Check(mac, nonceLabel, name(b-1))
}

func (n Nonces) at(b int64) string {
	return base64.RawURLEncoding.EncodeToString(n.Keys.Sum(nonceLabel, name(b)))
}

func bucket(t time.Time) int64 { return t.Unix() / int64(nonceLife/time.Second) }

func name(b int64) string { return strconv.FormatInt(b, 10) }
