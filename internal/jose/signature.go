package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
)

// pss is PS256 as RFC 7518 §3.5 has it: the salt is as long as the hash.
var pss = rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

var errNoPrivate = errors.New("jose: key cannot sign")

// sign signs input in the form JWS wants. The randomness is the system's: the
// standard library takes no other, and SM2 must not be left without.
func (k Key) sign(input []byte) ([]byte, error) {
	if !k.CanSign() {
		return nil, errNoPrivate
	}
	switch priv := k.m.priv.(type) {
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256(input)
		der, err := ecdsa.SignASN1(rand.Reader, priv, digest[:])
		if err != nil {
			return nil, err
		}
		return derToRaw(der)
	case *sm2.PrivateKey:
		// With other options gmsm would take input for the digest: no ZA.
		der, err := sm2.SignASN1(rand.Reader, priv, input, sm2.DefaultSM2SignerOpts)
		if err != nil {
			return nil, err
		}
		return derToRaw(der)
	case *rsa.PrivateKey:
		digest := sha256.Sum256(input)
		switch k.m.alg {
		case PS256:
			return rsa.SignPSS(rand.Reader, priv, crypto.SHA256, digest[:], &pss)
		case RS256:
			return rsa.SignPKCS1v15(rand.Reader, priv, crypto.SHA256, digest[:])
		}
	case ed25519.PrivateKey:
		return ed25519.Sign(priv, input), nil
	}
	return nil, errNoPrivate
}

// verify checks sig over input with k, by the algorithm k is bound to.
func (k Key) verify(input, sig []byte) error {
	if k.m == nil {
		return ErrNoKey
	}
	good := false
	switch pub := k.m.pub.(type) {
	case *ecdsa.PublicKey:
		var buf [derSize]byte
		der, err := rawToDER(buf[:0], sig)
		if err != nil {
			return err
		}
		// The type alone does not tell the two curves apart, the family does.
		switch k.m.family {
		case p256:
			digest := sha256.Sum256(input)
			good = ecdsa.VerifyASN1(pub, digest[:], der)
		case sm2Key:
			good = sm2.VerifyASN1WithSM2(pub, nil, input, der) // nil: the default identity
		}
	case *rsa.PublicKey:
		digest := sha256.Sum256(input)
		switch k.m.alg {
		case PS256:
			good = rsa.VerifyPSS(pub, crypto.SHA256, digest[:], sig, &pss) == nil
		case RS256:
			good = rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], sig) == nil
		}
	case ed25519.PublicKey:
		good = len(sig) == sigSize && ed25519.Verify(pub, input, sig)
	}
	if !good {
		return ErrSignature
	}
	return nil
}

// SignRaw signs message outside any token and returns r‖s. It is for protocols of
// octets that carry ES256 and SM2 signatures in 64 of them; a key of another kind is
// ErrAlgorithm. Such a key must not sign tokens that could be taken for a message.
func (k Key) SignRaw(message []byte) ([]byte, error) {
	if err := k.raw(); err != nil {
		return nil, err
	}
	return k.sign(message)
}

// VerifyRaw checks what SignRaw made, by the algorithm k is bound to: nothing in
// the signature chooses it.
func (k Key) VerifyRaw(message, sig []byte) error {
	if err := k.raw(); err != nil {
		return err
	}
	return k.verify(message, sig)
}

// raw returns an error unless r‖s is what k signs with.
func (k Key) raw() error {
	switch {
	case k.m == nil:
		return ErrNoKey
	case k.m.family != p256 && k.m.family != sm2Key:
		return fmt.Errorf("%w: no signature of %q is r‖s", ErrAlgorithm, string(k.m.alg))
	}
	return nil
}

// derSize is the longest SEQUENCE of two positive 256-bit INTEGERs.
const derSize = 2 + 2*(2+1+sigSize/2)

// rawToDER appends r‖s as the ASN.1 the libraries want. Anything but 64 octets
// is refused here, DER itself included (RFC 7518 §3.4), and so is a zero half;
// that r and s are below the order is the library's check.
func rawToDER(dst, raw []byte) ([]byte, error) {
	if len(raw) != sigSize {
		return nil, fmt.Errorf("%w: %d octets in place of %d", ErrSignature, len(raw), sigSize)
	}
	dst = append(dst, 0x30, 0)
	for _, half := range [2][]byte{raw[:sigSize/2], raw[sigSize/2:]} {
		for len(half) > 0 && half[0] == 0 {
			half = half[1:]
		}
		if len(half) == 0 {
			return nil, fmt.Errorf("%w: zero", ErrSignature)
		}
		if half[0]&0x80 != 0 {
			dst = append(dst, 0x02, byte(len(half)+1), 0)
		} else {
			dst = append(dst, 0x02, byte(len(half)))
		}
		dst = append(dst, half...)
	}
	dst[1] = byte(len(dst) - 2)
	return dst, nil
}

var errDER = errors.New("jose: library returned a strange signature")

// derToRaw reads what a library has just made; it is no parser for strangers.
func derToRaw(der []byte) ([]byte, error) {
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 {
		return nil, errDER
	}
	raw, rest := make([]byte, sigSize), der[2:]
	for _, half := range [2][]byte{raw[:sigSize/2], raw[sigSize/2:]} {
		if len(rest) < 2 || rest[0] != 0x02 || int(rest[1]) > len(rest)-2 {
			return nil, errDER
		}
		n := rest[2 : 2+int(rest[1])]
		rest = rest[2+len(n):]
		for len(n) > 0 && n[0] == 0 {
			n = n[1:]
		}
		if len(n) == 0 || len(n) > len(half) {
			return nil, errDER
		}
		copy(half[len(half)-len(n):], n)
	}
	if len(rest) != 0 {
		return nil, errDER
	}
	return raw, nil
}
