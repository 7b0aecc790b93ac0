package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/sm4"
)

// A KeyProvider holds the key-encryption key and wraps data keys under it. What
// it wraps for one purpose and version it unwraps for no other.
//
// Implementations are safe for concurrent use. One that talks to a KMS brings
// its own deadline.
type KeyProvider interface {
	Wrap(purpose Purpose, version int, dataKey []byte) ([]byte, error)
	// Unwrap returns ErrWrongKEK for what another key-encryption key wrapped and
	// ErrTampered for what was altered.
	Unwrap(purpose Purpose, version int, wrapped []byte) ([]byte, error)
	// Describe names the provider for operators, never the key.
	Describe() string
}

const (
	kekSize         = 32
	sm4KeySize      = 16
	nonceSize       = 12
	tagSize         = 16
	fingerprintSize = 8

	wrapVersion = 1
	wrapHeader  = 1 + fingerprintSize + nonceSize
)

// A KEK is the software KeyProvider: a key-encryption key in this process's
// memory, out of a file or the environment. It is not a certified module.
type KEK struct {
	aead        cipher.AEAD
	fingerprint []byte
	source      string
}

// ParseKEK reads a key-encryption key of 32 bytes written as hex or as base64
// (standard or URL alphabet, padded or not); white space around it is ignored.
// The caller reads the file or variable it comes from and names that in source.
func ParseKEK(text []byte, source string) (*KEK, error) {
	key, ok := decodeKEK(bytes.TrimSpace(text))
	if !ok {
		return nil, fmt.Errorf("seal: %w: want %d bytes as hex or base64", ErrKEK, kekSize)
	}
	defer clear(key)
	if bytes.Count(key, key[:1]) == len(key) {
		return nil, fmt.Errorf("seal: %w: all its bytes are the same", ErrKEK)
	}
	wrapKey, err := derive(key, "ecardid kek sm4-gcm wrap v1", sm4KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(wrapKey)
	aead, err := newAEAD(wrapKey)
	if err != nil {
		return nil, err
	}
	fingerprint, err := derive(key, "ecardid kek fingerprint v1", fingerprintSize)
	if err != nil {
		return nil, err
	}
	return &KEK{aead: aead, fingerprint: fingerprint, source: source}, nil
}

// decodeKEK goes by length: 64 characters are hex, 43 or 44 base64.
func decodeKEK(text []byte) ([]byte, bool) {
	var key []byte
	var err error
	switch len(text) {
	case hex.EncodedLen(kekSize):
		key, err = hex.DecodeString(string(text))
	case base64.StdEncoding.EncodedLen(kekSize), base64.RawStdEncoding.EncodedLen(kekSize):
		plain := bytes.TrimRight(text, "=")
		plain = bytes.ReplaceAll(bytes.ReplaceAll(plain, []byte("-"), []byte("+")), []byte("_"), []byte("/"))
		key, err = base64.RawStdEncoding.Strict().DecodeString(string(plain))
	default:
		return nil, false
	}
	return key, err == nil && len(key) == kekSize
}

// Describe implements KeyProvider.
func (k *KEK) Describe() string {
	return fmt.Sprintf("software key from %s, fingerprint %x (not a certified module)", k.source, k.fingerprint)
}

// Wrap implements KeyProvider:
//
//	ver(1) ‖ KEK fingerprint(8) ‖ nonce(12) ‖ ciphertext ‖ tag(16)
func (k *KEK) Wrap(purpose Purpose, version int, dataKey []byte) ([]byte, error) {
	wrapped := make([]byte, wrapHeader, wrapHeader+len(dataKey)+tagSize)
	wrapped[0] = wrapVersion
	copy(wrapped[1:], k.fingerprint)
	// Nonces come from the system and from nowhere else: a repeated nonce under
	// GCM gives the key away, so there is no parameter to get wrong.
	if _, err := rand.Read(wrapped[1+fingerprintSize:]); err != nil {
		return nil, fmt.Errorf("seal: drawing a nonce: %w", err)
	}
	return k.aead.Seal(wrapped, wrapped[1+fingerprintSize:], dataKey, wrapAAD(purpose, version)), nil
}

// Unwrap implements KeyProvider.
func (k *KEK) Unwrap(purpose Purpose, version int, wrapped []byte) ([]byte, error) {
	if len(wrapped) < wrapHeader+tagSize || wrapped[0] != wrapVersion {
		return nil, fmt.Errorf("seal: wrapped key: %w", ErrMalformed)
	}
	if !hmac.Equal(wrapped[1:1+fingerprintSize], k.fingerprint) {
		return nil, fmt.Errorf("seal: wrapped key: %w", ErrWrongKEK)
	}
	key, err := k.aead.Open(nil, wrapped[1+fingerprintSize:wrapHeader], wrapped[wrapHeader:], wrapAAD(purpose, version))
	if err != nil {
		return nil, fmt.Errorf("seal: wrapped key: %w", ErrTampered)
	}
	return key, nil
}

func wrapAAD(purpose Purpose, version int) []byte {
	aad := appendField([]byte("ecardid wrapped key"), []byte(purpose))
	aad = binary.BigEndian.AppendUint64(aad, uint64(version))
	return append(aad, wrapVersion)
}

// appendField puts a length before a field, so that ("ab","c") and ("a","bc")
// are different bytes.
func appendField(dst, field []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(len(field)))
	return append(dst, field...)
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: SM4: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("seal: SM4-GCM: %w", err)
	}
	return aead, nil
}

// derive is HKDF (RFC 5869) with SM3 and no salt: what goes in is uniform already.
func derive(secret []byte, label string, size int) ([]byte, error) {
	key, err := hkdf.Key(sm3.New, secret, nil, label, size)
	if err != nil {
		return nil, fmt.Errorf("seal: deriving a key: %w", err)
	}
	return key, nil
}
