package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"reflect"
	"slices"
	"testing"
	"time"

	"ecardid/identity"
)

var (
	testNow   = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	challenge = []byte("0123456789abcdef0123456789abcdef")
	appDigest = sha256.Sum256([]byte("our signing certificate"))
)

const appName = "cn.gov.ecard"

// enc writes DER by hand, high tags included.
func enc(t testing.TB, class, tag int, compound bool, content ...[]byte) []byte {
	t.Helper()
	b, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: compound, Bytes: slices.Concat(content...)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func seq(t testing.TB, content ...[]byte) []byte {
	return enc(t, 0, asn1.TagSequence, true, content...)
}
func set(t testing.TB, content ...[]byte) []byte { return enc(t, 0, asn1.TagSet, true, content...) }
func oct(t testing.TB, b []byte) []byte          { return enc(t, 0, asn1.TagOctetString, false, b) }
func null(t testing.TB) []byte                   { return enc(t, 0, asn1.TagNull, false) }
func num(t testing.TB, n int64) []byte {
	b, err := asn1.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
func enum(t testing.TB, n int64) []byte { return enc(t, 0, asn1.TagEnum, false, num(t, n)[2:]) }
func boolean(t testing.TB, v bool) []byte {
	if v {
		return enc(t, 0, asn1.TagBoolean, false, []byte{0xff})
	}
	return enc(t, 0, asn1.TagBoolean, false, []byte{0})
}
func entry(t testing.TB, tag int, inner []byte) []byte { return enc(t, 2, tag, true, inner) }

// A phone says about its key whatever its fields say.
type phone struct {
	version             int64
	attestation, keymnt int64
	challenge           []byte
	origin              int64
	noOrigin            bool
	purposes            []int64
	algorithm, size     int64
	curve               int64
	locked              bool
	boot                int64
	noBoot              bool
	patch               int64
	packages            []string
	digest              []byte
	noApp               bool
	all                 bool // allApplications
	noAuth              bool
	swap                bool // the hardware's entries in the software list
	twice               bool // one tag two times
	trailing            []byte
}

func goodPhone() phone {
	return phone{
		version: 300, attestation: securityTEE, keymnt: securityTEE, challenge: challenge,
		purposes: []int64{purposeSign}, algorithm: algorithmEC, size: 256, curve: curveP256, locked: true, patch: 202610,
		packages: []string{appName}, digest: appDigest[:],
	}
}

func (p phone) extension(t testing.TB) []byte {
	var purposes [][]byte
	for _, n := range p.purposes {
		purposes = append(purposes, num(t, n))
	}
	hw := [][]byte{
		entry(t, tagPurpose, set(t, purposes...)),
		entry(t, tagAlgorithm, num(t, p.algorithm)),
		entry(t, tagKeySize, num(t, p.size)),
		entry(t, tagECCurve, num(t, p.curve)),
		entry(t, 303, null(t)),
	}
	if p.noAuth {
		hw = append(hw, entry(t, tagNoAuthRequired, null(t)))
	} else {
		hw = append(hw, entry(t, tagUserAuthType, num(t, 2)))
	}
	if p.all {
		hw = append(hw, entry(t, tagAllApplications, null(t)))
	}
	if !p.noOrigin {
		hw = append(hw, entry(t, tagOrigin, num(t, p.origin)))
	}
	if !p.noBoot {
		hw = append(hw, entry(t, tagRootOfTrust, seq(t, oct(t, make([]byte, 32)), boolean(t, p.locked), enum(t, p.boot), oct(t, make([]byte, 32)))))
	}
	hw = append(hw, entry(t, tagOSVersion, num(t, 160000)), entry(t, tagOSPatchLevel, num(t, p.patch)))
	if p.twice {
		hw = append(hw, entry(t, tagOrigin, num(t, 0)))
	}
	hw = append(hw, entry(t, 724, oct(t, []byte("a tag of tomorrow"))))

	sw := [][]byte{entry(t, 701, num(t, 1700000000000))}
	if !p.noApp {
		var infos [][]byte
		for _, name := range p.packages {
			infos = append(infos, seq(t, oct(t, []byte(name)), num(t, 7)))
		}
		sw = append(sw, entry(t, tagApplicationID, oct(t, seq(t, set(t, infos...), set(t, oct(t, p.digest))))))
	}
	if p.swap {
		sw, hw = append(sw, hw...), nil
	}
	return append(seq(t, num(t, p.version), enum(t, p.attestation), num(t, p.version), enum(t, p.keymnt),
		oct(t, p.challenge), oct(t, nil), seq(t, sw...), seq(t, hw...)), p.trailing...)
}

// A maker has a root, and issues one intermediate and leaves.
type maker struct {
	root, inter       *x509.Certificate
	rootKey, interKey *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func issue(t testing.TB, tmpl, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func authority(name string, serial int64, life time.Duration) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: testNow.Add(-time.Hour), NotAfter: testNow.Add(life), KeyUsage: x509.KeyUsageCertSign,
	}
}

func newMaker(t testing.TB) maker {
	m := maker{rootKey: newKey(t), interKey: newKey(t)}
	root := authority("Root", 0xf00d, 1000*time.Hour)
	m.root = issue(t, root, root, m.rootKey.Public(), m.rootKey)
	m.inter = issue(t, authority("Batch", 0xbeef, 26*24*time.Hour), m.root, m.interKey.Public(), m.rootKey)
	return m
}

func leafTemplate(extension []byte) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Android Keystore Key"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2048, 1, 1, 0, 0, 0, 0, time.UTC), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if extension != nil {
		c.ExtraExtensions = []pkix.Extension{{Id: oidKeyDescription(), Value: extension}}
	}
	return c
}

func (m maker) chain(t testing.TB, p phone, key *ecdsa.PrivateKey) [][]byte {
	leaf := issue(t, leafTemplate(p.extension(t)), m.inter, key.Public(), m.interKey)
	return [][]byte{leaf.Raw, m.inter.Raw, m.root.Raw}
}

func (m maker) verifier(t testing.TB, bend func(*AndroidConfig)) *AndroidKey {
	t.Helper()
	cfg := AndroidConfig{
		Roots: []*x509.Certificate{m.root}, Revoked: Serials{}, MinPatch: 202501,
		Apps: []App{{Package: "cn.gov.other", Digests: [][]byte{make([]byte, 32)}}, {Package: appName, Digests: [][]byte{appDigest[:]}}},
	}
	if bend != nil {
		bend(&cfg)
	}
	v, err := NewAndroidKey(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAndroidKey(t *testing.T) {
	m, stranger := newMaker(t), newMaker(t)
	key := newKey(t)
	for _, c := range []struct {
		name  string
		phone func(*phone)
		cfg   func(*AndroidConfig)
		state func(*Statement)
		now   time.Time
		want  identity.KeyLevel // "" for refused
	}{
		{name: "tee", want: identity.KeyTEE},
		{name: "strongbox", phone: func(p *phone) { p.attestation, p.keymnt = securityStrongBox, securityStrongBox }, want: identity.KeySecureElement},
		// The weaker of the two speaks.
		{name: "strongbox-attested-by-tee", phone: func(p *phone) { p.keymnt = securityStrongBox }, want: identity.KeyTEE},
		{name: "software", phone: func(p *phone) { p.attestation, p.keymnt, p.swap = 0, 0, true }, want: identity.KeySoftware},
		{name: "tee-attested-by-software", phone: func(p *phone) { p.attestation, p.swap = 0, true }, want: identity.KeySoftware},
		{name: "without-the-root", state: func(s *Statement) { s.Chain = s.Chain[:2] }, want: identity.KeyTEE},
		{name: "shared-uid", phone: func(p *phone) { p.packages = []string{"cn.gov.helper", appName} }, want: identity.KeyTEE},
		{name: "patch-level-with-day", phone: func(p *phone) { p.patch = 20261005 }, want: identity.KeyTEE},
		{name: "sign-and-verify", phone: func(p *phone) { p.purposes = []int64{2, 3} }, want: identity.KeyTEE},
		{name: "without-authentication", phone: func(p *phone) { p.noAuth = true }, want: identity.KeyTEE},

		{name: "hardware-claims-in-the-software-list", phone: func(p *phone) { p.swap = true }},
		{name: "boot-loader-unlocked", phone: func(p *phone) { p.locked = false }},
		{name: "own-system", phone: func(p *phone) { p.boot = 1 }},
		{name: "boot-failed", phone: func(p *phone) { p.boot = 3 }},
		{name: "no-root-of-trust", phone: func(p *phone) { p.noBoot = true }},
		{name: "imported-key", phone: func(p *phone) { p.origin = 2 }},
		{name: "no-origin", phone: func(p *phone) { p.noOrigin = true }},
		{name: "tag-twice", phone: func(p *phone) { p.twice = true }},
		{name: "wrong-challenge", phone: func(p *phone) { p.challenge = []byte("of another enrolment") }},
		{name: "empty-challenge", phone: func(p *phone) { p.challenge = nil }, state: func(s *Statement) { s.Challenge = nil }},
		{name: "decrypts-too", phone: func(p *phone) { p.purposes = []int64{1, 2} }},
		{name: "no-purpose", phone: func(p *phone) { p.purposes = nil }},
		{name: "agreement-only", phone: func(p *phone) { p.purposes = []int64{6} }},
		{name: "rsa", phone: func(p *phone) { p.algorithm = 1 }},
		{name: "other-curve", phone: func(p *phone) { p.curve = 2 }},
		{name: "old-patch", phone: func(p *phone) { p.patch = 202412 }},
		{name: "absurd-patch", phone: func(p *phone) { p.patch = 1 << 40 }},
		{name: "unknown-security-level", phone: func(p *phone) { p.attestation, p.keymnt = 3, 3 }},
		{name: "one-unknown-security-level", phone: func(p *phone) { p.keymnt = 9 }},
		{name: "all-apps", phone: func(p *phone) { p.all = true }},
		{name: "another-app", phone: func(p *phone) { p.packages = []string{"cn.evil"} }},
		{name: "our-app-signed-by-somebody", phone: func(p *phone) { p.digest = make([]byte, 32) }},
		{name: "no-app", phone: func(p *phone) { p.noApp = true }},
		{name: "trailing-bytes", phone: func(p *phone) { p.trailing = []byte{0} }},

		{name: "revoked-intermediate", cfg: func(c *AndroidConfig) { c.Revoked = Serials{"beef": {}} }},
		{name: "revoked-leaf", cfg: func(c *AndroidConfig) { c.Revoked = Serials{"1": {}} }},
		{name: "revoked-root-not-sent", cfg: func(c *AndroidConfig) { c.Revoked = Serials{"f00d": {}} }, state: func(s *Statement) { s.Chain = s.Chain[:2] }},
		{name: "intermediate-expired", now: testNow.Add(27 * 24 * time.Hour)},
		{name: "unknown-root", cfg: func(c *AndroidConfig) { c.Roots = []*x509.Certificate{stranger.root} }},
		{name: "another-key", state: func(s *Statement) { s.Key = newKey(t).Public() }},
		{name: "no-key", state: func(s *Statement) { s.Key = nil }},
		{name: "no-chain", state: func(s *Statement) { s.Chain = nil }},
		{name: "leaf-alone", state: func(s *Statement) { s.Chain = s.Chain[:1] }},
		{name: "a-certificate-beside", state: func(s *Statement) { s.Chain = slices.Insert(slices.Clone(s.Chain), 1, stranger.inter.Raw) }},
		{name: "out-of-order", state: func(s *Statement) { s.Chain = [][]byte{s.Chain[0], s.Chain[2], s.Chain[1]} }},
		{name: "the-root-as-leaf", state: func(s *Statement) { s.Chain, s.Key = s.Chain[2:], m.rootKey.Public() }},
		{name: "garbage", state: func(s *Statement) { s.Chain[1] = []byte("no certificate") }},
		{name: "endless", state: func(s *Statement) { s.Chain = slices.Repeat(s.Chain, 5) }},
		{name: "of-another-format", state: func(s *Statement) { s.Format = None }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := goodPhone()
			if c.phone != nil {
				c.phone(&p)
			}
			s := Statement{Format: FormatAndroidKey, Chain: m.chain(t, p, key), Key: key.Public(), Challenge: challenge}
			if c.state != nil {
				c.state(&s)
			}
			now := testNow
			if !c.now.IsZero() {
				now = c.now
			}
			r, err := m.verifier(t, c.cfg).Verify(now, s)
			if c.want == "" {
				if !errors.Is(err, ErrRefused) || !reflect.DeepEqual(r, Result{}) {
					t.Fatalf("%+v, %v", r, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			hardware := c.want != identity.KeySoftware
			if r.Level != c.want || r.PatchLevel != 202610 || r.OSVersion != 160000 || r.Root == "" || r.UserAuth != (hardware && !p.noAuth) {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Somebody with a genuine phone lets its attested key sign a certificate for a key
// of their own, which says it lives in hardware.
func TestExtendedChain(t *testing.T) {
	m := newMaker(t)
	attested, forged := newKey(t), newKey(t)
	p := goodPhone()
	for _, c := range []struct {
		name   string
		ca     bool // had the genuine certificate been made an authority
		inLeaf bool
	}{
		{"leaf-is-no-authority", false, true},
		{"leaf-is-an-authority", true, true},
		{"attestation-above-only", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmpl := leafTemplate(p.extension(t))
			if c.ca {
				tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
			}
			genuine := issue(t, tmpl, m.inter, attested.Public(), m.interKey)
			var ext []byte
			if c.inLeaf {
				ext = p.extension(t)
			}
			fake := issue(t, leafTemplate(ext), genuine, forged.Public(), attested)
			r, err := m.verifier(t, nil).Verify(testNow, Statement{
				Format: FormatAndroidKey, Key: forged.Public(), Challenge: challenge,
				Chain: [][]byte{fake.Raw, genuine.Raw, m.inter.Raw, m.root.Raw},
			})
			if !errors.Is(err, ErrRefused) || r.Level != "" {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// Roots are issued anew with the same key; phones keep sending the old one.
func TestReissuedRoot(t *testing.T) {
	m := newMaker(t)
	again := authority("Root", 0xcafe, 2000*time.Hour)
	reissued := issue(t, again, again, m.rootKey.Public(), m.rootKey)
	key := newKey(t)
	v := m.verifier(t, func(c *AndroidConfig) { c.Roots = []*x509.Certificate{reissued} })
	r, err := v.Verify(testNow, Statement{Format: FormatAndroidKey, Chain: m.chain(t, goodPhone(), key), Key: key.Public(), Challenge: challenge})
	if err != nil || r.Level != identity.KeyTEE {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAndroidConfig(t *testing.T) {
	m := newMaker(t)
	good := AndroidConfig{Roots: []*x509.Certificate{m.root}, Revoked: Serials{}, Apps: []App{{Package: appName, Digests: [][]byte{appDigest[:]}}}}
	if _, err := NewAndroidKey(good); err != nil {
		t.Fatal(err)
	}
	for name, bend := range map[string]func(*AndroidConfig){
		"no-roots":     func(c *AndroidConfig) { c.Roots = nil },
		"no-list":      func(c *AndroidConfig) { c.Revoked = nil },
		"no-apps":      func(c *AndroidConfig) { c.Apps = nil },
		"no-digest":    func(c *AndroidConfig) { c.Apps = []App{{Package: appName}} },
		"short-digest": func(c *AndroidConfig) { c.Apps = []App{{Package: appName, Digests: [][]byte{{1}}}} },
		"no-name":      func(c *AndroidConfig) { c.Apps = []App{{Digests: [][]byte{appDigest[:]}}} },
		"odd-patch":    func(c *AndroidConfig) { c.MinPatch = 20260101 },
		"month-13":     func(c *AndroidConfig) { c.MinPatch = 202613 },
	} {
		cfg := good
		bend(&cfg)
		if v, err := NewAndroidKey(cfg); err == nil || v != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestParseRoots(t *testing.T) {
	m := newMaker(t)
	leaf := issue(t, leafTemplate(nil), m.inter, newKey(t).Public(), m.interKey)
	file := func(typ string, ders ...[]byte) (out []byte) {
		for _, d := range ders {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: d})...)
		}
		return out
	}
	if roots, err := ParseRoots(file("CERTIFICATE", m.root.Raw, m.inter.Raw)); err != nil || len(roots) != 2 {
		t.Errorf("%d, %v", len(roots), err)
	}
	for name, f := range map[string][]byte{
		"empty": nil, "blank": []byte("\n"), "text": []byte("hello"),
		"key":       file("PRIVATE KEY", m.root.Raw),
		"garbage":   file("CERTIFICATE", []byte("x")),
		"leaf":      file("CERTIFICATE", leaf.Raw),
		"text-last": append(file("CERTIFICATE", m.root.Raw), "hello"...),
	} {
		if roots, err := ParseRoots(f); err == nil || roots != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestParseSerials(t *testing.T) {
	s, err := ParseSerials([]byte(`{"entries":{"00beef":{"status":"REVOKED","reason":"KEY_COMPROMISE"},"c35747a084470c3135aeefe2b8d40cd6":{"status":"SUSPENDED"}}}`))
	if err != nil || len(s) != 2 || !s.has(&x509.Certificate{SerialNumber: big.NewInt(0xbeef)}) || s.has(&x509.Certificate{SerialNumber: big.NewInt(1)}) {
		t.Errorf("%v, %v", s, err)
	}
	for _, bad := range []string{``, `{}`, `[]`, `{"entries":null}`, `{"entries":{"xyz":{"status":"REVOKED"}}}`, `{"entries":{"-1":{"status":"REVOKED"}}}`, `{"entries":{"1":{"status":"FINE"}}}`, `{"entries":{"1":{}}}`} {
		if s, err := ParseSerials([]byte(bad)); err == nil || s != nil {
			t.Errorf("%s: accepted", bad)
		}
	}
}

func TestSetAndNone(t *testing.T) {
	m := newMaker(t)
	s, err := NewSet(Unattested{}, m.verifier(t, nil))
	if err != nil || !slices.Equal(s.Formats(), []string{"android-key", "none"}) {
		t.Fatalf("%v, %v", s.Formats(), err)
	}
	if r, err := s.Verify(testNow, Statement{Format: None}); err != nil || r.Level != identity.KeyUnattested {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := s.Verify(testNow, Statement{Format: None, Chain: [][]byte{m.root.Raw}}); !errors.Is(err, ErrRefused) || r.Level != "" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, f := range []string{"", "NONE", "huks", "android-safetynet"} {
		if r, err := s.Verify(testNow, Statement{Format: f}); !errors.Is(err, ErrFormat) || r.Level != "" {
			t.Errorf("%s: %+v, %v", f, r, err)
		}
	}
	if _, err := (Set{}).Verify(testNow, Statement{Format: None}); !errors.Is(err, ErrFormat) {
		t.Errorf("the zero set: %v", err)
	}
	if _, err := NewSet(Unattested{}, Unattested{}); err == nil {
		t.Error("two verifiers for one format")
	}
}

func TestAtLeast(t *testing.T) {
	ladder := []identity.KeyLevel{identity.KeyUnattested, identity.KeySoftware, identity.KeyTEE, identity.KeySecureElement}
	for i, have := range ladder {
		for j, want := range ladder {
			if AtLeast(have, want) != (i >= j) {
				t.Errorf("%s, %s", have, want)
			}
		}
		if AtLeast(have, "") || AtLeast("", have) || AtLeast(have, "strongbox") {
			t.Errorf("%s against no level", have)
		}
	}
}

// What fails to parse gives nothing, and nothing panics behind the parser.
func FuzzKeyDescription(f *testing.F) {
	f.Add(goodPhone().extension(f))
	soft := goodPhone()
	soft.swap, soft.attestation = true, 0
	f.Add(soft.extension(f))
	f.Add([]byte{0x30, 0x80})
	f.Add([]byte{})
	a := &AndroidKey{AndroidConfig{Apps: []App{{Package: appName, Digests: [][]byte{appDigest[:]}}}}}
	f.Fuzz(func(t *testing.T, raw []byte) {
		k, err := parseKeyDescription(raw)
		if err != nil {
			if !reflect.DeepEqual(k, keyDescription{}) {
				t.Errorf("refused with %+v", k)
			}
			return
		}
		var r Result
		if _, err := a.ours(k); err != nil && !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
		if err := a.judge(k, &r); err != nil && !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
	})
}
