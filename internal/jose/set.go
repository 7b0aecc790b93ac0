package jose

import (
	"encoding/json"
	"errors"
	"fmt"
)

// A Keyset is where Verify looks for a key. Find returns the key of that name;
// for the empty name, that of a token without kid, it returns the key only if no
// other could be meant.
type Keyset interface {
	Find(kid string) (Key, bool)
}

// A Set is other people's public keys: a client's, a provider's, a device's. It
// does not change, and its zero value is empty.
type Set struct {
	keys    []Key
	skipped []string
}

// NewSet makes a Set of keys, whose kids must differ where they have one.
func NewSet(keys ...Key) (Set, error) {
	if len(keys) > maxKeys {
		return Set{}, fmt.Errorf("%w: %d keys in one set", ErrMalformed, len(keys))
	}
	kids := make(map[string]bool, len(keys))
	s := Set{keys: make([]Key, 0, len(keys))}
	for _, k := range keys {
		if k.IsZero() {
			return Set{}, ErrNoKey
		}
		if kid := k.KeyID(); kid != "" && kids[kid] {
			return Set{}, fmt.Errorf("%w: two keys with one kid", ErrMalformed)
		}
		kids[k.KeyID()] = true
		s.keys = append(s.keys, k.Public())
	}
	return s, nil
}

// ParseSet reads a JWK Set (RFC 7517 §5). Keys of a kind we do not know are
// passed over, as that section asks, and Skipped tells which; a known kind that
// is malformed, a kid used twice, or a secret spoils the whole set.
func ParseSet(data []byte) (Set, error) {
	if len(data) > maxSet {
		return Set{}, fmt.Errorf("%w: JWK Set of %d octets", ErrMalformed, len(data))
	}
	ms, err := object(data)
	if err != nil {
		return Set{}, fmt.Errorf("JWK Set: %w", err)
	}
	raw, ok := ms.get("keys")
	var docs []json.RawMessage
	if !ok || raw[0] != '[' || json.Unmarshal(raw, &docs) != nil {
		return Set{}, fmt.Errorf("%w: JWK Set without an array of keys", ErrMalformed)
	}
	if len(docs) > maxKeys {
		return Set{}, fmt.Errorf("%w: %d keys in one set", ErrMalformed, len(docs))
	}
	var keys []Key
	var skipped []string
	kids := make(map[string]bool, len(docs))
	for i, doc := range docs {
		ms, err := object(doc)
		if err != nil {
			return Set{}, fmt.Errorf("JWK Set, key %d: %w", i, err)
		}
		kid, named, err := ms.label("kid")
		if err != nil {
			return Set{}, fmt.Errorf("JWK Set, key %d: %w", i, err)
		}
		if named && kids[kid] {
			return Set{}, fmt.Errorf("%w: JWK Set: two keys with one kid", ErrMalformed)
		}
		kids[kid] = true
		k, err := parseJWK(ms)
		switch {
		case errors.Is(err, ErrUnsupported):
			skipped = append(skipped, fmt.Sprintf("key %d: %v", i, err))
		case err != nil:
			return Set{}, fmt.Errorf("JWK Set, key %d: %w", i, err)
		default:
			keys = append(keys, k)
		}
	}
	return Set{keys, skipped}, nil
}

// Find implements Keyset. Without a kid the set must hold a single key: OpenID
// Connect Core §10.1 asks for a kid wherever there are more.
func (s Set) Find(kid string) (Key, bool) {
	if kid == "" {
		if len(s.keys) == 1 {
			return s.keys[0], true
		}
		return Key{}, false
	}
	for _, k := range s.keys {
		if k.m.kid == kid {
			return k, true
		}
	}
	return Key{}, false
}

// Len is the number of keys that can be used.
func (s Set) Len() int { return len(s.keys) }

// Keys returns the keys in the order of the document.
func (s Set) Keys() []Key { return append([]Key(nil), s.keys...) }

// Skipped says, a line each, which keys of the document were passed over and why.
func (s Set) Skipped() []string { return append([]string(nil), s.skipped...) }

// MarshalJSON writes the usable keys as a JWK Set.
func (s Set) MarshalJSON() ([]byte, error) { return marshalSet(s.keys) }

func marshalSet(keys []Key) ([]byte, error) {
	b := []byte(`{"keys":[`)
	for i, k := range keys {
		doc, err := k.MarshalJSON()
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, doc...)
	}
	return append(b, "]}"...), nil
}
