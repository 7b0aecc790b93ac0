package seal

import (
	"crypto/hmac"
	"fmt"
	"sync"

	"github.com/emmansun/gmsm/sm3"
)

// indexSize is short on purpose: 2⁶⁴ rows before two values are likely to meet,
// and half the bytes in every index page.
const indexSize = 16

// indexKeys derives one key per indexed field and remembers it. Fields are
// column names out of our own source, so there are few.
type indexKeys struct {
	mac    []byte
	fields sync.Map // field string → []byte
}

func newIndexKeys(mac []byte) *indexKeys { return &indexKeys{mac: mac} }

func (x *indexKeys) of(field string) []byte {
	if key, ok := x.fields.Load(field); ok {
		return key.([]byte)
	}
	// HKDF-Expand (RFC 5869 §2.3) of one block, written out because it cannot fail.
	h := hmac.New(sm3.New, x.mac)
	h.Write([]byte("ecardid blind index " + field))
	h.Write([]byte{1})
	key, _ := x.fields.LoadOrStore(field, h.Sum(nil))
	return key.([]byte)
}

// Index returns the blind index of a value in a field: HMAC-SM3 under the
// field's own key, cut to 16 bytes. Equal values have equal indexes in one
// field and unrelated ones in two. The value comes normalised (idnumber does
// that for numbers); field is a column name from the source, never input.
//
// A new version of the index key changes every index, so it is rotated by
// filling a second column and not by reading with two keys.
func (k *Keys) Index(field, normalised string) []byte {
	return hmacSM3(k.index.of(field), []byte(normalised))[:indexSize]
}

// MAC returns HMAC-SM3 over data under the active key of purpose, 32 bytes.
// Several pieces are kept apart by their lengths, so ("ab","c") is not ("a","bc").
func (k *Keys) MAC(purpose Purpose, data ...[]byte) ([]byte, error) {
	id, err := k.ActiveID(purpose)
	if err != nil {
		return nil, err
	}
	return k.MACWith(purpose, id, data...)
}

// MACWith is MAC under one particular key, for values that remember the id of
// the key they were made with.
func (k *Keys) MACWith(purpose Purpose, id uint32, data ...[]byte) ([]byte, error) {
	key, err := k.key(purpose, id)
	if err != nil {
		return nil, err
	}
	if key.mac == nil || purpose == Index {
		return nil, fmt.Errorf("seal: MAC for %q: %w", purpose, ErrPurpose)
	}
	return key.tag(data), nil
}

// VerifyMAC compares in constant time against every key of purpose that is not
// destroyed. Stale says that the tag is right but not the active key's: what
// carries it should be made anew.
func (k *Keys) VerifyMAC(purpose Purpose, tag []byte, data ...[]byte) (ok, stale bool) {
	for _, key := range k.byID {
		if key.purpose != purpose || key.mac == nil || purpose == Index {
			continue
		}
		if hmac.Equal(tag, key.tag(data)) {
			ok, stale = true, key.state != Active
		}
	}
	return ok, stale
}

// ActiveID names the active key of purpose.
func (k *Keys) ActiveID(purpose Purpose) (uint32, error) {
	key := k.active[purpose]
	if key == nil {
		return 0, fmt.Errorf("seal: %q: %w", purpose, ErrPurpose)
	}
	return key.id, nil
}

// Pepper is what authn/password asks of us: a keyed hash whose key has a name.
func (k *Keys) Pepper() Peppers { return Peppers{keys: k} }

// Peppers are the keys over password hashes.
type Peppers struct{ keys *Keys }

// ID names the pepper that new hashes are made with.
func (p Peppers) ID() uint32 { return p.keys.active[Pepper].id }

// Tag returns HMAC-SM3 of data under pepper id. A pepper that is unknown or
// destroyed is an error.
func (p Peppers) Tag(id uint32, data []byte) ([]byte, error) {
	return p.keys.MACWith(Pepper, id, data)
}

func (k *dataKey) tag(data [][]byte) []byte {
	var message []byte
	for _, piece := range data {
		message = appendField(message, piece)
	}
	return hmacSM3(k.mac, message)
}

func hmacSM3(key, message []byte) []byte {
	h := hmac.New(sm3.New, key)
	h.Write(message)
	return h.Sum(nil)
}
