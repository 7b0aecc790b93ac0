package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"ecardid/identity"
)

// FormatAndroidKey is the format of Android Key Attestation.
const FormatAndroidKey = "android-key"

// An App is one of ours, as Android knows it.
type App struct {
	Package string
	Digests [][]byte // SHA-256 of its signing certificates
}

// AndroidConfig says what an Android phone must prove.
type AndroidConfig struct {
	Roots   []*x509.Certificate // of Google, and of makers without Google services
	Revoked Serials             // required; Serials{} when there is no list
	Apps    []App
	// MinPatch is the oldest security patch level taken, as YYYYMM; zero for any.
	MinPatch int
}

// AndroidKey verifies Android Key Attestation.
type AndroidKey struct{ cfg AndroidConfig }

// NewAndroidKey checks the configuration whole.
func NewAndroidKey(cfg AndroidConfig) (*AndroidKey, error) {
	switch {
	case len(cfg.Roots) == 0:
		return nil, errors.New("android-key attestation: no roots")
	case cfg.Revoked == nil:
		return nil, errors.New("android-key attestation: no list of revoked serials, not even an empty one")
	case len(cfg.Apps) == 0:
		return nil, errors.New("android-key attestation: no apps")
	case cfg.MinPatch != 0 && (cfg.MinPatch < 200001 || cfg.MinPatch > 999912 || cfg.MinPatch%100 < 1 || cfg.MinPatch%100 > 12):
		return nil, fmt.Errorf("android-key attestation: patch level %d is not YYYYMM", cfg.MinPatch)
	}
	for _, a := range cfg.Apps {
		if a.Package == "" || len(a.Digests) == 0 || slices.ContainsFunc(a.Digests, func(d []byte) bool { return len(d) != sha256.Size }) {
			return nil, fmt.Errorf("android-key attestation: app %q needs a name and SHA-256 digests", a.Package)
		}
	}
	return &AndroidKey{cfg}, nil
}

// Format implements Verifier.
func (*AndroidKey) Format() string { return FormatAndroidKey }

// Verify implements Verifier.
func (a *AndroidKey) Verify(now time.Time, s Statement) (Result, error) {
	if s.Format != FormatAndroidKey || len(s.Challenge) == 0 {
		return Result{}, refuse("not a statement of this format")
	}
	key, ok := s.Key.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return Result{}, refuse("a key that this format does not attest")
	}
	chain, err := verifyChain(s.Chain, a.cfg.Roots, a.cfg.Revoked, now)
	if err != nil {
		return Result{}, err
	}
	if leaf, ok := chain[0].PublicKey.(*ecdsa.PublicKey); !ok || !leaf.Equal(key) {
		return Result{}, refuse("the certificate is about another key")
	}
	k, err := description(chain)
	if err != nil {
		return Result{}, err
	}
	if subtle.ConstantTimeCompare(k.challenge, s.Challenge) != 1 {
		return Result{}, refuse("another challenge")
	}
	root := sha256.Sum256(chain[len(chain)-1].RawSubjectPublicKeyInfo)
	r := Result{Format: FormatAndroidKey, Version: "1", Root: hexOf(root[:])}
	if r.Packages, err = a.ours(k); err != nil {
		return Result{}, err
	}
	if err := a.judge(k, &r); err != nil {
		return Result{}, err
	}
	return r, nil
}

// description finds the one attestation extension. A second one above the leaf
// means that somebody extended a genuine chain: an attested key was used to sign
// a certificate that says whatever they like about another.
func description(chain []*x509.Certificate) (keyDescription, error) {
	var raw []byte
	for i, c := range chain {
		for _, e := range c.Extensions {
			if !e.Id.Equal(oidKeyDescription()) {
				continue
			}
			if i > 0 || raw != nil {
				return keyDescription{}, refuse("an attestation in certificate %d", i)
			}
			raw = e.Value
		}
	}
	if raw == nil {
		return keyDescription{}, refuse("no attestation in the certificate")
	}
	k, err := parseKeyDescription(raw)
	if err != nil {
		return keyDescription{}, refuse("%v", err)
	}
	return k, nil
}

// ours reports the attested packages if one of our apps is among them. Packages
// that share a uid also share the signer, so all signers must be that app's.
func (a *AndroidKey) ours(k keyDescription) ([]string, error) {
	if _, all := k.software[tagAllApplications]; all {
		return nil, refuse("a key for all apps")
	}
	if _, all := k.hardware[tagAllApplications]; all {
		return nil, refuse("a key for all apps")
	}
	// The system, not the hardware, knows apps: the entry is in the software list.
	id, ok, err := k.software.applicationID()
	if err != nil {
		return nil, refuse("attestationApplicationId: %v", err)
	}
	if !ok || len(id.digests) == 0 {
		return nil, refuse("no app named")
	}
	for _, app := range a.cfg.Apps {
		known := func(d []byte) bool {
			return slices.ContainsFunc(app.Digests, func(w []byte) bool { return bytes.Equal(d, w) })
		}
		if slices.Contains(id.packages, app.Package) && !slices.ContainsFunc(id.digests, func(d []byte) bool { return !known(d) }) {
			return id.packages, nil
		}
	}
	return nil, refuse("not one of our apps")
}

// judge finds the level. What the hardware vouches for is read from its own list
// alone; the software list is the word of a system that may be somebody else's.
func (a *AndroidKey) judge(k keyDescription, r *Result) error {
	list := k.hardware
	switch min(k.attestationSecurity, k.keyMintSecurity) {
	case securityTEE:
		r.Level = identity.KeyTEE
	case securityStrongBox:
		r.Level = identity.KeySecureElement
	case securitySoftware:
		r.Level, list = identity.KeySoftware, k.software
	default:
		return refuse("security level %d", min(k.attestationSecurity, k.keyMintSecurity))
	}
	if max(k.attestationSecurity, k.keyMintSecurity) > securityStrongBox {
		return refuse("unknown security level")
	}
	if err := signsWithP256(list); err != nil {
		return err
	}
	if r.Level != identity.KeySoftware {
		boot, ok, err := list.rootOfTrust()
		if err != nil || !ok || !boot.locked || boot.state != bootVerified {
			return refuse("boot: locked %t, state %d: %v", boot.locked, boot.state, err)
		}
	}
	patch, err := month(list)
	if err != nil {
		return err
	}
	if patch < int64(a.cfg.MinPatch) {
		return refuse("patch level %d", patch)
	}
	r.PatchLevel = int(patch)
	if os, ok, err := list.number(tagOSVersion); err != nil {
		return refuse("osVersion: %v", err)
	} else if ok && os < 1<<31 {
		r.OSVersion = int(os)
	}
	_, free := list[tagNoAuthRequired]
	_, asks := list[tagUserAuthType]
	r.UserAuth = asks && !free && r.Level != identity.KeySoftware
	return nil
}

// signsWithP256 wants a key made where it is kept, for signing and nothing else.
func signsWithP256(list authorizations) error {
	if n, ok, err := list.number(tagOrigin); err != nil || !ok || n != originGenerated {
		return refuse("origin %d, there %t: %v", n, ok, err)
	}
	purposes, err := list.numbers(tagPurpose)
	if err != nil || !slices.Contains(purposes, purposeSign) ||
		slices.ContainsFunc(purposes, func(p int64) bool { return p != purposeSign && p != purposeVerify }) {
		return refuse("purposes %v: %v", purposes, err)
	}
	if n, ok, err := list.number(tagAlgorithm); err != nil || !ok || n != algorithmEC {
		return refuse("algorithm %d, there %t: %v", n, ok, err)
	}
	// Old phones name the size only, new ones the curve as well.
	size, hasSize, errSize := list.number(tagKeySize)
	curve, hasCurve, errCurve := list.number(tagECCurve)
	if err := errors.Join(errSize, errCurve); err != nil || !hasSize && !hasCurve || hasSize && size != 256 || hasCurve && curve != curveP256 {
		return refuse("key size %d, curve %d: %v", size, curve, err)
	}
	return nil
}

// month reads the patch level as YYYYMM; some makers write YYYYMMDD. Zero when
// it is not there.
func month(list authorizations) (int64, error) {
	n, ok, err := list.number(tagOSPatchLevel)
	if err != nil {
		return 0, refuse("osPatchLevel: %v", err)
	}
	if !ok {
		return 0, nil
	}
	if n > 99999999 {
		return 0, refuse("patch level %d", n)
	}
	if n > 999999 {
		n /= 100
	}
	return n, nil
}
