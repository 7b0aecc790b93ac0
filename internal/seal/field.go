package seal

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
)

const (
	blobVersion = 1
	blobHeader  = 1 + 4 + nonceSize
)

// A Place is where a sealed field lives. All three parts are needed, and Row is
// the row's own unchanging id: a field sealed for one row opens in no other.
type Place struct {
	Table, Column string
	Row           []byte
}

func (p Place) aad() ([]byte, error) {
	if p.Table == "" || p.Column == "" || len(p.Row) == 0 {
		return nil, fmt.Errorf("seal: %s.%s: %w", p.Table, p.Column, ErrPlace)
	}
	aad := make([]byte, 0, 3*8+len(p.Table)+len(p.Column)+len(p.Row)+1)
	aad = appendField(aad, []byte(p.Table))
	aad = appendField(aad, []byte(p.Column))
	aad = appendField(aad, p.Row)
	return append(aad, blobVersion), nil
}

// Seal encrypts plaintext for its place under the active key of purpose. Two
// seals of one plaintext differ.
func (k *Keys) Seal(purpose Purpose, place Place, plaintext []byte) ([]byte, error) {
	key := k.active[purpose]
	if key == nil || key.aead == nil {
		return nil, fmt.Errorf("seal: sealing for %q: %w", purpose, ErrPurpose)
	}
	aad, err := place.aad()
	if err != nil {
		return nil, err
	}
	// Counted before it is used: parallel seals at the limit cannot slip past.
	if key.before+key.count.Add(1) > maxSeals {
		return nil, fmt.Errorf("seal: key %s/%d: %w", purpose, key.version, ErrExhausted)
	}
	blob := make([]byte, blobHeader, blobHeader+len(plaintext)+tagSize)
	blob[0] = blobVersion
	binary.BigEndian.PutUint32(blob[1:], key.id)
	nonce := blob[5:blobHeader]
	// From the system and from nowhere else; see KEK.Wrap.
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal: drawing a nonce: %w", err)
	}
	return key.aead.Seal(blob, nonce, plaintext, aad), nil
}

// Unseal opens what Seal made for the same purpose and place, under the active
// key or an older one. On any error it returns nothing.
func (k *Keys) Unseal(purpose Purpose, place Place, blob []byte) ([]byte, error) {
	id, err := blobKey(blob)
	if err != nil {
		return nil, err
	}
	key, err := k.key(purpose, id)
	if err != nil {
		return nil, err
	}
	if key.aead == nil {
		return nil, fmt.Errorf("seal: unsealing for %q: %w", purpose, ErrPurpose)
	}
	aad, err := place.aad()
	if err != nil {
		return nil, err
	}
	plaintext, err := key.aead.Open(nil, blob[5:blobHeader], blob[blobHeader:], aad)
	if err != nil {
		return nil, fmt.Errorf("seal: %s.%s under key %d: %w", place.Table, place.Column, id, ErrTampered)
	}
	return plaintext, nil
}

// NeedsReseal reports whether blob should be sealed anew because its key is not
// the active one any more. It says so too of what is not a blob of ours: trying
// to unseal it is how that comes to light.
func (k *Keys) NeedsReseal(blob []byte) bool {
	id, err := blobKey(blob)
	if err != nil {
		return true
	}
	key := k.byID[id]
	return key == nil || key.state != Active
}

func blobKey(blob []byte) (uint32, error) {
	if len(blob) < blobHeader+tagSize || blob[0] != blobVersion {
		return 0, fmt.Errorf("seal: sealed field: %w", ErrMalformed)
	}
	return binary.BigEndian.Uint32(blob[1:]), nil
}
