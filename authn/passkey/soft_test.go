package passkey

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"ecardid/internal/clock"
)

const (
	rpID   = "ecard.test"
	origin = "https://login.ecard.test"
)

func testClock() *clock.Manual {
	return clock.At(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
}

func testConfig(clk clock.Clock) Config {
	return Config{RPID: rpID, Origins: []string{origin}, Name: "电子社保卡", Clock: clk}
}

func newRelying(t testing.TB, cfg Config) *Relying {
	t.Helper()
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A soft authenticator can lie about everything, which virtualwebauthn's cannot.
type soft struct {
	origin  string
	rpID    string
	typ     string // of the client data, when it lies
	cross   bool
	flags   byte
	counter uint32
	aaguid  [16]byte
	id      []byte
	handle  []byte
	key     crypto.Signer
	alg     int
	// attestation
	format   string // none or packed
	certKey  *ecdsa.PrivateKey
	cert     []byte
	props    map[string]any // client extension results
	tamper   bool           // breaks the signature
	asOption string         // answers this challenge instead
}

const (
	up, uv, be, bs, at = 0x01, 0x04, 0x08, 0x10, 0x40
)

func newSoft(t testing.TB, alg int) *soft {
	t.Helper()
	s := &soft{
		origin: origin, rpID: rpID, flags: up | uv, counter: 1, alg: alg, format: "none",
		id: make([]byte, 32), handle: []byte("the handle of zhang"), aaguid: [16]byte{1, 2, 3},
	}
	if _, err := rand.Read(s.id); err != nil {
		t.Fatal(err)
	}
	var err error
	switch alg {
	case -7:
		s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case -35:
		s.key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case -8:
		_, s.key, err = ed25519.GenerateKey(rand.Reader)
	case -257:
		s.key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		t.Fatalf("no algorithm %d", alg)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (s *soft) cose(t testing.TB) []byte {
	var m map[int]any
	switch k := s.key.Public().(type) {
	case *ecdsa.PublicKey:
		raw, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		half := (len(raw) - 1) / 2
		crv := map[int]int{32: 1, 48: 2}[half]
		m = map[int]any{1: 2, 3: s.alg, -1: crv, -2: raw[1 : 1+half], -3: raw[1+half:]}
	case ed25519.PublicKey:
		m = map[int]any{1: 1, 3: s.alg, -1: 6, -2: []byte(k)}
	case *rsa.PublicKey:
		m = map[int]any{1: 3, 3: s.alg, -1: k.N.Bytes(), -2: big.NewInt(int64(k.E)).Bytes()}
	}
	return encode(t, m)
}

func encode(t testing.TB, v any) []byte {
	mode, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *soft) sign(t testing.TB, msg []byte) []byte {
	var digest []byte
	var opts crypto.SignerOpts = crypto.SHA256
	switch s.alg {
	case -8:
		digest, opts = msg, crypto.Hash(0)
	case -35:
		sum := sha512.Sum384(msg)
		digest, opts = sum[:], crypto.SHA384
	default:
		sum := sha256.Sum256(msg)
		digest = sum[:]
	}
	sig, err := s.key.Sign(rand.Reader, digest, opts)
	if err != nil {
		t.Fatal(err)
	}
	if s.tamper {
		sig[len(sig)-1] ^= 1
	}
	return sig
}

func (s *soft) clientData(t testing.TB, typ string, options json.RawMessage) []byte {
	var o struct {
		PublicKey struct {
			Challenge string `json:"challenge"`
		} `json:"publicKey"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	if s.typ != "" {
		typ = s.typ
	}
	if s.asOption != "" {
		o.PublicKey.Challenge = s.asOption
	}
	cd, err := json.Marshal(map[string]any{"type": typ, "challenge": o.PublicKey.Challenge, "origin": s.origin, "crossOrigin": s.cross})
	if err != nil {
		t.Fatal(err)
	}
	return cd
}

func (s *soft) authData(flags byte) []byte {
	sum := sha256.Sum256([]byte(s.rpID))
	return binary.BigEndian.AppendUint32(append(sum[:], flags), s.counter)
}

// create answers navigator.credentials.create.
func (s *soft) create(t testing.TB, options json.RawMessage) string {
	cd := s.clientData(t, "webauthn.create", options)
	ad := append(s.authData(s.flags|at), s.aaguid[:]...)
	ad = binary.BigEndian.AppendUint16(ad, uint16(len(s.id)))
	ad = append(ad, s.id...)
	ad = append(ad, s.cose(t)...)
	sum := sha256.Sum256(cd)
	stmt := map[string]any{}
	if s.format == "packed" {
		signed := append(append([]byte{}, ad...), sum[:]...)
		if s.certKey != nil {
			digest := sha256.Sum256(signed)
			sig, err := ecdsa.SignASN1(rand.Reader, s.certKey, digest[:])
			if err != nil {
				t.Fatal(err)
			}
			stmt = map[string]any{"alg": -7, "sig": sig, "x5c": []any{s.cert}}
		} else {
			stmt = map[string]any{"alg": s.alg, "sig": s.sign(t, signed)}
		}
	}
	obj := encode(t, map[string]any{"fmt": s.format, "attStmt": stmt, "authData": ad})
	return s.answer(t, map[string]any{"attestationObject": b64(obj), "clientDataJSON": b64(cd), "transports": []string{"internal", "carrier-pigeon"}})
}

// get answers navigator.credentials.get.
func (s *soft) get(t testing.TB, options json.RawMessage) string {
	cd := s.clientData(t, "webauthn.get", options)
	ad := s.authData(s.flags)
	sum := sha256.Sum256(cd)
	sig := s.sign(t, append(append([]byte{}, ad...), sum[:]...))
	return s.answer(t, map[string]any{"authenticatorData": b64(ad), "clientDataJSON": b64(cd), "signature": b64(sig), "userHandle": b64(s.handle)})
}

func (s *soft) answer(t testing.TB, response map[string]any) string {
	props := s.props
	if props == nil {
		props = map[string]any{}
	}
	body, err := json.Marshal(map[string]any{
		"type": "public-key", "id": b64(s.id), "rawId": b64(s.id), "response": response,
		"authenticatorAttachment": "platform", "clientExtensionResults": props,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// maker issues attestation certificates, as an authenticator's maker does.
func (s *soft) certify(t testing.TB) (root *x509.Certificate) {
	t.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.certKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Maker"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, rootKey.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	if root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	aaguid, err := asn1.Marshal(s.aaguid[:])
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), BasicConstraintsValid: true, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		Subject: pkix.Name{Country: []string{"CN"}, Organization: []string{"Maker"}, OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Batch"},
		// id-fido-gen-ce-aaguid (Level 3 §8.2.1)
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}, Value: aaguid}},
	}
	if s.cert, err = x509.CreateCertificate(rand.Reader, leaf, root, s.certKey.Public(), rootKey); err != nil {
		t.Fatal(err)
	}
	s.format = "packed"
	return root
}

func reader(s string) *strings.Reader { return strings.NewReader(s) }
