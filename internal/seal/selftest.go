package seal

import (
	"crypto/fips140"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"
)

// SelfTest runs the known-answer tests of SM2, SM3 and SM4, and of the two
// compositions this package adds, HMAC-SM3 and SM4-GCM. A process that fails it
// must not start.
func SelfTest() error {
	// With GODEBUG=fips140=only the standard library panics on HMAC over SM3; a
	// sentence at start is kinder.
	if fips140.Enforced() {
		return errors.New("seal: GODEBUG=fips140=only forbids SM3; use fips140=on")
	}
	for _, test := range []func() error{sm3.SelfTest, sm4.SelfTest, sm2.SelfTest, testHMAC, testGCM} {
		if err := test(); err != nil {
			return fmt.Errorf("seal: self-test: %w", err)
		}
	}
	return nil
}

func testHMAC() error {
	const want = "28e63256e7c5a087b1f073265dc53092163f7b82729735d06f28f10af9d52393"
	if hex.EncodeToString(hmacSM3([]byte("key"), []byte("abc"))) != want {
		return errors.New("HMAC-SM3 differs from its known answer")
	}
	return nil
}

// testGCM is the vector of RFC 8998 appendix A.1.
func testGCM() error {
	const (
		key   = "\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10"
		nonce = "\x00\x00\x12\x34\x56\x78\x00\x00\x00\x00\xab\xcd"
		aad   = "\xfe\xed\xfa\xce\xde\xad\xbe\xef\xfe\xed\xfa\xce\xde\xad\xbe\xef\xab\xad\xda\xd2"
		want  = "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735" +
			"d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d" +
			"83de3541e4c2b58177e065a9bf7b62ec"
	)
	var plaintext []byte
	for _, b := range []byte{0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0xee, 0xaa} {
		for range 8 {
			plaintext = append(plaintext, b)
		}
	}
	aead, err := newAEAD([]byte(key))
	if err != nil {
		return err
	}
	sealed := aead.Seal(nil, []byte(nonce), plaintext, []byte(aad))
	if hex.EncodeToString(sealed) != want {
		return errors.New("SM4-GCM differs from its known answer")
	}
	opened, err := aead.Open(nil, []byte(nonce), sealed, []byte(aad))
	if err != nil || string(opened) != string(plaintext) {
		return errors.New("SM4-GCM does not open its known answer")
	}
	sealed[0] ^= 1
	if _, err := aead.Open(nil, []byte(nonce), sealed, []byte(aad)); err == nil {
		return errors.New("SM4-GCM opens an altered text")
	}
	return nil
}
