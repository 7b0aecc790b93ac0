package identity

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
)

// An ID names one thing of ours: 16 random bytes, written as 22 characters of
// base64url. It carries no data and is never reused. The zero ID names nothing.
type ID [16]byte

// NewID returns a fresh random ID.
func NewID() ID { return IDFrom(rand.Reader) }

// IDFrom is NewID with the source of randomness passed in.
func IDFrom(r io.Reader) ID {
	var id ID
	if _, err := io.ReadFull(r, id[:]); err != nil {
		panic("identity: randomness ran dry: " + err.Error())
	}
	return id
}

// ParseID reads what String wrote. Anything else, the second spelling of the
// same bytes included, is an error: an id has one spelling (SECURITY G9).
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 22 {
		return ID{}, fmt.Errorf("an id has 22 characters, not %d", len(s))
	}
	if _, err := base64.RawURLEncoding.Strict().Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("not an id: %w", err)
	}
	return id, nil
}

// String returns the one spelling of the id.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// IsZero reports whether the id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements encoding.TextMarshaler. The zero ID is the empty text.
func (id ID) MarshalText() ([]byte, error) {
	if id.IsZero() {
		return nil, nil
	}
	return []byte(id.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = ID{}
		return nil
	}
	parsed, err := ParseID(string(b))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// Scan implements sql.Scanner: 16 bytes, or NULL for the zero ID.
func (id *ID) Scan(src any) error {
	switch b := src.(type) {
	case nil:
		return id.ScanBytes(nil)
	case []byte:
		return id.ScanBytes(b)
	default:
		return fmt.Errorf("an id cannot be read from a %T", src)
	}
}

// ScanBytes is Scan for a driver that lends its bytes and copies none: 16 of them, or
// nil.
func (id *ID) ScanBytes(b []byte) error {
	if b == nil {
		*id = ID{}
		return nil
	}
	if len(b) != len(id) {
		return fmt.Errorf("an id has %d bytes, not %d", len(id), len(b))
	}
	copy(id[:], b)
	return nil
}
