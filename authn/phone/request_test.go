package phone

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
)

func request(device identity.ID) Request {
	return Request{
		Method: "POST", Path: "/device/v1/approvals?x=1", Audience: aud, Body: []byte(`{"a":1}`),
		Signed: Signed{Device: device, Nonce: "bm9uY2U"},
	}
}

func TestMessage(t *testing.T) {
	r := request(identity.NewID())
	r.Time = 1800000000
	got, err := r.message()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(`{"a":1}`))
	want := "POST\n/device/v1/approvals?x=1\nbm9uY2U\n1800000000\nhttps://login.ecard.test\n" + hex.EncodeToString(sum[:])
	if string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRequests(t *testing.T) {
	device := identity.NewID()
	for _, alg := range Algorithms() {
		s, other := newSigner(t, alg), newSigner(t, alg)
		foreign := jose.ES256
		if alg == jose.ES256 {
			foreign = jose.SM2
		}
		otherAlg := newSigner(t, foreign)
		for _, c := range []struct {
			name string
			bend func(*Request)
			key  *Key
			wait time.Duration
			want error
		}{
			{name: "good"},
			{name: "a-minute-late", wait: time.Minute},
			{name: "a-minute-early", wait: -time.Minute},
			{name: "too-late", wait: 61 * time.Second, want: ErrExpired},
			{name: "too-early", wait: -61 * time.Second, want: ErrExpired},
			{name: "other-method", bend: func(r *Request) { r.Method = "PUT" }, want: ErrRefused},
			{name: "other-path", bend: func(r *Request) { r.Path = "/device/v1/approvals" }, want: ErrRefused},
			{name: "other-body", bend: func(r *Request) { r.Body = []byte(`{"a":2}`) }, want: ErrRefused},
			{name: "no-body", bend: func(r *Request) { r.Body = nil }, want: ErrRefused},
			{name: "other-nonce", bend: func(r *Request) { r.Nonce = "bm9uY2V" }, want: ErrRefused},
			{name: "other-time", bend: func(r *Request) { r.Time++ }, want: ErrRefused},
			{name: "other-audience", bend: func(r *Request) { r.Audience = "https://evil.example" }, want: ErrRefused},
			{name: "other-key", key: &other.Key, want: ErrRefused},
			{name: "key-of-the-other-algorithm", key: &otherAlg.Key, want: ErrRefused},
			{name: "no-key", key: &Key{}, want: ErrRefused},
			{name: "no-signature", bend: func(r *Request) { r.Signature = nil }, want: ErrRefused},
			{name: "zero-signature", bend: func(r *Request) { r.Signature = make([]byte, 64) }, want: ErrRefused},
			{name: "longer-signature", bend: func(r *Request) { r.Signature = append(r.Signature, 0) }, want: ErrRefused},
			{name: "bit-flipped", bend: func(r *Request) { r.Signature[63] ^= 1 }, want: ErrRefused},
			{name: "r-beyond-the-order", bend: func(r *Request) { copy(r.Signature, bytes.Repeat([]byte{0xff}, 32)) }, want: ErrRefused},
			// A line break would let one field pass for two.
			{name: "line-break-in-the-path", bend: func(r *Request) { r.Path = "/a\nb" }, want: ErrMalformed},
			{name: "line-break-in-the-nonce", bend: func(r *Request) { r.Nonce = "a\nb" }, want: ErrMalformed},
			{name: "line-break-in-the-audience", bend: func(r *Request) { r.Audience = "a\nb" }, want: ErrMalformed},
			{name: "lower-case-method", bend: func(r *Request) { r.Method = "post" }, want: ErrMalformed},
			{name: "no-path", bend: func(r *Request) { r.Path = "" }, want: ErrMalformed},
			{name: "no-audience", bend: func(r *Request) { r.Audience = "" }, want: ErrMalformed},
		} {
			t.Run(string(alg)+"/"+c.name, func(t *testing.T) {
				r := request(device)
				h, err := s.SignRequest(r, now)
				if err != nil {
					t.Fatal(err)
				}
				if r.Signed, err = ParseSigned(h); err != nil {
					t.Fatal(err)
				}
				if r.Device != device {
					t.Errorf("device %v", r.Device)
				}
				if c.bend != nil {
					c.bend(&r)
				}
				key := s.Key
				if c.key != nil {
					key = *c.key
				}
				if err := VerifyRequest(key, r, now.Add(c.wait)); !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			})
		}
	}
}

func TestHeaders(t *testing.T) {
	s := newSigner(t, jose.ES256)
	for name, bend := range map[string]func(http.Header){
		"device-missing":        func(h http.Header) { h.Del(HeaderDevice) },
		"device-twice":          func(h http.Header) { h.Add(HeaderDevice, h.Get(HeaderDevice)) },
		"device-zero":           func(h http.Header) { h.Set(HeaderDevice, strings.Repeat("A", 22)) },
		"device-other-spelling": func(h http.Header) { h.Set(HeaderDevice, h.Get(HeaderDevice)+"==") },
		"nonce-missing":         func(h http.Header) { h.Del(HeaderNonce) },
		"nonce-twice":           func(h http.Header) { h.Add(HeaderNonce, "eA") },
		"nonce-empty":           func(h http.Header) { h.Set(HeaderNonce, "") },
		"nonce-odd":             func(h http.Header) { h.Set(HeaderNonce, "a b") },
		"nonce-long":            func(h http.Header) { h.Set(HeaderNonce, strings.Repeat("a", 257)) },
		"time-missing":          func(h http.Header) { h.Del(HeaderTime) },
		"time-signed":           func(h http.Header) { h.Set(HeaderTime, "+"+h.Get(HeaderTime)) },
		"time-zero-first":       func(h http.Header) { h.Set(HeaderTime, "0"+h.Get(HeaderTime)) },
		"time-negative":         func(h http.Header) { h.Set(HeaderTime, "-1") },
		"time-fraction":         func(h http.Header) { h.Set(HeaderTime, h.Get(HeaderTime)+".5") },
		"time-huge":             func(h http.Header) { h.Set(HeaderTime, "999999999999") },
		"time-beyond":           func(h http.Header) { h.Set(HeaderTime, "99999999999999999999") },
		"signature-missing":     func(h http.Header) { h.Del(HeaderSignature) },
		"signature-short":       func(h http.Header) { h.Set(HeaderSignature, h.Get(HeaderSignature)[1:]) },
		"signature-padded":      func(h http.Header) { h.Set(HeaderSignature, h.Get(HeaderSignature)+"==") },
		"signature-loose-bits":  func(h http.Header) { h.Set(HeaderSignature, strings.Repeat("A", 85)+"B") },
		"signature-der": func(h http.Header) {
			h.Set(HeaderSignature, encode64(append([]byte{0x30, 69}, make([]byte, 69)...)))
		},
	} {
		h, err := s.SignRequest(request(identity.NewID()), now)
		if err != nil {
			t.Fatal(err)
		}
		bend(h)
		if got, err := ParseSigned(h); !errors.Is(err, ErrMalformed) || !reflect.DeepEqual(got, Signed{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func nonces(key string) Nonces {
	tag := func(m []byte) []byte {
		h := hmac.New(sha256.New, []byte(key))
		h.Write(m)
		return h.Sum(nil)
	}
	return Nonces{
		Tag:   func(m []byte) ([]byte, error) { return tag(m), nil },
		Check: func(t, m []byte) bool { return hmac.Equal(t, tag(m)) },
	}
}

func TestNonces(t *testing.T) {
	n, device := nonces("ours"), identity.NewID()
	nonce, err := n.Issue(rand.Reader, device, now)
	if err != nil {
		t.Fatal(err)
	}
	if !token64(nonce) {
		t.Errorf("%q does not fit a header", nonce)
	}
	first, err := n.Inspect(nonce, device, now)
	if err != nil || len(first.Key) != 32 || !first.Until.Equal(now.Add(time.Minute)) {
		t.Fatalf("%+v, %v", first, err)
	}
	// The same nonce is the same key: the second to spend it loses.
	if again, err := n.Inspect(nonce, device, now.Add(time.Second)); err != nil || !bytes.Equal(again.Key, first.Key) {
		t.Errorf("%+v, %v", again, err)
	}
	other, err := n.Issue(rand.Reader, device, now)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := n.Inspect(other, device, now); err != nil || bytes.Equal(r.Key, first.Key) {
		t.Errorf("two nonces, one key: %v", err)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(nonce)
	later := slices.Clone(raw)
	later[6]++
	for _, c := range []struct {
		name   string
		nonce  string
		device identity.ID
		n      Nonces
		at     time.Time
		want   error
	}{
		{"expired", nonce, device, n, now.Add(time.Minute), ErrExpired},
		{"from-the-future", nonce, device, n, now.Add(-2 * time.Minute), ErrExpired},
		{"of-another-phone", nonce, identity.NewID(), n, now, ErrRefused},
		{"of-another-server", nonce, device, nonces("theirs"), now, ErrRefused},
		{"prolonged", encode64(later), device, n, now, ErrRefused},
		{"cut", encode64(raw[:len(raw)-3]), device, n, now, ErrRefused},
		{"short", "AAAA", device, n, now, ErrMalformed},
		{"empty", "", device, n, now, ErrMalformed},
		{"padded", nonce + "=", device, n, now, ErrMalformed},
		{"long", strings.Repeat("A", 400), device, n, now, ErrMalformed},
	} {
		if r, err := c.n.Inspect(c.nonce, c.device, c.at); !errors.Is(err, c.want) || !reflect.DeepEqual(r, Replay{}) {
			t.Errorf("%s: %+v, %v", c.name, r, err)
		}
	}
	if _, err := n.Issue(strings.NewReader("short"), device, now); err == nil {
		t.Error("a dry source gave a nonce")
	}
	broken := Nonces{Tag: func([]byte) ([]byte, error) { return nil, errors.New("no key") }}
	if s, err := broken.Issue(rand.Reader, device, now); err == nil || s != "" {
		t.Error("a nonce without a tag")
	}
}

func FuzzSigned(f *testing.F) {
	f.Add(identity.NewID().String(), "bm9uY2U", "1800000000", encode64(make([]byte, 64)))
	f.Fuzz(func(t *testing.T, device, nonce, at, sig string) {
		h := http.Header{HeaderDevice: {device}, HeaderNonce: {nonce}, HeaderTime: {at}, HeaderSignature: {sig}}
		s, err := ParseSigned(h)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || !reflect.DeepEqual(s, Signed{}) {
				t.Errorf("%v, %+v", err, s)
			}
			return
		}
		// One spelling each (SECURITY G9).
		if s.Device.String() != device || s.Nonce != nonce || strconv.FormatInt(s.Time, 10) != at || encode64(s.Signature) != sig {
			t.Errorf("%+v is not how it was written", s)
		}
	})
}
