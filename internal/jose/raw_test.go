package jose

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/emmansun/gmsm/smx509"
)

func TestRaw(t *testing.T) {
	message := []byte("POST\n/device/v1/approvals")
	for _, alg := range allAlgs {
		t.Run(string(alg), func(t *testing.T) {
			k := mustGenerate(t, alg, "k1")
			sig, err := k.SignRaw(message)
			if alg != ES256 && alg != SM2 {
				if !errors.Is(err, ErrAlgorithm) || sig != nil {
					t.Errorf("signed: %x, %v", sig, err)
				}
				// Right by JWS, and still no r‖s.
				if sig, err = k.sign(message); err != nil {
					t.Fatal(err)
				}
				if err := k.VerifyRaw(message, sig); !errors.Is(err, ErrAlgorithm) {
					t.Errorf("verified: %v", err)
				}
				return
			}
			if err != nil || len(sig) != sigSize {
				t.Fatalf("%x, %v", sig, err)
			}
			public := k.Unnamed()
			if public.CanSign() || public.KeyID() != "" || public.Thumbprint() != k.Thumbprint() || k.KeyID() != "k1" || !k.CanSign() {
				t.Errorf("the public half of %v is %v", k, public)
			}
			if err := public.VerifyRaw(message, sig); err != nil {
				t.Error(err)
			}
			other := mustGenerate(t, map[Alg]Alg{ES256: SM2, SM2: ES256}[alg], "k2")
			der, err := rawToDER(nil, sig)
			if err != nil {
				t.Fatal(err)
			}
			for name, bad := range map[string]error{
				"another message":    public.VerifyRaw(append([]byte("x"), message...), sig),
				"another key":        mustGenerate(t, alg, "k1").VerifyRaw(message, sig),
				"another algorithm":  other.VerifyRaw(message, sig),
				"DER":                public.VerifyRaw(message, der),
				"zeros":              public.VerifyRaw(message, make([]byte, sigSize)),
				"nothing":            public.VerifyRaw(message, nil),
				"a byte more":        public.VerifyRaw(message, append(sig[:sigSize:sigSize], 0)),
				"r and s exchanged":  public.VerifyRaw(message, append(sig[sigSize/2:sigSize:sigSize], sig[:sigSize/2]...)),
				"half of it is zero": public.VerifyRaw(message, append(sig[:sigSize/2:sigSize/2], make([]byte, sigSize/2)...)),
			} {
				if !errors.Is(bad, ErrSignature) {
					t.Errorf("%s: %v", name, bad)
				}
			}
			if sig, err := public.SignRaw(message); err == nil || sig != nil {
				t.Error("a public key signed")
			}
		})
	}
	var none Key
	if sig, err := none.SignRaw(message); !errors.Is(err, ErrNoKey) || sig != nil {
		t.Errorf("%x %v", sig, err)
	}
	if err := none.VerifyRaw(message, make([]byte, sigSize)); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	if !none.Unnamed().IsZero() {
		t.Error("no key without its name is one")
	}
}

func TestPKIX(t *testing.T) {
	k := mustGenerate(t, ES256, "k1")
	der, err := k.PKIX()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := pub.(*ecdsa.PublicKey); !ok || !p.Equal(k.m.pub) {
		t.Errorf("%T", pub)
	}
	k = mustGenerate(t, SM2, "k1")
	if der, err = k.PKIX(); err != nil {
		t.Fatal(err)
	}
	if pub, err = smx509.ParsePKIXPublicKey(der); err != nil {
		t.Fatal(err)
	}
	if p, ok := pub.(*ecdsa.PublicKey); !ok || !p.Equal(k.m.pub) {
		t.Errorf("%T", pub)
	}
	if der, err := (Key{}).PKIX(); !errors.Is(err, ErrNoKey) || der != nil {
		t.Errorf("%x %v", der, err)
	}
}
