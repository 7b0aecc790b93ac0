package phone

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ecardid/identity"
)

// The headers of a signed request.
const (
	HeaderDevice    = "Device-Id"
	HeaderNonce     = "Device-Nonce"
	HeaderTime      = "Device-Time"
	HeaderSignature = "Device-Signature"
)

const (
	maxPath  = 2048
	maxNonce = 256 // characters; ours have about 75
)

// Signed is what a signed request says in its headers, read and not yet believed.
type Signed struct {
	Device    identity.ID
	Nonce     string
	Time      int64 // Unix seconds, by the phone's clock
	Signature []byte
}

// ParseSigned reads the four headers. Each is there once, in its one spelling.
func ParseSigned(h http.Header) (Signed, error) {
	one := func(name string) (string, error) {
		vs := h.Values(name)
		if len(vs) != 1 {
			return "", malformed("%s is there %d times", name, len(vs))
		}
		return vs[0], nil
	}
	var s Signed
	text, err := one(HeaderDevice)
	if err != nil {
		return Signed{}, err
	}
	device, err := identity.ParseID(text)
	if err != nil || device.IsZero() {
		return Signed{}, malformed("%s: %v", HeaderDevice, err)
	}
	if s.Nonce, err = one(HeaderNonce); err != nil {
		return Signed{}, err
	}
	if !token64(s.Nonce) {
		return Signed{}, malformed("%s", HeaderNonce)
	}
	if text, err = one(HeaderTime); err != nil {
		return Signed{}, err
	}
	if s.Time, err = seconds(text); err != nil {
		return Signed{}, err
	}
	if text, err = one(HeaderSignature); err != nil {
		return Signed{}, err
	}
	if s.Signature, err = decode64(text, sigSize, sigSize); err != nil {
		return Signed{}, err
	}
	s.Device = device
	return s, nil
}

func token64(s string) bool {
	if s == "" || len(s) > maxNonce {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
}

// seconds reads decimal digits without sign or leading zero.
func seconds(s string) (int64, error) {
	const longest = 11 // digits; enough until the year 5138
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || len(s) > longest || strconv.FormatUint(n, 10) != s {
		return 0, malformed("%s", HeaderTime)
	}
	return int64(n), nil
}

// A Request is a request with everything its signature covers (SECURITY DV4).
type Request struct {
	Method   string
	Path     string // with the query, as it was on the wire
	Audience string // our origin, from configuration and not from Host (SECURITY OI5)
	Body     []byte // whole, however long the handler allows
	Signed
}

// message is what is signed: six lines, none of which can contain a line break.
//
//	METHOD \n PATH \n NONCE \n TIME \n AUDIENCE \n hex SHA-256(body)
func (r Request) message() ([]byte, error) {
	printable := func(s string) bool {
		return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
	}
	switch {
	case !printable(r.Method) || r.Method != strings.ToUpper(r.Method) || len(r.Method) > 16:
		return nil, malformed("method")
	case !printable(r.Path) || r.Path[0] != '/' || len(r.Path) > maxPath:
		return nil, malformed("path")
	case !printable(r.Audience):
		return nil, malformed("audience")
	case !token64(r.Nonce):
		return nil, malformed("nonce")
	}
	sum := sha256.Sum256(r.Body)
	return []byte(strings.Join([]string{
		r.Method, r.Path, r.Nonce, strconv.FormatInt(r.Time, 10), r.Audience, hex.EncodeToString(sum[:]),
	}, "\n")), nil
}

// VerifyRequest believes that the phone with key k made r, now. Before it, the
// caller has loaded k by r.Device from the active phones and had the nonce checked
// (Nonces.Inspect); after it, and only then, the caller spends the nonce's replay
// key, so that a stranger cannot spend a phone's nonces.
func VerifyRequest(k Key, r Request, now time.Time) error {
	msg, err := r.message()
	if err != nil {
		return err
	}
	if now.Sub(time.Unix(r.Time, 0)).Abs() > clockSkew {
		return fmt.Errorf("%w: signed at another time", ErrExpired)
	}
	return k.verify(msg, r.Signature)
}

// SignRequest signs r as the app does and returns the headers. It sets r.Time
// from now.
func (s Signer) SignRequest(r Request, now time.Time) (http.Header, error) {
	r.Time = now.Unix()
	msg, err := r.message()
	if err != nil {
		return nil, fmt.Errorf("signing a request: %w", err)
	}
	sig, err := s.sign(msg)
	if err != nil {
		return nil, fmt.Errorf("signing a request: %w", err)
	}
	h := http.Header{}
	h.Set(HeaderDevice, r.Device.String())
	h.Set(HeaderNonce, r.Nonce)
	h.Set(HeaderTime, strconv.FormatInt(r.Time, 10))
	h.Set(HeaderSignature, encode64(sig))
	return h, nil
}
